//! What reads bytes of others, for `fuzz/` to feed. Not part of the service: behind the feature `fuzzing`.
//!
//! A target takes any bytes and panics if a promise is broken: nothing panics, what is read and written again is the
//! same, and what is said of a refused input repeats nothing of it. To add one: a function here, a line in [`TARGETS`],
//! and a few inputs in `fuzz/corpus/NAME/`, which a test runs through it.

mod kept;
mod ledger;
mod wire;

use std::collections::HashSet;

/// Something that reads bytes of others.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its directory in `fuzz/corpus/`.
    pub name: &'static str,
    /// Hands it bytes. Panics if it breaks a promise.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("protobuf", wire::protobuf),
    target("json", wire::json),
    target("cursor", wire::cursor),
    target("token", wire::token),
    target("contact", wire::contact),
    target("opendsr", wire::opendsr),
    target("entry", ledger::entry),
    target("note", ledger::note),
    target("mirror", ledger::mirror),
    target("receipt", ledger::receipt),
    target("envelope", kept::envelope),
    target("key_ring", kept::key_ring),
    target("configuration", kept::configuration),
    target("command_line", kept::command_line),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// So many bytes of an input in a row are not told by chance.
const TOLD_BYTES: usize = 8;
/// Parts of an input that a refusal has too, and that are looked into.
const SUSPECTS_MAX: usize = 32;

/// Panics if what is said of an input, where it is refused, repeats a part of these parts of it. Words that both have
/// from the contract are told apart by changing those of the input: our own then stay as they are.
fn untold_of(input: &[u8], parts: &[&[u8]], refusal: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let Some(told) = refusal(input) else {
        return;
    };
    let told: HashSet<&[u8]> = told.windows(TOLD_BYTES).collect();
    let windows = parts.iter().flat_map(|part| part.windows(TOLD_BYTES));
    let suspects: HashSet<&[u8]> = windows.filter(|part| told.contains(part)).collect();
    for suspect in suspects.into_iter().take(SUSPECTS_MAX) {
        let other: Vec<u8> = suspect.iter().copied().map(turned).collect();
        let told = refusal(&replaced(input, suspect, &other)).unwrap_or_default();
        let is_repeated = other != suspect && told.windows(TOLD_BYTES).any(|part| part == other);
        let other = other.escape_ascii();
        assert!(!is_repeated, "what is said of an input repeats {other}");
    }
}

/// The same for an input every part of which may be somebody's.
fn untold(input: &[u8], refusal: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    untold_of(input, &[input], refusal);
}

/// Another letter or digit; what is between them stays, so that the input keeps its form.
fn turned(byte: u8) -> u8 {
    match byte {
        b'z' => b'a',
        b'Z' => b'A',
        b'9' => b'0',
        byte if byte.is_ascii_alphanumeric() => byte + 1,
        byte => byte,
    }
}

fn replaced(input: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    let mut rest = input;
    let mut output = Vec::with_capacity(input.len());
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(part) {
            output.extend_from_slice(by);
            rest = after;
        } else {
            output.push(*first);
            rest = after;
        }
    }
    output
}

/// A byte to choose by, and the rest.
fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes
        .split_first()
        .map_or((0, bytes), |(first, rest)| (*first, rest))
}

#[cfg(test)]
mod tests;
