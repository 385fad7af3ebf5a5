//! How answers look for people: tables, times, words.
//!
//! Names and companies were typed by strangers. Whatever came from a server goes through [`clean`] or
//! [`clean_text`] before it reaches a terminal: an escape sequence could otherwise steer it, and a direction
//! mark show something else than what is stored.

use comfy_table::Table;
use jiff::Timestamp;

/// One line without anything that steers a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !steers(*c)).collect()
}

/// Several lines without anything that steers a terminal.
pub(super) fn clean_text(text: &str) -> String {
    let keep = |c: &char| matches!(c, '\n' | '\t') || !steers(*c);
    text.chars().filter(keep).collect()
}

fn steers(c: char) -> bool {
    c.is_control()
        // Line and paragraph separators.
        || matches!(c, '\u{2028}' | '\u{2029}')
        // Direction marks, embeddings, overrides and isolates.
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}')
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        // Tag characters: a text that nobody sees and everybody copies.
        || matches!(c, '\u{E0000}'..='\u{E007F}')
}

/// An empty table.
pub(super) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(if is_unicode() {
        comfy_table::presets::UTF8_HORIZONTAL_ONLY
    } else {
        comfy_table::presets::ASCII_HORIZONTAL_ONLY
    });
    table.set_header(header);
    table
}

/// A time as RFC 3339 in UTC; empty if there is none.
pub(super) fn time(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok())
        .map_or_else(String::new, |time| time.to_string())
}

/// An enum value of the contract as the word that the commands take: `ERASURE_OUTCOME_ERASED` is `erased`.
pub(super) fn word(value: &str, prefix: &str) -> String {
    let word = value.strip_prefix(prefix).unwrap_or(value);
    word.trim_start_matches('_')
        .to_lowercase()
        .replace('_', "-")
}

/// The length of the longest bar, in columns.
const BAR_COLUMNS: i64 = 20;

/// The parts of a column that a bar may end with, in eighths.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A count as a bar beside others, of which `most` is the longest. What is not zero shows.
pub(super) fn bar(count: i64, most: i64) -> String {
    drawn(count, most, is_unicode())
}

fn drawn(count: i64, most: i64, is_unicode: bool) -> String {
    if count <= 0 || most <= 0 {
        return String::new();
    }
    let eighths = i128::from(count) * i128::from(BAR_COLUMNS) * 8 / i128::from(most);
    let eighths = usize::try_from(eighths).unwrap_or_default();
    if is_unicode {
        let eighths = eighths.max(1);
        "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
    } else {
        "#".repeat((eighths / 8).max(1))
    }
}

/// Whether the reader's terminal shows more than ASCII, as its locale has it: the first that is set of `LC_ALL`,
/// `LC_CTYPE` and `LANG` decides.
pub(super) fn is_unicode() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    says_unicode(["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set))
}

fn says_unicode(locale: Option<String>) -> bool {
    let locale = locale.unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// A time span in its largest whole unit.
pub(super) fn elapsed(seconds: i64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let largest = units.into_iter().find(|(length, _)| seconds >= *length);
    largest.map_or_else(
        || "under a minute".to_owned(),
        |(length, unit)| match seconds / length {
            1 => format!("1 {unit}"),
            n => format!("{n} {unit}s"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stranger's name cannot colour, clear or turn around the reader's terminal.
    #[test]
    fn what_steers_a_terminal_is_taken_out() {
        assert_eq!(
            clean("Ka\u{1b}[31mri\u{202e}\u{9b}2J\r\nBråten"),
            "Ka[31mri2JBråten"
        );
        assert_eq!(clean_text("a\u{7}\n\tb\u{2066}"), "a\n\tb");
    }

    #[test]
    fn the_contracts_words_are_the_commands_words() {
        let outcome = crate::pb::ErasureOutcome::NeedsConfirmation.as_str_name();
        assert_eq!(word(outcome, "ERASURE_OUTCOME"), "needs-confirmation");
    }

    #[test]
    fn bars_are_in_proportion_and_never_hide_a_count() {
        for (count, most, unicode, ascii) in [
            (50, 50, "████████████████████", "####################"),
            (25, 50, "██████████", "##########"),
            (3, 50, "█▏", "#"),
            (1, i64::MAX, "▏", "#"),
            (0, 50, "", ""),
            (
                i64::MAX,
                i64::MAX,
                "████████████████████",
                "####################",
            ),
        ] {
            assert_eq!(drawn(count, most, true), unicode, "{count}");
            assert_eq!(drawn(count, most, false), ascii, "{count}");
        }
    }

    #[test]
    fn a_locale_says_what_a_terminal_shows() {
        for (locale, expected) in [
            (Some("nb_NO.UTF-8"), true),
            (Some("C.utf8"), true),
            (Some("nb_NO.ISO-8859-1"), false),
            (Some("C"), false),
            (None, false),
        ] {
            assert_eq!(
                says_unicode(locale.map(str::to_owned)),
                expected,
                "{locale:?}"
            );
        }
    }

    #[test]
    fn a_time_span_is_read_at_a_glance() {
        for (seconds, words) in [
            (0, "under a minute"),
            (60, "1 minute"),
            (7_199, "1 hour"),
            (172_800, "2 days"),
        ] {
            assert_eq!(elapsed(seconds), words);
        }
    }
}
