//! Statements over many rows.
//!
//! On PostgreSQL the rows are arrays, one for each column: one text for any number of rows, parsed and planned
//! once. SQLite has no arrays: there the rows are a list of values, cut into runs of 256, 128, … 1, so that a
//! batch of any size is a few statements of which each is prepared once. Its placeholders are bare, since it
//! keeps `$1` as a name and finds that by a walk over all names: 12 % of the server's time, measured.

use std::sync::OnceLock;

use super::dialect::Value;

/// Rows of the largest run on SQLite: 256. It takes 32,766 values in a statement.
pub(super) const SIZES: usize = 9;

/// A statement with a list of rows in it: `head VALUES (?, ?), (?, ?) tail`.
pub(crate) struct Bulk {
    head: &'static str,
    columns: &'static [ColumnType],
    tail: &'static str,
    /// A statement that goes with it, and how many values it takes.
    beside: Option<(&'static str, usize)>,
    runs: [OnceLock<String>; SIZES],
    arrays: OnceLock<String>,
}

/// The type of a column, whose values may all be absent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ColumnType {
    Int,
    Bool,
    Text,
    Bytes,
    Uuid,
}

impl ColumnType {
    /// The array type on PostgreSQL.
    fn array(self) -> &'static str {
        match self {
            Self::Int => "bigint[]",
            Self::Bool => "boolean[]",
            Self::Text => "text[]",
            Self::Bytes => "bytea[]",
            Self::Uuid => "uuid[]",
        }
    }
}

impl Bulk {
    pub(super) const fn new(
        head: &'static str,
        columns: &'static [ColumnType],
        tail: &'static str,
    ) -> Self {
        let runs = [const { OnceLock::new() }; SIZES];
        Self {
            head,
            columns,
            tail,
            beside: None,
            runs,
            arrays: OnceLock::new(),
        }
    }

    /// With another statement beside it, whose values come before the rows: on PostgreSQL both are one, and one
    /// round trip. Without rows neither is run.
    pub(super) const fn beside(mut self, sql: &'static str, values: usize) -> Self {
        self.beside = Some((sql, values));
        self
    }

    /// How many values come before the rows.
    fn values_beside(&self) -> usize {
        self.beside.map_or(0, |(_, values)| values)
    }

    /// The statements for SQLite over these values, which are whole rows one after the other.
    pub(super) fn runs(&'static self, mut values: Vec<Value>) -> Vec<(&'static str, Vec<Value>)> {
        let mut statements = Vec::new();
        if let Some((sql, count)) = self.beside.filter(|(_, count)| values.len() > *count) {
            let rows = values.split_off(count);
            statements.push((sql, std::mem::replace(&mut values, rows)));
        }
        while let Some(size) = (values.len() / self.columns.len()).checked_ilog2() {
            let size = usize::try_from(size).unwrap_or(0).min(SIZES - 1);
            let rest = values.split_off(self.columns.len() << size);
            statements.push((self.run(size), std::mem::replace(&mut values, rest)));
        }
        statements
    }

    /// The statement for PostgreSQL over these values, which are whole rows one after the other.
    pub(super) fn arrays(&'static self, values: Vec<Value>) -> Vec<(&'static str, Vec<Value>)> {
        let mut given = values;
        let rows = given.split_off(self.values_beside());
        if rows.is_empty() {
            return Vec::new();
        }
        given.extend(self.array_values(rows));
        vec![(self.array_text(), given)]
    }

    /// An array for each column of these values, which are whole rows one after the other.
    pub(super) fn array_values(&self, values: Vec<Value>) -> impl Iterator<Item = Value> {
        let rows = values.len() / self.columns.len();
        let mut arrays: Vec<Vec<Value>> = self
            .columns
            .iter()
            .map(|_| Vec::with_capacity(rows))
            .collect();
        for (place, value) in values.into_iter().enumerate() {
            arrays[place % self.columns.len()].push(value);
        }
        let types = self.columns.iter().copied();
        types
            .zip(arrays)
            .map(|(of, values)| Value::Array(of, values))
    }

    /// Each text there can be, for the test that prepares them all.
    pub(super) fn texts(&'static self, arrays: bool) -> Vec<&'static str> {
        if arrays {
            vec![self.array_text()]
        } else {
            let beside = self.beside.map(|(sql, _)| sql);
            let runs = (0..SIZES).map(|size| self.run(size));
            beside.into_iter().chain(runs).collect()
        }
    }

    fn run(&'static self, size: usize) -> &'static str {
        self.runs[size].get_or_init(|| {
            let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
            let rows = vec![row; 1 << size].join(", ");
            // A statement that fails fails its transaction, here as on PostgreSQL, so it need not be taken back by itself: for that
            // SQLite would copy each page before the statement's first change to it.
            let head = self.head.replacen("INSERT INTO", "INSERT OR FAIL INTO", 1);
            format!("{head} VALUES {rows} {}", self.tail)
        })
    }

    fn array_text(&'static self) -> &'static str {
        self.arrays.get_or_init(|| {
            let beside = self
                .beside
                .map_or_else(String::new, |(sql, _)| format!("WITH beside AS ({sql}) "));
            let rows = self.unnest(self.values_beside() + 1);
            format!("{beside}{} SELECT * FROM {rows} {}", self.head, self.tail)
        })
    }

    /// The rows out of arrays, of which the first is this placeholder.
    fn unnest(&self, first: usize) -> String {
        let columns = self.columns.iter().enumerate();
        let places: Vec<String> = columns
            .map(|(place, of)| format!("${}::{}", first + place, of.array()))
            .collect();
        format!("UNNEST({})", places.join(", "))
    }

    /// A part of a larger statement for PostgreSQL: the rows out of arrays, the first of which is this placeholder, once
    /// for each row of `beside`.
    pub(super) fn array_part(&self, first: usize, beside: &str) -> String {
        let rows = self.unnest(first);
        format!(
            "{} SELECT given.* FROM {rows} AS given, {beside}",
            self.head
        )
    }

    /// A part of a larger statement for SQLite, which ends that one's transaction if it fails: a list of so many rows, of which
    /// those whose first value is absent are none.
    pub(super) fn values_part(&self, rows: usize) -> String {
        let head = self
            .head
            .replacen("INSERT INTO", "INSERT OR ROLLBACK INTO", 1);
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let rows = vec![row; rows].join(", ");
        format!("{head} SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL")
    }

    /// How many placeholders a row takes.
    pub(super) const fn width(&self) -> usize {
        self.columns.len()
    }
}
