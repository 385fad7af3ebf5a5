//! Every version of the notice ever shipped, and which of them holds on a given day.

use aws_lc_rs::digest;
use jiff::civil::Date;
use serde::Deserialize;

use super::render::render;
use super::{Article, Authority, Controller, Facts, Language, Notice, NoticeVersion, lint};

/// The shipped notices, oldest first. Append a new version; never edit or remove one.
const SHIPPED: [Source<'static>; 2] = [
    Source {
        nb: include_str!("../../../notices/1.0/nb.toml"),
        en: include_str!("../../../notices/1.0/en.toml"),
    },
    Source {
        nb: include_str!("../../../notices/1.1/nb.toml"),
        en: include_str!("../../../notices/1.1/en.toml"),
    },
];

/// One version as TOML. Both languages are fields, so a version without one cannot be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub nb: &'a str,
    pub en: &'a str,
}

/// One notice file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: NoticeVersion,
    language: Language,
    effective_from: Date,
    facts: Facts,
}

/// Why the notices cannot be loaded. Each is a reason not to start.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// A part of the controller's identity or contact details is empty (Art. 13(1)(a)).
    #[error("controller facts are empty: {}", missing.join(", "))]
    ControllerIncomplete {
        /// Names of the empty parts.
        missing: Vec<&'static str>,
    },
    /// A notice file is not valid TOML, or has a key or value that notices do not have.
    #[error("a notice file in language {language} is malformed")]
    Malformed {
        /// The language the file is meant for.
        language: Language,
        /// What is wrong, with line and column.
        source: Box<toml::de::Error>,
    },
    /// The two languages of a version differ in more than their words.
    #[error("the languages of notice {version} state different facts")]
    LanguagesDisagree {
        /// The version, as the Norwegian file names it.
        version: NoticeVersion,
    },
    /// A version repeats an earlier one, or does not take effect after the one before it.
    #[error("notice {version} is out of order")]
    OutOfOrder {
        /// The later of the two versions.
        version: NoticeVersion,
    },
}

/// Whether a lead may be submitted under a version of the notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// In force, or superseded within its grace: accept.
    Current,
    /// Superseded, and the grace is over: the website must show the successor.
    Superseded,
    /// No such version was ever shipped.
    Unknown,
    /// Shipped, but not yet in force.
    NotYet,
}

/// One version in both languages.
#[derive(Debug)]
struct Edition {
    version: NoticeVersion,
    effective_from: Date,
    nb: Notice,
    en: Notice,
}

/// Every version of the notice, rendered for one controller. Never empty.
///
/// Dates are days of the calendar where the people are (Norway). A caller that passes the UTC date
/// switches one or two hours late.
#[derive(Debug)]
pub struct NoticeRegistry {
    /// Strictly rising by `effective_from`.
    editions: Vec<Edition>,
}

impl NoticeRegistry {
    /// The shipped notices, rendered for this controller.
    ///
    /// # Errors
    ///
    /// [`NoticeError::ControllerIncomplete`] if a part of the controller is empty. The other errors
    /// mean that the shipped files are wrong; the tests of this module keep that from happening.
    pub fn shipped(controller: &Controller) -> Result<Self, NoticeError> {
        Self::load(&SHIPPED, controller)
    }

