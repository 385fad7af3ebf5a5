//! CSV (RFC 4180) that a spreadsheet may open.
//!
//! A header row, a row for each lead, every cell quoted, lines ended by CRLF, UTF-8 without a mark.
//!
//! A spreadsheet runs a cell that begins with one of `=`, `+`, `-`, `@`; a file from a contact form must not be
//! able to do that on the desk of whoever opens it. So no cell begins with one, and nothing is lost over it:
//!
//! - A phone number, which always begins with `+`, is written as the URI that it has everywhere else
//!   (RFC 3966: `tel:+4740605600`), under a header that says so.
//! - In any other cell an apostrophe is put before what would begin a formula, at the cell's start or after a
//!   semicolon, since spreadsheets of many languages (Norwegian among them) part cells there. To read the value
//!   back, take away one apostrophe wherever a cell, or what follows a semicolon in it, begins with an apostrophe
//!   that only spaces, quotation marks and apostrophes part from such a character. [`guarded`] puts one nowhere
//!   else, so this gives back exactly what the person wrote.

use super::ExportedLead;

/// The columns. The names are part of the format: importers map them.
const HEADER: [&str; 4] = ["name", "company", "phone_uri", "email"];

/// The leads as a file.
pub(super) fn file(leads: &[ExportedLead]) -> String {
    let mut file = String::new();
    row(&mut file, HEADER.map(str::to_owned));
    for lead in leads {
        let content = &lead.content;
        let phone = super::phone_uri(&content.phone).unwrap_or_default();
        let cells = [&content.name, &content.company, &phone, &content.email];
        row(&mut file, cells.map(|cell| guarded(cell)));
    }
    file
}

fn row(file: &mut String, cells: [String; HEADER.len()]) {
    let cells = cells.map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
    file.push_str(&cells.join(","));
    file.push_str("\r\n");
}

/// The text with an apostrophe before each part of it that would begin a formula.
fn guarded(text: &str) -> String {
    let parts = text.split(';').map(|part| {
        let begins = part.trim_start_matches([' ', '"', '\'']);
        if begins.starts_with(begins_formula) {
            format!("'{part}")
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join(";")
}

/// Whether a cell that begins with this is run by some spreadsheet: also the wide forms of East Asian
/// keyboards, and the controls, which no contact field holds.
fn begins_formula(c: char) -> bool {
    matches!(
        c,
        '=' | '+' | '-' | '@' | '\u{FF1D}' | '\u{FF0B}' | '\u{FF0D}' | '\u{FF20}'
    ) || c.is_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the module says an importer does.
    fn read_back(cell: &str) -> String {
        let parts = cell.split(';').map(|part| {
            let rest = part.strip_prefix('\'');
            let guarded = rest.filter(|rest| {
                rest.trim_start_matches([' ', '"', '\''])
                    .starts_with(begins_formula)
            });
            guarded.unwrap_or(part).to_owned()
        });
        parts.collect::<Vec<_>>().join(";")
    }

    fn cells(file: &str, delimiter: u8) -> Vec<Vec<String>> {
        let mut reader = ::csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(file.as_bytes());
        let rows = reader.records().map(|row| {
            let row = row.expect("a row");
            row.iter().map(str::to_owned).collect()
        });
        rows.collect()
    }

    /// What is left alone and what is not.
    #[test]
    fn an_apostrophe_only_before_a_formula() {
        for same in [
            "Kari",
            "'s-Gravenhage BV",
            "A=B",
            "a;b",
            "tel:+4740605600",
            "",
        ] {
            assert_eq!(guarded(same), same);
        }
        for (text, shown) in [
            ("=1+1", "'=1+1"),
            ("+kari@example.no", "'+kari@example.no"),
            ("'=1", "''=1"),
            ("a;=1", "a;'=1"),
            ("a;\"=1", "a;'\"=1"),
            ("＝1", "'＝1"),
        ] {
            assert_eq!(guarded(text), shown);
        }
    }

    proptest! {
        /// No cell can start a formula, whether a spreadsheet parts cells at commas or at semicolons; and the
        /// csv crate reads back, cell for cell, what the person wrote (in which there are no controls).
        #[test]
        fn no_cell_can_start_a_formula(
            name in "[-=+@;,\"' a\u{FF1D}\u{5D0}]{0,8}|[^\\p{Cc}]{0,20}",
            email in "[-=+@;,\"' a\u{FF1D}\u{5D0}]{0,8}|[^\\p{Cc}]{0,20}",
        ) {
            let mut file = String::new();
            let given = [name, String::new(), "tel:+4740605600".to_owned(), email];
            row(&mut file, given.clone().map(|cell| guarded(&cell)));
            for delimiter in [b',', b';'] {
                for cell in cells(&file, delimiter).concat() {
                    // Where a semicolon parts it, a cell may begin with the quotation mark and the end of its line.
                    let begins = cell.trim_start_matches([' ', '"', '\r', '\n']);
                    prop_assert!(!begins.starts_with(begins_formula), "{cell:?} in {file:?}");
                }
            }
            let read: Vec<String> = cells(&file, b',').concat().iter().map(|it| read_back(it)).collect();
            prop_assert_eq!(read, given.to_vec());
        }
    }
}
