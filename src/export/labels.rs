//! The words of a copy around the facts of the notice, a table for each language.
//!
//! To say something new, add a field; the compiler asks for it in both languages. What the law says of the
//! processing itself stands in the notice, not here.

use jiff::Timestamp;

use super::local;
use crate::domain::{
    lead::{LawfulBasis, LeadFacts, LeadState, RestrictionReason},
    notice::{Article, Language, citation, date},
};

/// Headings and labels.
pub(super) struct Labels {
    pub title: &'static str,
    pub about: &'static str,
    pub made: &'static str,
    pub held: &'static str,
    pub none_held: &'static str,
    pub enquiry: &'static str,
    pub name: &'static str,
    pub company: &'static str,
    pub phone: &'static str,
    pub email: &'static str,
    pub submitted: &'static str,
    pub closed: &'static str,
    pub erased_by: &'static str,
    pub unless_restricted: &'static str,
    pub state: &'static str,
    pub because: &'static str,
    pub basis: &'static str,
    pub consent: &'static str,
    pub notice_shown: &'static str,
    pub reference: &'static str,
    pub processing: &'static str,
    pub purposes: &'static str,
    pub categories: &'static str,
    pub recipients: &'static str,
    pub recipient: &'static str,
    pub first_given: &'static str,
    pub not_given: &'static str,
    pub retention: &'static str,
    pub rights: &'static str,
    pub how_to_use: &'static str,
    pub access: &'static str,
    pub rectification: &'static str,
    pub erasure: &'static str,
    pub restriction: &'static str,
    pub notification: &'static str,
    pub notification_text: &'static str,
    pub portability: &'static str,
    pub withdrawal: &'static str,
    pub objection: &'static str,
    pub complaint: &'static str,
    pub source: &'static str,
    pub automated: &'static str,
    pub transfers: &'static str,
    pub controller: &'static str,
    pub organisation_number: &'static str,
    pub address: &'static str,
    pub notices: &'static str,
    pub notices_about: &'static str,
    pub version: &'static str,
    pub in_force_from: &'static str,
    pub languages: [&'static str; 2],
}

const NB: Labels = Labels {
    title: "Innsyn i opplysningene dine",
    about: "Dette er en kopi av opplysningene vi har om deg fra kontaktskjemaet på nettsiden, og det du har \
            krav på å få vite om hvordan vi bruker dem (personvernforordningen artikkel 15).",
    made: "Laget",
    held: "Opplysningene vi har om deg",
    none_held: "Vi har ingen opplysninger som vi vet er om deg. Under står det hvordan vi behandler \
                opplysninger fra dem som kontakter oss.",
    enquiry: "Henvendelse",
    name: "Navn",
    company: "Firma",
    phone: "Telefon",
    email: "E-post",
    submitted: "Sendt inn",
    closed: "Avsluttet",
    erased_by: "Slettes senest",
    unless_restricted: "men ikke så lenge behandlingen er begrenset",
    state: "Status",
    because: "Hvorfor den er begrenset",
    basis: "Rettslig grunnlag",
    consent: "Samtykke",
    notice_shown: "Personvernerklæring",
    reference: "Referanse",
    processing: "Slik behandler vi opplysningene",
    purposes: "Hva vi bruker opplysningene til",
    categories: "Hvilke opplysninger vi behandler",
    recipients: "Hvem som har fått opplysningene",
    recipient: "Mottaker",
    first_given: "Første gang",
    not_given: "Ingen systemer er registrert som mottaker av opplysningene.",
    retention: "Hvor lenge vi beholder opplysningene",
    rights: "Rettighetene dine",
    how_to_use: "Slik bruker du dem",
    access: "Innsyn",
    rectification: "Retting",
    erasure: "Sletting",
    restriction: "Begrensning",
    notification: "Beskjed til mottakere",
    notification_text: "Retter, sletter eller begrenser vi opplysninger om deg, sier vi fra til alle som har \
                        fått dem. Spør du, får du vite hvem det er.",
    portability: "Dataportabilitet",
    withdrawal: "Trekke samtykke tilbake",
    objection: "Du kan protestere",
    complaint: "Du kan klage",
    source: "Hvor opplysningene kommer fra",
    automated: "Automatiserte avgjørelser",
    transfers: "Overføring til andre land",
    controller: "Behandlingsansvarlig",
    organisation_number: "Organisasjonsnummer",
    address: "Adresse",
    notices: "Personvernerklæringen",
    notices_about: "Personvernerklæringen vises ved skjemaet. Versjonen du fikk se, står ved hver \
                    henvendelse. Fingeravtrykket (SHA-256) viser at teksten ikke er endret siden.",
    version: "Versjon",
    in_force_from: "gjelder fra",
    languages: ["norsk", "engelsk"],
};

const EN: Labels = Labels {
    title: "A copy of your data",
    about: "This is a copy of the details we hold about you from the contact form on our website, and of what \
            you are entitled to know about how we use them (GDPR Article 15).",
    made: "Made",
    held: "The details we hold about you",
    none_held: "We hold no details that we know to be about you. Below we explain how we handle the details of \
                those who contact us.",
    enquiry: "Enquiry",
    name: "Name",
    company: "Company",
    phone: "Phone",
    email: "E-mail",
    submitted: "Submitted",
    closed: "Closed",
    erased_by: "Erased by",
    unless_restricted: "but not while processing is restricted",
    state: "Status",
    because: "Why it is restricted",
    basis: "Lawful basis",
    consent: "Consent",
    notice_shown: "Privacy notice",
    reference: "Reference",
    processing: "How we handle the details",
    purposes: "What we use the details for",
    categories: "Which details we process",
    recipients: "Who has received the details",
    recipient: "Recipient",
    first_given: "First time",
    not_given: "No system is recorded as having received the details.",
    retention: "How long we keep the details",
    rights: "Your rights",
    how_to_use: "How to use them",
    access: "Access",
    rectification: "Rectification",
    erasure: "Erasure",
    restriction: "Restriction",
    notification: "Telling recipients",
    notification_text: "If we correct, erase or restrict details about you, we tell everyone who has received \
                        them. If you ask, we tell you who they are.",
    portability: "Data portability",
    withdrawal: "Withdrawing consent",
    objection: "You can object",
    complaint: "You can complain",
    source: "Where the details come from",
    automated: "Automated decisions",
    transfers: "Transfers to other countries",
    controller: "Controller",
    organisation_number: "Organisation number",
    address: "Address",
    notices: "The privacy notice",
    notices_about: "The privacy notice is shown beside the form. The version you were shown stands with \
                    each enquiry. The fingerprint (SHA-256) shows that the text has not been changed since.",
    version: "Version",
    in_force_from: "in force from",
    languages: ["Norwegian", "English"],
};

impl Labels {
    /// The words of a language.
    pub(super) const fn of(language: Language) -> &'static Self {
        match language {
            Language::Nb => &NB,
            Language::En => &EN,
        }
    }
}

