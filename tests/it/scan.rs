//! Looks for a person's values in bytes, in every form in which they could lie there.

use std::path::Path;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use crate::support::files;

/// What must not be found.
pub struct Needles {
    /// Form, and its bytes: at least three.
    forms: Vec<(String, Vec<u8>)>,
    /// Whether some form begins with these two bytes: what makes a scan of a long log quick.
    begins: Vec<bool>,
}

impl Needles {
    /// Every form of values that a person submitted.
    pub fn of_values(values: &[&str]) -> Self {
        let mut forms = Vec::new();
        for value in values {
            for text in typed(value) {
                forms.extend(encoded(&text));
            }
        }
        Self::new(forms)
    }

    /// Bytes that must be gone, as they are and as text.
    pub fn of_bytes(values: &[Vec<u8>]) -> Self {
        let name = |value: &[u8]| HEXLOWER.encode(value);
        let raw = values.iter().map(|value| (name(value), value.clone()));
        let hex = values
            .iter()
            .map(|value| (name(value), name(value).into_bytes()));
        Self::new(raw.chain(hex).collect())
    }

    fn new(mut forms: Vec<(String, Vec<u8>)>) -> Self {
        forms.sort();
        forms.dedup();
        let mut begins = vec![false; 1 << 16];
        for (_, form) in &forms {
            assert!(form.len() >= 3, "too short to look for");
            begins[usize::from(form[0]) << 8 | usize::from(form[1])] = true;
        }
        Self { forms, begins }
    }

    /// The forms that are in these bytes.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for (place, pair) in bytes.windows(2).enumerate() {
            if self.begins[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
                let here = |form: &&(String, Vec<u8>)| bytes[place..].starts_with(&form.1);
                found.extend(self.forms.iter().filter(here).map(|(name, _)| &**name));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The forms that are in any file below a directory, each with its file.
    pub fn found_below(&self, dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for file in files(dir) {
            // A log that is emptied meanwhile may be gone.
            let bytes = std::fs::read(&file).unwrap_or_default();
            let names = self.found_in(&bytes).into_iter();
            found.extend(names.map(|name| format!("{name} in {}", file.display())));
        }
        found
    }
}

/// A value as people and programs write it.
fn typed(value: &str) -> Vec<String> {
    let mut texts = vec![value.to_owned(), value.to_lowercase(), value.to_uppercase()];
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    if let Some(local) = digits.strip_prefix("47").filter(|local| local.len() == 8) {
        let (pairs, groups) = (
            [&local[..2], &local[2..4], &local[4..6], &local[6..]].join(" "),
            [&local[..3], &local[3..5], &local[5..]].join(" "),
        );
        for number in [local, &*pairs, &*groups] {
            let prefixes = ["", "+47", "+47 ", "47", "0047", "0047 "];
            texts.extend(prefixes.map(|prefix| format!("{prefix}{number}")));
        }
    }
    texts
}

/// A text in every encoding that programs leave behind.
fn encoded(text: &str) -> Vec<(String, Vec<u8>)> {
    let utf8 = text.as_bytes().to_vec();
    let wide = |to_bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to_bytes).collect();
    let mut forms: Vec<(&str, Vec<u8>)> = vec![
        ("as it is", utf8.clone()),
        ("UTF-16LE", wide(u16::to_le_bytes)),
        ("UTF-16BE", wide(u16::to_be_bytes)),
        ("hex", HEXLOWER.encode(&utf8).into_bytes()),
        ("HEX", HEXUPPER.encode(&utf8).into_bytes()),
    ];
    for skipped in 0..3 {
        for alphabet in [BASE64_NOPAD, BASE64URL_NOPAD] {
            let mut shifted = vec![0; skipped];
            shifted.extend(&utf8);
            let letters = alphabet.encode(&shifted).into_bytes();
            // Without the letters that depend on what comes before and after.
            let from = (skipped * 8).div_ceil(6);
            let to = shifted.len() * 8 / 6;
            forms.push(("base64", letters[from..to].to_vec()));
        }
    }
    let name = |how: &str| format!("{text} ({how})");
    forms
        .into_iter()
        .map(|(how, form)| (name(how), form))
        .collect()
}

/// The scanner sees each form, alone and in the middle of a file, and nothing where there is nothing.
#[test]
fn the_scanner_finds_a_planted_leak() {
    let needles = Needles::of_values(&["Ærlig Nordmann-Kanari", "+4740605600"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("below").join("leak");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "Ærlig Nordmann, 4060 5601").unwrap();
    assert_eq!(needles.found_below(dir.path()), Vec::<String>::new());
    let text = "xx{\"name\":\"Ærlig Nordmann-Kanari\"}".as_bytes();
    let utf16: Vec<u8> = "a Ærlig Nordmann-Kanari"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for leak in [
        text.to_vec(),
        utf16,
        HEXLOWER.encode(text).into_bytes(),
        BASE64_NOPAD.encode(text).into_bytes(),
        BASE64_NOPAD.encode(&text[1..]).into_bytes(),
        BASE64URL_NOPAD.encode(&text[2..]).into_bytes(),
        "ÆRLIG NORDMANN-KANARI".into(),
        "tel 406 05 600.".into(),
        "tel 40 60 56 00".into(),
        "tel +47 40605600".into(),
    ] {
        std::fs::write(&file, &leak).unwrap();
        assert!(!needles.found_below(dir.path()).is_empty(), "{leak:?}");
    }
    let bytes = Needles::of_bytes(&[vec![7, 1, 255, 3]]);
    assert_eq!(bytes.found_in(&[9, 7, 1, 255, 3, 9]), ["0701ff03"]);
    assert_eq!(bytes.found_in(b"\\x0701ff03"), ["0701ff03"]);
    assert!(bytes.found_in(&[7, 1, 255, 4]).is_empty());
}
