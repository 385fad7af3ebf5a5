//! Art. 15 in JSON-LD: a copy of the data, and one key for each fact of 15(1)(a) to (h).
//!
//! Every key is an IRI to a JSON-LD processor: a term of a vocabulary where one has it, else one of
//! [`VOCABULARY`]. A key that is neither would be dropped without a word. Texts carry their language; names,
//! numbers and times carry none. A new key that holds a text goes into [`TEXTS`].

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    ExportedLead, Exporter,
    labels::{self, Labels},
    subject,
};
use crate::domain::{
    lead::LeadState,
    notice::{Facts, Language, Rights},
};

/// The vocabulary of the keys that no public one has. A UUID made once: unlike a web address, nobody has to keep
/// it up, and nobody else can take it over.
const VOCABULARY: &str = "urn:uuid:8f0c1c1e-6d5b-4a56-9c0b-3a1c5f6f7a52#";
/// The keys of texts in the language of the document, and what a vocabulary calls them.
const TEXTS: [(&str, Option<&str>); 8] = [
    ("text", Some("dct:description")),
    ("title", Some("dct:title")),
    ("howToUse", None),
    ("general", None),
    ("directMarketing", None),
    ("15_1_d_retention", None),
    ("15_1_h_automated_decisions", None),
    ("15_2_transfers", None),
];
/// The keys of times.
const TIMES: [(&str, Option<&str>); 5] = [
    ("createdAt", Some("dct:created")),
    ("at", None),
    ("submittedAt", None),
    ("closedAt", None),
    ("eraseBy", None),
];

/// The copy.
pub(super) fn json_ld(
    exporter: &Exporter,
    language: Language,
    leads: &[ExportedLead],
    now: Timestamp,
) -> Value {
    let mut document = json!({
        "@context": context(language),
        "@type": "eu-gdpr:SARNotice",
        "language": language.as_str(),
        "createdAt": now.to_string(),
        "controller": exporter.controller_json(),
    });
    if let Some(notice) = exporter.notice(language, now) {
        for (key, value) in facts(&notice.facts, language, leads) {
            document[key] = value;
        }
        document["notice"] = exporter.notice_json(notice.version.as_str());
    }
    let leads = leads.iter().map(|lead| copy(exporter, language, lead));
    document["data"] = leads.collect();
    document
}

fn context(language: Language) -> Value {
    let mut context = json!({
        "@version": 1.1,
        "@vocab": VOCABULARY,
        "dct": "http://purl.org/dc/terms/",
        "dpv": "https://w3id.org/dpv#",
        "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
        "pd": "https://w3id.org/dpv/pd#",
        "schema": "https://schema.org/",
        "xsd": "http://www.w3.org/2001/XMLSchema#",
        "controller": "dpv:hasDataController",
        "language": "dct:language",
        "lawfulBasis": { "@id": "dpv:hasLegalBasis", "@type": "@id" },
        "lead": "dct:identifier",
        "notice": "dpv:hasNotice",
        "version": "schema:version",
        "effectiveFrom": { "@id": "dct:valid", "@type": "xsd:date" },
        "texts": "schema:encoding",
        "sha256": "schema:sha256",
        "rights": "dpv:hasRight",
        "authority": "dpv:hasAuthority",
    });
    let id = |key: &str, term: Option<&str>| {
        term.map_or_else(|| format!("{VOCABULARY}{key}"), str::to_owned)
    };
    for (key, term) in TIMES {
        context[key] = json!({ "@id": id(key, term), "@type": "xsd:dateTime" });
    }
    for (key, term) in TEXTS {
        context[key] = json!({ "@id": id(key, term), "@language": language.as_str() });
    }
    context
}

/// One key for each of Art. 15(1)(a) to (h), and 15(2).
fn facts(facts: &Facts, language: Language, leads: &[ExportedLead]) -> Vec<(&'static str, Value)> {
    let recipients = facts.recipients.as_ref().map(|recipients| &recipients.text);
    let retention = facts
        .retention
        .as_ref()
        .map(|retention| &retention.criteria);
    vec![
        (
            "15_1_a_purposes",
            json!({ "@type": "dpv:CommunicationManagement", "text": facts.purposes }),
        ),
        (
            "15_1_b_categories",
            json!({
                "@type": ["pd:Name", "pd:TelephoneNumber", "pd:EmailAddress"],
                "text": facts.data_categories,
            }),
        ),
        (
            "15_1_c_recipients",
            json!({ "text": recipients, "disclosures": disclosures(leads) }),
        ),
        ("15_1_d_retention", json!(retention)),
        (
            "15_1_e_rights",
            json!({
                "howToUse": facts.rights.how_to_use,
                "rights": rights(&facts.rights, language),
            }),
        ),
        ("15_1_f_complaint", complaint(facts)),
        (
            "15_1_g_source",
            json!({ "@type": "dpv:DataSubjectDataSource", "text": facts.source }),
        ),
        (
            "15_1_h_automated_decisions",
            json!(facts.automated_decisions),
        ),
        ("15_2_transfers", json!(facts.transfers)),
    ]
}

