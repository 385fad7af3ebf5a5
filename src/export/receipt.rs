//! Receipts of consent (Art. 7(1), 7(3)): ISO/IEC TS 27560 as the Data Privacy Vocabulary writes it, in JSON-LD.
//!
//! A receipt names the lead, never the person: no content, no address of a machine, no browser. It is in no
//! language: texts of the notice stand in it in every language. The same facts give the same bytes, so the
//! answer to a repeat is the first answer.
//!
//! A receipt of given consent is on the way of a submission, so all that does not change is written once for each
//! version of the notice, and a receipt is made by filling in three values.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::{
    erasure::WithdrawalOutcome,
    lead::LeadId,
    notice::{Controller, Language, Notice, NoticeRegistry},
    retention::RetentionPolicy,
};

/// What is filled in. A NUL is escaped where it stands in a JSON text, so no text of a notice or a controller can
/// look like one of these.
const LEAD: &str = "\0lead\0";
const AT: &str = "\0at\0";
const UNTIL: &str = "\0until\0";
/// They are unlike in what follows the first NUL, as JSON has it.
const BLANKS: [&str; 3] = [
    "\\u0000lead\\u0000",
    "\\u0000at\\u0000",
    "\\u0000until\\u0000",
];

const CONTROLLER: &str = "_:controller";
const RIGHTS: [&str; 9] = [
    "eu-gdpr:A7-3",
    "eu-gdpr:A15",
    "eu-gdpr:A16",
    "eu-gdpr:A17",
    "eu-gdpr:A18",
    "eu-gdpr:A19",
    "eu-gdpr:A20",
    "eu-gdpr:A21",
    "eu-gdpr:A77",
];

/// Makes receipts.
#[derive(Debug)]
pub struct Receipts {
    controller: Controller,
    /// By version of the notice: what stands between the blanks, and which blank follows.
    given: Vec<(String, Form)>,
}

/// A withdrawal, for its receipt.
#[derive(Debug)]
pub struct Withdrawn {
    /// The lead.
    pub lead: LeadId,
    /// When.
    pub at: Timestamp,
    /// What it did.
    pub outcome: WithdrawalOutcome,
    /// Number and hash (hexadecimal) of the ledger's entry, if there is one.
    pub entry: Option<(i64, String)>,
}

impl Receipts {
    /// Receipts under these notices, by this controller, with this retention.
    #[must_use]
    pub fn new(
        notices: &NoticeRegistry,
        controller: &Controller,
        retention: &RetentionPolicy,
    ) -> Self {
        let given = notices.versions().map(|version| {
            let languages = Language::ALL.into_iter();
            let texts: Vec<&Notice> = languages
                .filter_map(|language| notices.get(version.as_str(), language))
                .collect();
            let receipt = given(&texts, controller, retention.max_age_days);
            (version.to_string(), Form::new(&receipt.to_string()))
        });
        Self {
            controller: controller.clone(),
            given: given.collect(),
        }
    }

    /// A receipt of consent given with a lead, which is erased at `erase_by` at the latest. Empty under a
    /// version that was never shipped.
    #[must_use]
    pub fn given(
        &self,
        lead: LeadId,
        notice_version: &str,
        submitted_at: Timestamp,
        erase_by: Timestamp,
    ) -> String {
        let form = self.given.iter().find(|(it, _)| it == notice_version);
        form.map_or_else(String::new, |(_, form)| {
            form.fill(&[
                &lead.to_string(),
                &submitted_at.to_string(),
                &erase_by.to_string(),
            ])
        })
    }

    /// A receipt of a withdrawal. What it was given for may be erased by now, and is not repeated.
    #[must_use]
    pub fn withdrawn(&self, done: &Withdrawn) -> String {
        let id = done.lead.to_string();
        let mut record = record(&id, &self.controller);
        let mut status = status("dpv:ConsentWithdrawn", &id, &done.at.to_string());
        status["schema:result"] = outcome(done.outcome).into();
        record["dpv:hasConsentStatus"] = status;
        if let Some((sequence, hash)) = &done.entry {
            // The ledger is append-only: number and hash are what an auditor checks the receipt against.
            record["prov:wasGeneratedBy"] = json!({
                "@type": "prov:Activity",
                "dct:identifier": sequence.to_string(),
                "schema:sha256": hash,
            });
        }
        receipt(&id, "withdrawn", &done.at.to_string(), &record).to_string()
    }
}