    /// Reads and checks the sources, which are given oldest first.
    pub(super) fn load(
        sources: &[Source<'_>],
        controller: &Controller,
    ) -> Result<Self, NoticeError> {
        let missing = controller.missing();
        if !missing.is_empty() {
            return Err(NoticeError::ControllerIncomplete { missing });
        }
        let mut editions: Vec<Edition> = Vec::with_capacity(sources.len());
        for source in sources {
            let edition = edition(source, controller)?;
            let repeated = editions
                .iter()
                .any(|earlier| earlier.version == edition.version);
            let rising = editions
                .last()
                .is_none_or(|last| last.effective_from < edition.effective_from);
            if repeated || !rising {
                return Err(NoticeError::OutOfOrder {
                    version: edition.version,
                });
            }
            editions.push(edition);
        }
        Ok(Self { editions })
    }

    /// The version in force: the latest that takes effect on or before `today`. None before the first.
    #[must_use]
    pub fn current(&self, today: Date) -> Option<&NoticeVersion> {
        let in_force = self
            .editions
            .iter()
            .rfind(|edition| edition.effective_from <= today);
        in_force.map(|edition| &edition.version)
    }

    /// The notice of this version in this language, also when superseded or not yet in force.
    #[must_use]
    pub fn get(&self, version: &str, language: Language) -> Option<&Notice> {
        let edition = self
            .editions
            .iter()
            .find(|edition| edition.version.as_str() == version)?;
        Some(match language {
            Language::Nb => &edition.nb,
            Language::En => &edition.en,
        })
    }

    /// Whether a lead may be submitted under this version today.
    ///
    /// A superseded version is accepted for `grace_days` days, counted from the day its direct
    /// successor takes effect and including it: 0 refuses it on that very day. The grace is for pages
    /// that were opened, or cached, before the change (Art. 13: the notice that was really shown).
    #[must_use]
    pub fn acceptance(&self, version: &str, today: Date, grace_days: u32) -> Acceptance {
        let found = self
            .editions
            .iter()
            .position(|edition| edition.version.as_str() == version);
        let Some(index) = found else {
            return Acceptance::Unknown;
        };
        if self.editions[index].effective_from > today {
            return Acceptance::NotYet;
        }
        match self.editions.get(index + 1) {
            Some(successor) if grace_is_over(successor.effective_from, today, grace_days) => {
                Acceptance::Superseded
            }
            _ => Acceptance::Current,
        }
    }

    /// Every version, oldest first.
    pub fn versions(&self) -> impl Iterator<Item = &NoticeVersion> {
        self.editions.iter().map(|edition| &edition.version)
    }
}

/// Counts days instead of adding them to a date, which a large configured grace would overflow.
fn grace_is_over(successor_from: Date, today: Date, grace_days: u32) -> bool {
    let days_since = (today - successor_from).get_days();
    i64::from(days_since) >= i64::from(grace_days)
}

fn edition(source: &Source<'_>, controller: &Controller) -> Result<Edition, NoticeError> {
    let nb = parse(source.nb, Language::Nb)?;
    let en = parse(source.en, Language::En)?;
    // A lead stores a version, not a language, so both must promise the same.
    let languages = (nb.language, en.language) == (Language::Nb, Language::En);
    if !languages || Promise::of(&nb) != Promise::of(&en) {
        return Err(NoticeError::LanguagesDisagree {
            version: nb.version,
        });
    }
    Ok(Edition {
        version: nb.version.clone(),
        effective_from: nb.effective_from,
        nb: notice(nb, controller),
        en: notice(en, controller),
    })
}

fn parse(text: &str, language: Language) -> Result<Document, NoticeError> {
    toml::from_str(text).map_err(|source| NoticeError::Malformed {
        language,
        source: Box::new(source),
    })
}

fn notice(document: Document, controller: &Controller) -> Notice {
    let Document {
        version,
        language,
        effective_from,
        facts,
    } = document;
    let text = render(&version, effective_from, language, &facts, controller);
    let mut sha256 = [0; digest::SHA256_OUTPUT_LEN];
    // The lengths are equal: both are the output of SHA-256.
    sha256.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    Notice {
        version,
        language,
        effective_from,
        facts,
        text,
        sha256,
    }
}

/// What a notice says whatever its language.
#[derive(PartialEq)]
struct Promise<'a> {
    version: &'a NoticeVersion,
    effective_from: Date,
    counts: [usize; 2],
    articles: Vec<Article>,
    processors_allowed: bool,
    days_max: Option<u32>,
    authority: Option<&'a Authority>,
    gaps: Vec<&'static str>,
}

impl<'a> Promise<'a> {
    fn of(document: &'a Document) -> Self {
        let facts = &document.facts;
        Self {
            version: &document.version,
            effective_from: document.effective_from,
            counts: [facts.purposes.len(), facts.data_categories.len()],
            articles: facts
                .lawful_bases
                .iter()
                .map(|basis| basis.article)
                .collect(),
            processors_allowed: facts.processors_allowed(),
            days_max: facts
                .retention
                .as_ref()
                .and_then(|retention| retention.days_max),
            authority: facts
                .complaint
                .as_ref()
                .and_then(|complaint| complaint.authority.as_ref()),
            gaps: lint(facts, Language::En)
                .iter()
                .map(|gap| gap.key)
                .collect(),
        }
    }
}
