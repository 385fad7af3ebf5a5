//! The name of a version of the notice.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A version of the notice, `major.minor` in decimal digits, at most 16 characters.
///
/// Equal as text only: `1.0` and `01.0` are different names. Versions are ordered by the day they take
/// effect, never by their digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct NoticeVersion(String);

/// The text is not a version of a notice. Carries no input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a notice version is digits, a dot and digits, at most 16 characters")]
pub struct MalformedVersion;

impl NoticeVersion {
    /// Most characters in a version: far more than needed, and short enough for any column or log.
    pub const CHARS_MAX: usize = 16;

    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NoticeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NoticeVersion {
    type Err = MalformedVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for NoticeVersion {
    type Error = MalformedVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        // Digits and a dot are one byte each, so bytes are characters in every accepted version.
        let well_formed = text.len() <= Self::CHARS_MAX
            && text
                .split_once('.')
                .is_some_and(|(major, minor)| digits(major) && digits(minor));
        if well_formed {
            Ok(Self(text))
        } else {
            Err(MalformedVersion)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The grammar of a version.
    #[test]
    fn version_grammar() {
        for text in ["1.0", "10.25", "1234567.12345678"] {
            assert_eq!(
                text.parse::<NoticeVersion>().map(|it| it.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            "1",
            ".1",
            "1.",
            "1.0.0",
            "v1.0",
            "1.0 ",
            "-1.0",
            "1.٣",
            "12345678.12345678",
        ] {
            assert_eq!(
                text.parse::<NoticeVersion>(),
                Err(MalformedVersion),
                "{text}"
            );
        }
    }
}