const fn outcome(outcome: WithdrawalOutcome) -> &'static str {
    match outcome {
        WithdrawalOutcome::Erased => "ERASED",
        WithdrawalOutcome::FlagWithdrawn => "FLAG_WITHDRAWN",
        WithdrawalOutcome::ErasedWhenLifted => "ERASED_WHEN_LIFTED",
        WithdrawalOutcome::NothingHeld => "NOTHING_HELD",
    }
}

/// A text with blanks.
#[derive(Debug)]
struct Form {
    /// What precedes each blank, and which one it is.
    parts: Vec<(String, usize)>,
    end: String,
}

impl Form {
    fn new(mut text: &str) -> Self {
        let mut parts = Vec::new();
        while let Some((at, blank)) = BLANKS
            .iter()
            .enumerate()
            .filter_map(|(blank, mark)| Some((text.find(mark)?, blank)))
            .min()
        {
            parts.push((text[..at].to_owned(), blank));
            text = &text[at + BLANKS[blank].len()..];
        }
        let end = text.to_owned();
        Self { parts, end }
    }

    /// The text with these values, which are identifiers and times: JSON needs no escapes in them.
    fn fill(&self, values: &[&str; BLANKS.len()]) -> String {
        // The parts are all but a few hundred bytes of it.
        let length: usize = self.parts.iter().map(|(part, _)| part.len() + 40).sum();
        let mut text = String::with_capacity(length + self.end.len());
        for (part, blank) in &self.parts {
            text.push_str(part);
            text.push_str(values[*blank]);
        }
        text.push_str(&self.end);
        text
    }
}

fn given(texts: &[&Notice], controller: &Controller, max_age_days: i64) -> Value {
    let mut record = record(LEAD, controller);
    let until = json!({ "@type": "dpv:UntilTimeDuration", "rdf:value": time(UNTIL) });
    let mut status = status("dpv:ConsentGiven", LEAD, AT);
    status["dpv:hasDuration"] = until.clone();
    record["dpv:hasConsentStatus"] = status;
    record["dpv:hasProcess"] = json!({
        "@type": "dpv:Process",
        "dpv:hasPurpose": {
            "@type": "dpv:CommunicationManagement",
            "dct:description": in_each(texts, |notice| notice.facts.purposes.first().cloned()),
        },
        "dpv:hasPersonalData": ids(&["pd:Name", "pd:TelephoneNumber", "pd:EmailAddress"]),
        "dpv:hasDataSource": { "@id": "dpv:DataSubjectDataSource" },
        "dpv:hasRecipient": { "@id": CONTROLLER },
        "dpv:hasStorageCondition": [
            {
                "@type": "dpv:StorageDuration",
                "dpv:hasDuration": {
                    "@type": "dpv:TemporalDuration",
                    "rdf:value": { "@type": "xsd:duration", "@value": format!("P{max_age_days}D") },
                },
            },
            { "@type": "dpv:StorageDeletion", "dpv:hasDuration": until },
        ],
    });
    record["dpv:hasNotice"] = notice(texts);
    record["dpv:hasConsentControl"] = json!({
        "@type": "dpv:WithdrawConsent",
        "dpv:isExercisedAt": { "@id": mailbox(controller) },
        "dct:description": in_each(texts, |notice| notice.facts.rights.withdrawal.clone()),
    });
    record["dpv:hasRight"] = ids(&RIGHTS);
    receipt(LEAD, "given", AT, &record)
}

