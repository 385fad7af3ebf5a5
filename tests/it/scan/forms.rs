//! The forms of a value: how people and programs write it ([`typed`]), and how programs encode what was written
//! ([`encoded`]).
//!
//! To add an encoding: a line in [`encoded`], and one in the test below that plants it.

use std::fmt::Write as _;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use unicode_normalization::UnicodeNormalization as _;

/// A value as people and programs write it.
pub fn typed(value: &str) -> Vec<String> {
    let mut texts = vec![value.to_owned(), value.to_lowercase(), value.to_uppercase()];
    texts.extend([value.nfd().collect(), value.nfc().collect()]);
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    // A prefix, however it is written, stands before one of these.
    if let Some(local) = digits.strip_prefix("47").filter(|local| local.len() == 8) {
        texts.push(local.to_owned());
        for between in [" ", "-", ".", "/", "\u{a0}"] {
            for groups in [&[2, 2, 2, 2][..], &[3, 2, 3], &[4, 4]] {
                let mut rest = local;
                let parts: Vec<_> = groups
                    .iter()
                    .map(|length| {
                        let (part, after) = rest.split_at(*length);
                        rest = after;
                        part
                    })
                    .collect();
                texts.push(parts.join(between));
            }
        }
    }
    texts
}

/// A text in every encoding that programs leave behind, each with its name.
pub fn encoded(text: &str) -> Vec<(String, Vec<u8>)> {
    let wide = |to_bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to_bytes).collect();
    let mut forms: Vec<(&str, Vec<u8>)> = vec![
        ("UTF-16LE", wide(u16::to_le_bytes)),
        ("UTF-16BE", wide(u16::to_be_bytes)),
        ("URL", escaped(text, is_unreserved, |c| format!("%{c:02X}"))),
        ("url", escaped(text, is_unreserved, |c| format!("%{c:02x}"))),
        ("URL of a form", form(text)),
        // As C and PostgreSQL write bytes, and as Rust does.
        ("octal", escaped(text, is_plain, |c| format!("\\{c:03o}"))),
        ("bytes", escaped(text, is_plain, |c| format!("\\x{c:02x}"))),
        (
            "quoted-printable",
            escaped(text, is_plain, |c| format!("={c:02X}")),
        ),
        ("JSON", by_char(text, |unit| format!("\\u{unit:04x}"))),
        (
            "JSON in capitals",
            by_char(text, |unit| format!("\\u{unit:04X}")),
        ),
        ("Debug", by_char(text, |unit| format!("\\u{{{unit:x}}}"))),
        ("HTML", by_char(text, |unit| format!("&#{unit};"))),
    ];
    forms.extend(of_bytes(text.as_bytes()));
    let named = forms
        .into_iter()
        .map(|(how, form)| (format!("{text} ({how})"), form));
    named.collect()
}

/// Bytes in every form, under their hexadecimal as a name.
pub fn of_secret(value: &[u8]) -> Vec<(String, Vec<u8>)> {
    let name = HEXLOWER.encode(value);
    let named = of_bytes(value)
        .into_iter()
        .map(|(how, form)| (format!("{name} ({how})"), form));
    named.collect()
}

fn of_bytes(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![
        ("as it is", bytes.to_vec()),
        ("hex", HEXLOWER.encode(bytes).into_bytes()),
        ("HEX", HEXUPPER.encode(bytes).into_bytes()),
        ("numbers", numbers.join(", ").into_bytes()),
        ("JSON numbers", numbers.join(",").into_bytes()),
    ];
    for skipped in 0..3 {
        for alphabet in [BASE64_NOPAD, BASE64URL_NOPAD] {
            let mut shifted = vec![0; skipped];
            shifted.extend(bytes);
            let letters = alphabet.encode(&shifted).into_bytes();
            // Without the letters that depend on what comes before and after.
            let from = (skipped * 8).div_ceil(6);
            let to = shifted.len() * 8 / 6;
            forms.push(("base64", letters[from..to].to_vec()));
        }
    }
    forms
}

fn is_unreserved(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"-._~".contains(&c)
}

fn is_plain(c: u8) -> bool {
    c.is_ascii_graphic() || c == b' '
}

/// Byte by byte: what is plain as it is, the rest escaped.
fn escaped(text: &str, is_plain: fn(u8) -> bool, escape: fn(u8) -> String) -> Vec<u8> {
    let bytes = text.bytes().flat_map(|byte| {
        if is_plain(byte) {
            vec![byte]
        } else {
            escape(byte).into_bytes()
        }
    });
    bytes.collect()
}

fn form(text: &str) -> Vec<u8> {
    let url = escaped(text, is_unreserved, |c| format!("%{c:02X}"));
    String::from_utf8(url)
        .unwrap()
        .replace("%20", "+")
        .into_bytes()
}

/// Character by character, in units of UTF-16: ASCII as it is, the rest escaped.
fn by_char(text: &str, escape: fn(u16) -> String) -> Vec<u8> {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "{}", escape(*unit)).unwrap();
            }
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Needles;

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
        let utf16 = "a Ærlig Nordmann-Kanari".encode_utf16();
        let numbers: Vec<_> = text.iter().map(u8::to_string).collect();
        for leak in [
            text.to_vec(),
            utf16.clone().flat_map(u16::to_le_bytes).collect(),
            utf16.flat_map(u16::to_be_bytes).collect(),
            HEXLOWER.encode(text).into_bytes(),
            BASE64_NOPAD.encode(text).into_bytes(),
            BASE64_NOPAD.encode(&text[1..]).into_bytes(),
            BASE64URL_NOPAD.encode(&text[2..]).into_bytes(),
            format!("[{}]", numbers.join(", ")).into(),
            "ÆRLIG NORDMANN-KANARI".into(),
            "ærlig nordmann-kanari".into(),
            r"{\u00c6rlig Nordmann-Kanari".into(),
            r"{\u00C6rlig Nordmann-Kanari".into(),
            r"\u{c6}rlig Nordmann-Kanari".into(),
            r"\303\206rlig Nordmann-Kanari".into(),
            r"\xc3\x86rlig Nordmann-Kanari".into(),
            "=C3=86rlig Nordmann-Kanari".into(),
            "&#198;rlig Nordmann-Kanari".into(),
            "?name=%C3%86rlig%20Nordmann-Kanari&".into(),
            "?name=%c3%86rlig%20Nordmann-Kanari&".into(),
            "?name=%C3%86rlig+Nordmann-Kanari&".into(),
            "tel 406 05 600.".into(),
            "tel 40 60 56 00".into(),
            "tel 40-60-56-00".into(),
            "tel 4060 5600".into(),
            "tel +47 40605600".into(),
            "tel (0047)40605600".into(),
            "tel%2B4740605600".into(),
        ] {
            std::fs::write(&file, &leak).unwrap();
            let text = String::from_utf8_lossy(&leak);
            assert!(!needles.found_below(dir.path()).is_empty(), "{text}");
        }
        let bytes = Needles::of_bytes(&[vec![7, 1, 255, 3]]);
        assert_eq!(
            bytes.found_in(&[9, 7, 1, 255, 3, 9]),
            ["0701ff03 (as it is)"]
        );
        assert_eq!(bytes.found_in(b"\\x0701ff03"), ["0701ff03 (hex)"]);
        assert!(bytes.found_in(&[7, 1, 255, 4]).is_empty());
    }
}
