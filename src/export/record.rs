//! Art. 30(1): the record of processing activities, and the inventory of what is stored.
//!
//! What the privacy notice tells is taken from it, so that the record never says other than the notice does;
//! what is stored is the inventory that a test holds equal to the schema of both databases. A key for each of
//! 30(1)(a) to (g). To say more about security, add a line to [`SECURITY`], in both languages.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Exporter;
use crate::domain::{
    lead::LawfulBasis,
    notice::{Article, Facts, Language},
};

/// A stored column, and why it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryItem {
    /// Table.
    pub table: String,
    /// Column.
    pub column: String,
    /// Why it is stored.
    pub reason: String,
    /// Legal basis of storing it.
    pub lawful_basis: String,
    /// How long it is kept.
    pub retention: String,
}

/// The inventory as a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inventory {
    column: Vec<InventoryItem>,
}

fn parse() -> Result<Inventory, toml::de::Error> {
    toml::from_str(include_str!("../../docs/data-inventory.toml"))
}

/// Every stored column. The text is part of the program; a test fails if it does not parse.
#[must_use]
pub fn inventory() -> &'static [InventoryItem] {
    static INVENTORY: LazyLock<Vec<InventoryItem>> =
        LazyLock::new(|| parse().map_or_else(|_| Vec::new(), |inventory| inventory.column));
    &INVENTORY
}

/// Whose data it is (30(1)(c)), in Norwegian and English.
const SUBJECTS: [&str; 2] = [
    "Personer som kontakter oss gjennom kontaktskjemaet på nettsiden, for seg selv eller for et firma",
    "People who contact us through the website's contact form, for themselves or for a company",
];

/// What protects the data (30(1)(g), Art. 32(1)), in Norwegian and English: what the service does, and no more.
const SECURITY: [[&str; 2]; 7] = [
    [
        "Navn, firma, telefon og e-post lagres bare kryptert, bundet til sin rad. Nøklene ligger utenfor databasen.",
        "Name, company, phone and e-mail are only stored encrypted, bound to their row. The keys lie outside the \
         database.",
    ],
    [
        "En person finnes bare ved nøklede hashverdier av e-post og telefon, og de slettes med raden.",
        "A person is found by keyed hashes of e-mail and phone only, which go with the row.",
    ],
    [
        "Hvert system har sitt eget token med én rolle og en utløpsdato. Nettsiden kan levere henvendelser, men ikke \
         lese dem.",
        "Each system has a token of its own with one role and an end. The website can hand enquiries over and cannot \
         read them.",
    ],
    [
        "Alt som skjer, står i en logg der hver oppføring er lenket til den forrige og ingen er navngitt. Uten \
         oppføring skjer ingenting.",
        "Everything that happens stands in a ledger whose entries are chained and name nobody. Without an entry \
         nothing happens.",
    ],
    [
        "En begrenset henvendelse vises ikke for noe system, og slettes ikke.",
        "A restricted enquiry is shown to no system, and is not erased.",
    ],
    [
        "Når en henvendelse slettes, får hvert system som har fått den beskjed, og det følges opp at beskjeden er \
         bekreftet.",
        "When an enquiry is erased, every system that was given it is told, and whether it has acknowledged that is \
         tracked.",
    ],
    [
        "Feilmeldinger, driftslogg og måltall inneholder ingen personopplysninger.",
        "Errors, operational logs and metrics hold no personal data.",
    ],
];

impl Exporter {
    /// The record as JSON-LD.
    #[must_use]
    pub fn record(&self, language: Language, now: Timestamp) -> String {
        let place = match language {
            Language::Nb => 0,
            Language::En => 1,
        };
        let notice = self.notice(language, now);
        let facts = notice.map(|notice| &notice.facts);
        let record = json!({
            "@context": {
                "dpv": "https://w3id.org/dpv#",
                "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
                "pd": "https://w3id.org/dpv/pd#",
                "schema": "https://schema.org/",
                "@language": language.as_str(),
            },
            "@type": "dpv:DataProcessingRecord",
            "createdAt": now.to_string(),
            "notice": notice.map(|notice| json!({
                "version": notice.version.as_str(),
                "effectiveFrom": notice.effective_from.to_string(),
                "sha256": notice.sha256_hex(),
            })),
            "30_1_a_controller": self.responsible(facts),
            "30_1_b_purposes": facts.map(purposes),
            "30_1_c_categories": {
                "subjects": SUBJECTS[place],
                "data": {
                    "@type": ["pd:Name", "pd:TelephoneNumber", "pd:EmailAddress"],
                    "text": facts.map(|facts| &facts.data_categories),
                },
            },
            "30_1_d_recipients": facts
                .and_then(|facts| facts.recipients.as_ref())
                .map(|recipients| &recipients.text),
            "30_1_e_transfers": facts.and_then(|facts| facts.transfers.as_ref()),
            "30_1_f_retention": self.erasure_limits(facts),
            "30_1_g_security": SECURITY.map(|texts| texts[place]),
        });
        // A `Value` of strings and lists always prints.
        serde_json::to_string_pretty(&record).unwrap_or_default()
    }

    fn responsible(&self, facts: Option<&Facts>) -> Value {
        let controller = &self.controller;
        json!({
            "@type": "dpv:DataController",
            "schema:legalName": controller.name,
            "schema:address": controller.address,
            "schema:identifier": controller.organisation_number,
            "schema:telephone": controller.phone,
            "schema:email": controller.email,
            "dataProtectionOfficer": facts.and_then(|facts| facts.data_protection_officer.as_ref()),
        })
    }

    /// What the notice promises, and the limits in force, as ISO 8601 durations.
    fn erasure_limits(&self, facts: Option<&Facts>) -> Value {
        let days = |days: i64| format!("P{days}D");
        let policy = &self.retention;
        json!({
            "text": facts
                .and_then(|facts| facts.retention.as_ref())
                .map(|retention| &retention.criteria),
            "atLatestAfter": days(policy.max_age_days),
            "afterClosing": {
                "answered": days(policy.grace.answered),
                "notRelevant": days(policy.grace.not_relevant),
                "converted": days(policy.grace.converted),
            },
        })
    }
}

fn purposes(facts: &Facts) -> Value {
    let bases = facts.lawful_bases.iter().map(|fact| {
        let basis = match fact.article {
            Article::Consent => LawfulBasis::Consent,
            Article::PreContract => LawfulBasis::PreContract,
        };
        json!({ "@type": basis.iri(), "text": fact.text })
    });
    json!({
        "@type": "dpv:CommunicationManagement",
        "text": facts.purposes,
        "lawfulBases": bases.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The embedded inventory parses: the record would be empty otherwise.
    #[test]
    fn art_30_the_inventory_parses() {
        let columns = parse().map(|inventory| inventory.column.len());
        assert_eq!(columns.ok(), Some(inventory().len()));
        assert!(inventory().iter().any(|item| item.column == "sealed"));
    }
}