/// What was shown: the version, and the hash of its text in each language.
fn notice(texts: &[&Notice]) -> Value {
    let mut value = json!({ "@type": "dpv:ConsentNotice" });
    if let Some(first) = texts.first() {
        value["schema:version"] = first.version.to_string().into();
        value["dct:valid"] =
            json!({ "@type": "xsd:date", "@value": first.effective_from.to_string() });
    }
    value["schema:encoding"] = texts
        .iter()
        .map(|notice| {
            json!({
                "@type": "schema:MediaObject",
                "schema:inLanguage": notice.language.as_str(),
                "schema:sha256": notice.sha256_hex(),
            })
        })
        .collect();
    value
}

fn receipt(lead: &str, kind: &str, at: &str, record: &Value) -> Value {
    json!({
        "@context": {
            "dct": "http://purl.org/dc/terms/",
            "dpv": "https://w3id.org/dpv#",
            "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
            "legal-eu": "https://w3id.org/dpv/legal/eu#",
            "pd": "https://w3id.org/dpv/pd#",
            "prov": "http://www.w3.org/ns/prov#",
            "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
            "schema": "https://schema.org/",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@id": format!("urn:uuid:{lead}#{kind}"),
        "@type": "dpv:ConsentReceipt",
        "dct:conformsTo": { "@id": "https://w3id.org/dpv/schema/dpv-27560#receipt-eu-gdpr" },
        "dpv:hasIdentifier": format!("urn:uuid:{lead}#{kind}"),
        "dct:created": time(at),
        "dct:publisher": { "@id": CONTROLLER },
        "dpv:hasRecordOfActivity": record,
    })
}

/// What every record has: whose consent it is, and who acts on it.
fn record(lead: &str, controller: &Controller) -> Value {
    json!({
        "@id": format!("urn:uuid:{lead}#consent"),
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": { "@id": "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr" },
        "dct:identifier": format!("urn:uuid:{lead}#consent"),
        "dpv:hasDataSubject": {
            "@id": format!("urn:uuid:{lead}"),
            "@type": "dpv:DataSubject",
            "dct:identifier": lead,
        },
        "dpv:hasLegalBasis": { "@id": "eu-gdpr:A6-1-a" },
        "dpv:hasApplicableLaw": { "@id": "legal-eu:law-GDPR" },
        "dpv:hasDataController": {
            "@id": CONTROLLER,
            "@type": "dpv:DataController",
            "dpv:hasName": controller.name,
            "dpv:hasIdentifier": controller.organisation_number,
            "schema:contactPoint": [
                {
                    "@type": "schema:ContactPoint",
                    "schema:email": controller.email,
                    "schema:telephone": controller.phone,
                },
                {
                    "@type": "schema:PostalAddress",
                    "schema:streetAddress": controller.address,
                },
            ],
        },
    })
}

/// What was said, by whom, when and how.
fn status(kind: &str, lead: &str, at: &str) -> Value {
    let kinds = if kind == "dpv:ConsentGiven" {
        json!([kind, "dpv:ExpressedConsent"])
    } else {
        json!(kind)
    };
    let mut status = json!({
        "@type": kinds,
        "dpv:isIndicatedBy": { "@id": format!("urn:uuid:{lead}") },
        "dpv:isIndicatedAtTime": time(at),
    });
    if kind == "dpv:ConsentGiven" {
        status["dpv:hasIndicationMethod"] = "web form".into();
    }
    status
}

fn time(at: &str) -> Value {
    json!({ "@type": "xsd:dateTime", "@value": at })
}

fn ids(terms: &[&str]) -> Value {
    terms.iter().map(|term| json!({ "@id": term })).collect()
}

/// A text in each language that has it.
fn in_each(texts: &[&Notice], text: impl Fn(&Notice) -> Option<String>) -> Value {
    texts
        .iter()
        .filter_map(|notice| {
            Some(json!({ "@language": notice.language.as_str(), "@value": text(notice)? }))
        })
        .collect()
}

/// Where consent is withdrawn by contact; a website withdraws it by `WithdrawConsent`, with the lead's identifier.
fn mailbox(controller: &Controller) -> String {
    format!("mailto:{}", controller.email.trim())
}
