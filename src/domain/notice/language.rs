//! The languages every notice exists in.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A language of the notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Norwegian bokmål.
    Nb,
    /// English.
    En,
}

/// The notice does not exist in the language asked for. Carries no input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown language: use nb or en")]
pub struct UnknownLanguage;

impl Language {
    /// Every language, in the order of the variants.
    pub const ALL: [Self; 2] = [Self::Nb, Self::En];

    /// The primary subtag, `nb` or `en`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nb => "nb",
            Self::En => "en",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a language tag (BCP 47) by its primary subtag in any case: `nb`, `no`, `nb-NO`, `en-GB`.
///
/// Nynorsk (`nn`) is unknown: answering it in bokmål is the caller's choice to make.
impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(tag: &str) -> Result<Self, Self::Err> {
        // Websites send `nb_NO` about as often as `nb-NO`.
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "nb" | "no" => Ok(Self::Nb),
            "en" => Ok(Self::En),
            _ => Err(UnknownLanguage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Language tags are read by their primary subtag.
    #[test]
    fn language_tags() {
        for tag in ["nb", "no", "NB", "nb-NO", "no-NO", "nb_NO"] {
            assert_eq!(tag.parse(), Ok(Language::Nb), "{tag}");
        }
        for tag in ["en", "en-GB", "en-US", "EN"] {
            assert_eq!(tag.parse(), Ok(Language::En), "{tag}");
        }
        for tag in ["", "nn", "sv", "norsk", "-nb", "eng", " nb"] {
            assert_eq!(tag.parse::<Language>(), Err(UnknownLanguage), "{tag}");
        }
    }
}
