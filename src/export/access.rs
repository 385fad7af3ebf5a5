//! Art. 15: a copy of the data, and one key for each fact of 15(1)(a) to (h).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ExportedLead, Exporter, person};
use crate::domain::notice::{Facts, Language};

/// The copy in JSON-LD.
pub(super) fn json_ld(
    exporter: &Exporter,
    language: Language,
    leads: &[ExportedLead],
    now: Timestamp,
) -> Value {
    let controller = &exporter.controller;
    let mut document = json!({
        "@context": {
            "dpv": "https://w3id.org/dpv#",
            "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
            "pd": "https://w3id.org/dpv/pd#",
            "schema": "https://schema.org/",
            "@language": language.as_str(),
        },
        "@type": "eu-gdpr:A15",
        "createdAt": now.to_string(),
        "controller": {
            "@type": "dpv:DataController",
            "schema:legalName": controller.name,
            "schema:address": controller.address,
            "schema:identifier": controller.organisation_number,
            "schema:telephone": controller.phone,
            "schema:email": controller.email,
        },
    });
    if let Some(notice) = exporter.notice(language, now) {
        for (key, value) in facts(&notice.facts, leads) {
            document[key] = value;
        }
        document["notice"] = json!({
            "version": notice.version.as_str(),
            "effectiveFrom": notice.effective_from.to_string(),
            "sha256": notice.sha256_hex(),
        });
    }
    document["data"] = leads.iter().map(|lead| copy(exporter, lead)).collect();
    document
}

/// One key for each of Art. 15(1)(a) to (h), and 15(2).
fn facts(facts: &Facts, leads: &[ExportedLead]) -> Vec<(&'static str, Value)> {
    let complaint = facts.complaint.as_ref();
    let authority = complaint.and_then(|complaint| complaint.authority.as_ref());
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
            json!({
                "text": facts.recipients.as_ref().map(|recipients| &recipients.text),
                "disclosures": disclosures(leads),
            }),
        ),
        (
            "15_1_d_retention",
            json!(
                facts
                    .retention
                    .as_ref()
                    .map(|retention| &retention.criteria)
            ),
        ),
        (
            "15_1_e_rights",
            json!({
                "eu-gdpr:A16": facts.rights.rectification,
                "eu-gdpr:A17": facts.rights.erasure,
                "eu-gdpr:A18": facts.rights.restriction,
                "eu-gdpr:A21": facts.rights.objection.as_ref().map(|objection| &objection.general),
                "howToUse": facts.rights.how_to_use,
            }),
        ),
        (
            "15_1_f_complaint",
            json!({
                "@type": "eu-gdpr:A77",
                "text": complaint.map(|complaint| &complaint.text),
                "authority": authority.map(|authority| json!({
                    "@id": "https://w3id.org/dpv/legal/no#DPA-NO",
                    "schema:name": authority.name,
                    "schema:address": authority.address,
                    "schema:url": authority.url,
                })),
            }),
        ),
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

fn copy(exporter: &Exporter, lead: &ExportedLead) -> Value {
    let facts = &lead.facts;
    json!({
        "lead": facts.id.to_string(),
        "subject": person(&lead.content),
        "lawfulBasis": facts.basis.iri(),
        "consent": facts.consent,
        "noticeVersion": facts.notice_version,
        "submittedAt": facts.submitted_at.to_string(),
        "closedAt": facts.closing.map(|closing| closing.at.to_string()),
        "restricted": !facts.restrictions.is_empty(),
        "eraseBy": exporter.retention.erase_by(facts).to_string(),
    })
}
