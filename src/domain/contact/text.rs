//! Single lines of text: a person's name, a company.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use super::{TEXT_CHARS_MAX, chars};

/// The most characters that NFC can compose into one.
///
/// No canonical decomposition is longer than four characters, so a text with more than four times
/// [`TEXT_CHARS_MAX`] is too long whatever it composes to, and need not be normalised to know it.
const COMPOSED_CHARS_MAX: usize = 4;

/// A name or a company: one line of visible text in any script, as its owner wrote it.
///
/// Trimmed, Unicode NFC, 1 to [`TEXT_CHARS_MAX`] characters, none of them a control character. Two
/// lines are equal if they are the same characters; case and inner spaces are kept and count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Line(String);

/// Why a text is refused. The wording never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TextError {
    /// More than [`TEXT_CHARS_MAX`] characters.
    #[error("longer than 200 characters")]
    TooLong,
    /// A control character, a line break, or an invisible character that could mislead a reader.
    #[error("contains a line break, a control character or a hidden formatting character")]
    ControlCharacter,
}

impl Line {
    /// Checks and normalises one line; blank text is `None`.
    ///
    /// # Errors
    /// [`TextError`], the length first.
    pub fn parse(raw: &str) -> Result<Option<Self>, TextError> {
        Ok(clean(raw)?.map(Self))
    }

    /// The text: trimmed, NFC.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Personal data: the value must not reach a log through `{:?}`.
        f.debug_tuple("Line").finish_non_exhaustive()
    }
}

/// What every text field has in common: trimmed, NFC, bounded, no forbidden character.
pub(super) fn clean(raw: &str) -> Result<Option<String>, TextError> {
    let trimmed = chars::trim(raw);
    if exceeds(trimmed, TEXT_CHARS_MAX * COMPOSED_CHARS_MAX) {
        return Err(TextError::TooLong);
    }
    // ASCII is in every normal form already, and most fields are ASCII.
    let text: String = if trimmed.is_ascii() {
        trimmed.to_owned()
    } else {
        trimmed.nfc().collect()
    };
    if exceeds(&text, TEXT_CHARS_MAX) {
        return Err(TextError::TooLong);
    }
    if text.chars().any(chars::is_forbidden) {
        return Err(TextError::ControlCharacter);
    }
    // A field of fillers and joiners is as empty as one of spaces.
    Ok((!chars::is_blank(&text)).then_some(text))
}

