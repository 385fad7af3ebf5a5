//! The privacy notice: what the person was told, in which words, and since when (GDPR Art. 13).
//!
//! A notice is data: one field per fact of Art. 13(1) and (2), in `notices/<version>/<language>.toml`.
//! The text people read is rendered from those facts and the configured [`Controller`], so the fields
//! and the text cannot drift apart. A lead stores the version it was submitted under; the text's
//! SHA-256 is the evidence of what was shown (Art. 7(1)).
//!
//! The rule: a released version is never edited, because its text and hash are evidence. To add one,
//! write `notices/<version>/{nb,en}.toml`, append it to `SHIPPED` in `registry.rs` and pin its hashes
//! in `tests/text.rs`. [`NoticeRegistry::shipped`] refuses versions that are out of order and
//! languages that promise different things; [`fn@lint`] says what Art. 13 still misses.

mod controller;
mod facts;
mod language;
mod lint;
mod registry;
mod render;
#[cfg(test)]
mod tests;
mod version;
mod words;

pub use controller::Controller;
pub use facts::{
    Article, Authority, Complaint, Facts, LawfulBasisFact, Objection, Recipients, Retention, Rights,
};
pub use language::{Language, UnknownLanguage};
pub use lint::{Gap, lint};
pub use registry::{Acceptance, NoticeError, NoticeRegistry};
pub use version::{MalformedVersion, NoticeVersion};
pub use words::{citation, date};

use jiff::civil::Date;

/// Where the readers of the notice are: it is in force by the date there.
pub const TIME_ZONE: &str = "Europe/Oslo";

/// One version of the privacy notice in one language, rendered for one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The version, shared by both languages.
    pub version: NoticeVersion,
    /// The language of the facts and the text.
    pub language: Language,
    /// The first day on which this version is in force.
    pub effective_from: Date,
    /// The facts of Art. 13(1) and (2), without the controller, which is configuration.
    pub facts: Facts,
    /// The whole notice for the person, as Markdown that also reads well unrendered.
    pub text: String,
    /// SHA-256 over the UTF-8 bytes of `text`.
    pub sha256: [u8; 32],
}

impl Notice {
    /// The hash in lower-case hexadecimal, as answers and receipts show it.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.sha256)
    }
}
