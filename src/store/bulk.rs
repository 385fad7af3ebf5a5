//! Statements over many rows.
//!
//! A list of rows is cut into runs of 256, 128, … 1, so that a batch of any size is a few statements of which
//! each is prepared once per connection; a text for each batch size would be parsed every time.

use std::sync::OnceLock;

use super::dialect::Value;

/// Rows of the largest run: 256. SQLite takes 32,766 values in a statement, PostgreSQL 65,535.
const SIZES: usize = 9;

/// A statement whose middle is a list of rows: `head ($1, $2), ($3, $4) tail`.
pub(super) struct Bulk {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    texts: [OnceLock<String>; SIZES],
}

impl Bulk {
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self {
            head,
            columns,
            tail,
            texts: [const { OnceLock::new() }; SIZES],
        }
    }

    /// The statements for these values, which are whole rows one after the other.
    pub(super) fn statements(
        &'static self,
        mut values: Vec<Value>,
    ) -> impl Iterator<Item = (&'static str, Vec<Value>)> {
        std::iter::from_fn(move || {
            let rows = values.len() / self.columns;
            let size = usize::try_from(rows.checked_ilog2()?)
                .unwrap_or(0)
                .min(SIZES - 1);
            let rest = values.split_off(self.columns << size);
            Some((self.text(size), std::mem::replace(&mut values, rest)))
        })
    }

    /// Each text there can be, for the test that prepares them all.
    pub(super) fn texts(&'static self) -> impl Iterator<Item = &'static str> {
        (0..SIZES).map(|size| self.text(size))
    }

    fn text(&'static self, size: usize) -> &'static str {
        self.texts[size].get_or_init(|| {
            let rows: Vec<String> = (0..1 << size)
                .map(|row| {
                    let places: Vec<String> = (1..=self.columns)
                        .map(|column| format!("${}", row * self.columns + column))
                        .collect();
                    format!("({})", places.join(", "))
                })
                .collect();
            format!("{} {} {}", self.head, rows.join(", "), self.tail)
        })
    }
}
