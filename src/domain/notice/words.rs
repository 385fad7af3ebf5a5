//! The fixed words of the rendered notice, one table per language.
//!
//! They are part of the hashed text: a changed word changes the hash of every released version, which
//! the pinned hashes in `tests/text.rs` refuse.

use jiff::civil::Date;

use super::{Article, Language};

/// Headings and labels around the facts.
pub(super) struct Words {
    pub version: &'static str,
    pub effective_from: &'static str,
    pub controller: &'static str,
    pub organisation_number: &'static str,
    pub address: &'static str,
    pub phone: &'static str,
    pub email: &'static str,
    pub data_protection_officer: &'static str,
    pub purposes: &'static str,
    pub data_categories: &'static str,
    pub lawful_bases: &'static str,
    pub source: &'static str,
    pub recipients: &'static str,
    pub transfers: &'static str,
    pub retention: &'static str,
    pub provision_required: &'static str,
    pub automated_decisions: &'static str,
    pub objection: &'static str,
    pub rights: &'static str,
    pub access: &'static str,
    pub rectification: &'static str,
    pub erasure: &'static str,
    pub restriction: &'static str,
    pub portability: &'static str,
    pub withdrawal: &'static str,
    pub complaint: &'static str,
}

const NB: Words = Words {
    version: "Versjon",
    effective_from: "gjelder fra",
    controller: "Behandlingsansvarlig",
    organisation_number: "Organisasjonsnummer",
    address: "Adresse",
    phone: "Telefon",
    email: "E-post",
    data_protection_officer: "Personvernombud",
    purposes: "Hva vi bruker opplysningene til",
    data_categories: "Hvilke opplysninger vi behandler",
    lawful_bases: "Rettslig grunnlag",
    source: "Hvor opplysningene kommer fra",
    recipients: "Hvem som får opplysningene",
    transfers: "Overføring til andre land",
    retention: "Hvor lenge vi beholder opplysningene",
    provision_required: "Må du gi oss opplysningene?",
    automated_decisions: "Automatiserte avgjørelser",
    objection: "Du kan protestere",
    rights: "Rettighetene dine",
    access: "Innsyn",
    rectification: "Retting",
    erasure: "Sletting",
    restriction: "Begrensning",
    portability: "Dataportabilitet",
    withdrawal: "Trekke samtykke tilbake",
    complaint: "Klage",
};

const EN: Words = Words {
    version: "Version",
    effective_from: "in force from",
    controller: "Controller",
    organisation_number: "Organisation number",
    address: "Address",
    phone: "Phone",
    email: "E-mail",
    data_protection_officer: "Data protection officer",
    purposes: "What we use the details for",
    data_categories: "Which details we process",
    lawful_bases: "Our lawful basis",
    source: "Where the details come from",
    recipients: "Who receives the details",
    transfers: "Transfers to other countries",
    retention: "How long we keep the details",
    provision_required: "Must you give us the details?",
    automated_decisions: "Automated decisions",
    objection: "You can object",
    rights: "Your rights",
    access: "Access",
    rectification: "Rectification",
    erasure: "Erasure",
    restriction: "Restriction",
    portability: "Data portability",
    withdrawal: "Withdrawal of consent",
    complaint: "Complaints",
};

const MONTHS_NB: [&str; 12] = [
    "januar",
    "februar",
    "mars",
    "april",
    "mai",
    "juni",
    "juli",
    "august",
    "september",
    "oktober",
    "november",
    "desember",
];

/// The words of a language.
pub(super) const fn words(language: Language) -> &'static Words {
    match language {
        Language::Nb => &NB,
        Language::En => &EN,
    }
}

/// An article the way people of the language cite it.
#[must_use]
pub const fn citation(article: Article, language: Language) -> &'static str {
    match (article, language) {
        (Article::Consent, Language::Nb) => "Personvernforordningen artikkel 6 nr. 1 bokstav a",
        (Article::PreContract, Language::Nb) => "Personvernforordningen artikkel 6 nr. 1 bokstav b",
        (Article::Consent, Language::En) => "GDPR Article 6(1)(a)",
        (Article::PreContract, Language::En) => "GDPR Article 6(1)(b)",
    }
}

/// A date in full words, for example `5. april 2022` or `5 April 2022`.
#[must_use]
pub fn date(date: Date, language: Language) -> String {
    match language {
        Language::Nb => {
            // A civil month is 1 to 12; zero-based it is an index of the table.
            let month = MONTHS_NB[usize::from(date.month().unsigned_abs()) - 1];
            format!("{}. {month} {}", date.day(), date.year())
        }
        Language::En => date.strftime("%-d %B %Y").to_string(),
    }
}