/// A part of Art. 15 the way people of the language cite it: a paragraph, and a point of it.
pub(super) fn article_15(language: Language, paragraph: u8, point: Option<char>) -> String {
    match (language, point) {
        (Language::Nb, Some(point)) => format!("Artikkel 15 nr. {paragraph} bokstav {point}"),
        (Language::Nb, None) => format!("Artikkel 15 nr. {paragraph}"),
        (Language::En, Some(point)) => format!("Article 15({paragraph})({point})"),
        (Language::En, None) => format!("Article 15({paragraph})"),
    }
}

/// How many enquiries there are.
pub(super) fn count(language: Language, leads: usize) -> String {
    match (language, leads) {
        (Language::Nb, 1) => "Vi har én henvendelse fra deg.".to_owned(),
        (Language::Nb, _) => format!("Vi har {leads} henvendelser fra deg."),
        (Language::En, 1) => "We hold one enquiry from you.".to_owned(),
        (Language::En, _) => format!("We hold {leads} enquiries from you."),
    }
}

/// A day in full words, where the people are.
pub(super) fn day(language: Language, time: Timestamp) -> String {
    date(local(time).date(), language)
}

/// A day and the time of it, where the people are.
pub(super) fn moment(language: Language, time: Timestamp) -> String {
    let clock = local(time).strftime("%H:%M");
    match language {
        Language::Nb => format!("{} kl. {clock}", day(language, time)),
        Language::En => format!("{} at {clock}", day(language, time)),
    }
}

