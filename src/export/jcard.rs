//! jCard (RFC 7095): vCard 4.0 as JSON.
//!
//! A card for each lead; what holds one card is that card, and what holds none or several is an array of them.
//! A name is not taken apart: `N` is optional in vCard 4.0, and which word is the family's is a guess.

use serde_json::{Value, json};

use super::ExportedLead;
use crate::domain::lead::Content;

/// The leads as cards.
pub(super) fn cards(leads: &[ExportedLead]) -> Value {
    let mut cards: Vec<Value> = leads.iter().map(|lead| card(&lead.content)).collect();
    if cards.len() == 1 {
        cards.remove(0)
    } else {
        cards.into()
    }
}

/// FN is mandatory (RFC 6350, 6.2.1): where only a company is given, the card is the company's.
fn card(content: &Content) -> Value {
    let (kind, shown) = if content.name.is_empty() {
        ("org", &content.company)
    } else {
        ("individual", &content.name)
    };
    let mut properties = vec![
        property("version", "text", "4.0"),
        property("kind", "text", kind),
        property("fn", "text", shown),
    ];
    if !content.company.is_empty() {
        properties.push(property("org", "text", &content.company));
    }
    if let Some(uri) = super::phone_uri(&content.phone) {
        properties.push(property("tel", "uri", &uri));
    }
    if !content.email.is_empty() {
        properties.push(property("email", "text", &content.email));
    }
    json!(["vcard", properties])
}

fn property(name: &str, kind: &str, value: &str) -> Value {
    json!([name, {}, kind, value])
}
