//! Documents for people: the copy of Art. 15 and the data to take along of Art. 20.
//!
//! Built from unsealed leads, handed over and forgotten; nothing of them is stored. The facts of Art. 15(1)
//! come from the privacy notice, so that a copy never says other than the notice does. Terms are those of
//! the Data Privacy Vocabulary and of schema.org. To add a format, add a [`Document`] and a file.

mod access;
mod explain;
mod portability;
mod record;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::{
    explain::{Refusal, objection},
    record::{InventoryItem, inventory},
};
use crate::{
    domain::{
        lead::{Content, LeadFacts},
        notice::{Controller, Language, Notice, NoticeRegistry},
        retention::RetentionPolicy,
    },
    store::Disclosure,
};

/// Makes documents.
#[derive(Clone, Debug)]
pub struct Exporter {
    /// The notices.
    pub notices: Arc<NoticeRegistry>,
    /// The controller.
    pub controller: Controller,
    /// The retention rules.
    pub retention: RetentionPolicy,
}

/// A document that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// Art. 15, JSON-LD.
    AccessJson,
    /// Art. 20, JSON-LD.
    PortabilityJson,
}

/// A lead in a document.
#[derive(Debug)]
pub struct ExportedLead {
    /// What is known of it.
    pub facts: LeadFacts,
    /// Its content.
    pub content: Content,
    /// Who was given it.
    pub disclosures: Vec<Disclosure>,
}

/// A document as a file.
pub struct File {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Its media type.
    pub content_type: &'static str,
    /// A name without personal data.
    pub name: String,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({})", self.content_type)
    }
}

impl Exporter {
    /// Makes a document of these leads.
    #[must_use]
    pub fn export(
        &self,
        document: Document,
        language: Language,
        leads: &[ExportedLead],
        now: Timestamp,
    ) -> File {
        let (value, kind) = match document {
            Document::AccessJson => (access::json_ld(self, language, leads, now), "access"),
            Document::PortabilityJson => (portability::json_ld(leads), "portability"),
        };
        File {
            // A `Value` of strings and lists always prints.
            content: serde_json::to_vec_pretty(&value).unwrap_or_default(),
            content_type: "application/ld+json",
            name: format!("lead-intake-{kind}-{}.json", now.strftime("%Y-%m-%d")),
        }
    }

    /// The notice in force, in this language.
    fn notice(&self, language: Language, now: Timestamp) -> Option<&Notice> {
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let version = self.notices.current(today)?;
        self.notices.get(version.as_str(), language)
    }
}

/// A person as schema.org has it: the provided fields, and no others.
fn person(content: &Content) -> Value {
    let mut person = json!({ "@type": "schema:Person" });
    let mut set = |key: &str, value: &str| {
        if !value.is_empty() {
            person[key] = value.into();
        }
    };
    set("schema:name", &content.name);
    set("schema:telephone", &content.phone);
    set("schema:email", &content.email);
    if !content.company.is_empty() {
        person["schema:worksFor"] =
            json!({ "@type": "schema:Organization", "schema:name": content.company });
    }
    person
}
