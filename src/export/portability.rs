//! Art. 20 in JSON-LD: the data that the person provided, to take along, and nothing else.

use serde_json::{Value, json};

use super::{ExportedLead, subject};

/// The leads as schema.org has people and organizations.
pub(super) fn json_ld(leads: &[ExportedLead]) -> Value {
    let people: Vec<Value> = leads.iter().map(|lead| subject(&lead.content)).collect();
    json!({
        "@context": { "schema": "https://schema.org/" },
        "@graph": people,
    })
}