/// The rights of the notice, each with its IRI; and Art. 19, which follows from the law.
pub(super) fn rights_of(
    rights: &Rights,
    language: Language,
) -> Vec<(&'static str, &'static str, &str)> {
    let labels = Labels::of(language);
    let of_the_notice = [
        ("eu-gdpr:A15", labels.access, &rights.access),
        ("eu-gdpr:A16", labels.rectification, &rights.rectification),
        ("eu-gdpr:A17", labels.erasure, &rights.erasure),
        ("eu-gdpr:A18", labels.restriction, &rights.restriction),
        ("eu-gdpr:A20", labels.portability, &rights.portability),
        ("eu-gdpr:A7-3", labels.withdrawal, &rights.withdrawal),
    ];
    let told = of_the_notice
        .into_iter()
        .filter_map(|(iri, title, text)| Some((iri, title, text.as_deref()?)));
    let mut list: Vec<_> = told.collect();
    // In order of the articles: before portability, whatever the notice leaves out.
    let place = list
        .iter()
        .position(|(iri, ..)| matches!(*iri, "eu-gdpr:A20" | "eu-gdpr:A7-3"));
    list.insert(
        place.unwrap_or(list.len()),
        ("eu-gdpr:A19", labels.notification, labels.notification_text),
    );
    list
}

fn rights(rights: &Rights, language: Language) -> Value {
    let labels = Labels::of(language);
    let mut list: Vec<Value> = rights_of(rights, language)
        .into_iter()
        .map(|(iri, title, text)| json!({ "@type": iri, "title": title, "text": text }))
        .collect();
    if let Some(objection) = &rights.objection {
        let mut object = json!({
            "@type": "eu-gdpr:A21",
            "title": labels.objection,
            "general": objection.general,
        });
        if let Some(marketing) = &objection.direct_marketing {
            object["directMarketing"] = marketing.as_str().into();
        }
        list.push(object);
    }
    list.into()
}

fn complaint(facts: &Facts) -> Value {
    let complaint = facts.complaint.as_ref();
    let mut value = json!({
        "@type": "eu-gdpr:A77",
        "text": complaint.map(|complaint| &complaint.text),
    });
    if let Some(authority) = complaint.and_then(|complaint| complaint.authority.as_ref()) {
        value["authority"] = json!({
            "@id": "https://w3id.org/dpv/legal/no#DPA-NO",
            "schema:name": authority.name,
            "schema:address": authority.address,
            "schema:url": authority.url,
        });
    }
    value
}

/// Who was given which lead, and when: Art. 15(1)(c) wants them by name.
fn disclosures(leads: &[ExportedLead]) -> Value {
    leads
        .iter()
        .flat_map(|lead| {
            lead.disclosures
                .iter()
                .map(move |disclosure| (lead, disclosure))
        })
        .map(|(lead, disclosure)| {
            json!({
                "lead": lead.facts.id.to_string(),
                "recipient": disclosure.client,
                "at": disclosure.at.to_string(),
            })
        })
        .collect()
}

fn copy(exporter: &Exporter, language: Language, lead: &ExportedLead) -> Value {
    let facts = &lead.facts;
    let mut copy = Map::new();
    let mut set = |key: &str, value: Value| {
        copy.insert(key.to_owned(), value);
    };
    set("lead", facts.id.to_string().into());
    set("subject", subject(&lead.content));
    set(
        "state",
        match facts.state() {
            LeadState::Available => "AVAILABLE",
            LeadState::Restricted => "RESTRICTED",
            LeadState::Closed => "CLOSED",
        }
        .into(),
    );
    set("lawfulBasis", facts.basis.iri().into());
    set("consent", facts.consent.into());
    set("notice", exporter.notice_json(&facts.notice_version));
    set("submittedAt", facts.submitted_at.to_string().into());
    if let Some(closing) = facts.closing {
        set("closedAt", closing.at.to_string().into());
    }
    set("restricted", (!facts.restrictions.is_empty()).into());
    let reasons = facts.restrictions.reasons();
    set(
        "restrictions",
        reasons
            .map(|reason| json!({ "text": labels::reason(language, reason) }))
            .collect(),
    );
    set(
        "eraseBy",
        exporter.retention.erase_by(facts).to_string().into(),
    );
    copy.into()
}

impl Exporter {
    fn controller_json(&self) -> Value {
        let controller = &self.controller;
        json!({
            "@type": "dpv:DataController",
            "schema:legalName": controller.name,
            "schema:address": controller.address,
            "schema:identifier": controller.organisation_number,
            "schema:telephone": controller.phone,
            "schema:email": controller.email,
        })
    }

    /// A version of the notice and the hash of each of its texts.
    fn notice_json(&self, version: &str) -> Value {
        let texts = self.texts(version);
        let Some(first) = texts.first() else {
            return json!({ "version": version });
        };
        json!({
            "version": version,
            "effectiveFrom": first.effective_from.to_string(),
            "texts": texts.iter().map(|notice| json!({
                "language": notice.language.as_str(),
                "sha256": notice.sha256_hex(),
            })).collect::<Vec<_>>(),
        })
    }
}
