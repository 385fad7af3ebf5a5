//! How answers look for people: tables, times, words.
//!
//! Names and companies were typed by strangers. Whatever came from a server goes through [`clean`] or
//! [`clean_text`] before it reaches a terminal: an escape sequence could otherwise steer it, and a direction
//! mark show something else than what is stored.

use comfy_table::Table;
use jiff::Timestamp;
use uuid::Uuid;

use super::say;
use crate::seal::random;

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
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
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

/// The given idempotency key, or a new one, which is printed so that the call can be repeated.
pub(super) fn request_id(given: Option<Uuid>) -> anyhow::Result<String> {
    if let Some(id) = given {
        return Ok(id.to_string());
    }
    let id = uuid::Builder::from_random_bytes(random()?).into_uuid();
    say(&format!(
        "request id: {id} (to repeat this call: --request-id {id})"
    ));
    Ok(id.to_string())
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
}