/// Where a lead is in its life.
pub(super) const fn state(language: Language, state: LeadState) -> &'static str {
    match (language, state) {
        (Language::Nb, LeadState::Available) => "Under behandling",
        (Language::Nb, LeadState::Closed) => "Avsluttet, venter på sletting",
        (Language::Nb, LeadState::Restricted) => "Begrenset: bare lagret, ikke i bruk",
        (Language::En, LeadState::Available) => "Being handled",
        (Language::En, LeadState::Closed) => "Closed, waiting to be erased",
        (Language::En, LeadState::Restricted) => "Restricted: stored and not used",
    }
}

/// Why it may be processed.
pub(super) const fn basis(language: Language, basis: LawfulBasis) -> &'static str {
    match basis {
        LawfulBasis::Consent => citation(Article::Consent, language),
        LawfulBasis::PreContract => citation(Article::PreContract, language),
    }
}

/// Whether consent stands. Without it, a lead on Art. 6(1)(b) may never have had it.
pub(super) const fn consent(language: Language, facts: &LeadFacts) -> &'static str {
    match (language, facts.consent, facts.basis) {
        (Language::Nb, true, _) => "Gitt",
        (Language::Nb, false, LawfulBasis::Consent) => "Trukket tilbake",
        (Language::Nb, false, LawfulBasis::PreContract) => "Ikke gitt, eller trukket tilbake",
        (Language::En, true, _) => "Given",
        (Language::En, false, LawfulBasis::Consent) => "Withdrawn",
        (Language::En, false, LawfulBasis::PreContract) => "Not given, or withdrawn",
    }
}

/// Why a lead is restricted, in words and with the article.
pub(super) const fn reason(language: Language, reason: RestrictionReason) -> &'static str {
    match (language, reason) {
        (Language::Nb, RestrictionReason::AccuracyContested) => {
            "Du mener at opplysningene ikke er riktige, og vi undersøker det (artikkel 18 nr. 1 bokstav a)."
        }
        (Language::Nb, RestrictionReason::UnlawfulErasureOpposed) => {
            "Behandlingen er ulovlig, og du vil ha den begrenset i stedet for at vi sletter (artikkel 18 nr. 1 bokstav b)."
        }
        (Language::Nb, RestrictionReason::SubjectLegalClaim) => {
            "Du trenger opplysningene for et rettskrav (artikkel 18 nr. 1 bokstav c)."
        }
        (Language::Nb, RestrictionReason::ObjectionPending) => {
            "Du har protestert, og vi vurderer protesten (artikkel 18 nr. 1 bokstav d)."
        }
        (Language::Nb, RestrictionReason::ControllerLegalClaim) => {
            "Vi trenger opplysningene for et rettskrav (artikkel 17 nr. 3 bokstav e)."
        }
        (Language::En, RestrictionReason::AccuracyContested) => {
            "You contest that the details are correct, and we are looking into it (Article 18(1)(a))."
        }
        (Language::En, RestrictionReason::UnlawfulErasureOpposed) => {
            "The processing is unlawful, and you want it restricted rather than the details erased (Article 18(1)(b))."
        }
        (Language::En, RestrictionReason::SubjectLegalClaim) => {
            "You need the details for a legal claim (Article 18(1)(c))."
        }
        (Language::En, RestrictionReason::ObjectionPending) => {
            "You have objected, and we are considering the objection (Article 18(1)(d))."
        }
        (Language::En, RestrictionReason::ControllerLegalClaim) => {
            "We need the details for a legal claim (Article 17(3)(e))."
        }
    }
}

/// The article of a right, from its IRI in the Data Privacy Vocabulary (`eu-gdpr:A7-3`).
pub(super) fn right(language: Language, iri: &str) -> String {
    let article = iri.trim_start_matches("eu-gdpr:A");
    match (language, article.split_once('-')) {
        (Language::Nb, Some((article, part))) => format!("Artikkel {article} nr. {part}"),
        (Language::En, Some((article, part))) => format!("Article {article}({part})"),
        (Language::Nb, None) => format!("Artikkel {article}"),
        (Language::En, None) => format!("Article {article}"),
    }
}
