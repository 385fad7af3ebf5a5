//! Documents for people: the copy of Art. 15, the data to take along of Art. 20, and receipts of consent.
//!
//! Built from unsealed leads, handed over and forgotten; nothing of them is stored. The facts of Art. 15(1)
//! come from the privacy notice, so that a copy never says other than the notice does; the words around them
//! stand in `labels.rs`. Terms are those of the Data Privacy Vocabulary and of schema.org. To add a format, add a
//! [`Document`] and a file.

mod access;
mod csv;
mod explain;
mod html;
mod jcard;
mod labels;
mod page;
mod portability;
mod receipt;
mod record;

use std::sync::Arc;

use jiff::{Timestamp, Zoned, tz::TimeZone};
use serde_json::{Value, json};

pub use self::{
    explain::{Refusal, objection},
    receipt::{Receipts, Withdrawn},
    record::{InventoryItem, inventory},
};
use crate::{
    domain::{
        lead::{Content, LeadFacts},
        notice::{Controller, Language, Notice, NoticeRegistry, TIME_ZONE},
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
    /// Art. 15, a page to read.
    AccessHtml,
    /// Art. 20, JSON-LD.
    PortabilityJson,
    /// Art. 20, jCard.
    PortabilityJcard,
    /// Art. 20, CSV.
    PortabilityCsv,
}

impl Document {
    /// What its file is called, its end, and its media type.
    const fn file(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::AccessJson => ("access", "json", "application/ld+json"),
            Self::AccessHtml => ("access", "html", "text/html; charset=utf-8"),
            Self::PortabilityJson => ("portability", "json", "application/ld+json"),
            Self::PortabilityJcard => ("portability", "jcard.json", "application/vcard+json"),
            Self::PortabilityCsv => (
                "portability",
                "csv",
                "text/csv; charset=utf-8; header=present",
            ),
        }
    }
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
        let content = match document {
            Document::AccessJson => pretty(&access::json_ld(self, language, leads, now)),
            Document::AccessHtml => page::page(self, language, leads, now),
            Document::PortabilityJson => pretty(&portability::json_ld(leads)),
            Document::PortabilityJcard => pretty(&jcard::cards(leads)),
            Document::PortabilityCsv => csv::file(leads),
        };
        let (kind, extension, content_type) = document.file();
        let day = local(now).strftime("%Y-%m-%d");
        File {
            content: content.into_bytes(),
            content_type,
            name: format!("lead-intake-{kind}-{day}.{extension}"),
        }
    }

    /// The notice in force, in this language.
    fn notice(&self, language: Language, now: Timestamp) -> Option<&Notice> {
        let version = self.notices.current(local(now).date())?;
        self.notices.get(version.as_str(), language)
    }

    /// The texts of a version of the notice. A lead keeps the version, not the language, so all of them count.
    fn texts(&self, version: &str) -> Vec<&Notice> {
        let languages = Language::ALL.into_iter();
        languages
            .filter_map(|language| self.notices.get(version, language))
            .collect()
    }
}

/// A time where the people are.
fn local(time: Timestamp) -> Zoned {
    time.to_zoned(TimeZone::get(TIME_ZONE).unwrap_or(TimeZone::UTC))
}

/// A document of strings and lists, which always prints.
fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A phone number as a URI (RFC 3966); none if there is no number.
fn phone_uri(e164: &str) -> Option<String> {
    (!e164.is_empty()).then(|| format!("tel:{e164}"))
}

/// A person as schema.org has it, or a company where only that is given: the provided fields, and no others.
fn subject(content: &Content) -> Value {
    let is_company = content.name.is_empty();
    let (kind, name) = if is_company {
        ("schema:Organization", &content.company)
    } else {
        ("schema:Person", &content.name)
    };
    let mut subject = json!({ "@type": kind, "schema:name": name });
    let mut set = |key: &str, value: &str| {
        if !value.is_empty() {
            subject[key] = value.into();
        }
    };
    set("schema:telephone", &content.phone);
    set("schema:email", &content.email);
    if !is_company && !content.company.is_empty() {
        subject["schema:worksFor"] =
            json!({ "@type": "schema:Organization", "schema:name": content.company });
    }
    subject
}