/// Whether the text has more than `chars_max` characters; reads no further than it must.
pub(super) fn exceeds(text: &str, chars_max: usize) -> bool {
    // No character is less than a byte.
    text.len() > chars_max && text.chars().nth(chars_max).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names of every script are taken as they are written, trimmed and composed.
    #[test]
    fn lines_taken() {
        let table = [
            ("Ola Nordmann", "Ola Nordmann"),
            ("  Kari\u{A0}", "Kari"),
            ("Kari\r\n", "Kari"),
            ("\tKari\t", "Kari"),
            ("\u{FEFF}Kari\u{200B}", "Kari"),
            ("\u{200F}دوד\u{200E}", "دوד"),
            ("Ægir Ørn Ås", "Ægir Ørn Ås"),
            ("A\u{30A}se", "Åse"),
            ("\u{212B}se", "Åse"),
            ("Jose\u{301}", "José"),
            ("Nguye\u{302}\u{303}n", "Nguyễn"),
            ("O'Brien", "O'Brien"),
            ("O’Brien-Smith, Jr.", "O’Brien-Smith, Jr."),
            ("Ole  Dobbelt", "Ole  Dobbelt"),
            ("محمد عبد الله", "محمد عبد الله"),
            ("علی\u{200C}رضا", "علی\u{200C}رضا"),
            ("דָּוִד בֶּן־גּוּרִיּוֹן", "דָּוִד בֶּן־גּוּרִיּוֹן"),
            ("דוד \u{200F}(David)", "דוד \u{200F}(David)"),
            ("王小明", "王小明"),
            ("葛\u{E0100}城", "葛\u{E0100}城"),
            ("山田　太郎", "山田　太郎"),
            ("क्\u{200D}षितिज", "क्\u{200D}षितिज"),
            ("ශ්\u{200D}රී", "ශ්\u{200D}රී"),
            ("김철수", "김철수"),
            ("\u{1100}\u{1161}", "가"),
            ("ประเสริฐ", "ประเสริฐ"),
            ("សុខ\u{200B}ភា", "សុខ\u{200B}ភា"),
            ("Ἀριστοτέλης", "Ἀριστοτέλης"),
            ("Владимир", "Владимир"),
            ("Børs & Sønn AS <post>", "Børs & Sønn AS <post>"),
            ("Eiendoms\u{AD}selskapet", "Eiendoms\u{AD}selskapet"),
            (
                "👩\u{200D}🔬 Labben ❤\u{FE0F}",
                "👩\u{200D}🔬 Labben ❤\u{FE0F}",
            ),
            ("🇳🇴 AS", "🇳🇴 AS"),
            ("=HYPERLINK()", "=HYPERLINK()"),
            ("X", "X"),
        ];
        for (raw, expected) in table {
            let line = Line::parse(raw).unwrap_or_else(|e| panic!("{raw:?}: {e}"));
            let composed: String = expected.nfc().collect();
            assert_eq!(line.expect(raw).as_str(), composed, "{raw:?}");
        }
    }

    /// Nothing to see is nothing given.
    #[test]
    fn blank_is_absent() {
        for raw in [
            "",
            " ",
            "\t\r\n",
            "\u{A0}\u{3000}",
            "\u{200B}\u{FEFF}",
            "\u{3164}",
            "\u{FE0F}",
        ] {
            assert_eq!(Line::parse(raw), Ok(None), "{raw:?}");
        }
    }

    /// What breaks a log line, steers a terminal or hides text is refused.
    #[test]
    fn lines_refused() {
        let inside = [
            '\t',
            '\n',
            '\r',
            '\0',
            '\u{8}',
            '\u{1B}',
            '\u{7F}',
            '\u{85}',
            '\u{9B}',
            '\u{2028}',
            '\u{2029}',
            '\u{202A}',
            '\u{202B}',
            '\u{202C}',
            '\u{202D}',
            '\u{202E}',
            '\u{2060}',
            '\u{2064}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{206A}',
            '\u{FEFF}',
            '\u{FFF9}',
            '\u{FFFE}',
            '\u{FDD0}',
            '\u{1D173}',
            '\u{E0041}',
            '\u{10FFFF}',
        ];
        for c in inside {
            let raw = format!("Ola{c}Nordmann");
            assert_eq!(
                Line::parse(&raw),
                Err(TextError::ControlCharacter),
                "{raw:?}"
            );
        }
        for raw in ["\u{202E}Ola", "Ola\u{202C}", "\0Ola", "Ola\u{1B}"] {
            assert_eq!(
                Line::parse(raw),
                Err(TextError::ControlCharacter),
                "{raw:?}"
            );
        }
    }

    /// The limit counts characters, after trimming and composing.
    #[test]
    fn length() {
        let taken = |raw: &str| Line::parse(raw).map(|line| line.map(|l| l.as_str().len()));
        assert_eq!(taken(&"ø".repeat(200)), Ok(Some(400)));
        assert_eq!(taken(&"ø".repeat(201)), Err(TextError::TooLong));
        assert_eq!(taken(&"o\u{308}".repeat(200)), Ok(Some(400)));
        assert_eq!(taken(&"o\u{308}".repeat(201)), Err(TextError::TooLong));
        assert_eq!(taken(&"😀".repeat(200)), Ok(Some(800)));
        assert_eq!(taken(&format!("  {}  ", "x".repeat(200))), Ok(Some(200)));
        // Four characters into one is the most there is: U+1F82 has the longest decomposition.
        assert_eq!(taken(&"α\u{313}\u{300}\u{345}".repeat(200)), Ok(Some(600)));
        // NFC may also grow: U+0958 is excluded from composition.
        assert_eq!(taken(&"\u{958}".repeat(101)), Err(TextError::TooLong));
        assert_eq!(taken(&"\n".repeat(1_000_000)), Ok(None));
        assert_eq!(taken(&"x".repeat(1_000_000)), Err(TextError::TooLong));
    }

    /// A value cannot slip into a log through `Debug`.
    #[test]
    fn debug_tells_nothing() {
        assert_eq!(format!("{:?}", Line::parse("Ola")), "Ok(Some(Line(..)))");
        assert_eq!(
            format!("{:#?}", Line::parse("Ola").unwrap().unwrap()),
            "Line(..)"
        );
    }

    proptest! {
        // A failing case is printed; it belongs in a table above, not in a file of its own.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// No text makes it panic, and its own result is taken unchanged.
        #[test]
        fn parse_is_idempotent(raw in any::<String>()) {
            if let Ok(Some(line)) = Line::parse(&raw) {
                prop_assert_eq!(Line::parse(line.as_str()), Ok(Some(line.clone())));
                prop_assert!(!line.as_str().chars().any(char::is_control));
            }
        }
    }
}
