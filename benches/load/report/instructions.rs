//! Instructions of a submission by part, with another program's beside them.

use std::collections::BTreeSet;

use lead_intake::cli;
use serde_json::{Map, Value, json};

use super::{
    super::{
        Options,
        instructions::{ALONE, CROWD, Count, Counts, Load, Part},
    },
    float, table,
};

/// The counts of a program under one load: those of the round in the middle, so that the parts add up to the total.
struct Column<'a> {
    load: Load,
    count: &'a Count,
    /// Between the largest and the smallest total of the rounds, to the one in the middle.
    spread: f64,
}

impl<'a> Column<'a> {
    fn new(load: Load, rounds: &'a [Count]) -> Option<Self> {
        let mut rounds: Vec<_> = rounds.iter().collect();
        rounds.sort_by_key(|count| count.costs.total());
        let total = |count: &Count| float(count.costs.total());
        let (first, last) = (rounds.first()?, rounds.last()?);
        let count = rounds.get(rounds.len() / 2)?;
        Some(Self {
            load,
            count,
            spread: (total(last) - total(first)) / total(count),
        })
    }

    fn each(&self, instructions: u64) -> f64 {
        float(instructions) / f64::from(self.load.submissions())
    }

    fn part(&self, part: Part) -> f64 {
        self.each(self.count.costs.of(part))
    }

    fn total(&self) -> f64 {
        self.each(self.count.costs.total())
    }
}

/// The two loads of a program.
fn columns(counts: &Counts) -> Vec<Column<'_>> {
    let crowd = Column::new(CROWD, &counts.crowd);
    crowd
        .into_iter()
        .chain(Column::new(ALONE, &counts.alone))
        .collect()
}

/// Prints a table for each database.
pub(crate) fn print_instructions(options: &Options, all: &[Counts]) -> anyhow::Result<()> {
    if options.json {
        let programs: Vec<_> = all.iter().map(as_json).collect();
        return cli::print(&serde_json::to_string_pretty(&programs)?);
    }
    for counts in all.iter().filter(|it| !it.subject.contains("beside")) {
        let name = format!("{}, beside", counts.subject);
        let beside = all.iter().find(|it| it.subject == name);
        print_one(counts, beside)?;
    }
    cli::print(&format!(
        "thousands of instructions of a submission, the middle one of {} round(s); {} and {} submissions are counted",
        options.rounds,
        CROWD.submissions(),
        ALONE.submissions(),
    ))
}

fn print_one(counts: &Counts, beside: Option<&Counts>) -> anyhow::Result<()> {
    let (ours, theirs) = (columns(counts), beside.map_or_else(Vec::new, columns));
    let mut header = vec![counts.subject.to_owned()];
    for column in &ours {
        header.push(match column.load.in_flight() {
            1 => "one caller alone".to_owned(),
            calls => format!("{calls} in flight"),
        });
        if beside.is_some() {
            header.extend(["beside".to_owned(), "ratio".to_owned()]);
        }
    }
    let mut table = table(&header.iter().map(String::as_str).collect::<Vec<_>>());
    let mut row = |name: &str, figure: &dyn Fn(&Column<'_>) -> f64, digits: usize| {
        let mut row = vec![name.to_owned()];
        for (place, column) in ours.iter().enumerate() {
            let figure_of = |column| format!("{:.digits$}", figure(column));
            row.push(figure_of(column));
            if let Some(beside) = theirs.get(place) {
                row.push(figure_of(beside));
                let ratio = figure(column) / figure(beside);
                // To nothing there is none.
                row.push(if ratio.is_finite() {
                    format!("{ratio:.2}")
                } else {
                    String::new()
                });
            }
        }
        table.add_row(row);
    };
    let counted = ours.iter().chain(&theirs);
    let parts: BTreeSet<_> = counted.flat_map(|it| it.count.costs.parts()).collect();
    for part in parts {
        row(part.name(), &|column| column.part(part) / 1e3, 1);
    }
    row("together", &|column| column.total() / 1e3, 1);
    row("calls in a transaction", &|column| column.count.batch, 1);
    row("spread of the rounds, %", &|column| column.spread * 1e2, 1);
    cli::print(&table.to_string())
}

fn as_json(counts: &Counts) -> Value {
    let columns = columns(counts);
    let loads = columns.iter().map(|column| {
        let parts = column.count.costs.parts();
        let parts: Map<_, _> = parts
            .map(|part| (part.name().to_owned(), json!(column.part(part))))
            .collect();
        json!({
            "calls_in_flight": column.load.in_flight(),
            "instructions": column.total(),
            "parts": parts,
            "batch": column.count.batch,
            "spread": column.spread,
        })
    });
    json!({ "server": counts.subject, "loads": loads.collect::<Vec<_>>() })
}
