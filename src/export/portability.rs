//! Art. 20: the data that the person provided, to take along, and nothing else.

use serde_json::{Value, json};

use super::{ExportedLead, person};

/// The leads as schema.org persons, in JSON-LD.
pub(super) fn json_ld(leads: &[ExportedLead]) -> Value {
    let people: Vec<Value> = leads.iter().map(|lead| person(&lead.content)).collect();
    json!({
        "@context": { "schema": "https://schema.org/" },
        "@graph": people,
    })
}
