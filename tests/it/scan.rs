//! Looks for what must not be there, in bytes: a person's values, tokens and keys in every form in which they could
//! lie somewhere ([`forms`]), wherever the service could have left them ([`places`]).
//!
//! A scan that finds nothing proves nothing by itself: whoever scans a new place plants something there first and
//! sees it found (`leaks.rs` does, for each place).

pub mod forms;
pub mod places;

use std::path::Path;

use aho_corasick::AhoCorasick;

use self::{
    forms::{encoded, of_secret, typed},
    places::{Place, below},
};

/// What must not be found.
pub struct Needles {
    /// What each form is of.
    names: Vec<String>,
    automaton: AhoCorasick,
}

impl Needles {
    /// Every form of values that a person submitted.
    pub fn of_values(values: &[&str]) -> Self {
        let texts = values.iter().flat_map(|value| typed(value));
        Self::new(texts.flat_map(|text| encoded(&text)).collect())
    }

    /// Bytes that must be gone or must never have been there, as they are and as text.
    pub fn of_bytes(values: &[Vec<u8>]) -> Self {
        Self::new(values.iter().flat_map(|value| of_secret(value)).collect())
    }

    /// All of both.
    pub fn of(values: &[&str], bytes: &[Vec<u8>]) -> Self {
        let texts = values.iter().flat_map(|value| typed(value));
        let forms = texts.flat_map(|text| encoded(&text));
        Self::new(
            forms
                .chain(bytes.iter().flat_map(|value| of_secret(value)))
                .collect(),
        )
    }

    fn new(mut forms: Vec<(String, Vec<u8>)>) -> Self {
        forms.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
        forms.dedup_by(|a, b| a.1 == b.1);
        for (name, form) in &forms {
            assert!(form.len() >= 3, "too short to look for: {name}");
        }
        let (names, patterns): (Vec<_>, Vec<_>) = forms.into_iter().unzip();
        let automaton = AhoCorasick::new(patterns).unwrap();
        Self { names, automaton }
    }

    /// The forms that are in these bytes.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let found = self.automaton.find_overlapping_iter(bytes);
        let mut found: Vec<_> = found.map(|found| &*self.names[found.pattern()]).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The forms that are in any of these places, each with its place.
    pub fn found_at(&self, places: &[Place]) -> Vec<String> {
        let all = places.iter().flat_map(|place| {
            let found = self.found_in(&place.bytes).into_iter();
            found.map(|name| format!("{name} in {}", place.name))
        });
        all.collect()
    }

    /// The forms that are in any file below a directory, each with its file.
    pub fn found_below(&self, dir: &Path) -> Vec<String> {
        self.found_at(&below(dir))
    }
}
