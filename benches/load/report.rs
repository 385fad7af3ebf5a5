//! Figures of the closed loop: medians, ratios to the echo, a table or JSON.

mod instructions;
mod open;
mod peers;
mod sheet;

use std::{thread::available_parallelism, time::Duration};

use comfy_table::{CellAlignment, Table};
use lead_intake::cli;
use serde_json::json;

use super::{Options, client::Outcome};

pub(crate) use self::{
    instructions::print_instructions, open::print_open, peers::print_peers, sheet::print_sheets,
};

/// The figures of one subject in one round, or their medians.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    calls_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Processor time of the server for each call, in microseconds.
    cpu_us: f64,
    /// Processor time of PostgreSQL for each call, in microseconds, if it can be measured.
    database_cpu_us: Option<f64>,
    /// Submissions in a transaction, on average.
    batch: Option<f64>,
    /// With one caller and one call in flight.
    alone_p50_ms: f64,
    pub(crate) errors: u64,
}

impl Sample {
    pub(crate) fn new(crowd: &Outcome, alone: &Outcome) -> Self {
        let calls = float(crowd.latencies.len());
        let each = |used: Duration| used.as_secs_f64() * 1e6 / calls.max(1.0);
        Self {
            calls_per_second: calls / crowd.duration.as_secs_f64(),
            p50_ms: quantile_ms(crowd, 0.5),
            p99_ms: quantile_ms(crowd, 0.99),
            cpu_us: each(crowd.used.server),
            database_cpu_us: crowd.used.database.map(each),
            batch: crowd
                .used
                .batches
                .map(|batches| calls / float(batches).max(1.0)),
            alone_p50_ms: quantile_ms(alone, 0.5),
            errors: crowd.errors + alone.errors,
        }
    }

    /// The median of each figure by itself.
    pub(crate) fn median(samples: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(samples.iter().map(figure).collect());
        let of_some = |figure: fn(&Self) -> Option<f64>| {
            let figures: Vec<f64> = samples.iter().filter_map(figure).collect();
            (!figures.is_empty()).then(|| median(figures))
        };
        Self {
            calls_per_second: of(|s| s.calls_per_second),
            p50_ms: of(|s| s.p50_ms),
            p99_ms: of(|s| s.p99_ms),
            cpu_us: of(|s| s.cpu_us),
            database_cpu_us: of_some(|s| s.database_cpu_us),
            batch: of_some(|s| s.batch),
            alone_p50_ms: of(|s| s.alone_p50_ms),
            errors: samples.iter().map(|s| s.errors).sum(),
        }
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match (figures.get(middle.wrapping_sub(1)), figures.get(middle)) {
        (Some(below), Some(above)) if figures.len().is_multiple_of(2) => {
            f64::midpoint(*below, *above)
        }
        (_, Some(only)) => *only,
        _ => 0.0,
    }
}

pub(crate) fn quantile_ms(outcome: &Outcome, quantile: f64) -> f64 {
    float(outcome.latencies.value_at_quantile(quantile)) / 1e6
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of a bench are far below 2^53"
)]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// Prints the figures. The first row is the echo's, to which the ratios are.
pub(crate) fn print(options: &Options, rows: &[(&str, Sample)]) -> anyhow::Result<()> {
    let Some((_, echo)) = rows.first() else {
        return Ok(());
    };
    if options.json {
        return print_json(options, rows, echo);
    }
    let mut table = table(&[
        "server",
        "calls/s",
        "/echo",
        "p50 ms",
        "p99 ms",
        "CPU µs/call",
        "/echo",
        "PostgreSQL",
        "batch",
        "alone p50",
        "/echo",
    ]);
    for (name, sample) in rows {
        let some =
            |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |f| format!("{f:.1}"));
        table.add_row([
            (*name).to_owned(),
            format!("{:.0}", sample.calls_per_second),
            format!("{:.2}", sample.calls_per_second / echo.calls_per_second),
            format!("{:.2}", sample.p50_ms),
            format!("{:.2}", sample.p99_ms),
            format!("{:.1}", sample.cpu_us),
            format!("{:.2}", sample.cpu_us / echo.cpu_us),
            some(sample.database_cpu_us),
            some(sample.batch),
            format!("{:.3}", sample.alone_p50_ms),
            format!("{:.2}", sample.alone_p50_ms / echo.alone_p50_ms),
        ]);
    }
    cli::print(&table.to_string())?;
    cli::print(&format!(
        "{} connections x {} calls in flight, {} s, medians of {} round(s); client and server share {} cores",
        options.closed_connections(),
        options.calls,
        options.seconds,
        options.rounds,
        cores(),
    ))
}

/// A table of figures, one row for each name.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn print_json(options: &Options, rows: &[(&str, Sample)], echo: &Sample) -> anyhow::Result<()> {
    let servers: Vec<_> = rows
        .iter()
        .map(|(name, sample)| {
            json!({
                "server": name,
                "calls_per_second": sample.calls_per_second,
                "calls_per_second_of_echo": sample.calls_per_second / echo.calls_per_second,
                "p50_ms": sample.p50_ms,
                "p99_ms": sample.p99_ms,
                "cpu_us": sample.cpu_us,
                "cpu_us_of_echo": sample.cpu_us / echo.cpu_us,
                "database_cpu_us": sample.database_cpu_us,
                "batch": sample.batch,
                "alone_p50_ms": sample.alone_p50_ms,
                "alone_p50_ms_of_echo": sample.alone_p50_ms / echo.alone_p50_ms,
                "errors": sample.errors,
            })
        })
        .collect();
    let report = json!({
        "connections": options.closed_connections(),
        "calls": options.calls,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "cores": cores(),
        "servers": servers,
    });
    cli::print(&serde_json::to_string_pretty(&report)?)
}

fn cores() -> usize {
    available_parallelism().map_or(0, std::num::NonZero::get)
}
