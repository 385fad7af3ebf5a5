//! Reads a profile of callgrind: the instructions of each function by itself, added up by part.
//!
//! The format (valgrind's manual, "Callgrind Format Specification"): `fl=`, `fn=` and `ob=` say whose the lines are that
//! follow, each a place and a cost. A name is given once, as `(id) name`, and is `(id)` from then on; the names in `cfn=`,
//! `cfi=` and `cob=`, of what is called, count as given too. The line after `calls=` is what a call cost with all that it
//! called, which is no cost of the caller itself.

use std::{
    collections::HashMap,
    io::{BufRead, Read as _},
};

use anyhow::{Context as _, ensure};

use super::parts::{Costs, Part};

/// The longest line: names of generic functions have some thousand characters.
const LINE_MAX: u64 = 1 << 20;

/// Names by their identifiers, of one sort.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    /// The name that is written: `(id) name`, `(id)`, or without an identifier.
    fn read(&mut self, written: &str) -> String {
        let Some((id, name)) = written.strip_prefix('(').and_then(|it| it.split_once(')')) else {
            return written.to_owned();
        };
        if let Some(name) = name.strip_prefix(' ') {
            self.0.insert(id.to_owned(), name.to_owned());
            return name.to_owned();
        }
        self.0.get(id).cloned().unwrap_or_default()
    }
}

/// Where the reader is.
#[derive(Default)]
struct Reader {
    objects: Names,
    files: Names,
    functions: Names,
    object: String,
    file: String,
    function: String,
    /// Of the function.
    part: Option<Part>,
    /// The next cost is that of a call.
    is_call: bool,
    /// What the profile itself says is the sum.
    total: Option<u64>,
    costs: Costs,
}

/// The costs of a profile. Fails if they are not what it says is their sum.
pub(crate) fn read(mut profile: impl BufRead) -> anyhow::Result<Costs> {
    let mut reader = Reader::default();
    let mut line = Vec::new();
    while profile
        .by_ref()
        .take(LINE_MAX)
        .read_until(b'\n', &mut line)?
        > 0
    {
        reader.line(String::from_utf8_lossy(&line).trim_end())?;
        line.clear();
    }
    let total = reader.total.context("a profile without its sum")?;
    ensure!(
        reader.costs.total() == total,
        "the profile was not understood: {} instructions, and not {total}",
        reader.costs.total(),
    );
    Ok(reader.costs)
}

impl Reader {
    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            return self.cost(line);
        }
        let Some((key, value)) = line.split_once('=') else {
            if let Some(total) = line.strip_prefix("totals: ") {
                self.total = Some(total.parse()?);
            }
            return Ok(());
        };
        match key {
            "ob" => self.object = self.objects.read(value),
            "fl" => self.file = self.files.read(value),
            "fn" => {
                self.function = self.functions.read(value);
                self.part = None;
            }
            "cob" => drop(self.objects.read(value)),
            // What was inlined into a function is the function's.
            "fi" | "fe" | "cfi" | "cfl" => drop(self.files.read(value)),
            "cfn" => drop(self.functions.read(value)),
            "calls" => self.is_call = true,
            _ => {}
        }
        Ok(())
    }

    /// A place and its cost; without one it is 0.
    fn cost(&mut self, line: &str) -> anyhow::Result<()> {
        if std::mem::take(&mut self.is_call) {
            return Ok(());
        }
        if let Some((_, cost)) = line.split_once(' ') {
            let part = *self
                .part
                .get_or_insert_with(|| Part::of(&self.object, &self.file, &self.function));
            self.costs.add(part, cost.parse()?);
        }
        Ok(())
    }
}
