//! The facts of a notice, one field per fact of Art. 13(1) and (2).
//!
//! A fact that a version does not state is `None` or empty; it is never filled with a default, so that
//! [`lint`](fn@super::lint) can tell a gap. Unknown keys are errors: a misspelt key must not become a gap.

use serde::Deserialize;

/// Everything a notice tells, apart from who the controller is (Art. 13(1)(a), configuration).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Heading of the whole notice.
    pub title: String,
    /// What the notice is about and whom it concerns.
    pub intro: String,
    /// What the data is used for (Art. 13(1)(c)).
    #[serde(default)]
    pub purposes: Vec<String>,
    /// Which kinds of data (told also by Art. 14(1)(d) and 15(1)(b)).
    #[serde(default)]
    pub data_categories: Vec<String>,
    /// What makes the processing lawful (Art. 13(1)(c)).
    #[serde(default)]
    pub lawful_bases: Vec<LawfulBasisFact>,
    /// Where the data comes from (told also by Art. 14(2)(f) and 15(1)(g)).
    pub source: Option<String>,
    /// Who receives the data (Art. 13(1)(e)).
    pub recipients: Option<Recipients>,
    /// Transfers to third countries or international organisations (Art. 13(1)(f)).
    pub transfers: Option<String>,
    /// How long the data is kept (Art. 13(2)(a)).
    pub retention: Option<Retention>,
    /// The rights of the person (Art. 13(2)(b), (c)).
    pub rights: Rights,
    /// The right to complain (Art. 13(2)(d)).
    pub complaint: Option<Complaint>,
    /// Whether the data must be given, and what happens otherwise (Art. 13(2)(e)).
    pub provision_required: Option<String>,
    /// Automated decisions and profiling (Art. 13(2)(f)).
    pub automated_decisions: Option<String>,
    /// How to reach the data protection officer, or that there is none (Art. 13(1)(b)).
    pub data_protection_officer: Option<String>,
}

impl Facts {
    /// Whether processors may receive leads under this notice. A notice that is silent says no.
    #[must_use]
    pub fn processors_allowed(&self) -> bool {
        self.recipients
            .as_ref()
            .is_some_and(|recipients| recipients.processors_allowed)
    }
}

/// One lawful basis and when it applies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LawfulBasisFact {
    /// The point of Art. 6(1).
    pub article: Article,
    /// When this basis applies.
    pub text: String,
}

/// A point of Art. 6(1) that this service can act on. A notice that names another does not load: the
/// service would promise what it cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Article {
    /// Consent, Art. 6(1)(a).
    #[serde(rename = "6(1)(a)")]
    Consent,
    /// Steps at the person's request before a contract, Art. 6(1)(b).
    #[serde(rename = "6(1)(b)")]
    PreContract,
}

impl Article {
    /// The article as data, for example `6(1)(a)`. The same in every language.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "6(1)(a)",
            Self::PreContract => "6(1)(b)",
        }
    }
}

/// Who receives the data (Art. 13(1)(e)).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipients {
    /// Whether a processor (Art. 28) may receive leads. `false` makes the service refuse such clients.
    pub processors_allowed: bool,
    /// The recipients or their categories.
    pub text: String,
}

/// How long the data is kept (Art. 13(2)(a)).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The longest time in days that `criteria` promises, if it promises one. A configured retention
    /// beyond it would break the notice.
    pub days_max: Option<u32>,
    /// What decides when the data is erased.
    pub criteria: String,
}

/// The rights of the person (Art. 13(2)(b), (c)).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// How to use any of them (Art. 12(2)).
    pub how_to_use: String,
    /// Access (Art. 15).
    pub access: Option<String>,
    /// Rectification (Art. 16).
    pub rectification: Option<String>,
    /// Erasure (Art. 17).
    pub erasure: Option<String>,
    /// Restriction of processing (Art. 18).
    pub restriction: Option<String>,
    /// Portability (Art. 20).
    pub portability: Option<String>,
    /// Withdrawal of consent (Art. 7(3), 13(2)(c)).
    pub withdrawal: Option<String>,
    /// Objection, shown apart from everything else (Art. 21(4)).
    pub objection: Option<Objection>,
}

/// The right to object (Art. 21), a block of its own because Art. 21(4) wants it separate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objection {
    /// Objection on grounds of one's situation (Art. 21(1)).
    pub general: String,
    /// Objection to direct marketing (Art. 21(2)).
    pub direct_marketing: Option<String>,
}

/// The right to complain (Art. 13(2)(d), 77).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complaint {
    /// When and how one may complain.
    pub text: String,
    /// Where to complain, if the version names it.
    pub authority: Option<Authority>,
}

impl Complaint {
    /// The text, and where to complain if the version names it, on one line.
    #[must_use]
    pub fn line(&self) -> String {
        self.authority.as_ref().map_or_else(
            || self.text.clone(),
            |at| format!("{} {}, {}, {}", self.text, at.name, at.address, at.url),
        )
    }
}

/// A supervisory authority (Art. 51).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Its name.
    pub name: String,
    /// Its postal address on one line.
    pub address: String,
    /// Its website.
    pub url: String,
}
