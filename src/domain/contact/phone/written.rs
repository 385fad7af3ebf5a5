//! How people write a telephone number, read down to the keys they would press.
//!
//! The rule: everything around the number must be understood, or the number is refused. What is
//! dropped without being understood may have been an extension, a second number, or a "not".

use unicode_normalization::UnicodeNormalization;

/// Words that may stand before or after a number without being part of it, in lower case.
///
/// Norwegian first, then what neighbours and English speakers write. None of them may announce an
/// extension or a second number.
const LABELS: &str = "\
    tlf tlfnr tel telnr telf tfn telefon telefonnr telefonnummer fon mob mobil mobilnr \
    mobilnummer mobiltlf mobiltelefon mobile cell phone telephone puhelin sentralbord kontor \
    jobb arbeid privat hjem hjemme direkte office work home nr no num nummer number ring meg \
    på mitt er t m p d callto sms whatsapp \
";

/// The first digit, zero, of each script's ten; the scripts people have on their keyboards.
const ZEROS: [char; 21] = [
    '0', '\u{FF10}', '\u{0660}', '\u{06F0}', '\u{07C0}', '\u{0966}', '\u{09E6}', '\u{0A66}',
    '\u{0AE6}', '\u{0B66}', '\u{0BE6}', '\u{0C66}', '\u{0CE6}', '\u{0D66}', '\u{0DE6}', '\u{0E50}',
    '\u{0ED0}', '\u{0F20}', '\u{1040}', '\u{17E0}', '\u{1810}',
];

/// What to dial: an optional plus sign, then ASCII digits only.
pub(super) struct Dialled {
    /// Every digit that was written.
    ///
    /// To be tried first: where "(0)" is a trunk prefix the numbering plan takes it away, and where
    /// the zero belongs to the number (Italy) it must stay.
    pub digits: String,
    /// The same without the remark "(0)", where there is one: the country may have no trunk prefix,
    /// as Norway, and the zero was written out of habit.
    pub without_trunk: Option<String>,
}

/// Reads one number with its label and remark; `None` if anything is left that is neither.
pub(super) fn read(text: &str) -> Option<Dialled> {
    let plain: String = if text.is_ascii() {
        text.chars().map(plain).collect()
    } else {
        text.nfc().map(plain).collect()
    };
    let start = plain.find(|c: char| c == '+' || c.is_ascii_digit())?;
    // One past a digit, which is one byte long.
    let end = plain.rfind(|c: char| c.is_ascii_digit())? + 1;
    let body = plain.get(start..end)?;
    if !is_label(&plain[..start]) || !is_closing(&plain[end..]) {
        return None;
    }

    let keys = keys(body)?;
    let digits_of = |keys: &str| keys.replace(['(', ')'], "");
    let digits = digits_of(&keys);
    let without_trunk = keys
        .contains("(0)")
        .then(|| digits_of(&keys.replacen("(0)", "", 1)));
    Some(Dialled {
        digits,
        without_trunk,
    })
}

/// The ASCII character for a digit or sign of another script; others stay as they are.
fn plain(c: char) -> char {
    match c {
        '\u{FF0B}' => '+',
        '(' | '[' | '\u{FF08}' | '\u{FF3B}' => '(',
        ')' | ']' | '\u{FF09}' | '\u{FF3D}' => ')',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30FC}' | '\u{FE63}' | '\u{FF0D}' => '-',
        '\u{FF0E}' | '\u{00B7}' | '\u{2022}' | '\u{30FB}' => '.',
        '\u{FF0F}' | '\u{2044}' => '/',
        c if c.is_whitespace() => ' ',
        c => digit(c).unwrap_or(c),
    }
}

fn digit(c: char) -> Option<char> {
    let value = ZEROS.iter().find_map(|zero| {
        let value = u32::from(c).checked_sub(u32::from(*zero))?;
        (value < 10).then_some(value)
    })?;
    char::from_digit(value, 10)
}

/// The keys of a number without its grouping: a leading plus sign, digits, and brackets.
fn keys(body: &str) -> Option<String> {
    let mut keys = String::with_capacity(body.len());
    for (at, c) in body.char_indices() {
        match c {
            // A second plus sign is a second number.
            '+' if at == 0 => keys.push(c),
            '0'..='9' | '(' | ')' => keys.push(c),
            ' ' | '-' | '.' | '/' => {}
            _ => return None,
        }
    }
    Some(keys)
}

/// Whether the text is only known words and punctuation.
fn is_label(text: &str) -> bool {
    text.to_lowercase()
        .split(|c: char| " .:,-/()☎✆📞📱".contains(c))
        .all(|word| word.is_empty() || LABELS.split_whitespace().any(|label| label == word))
}

/// What may follow the last digit: a label, and a remark in brackets that says anything at all.
///
/// The remark has no digit, or the number would not have ended before it: "(ext. 5)" and
/// "(or 22123456)" are read as part of the number and fail there.
fn is_closing(text: &str) -> bool {
    match text.split_once('(') {
        None => is_label(text),
        Some((label, remark)) => {
            is_label(label) && remark.trim_end_matches([' ', '.', ',']).ends_with(')')
        }
    }
}
