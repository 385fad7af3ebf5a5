//! Statements over many rows.
//!
//! A list of rows is cut into runs of 256, 128, … 1, so that a batch of any size is a few statements of which
//! each is prepared once per connection; a text for each batch size would be parsed every time. Placeholders
//! are the one thing that differs: SQLite keeps `$1` as a name and finds it by a walk over all names, which
//! for a few thousand of them took 12 % of the server's time; a bare `?` has none.

use std::{marker::PhantomData, sync::OnceLock};

use super::dialect::{Dialect, Value};

/// Rows of the largest run: 256. SQLite takes 32,766 values in a statement, PostgreSQL 65,535.
const SIZES: usize = 9;

/// A statement whose middle is a list of rows: `head ($1, $2), ($3, $4) tail`.
pub(super) struct Bulk {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    numbered: [OnceLock<String>; SIZES],
    bare: [OnceLock<String>; SIZES],
}

impl Bulk {
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self {
            head,
            columns,
            tail,
            numbered: [const { OnceLock::new() }; SIZES],
            bare: [const { OnceLock::new() }; SIZES],
        }
    }

    /// The statements for these values, which are whole rows one after the other.
    pub(super) fn statements<DB: Dialect>(&'static self, values: Vec<Value>) -> Statements<DB> {
        Statements {
            bulk: self,
            values,
            database: PhantomData,
        }
    }

    /// Each text there can be, for the test that prepares them all.
    pub(super) fn texts(&'static self, numbered: bool) -> impl Iterator<Item = &'static str> {
        (0..SIZES).map(move |size| self.text(size, numbered))
    }

    fn text(&'static self, size: usize, numbered: bool) -> &'static str {
        let texts = if numbered { &self.numbered } else { &self.bare };
        texts[size].get_or_init(|| {
            let place = |number| {
                if numbered {
                    format!("${number}")
                } else {
                    "?".to_owned()
                }
            };
            let rows: Vec<String> = (0..1 << size)
                .map(|row| {
                    let first = row * self.columns + 1;
                    let places: Vec<String> = (first..first + self.columns).map(place).collect();
                    format!("({})", places.join(", "))
                })
                .collect();
            format!("{} {} {}", self.head, rows.join(", "), self.tail)
        })
    }
}

/// The statements of a [`Bulk`] over some values, largest first.
pub(super) struct Statements<DB> {
    bulk: &'static Bulk,
    values: Vec<Value>,
    database: PhantomData<fn() -> DB>,
}

impl<DB: Dialect> Iterator for Statements<DB> {
    type Item = (&'static str, Vec<Value>);

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.values.len() / self.bulk.columns;
        let size = usize::try_from(rows.checked_ilog2()?)
            .unwrap_or(0)
            .min(SIZES - 1);
        let rest = self.values.split_off(self.bulk.columns << size);
        let run = std::mem::replace(&mut self.values, rest);
        Some((self.bulk.text(size, DB::NUMBERED), run))
    }
}
