//! Which characters no contact field takes, and which ones cannot be seen.
//!
//! The ranges come from the Unicode Character Database: `General_Category` Cc, Zl and Zp, and the
//! derived property `Default_Ignorable_Code_Point`.

/// Takes away white space and invisible marks at both ends.
///
/// Copying from a web page, a spreadsheet or an address book often takes along a line end, a
/// zero-width space or a direction mark. With no neighbour on one side these mean nothing.
/// Overrides and embeddings are not among them: they are refused, wherever they stand.
pub(super) fn trim(raw: &str) -> &str {
    raw.trim_matches(|c: char| c.is_whitespace() || is_edge_mark(c))
}

/// Soft hyphen, Arabic letter mark, zero-width characters, direction marks, word joiner, BOM.
fn is_edge_mark(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}' | '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}'
    )
}

/// Whether the character may not stand inside any contact value.
///
/// Refused is what can steer a terminal, break a log line or show a reader something else than what
/// is stored. What scripts need stays allowed: zero-width (non-)joiners (Persian, Indic scripts,
/// emoji), zero-width spaces (Khmer, Thai), direction *marks* (a Hebrew name beside a Latin one;
/// they cannot turn other text around), soft hyphens, variation selectors (Japanese names,
/// Mongolian).
pub(super) fn is_forbidden(c: char) -> bool {
    // Cc: escape sequences, NUL, and line breaks, since every field is a single line. All there is in ASCII.
    c.is_control() || !c.is_ascii() && misleads(c)
}

fn misleads(c: char) -> bool {
    // Line and paragraph separator: many log viewers and JavaScript end a line there.
    matches!(c, '\u{2028}' | '\u{2029}')
        // Bidirectional embeddings, overrides and isolates: "Trojan Source" (CVE-2021-42574). A
        // form has no way to check that they are paired, and names do without.
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        // Word joiner, invisible operators, deprecated format characters, BOM, annotation marks:
        // invisible, and no name in any script holds them.
        || matches!(c, '\u{2060}'..='\u{2065}' | '\u{206A}'..='\u{206F}' | '\u{FEFF}')
        || matches!(c, '\u{FFF0}'..='\u{FFFB}')
        // Shorthand and musical format controls, for the same reason.
        || matches!(c, '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}')
        // Tag characters can carry a hidden ASCII text. (They also spell three regional flags.)
        || matches!(c, '\u{E0000}'..='\u{E00FF}' | '\u{E01F0}'..='\u{E0FFF}')
        || is_noncharacter(c)
}

/// The 66 code points that are not for interchange: U+FDD0..U+FDEF and the last two of each plane.
fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{FDD0}'..='\u{FDEF}') || u32::from(c) & 0xFFFE == 0xFFFE
}

/// `Default_Ignorable_Code_Point`: characters that show nothing of themselves.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{034F}'
            | '\u{061C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// Whether nothing of the text can be seen.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_invisible(c))
}
