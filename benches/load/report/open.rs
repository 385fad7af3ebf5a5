//! Figures of the open loop: each step of each subject, in a table or JSON.

use std::time::Duration;

use comfy_table::Table;
use hdrhistogram::Histogram;
use lead_intake::cli;
use serde_json::json;

use super::{
    super::{
        Options,
        figures::mib,
        overload::{Recovery, Run, Step},
    },
    cores, float, table,
};

/// Prints the steps.
pub(crate) fn print_open(options: &Options, runs: &[Run]) -> anyhow::Result<()> {
    if options.json {
        return print_json(options, runs);
    }
    for run in runs {
        cli::print(&format!("\n{}", run.subject))?;
        cli::print(&steps(run).to_string())?;
        for step in &run.steps {
            print_notes(step)?;
        }
        match run.recovery {
            None => {}
            Some(Recovery::Within(time)) => cli::print(&format!(
                "answered as before the flood {:.2} s after its end",
                time.as_secs_f64()
            ))?,
            Some(Recovery::Never) => {
                cli::print("NOT answered as before the flood, to the end")?;
            }
        }
    }
    cli::print(&format!(
        "{} connections, {} s a step; server, database and generator share {} cores, and \"cores\" says what each took; \
         latencies count from the planned time, \"as sent\" from the sending",
        options.open_connections(),
        options.seconds,
        cores(),
    ))
}

/// Why calls of a step were refused, and whether all were sent at their times.
fn print_notes(step: &Step) -> anyhow::Result<()> {
    for (reason, count) in &step.reasons {
        cli::print(&format!("{}: {count} times {reason}", step.name))?;
    }
    let answers = &step.outcome.answers;
    let planned = answers.sent + answers.missed;
    let behind = answers.late + answers.missed;
    if step.rate.is_none() || behind == 0 {
        return Ok(());
    }
    let verdict = if behind * 100 > planned {
        ", NOT KEPT UP"
    } else {
        ""
    };
    cli::print(&format!(
        "{}{verdict}: of {planned} calls {} were sent more than 10 ms late and {} not at all within 1 s; of these {} \
         because the server had not answered those before them on their connection, the rest by the generator's fault",
        step.name, answers.late, answers.missed, answers.held
    ))
}

fn steps(run: &Run) -> Table {
    let mut table = table(&[
        "step",
        "planned/s",
        "accepted/s",
        "/C",
        "refused/s",
        "p50 ms",
        "p99 ms",
        "/0.5 C",
        "refusal p99",
        "as sent",
        "MiB",
        "peak",
        "cores: server",
        "PostgreSQL",
        "generator",
    ]);
    for step in &run.steps {
        table.add_row(row(run, step));
    }
    table
}

fn row(run: &Run, step: &Step) -> Vec<String> {
    let some = |figure: Option<f64>, digits: usize| {
        figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
    };
    let outcome = &step.outcome;
    let answers = &outcome.answers;
    let cores = |used: Duration| used.as_secs_f64() / outcome.duration().as_secs_f64();
    vec![
        step.name.clone(),
        step.rate
            .map_or_else(|| "-".to_owned(), |rate| rate.to_string()),
        format!("{:.0}", step.accepted()),
        some(run.capacity().map(|c| step.accepted() / c), 2),
        format!("{:.0}", step.refused()),
        some(ms(&answers.accepted, 0.5), 2),
        some(ms(&answers.accepted, 0.99), 2),
        some(p99_to_half(run, step), 2),
        some(ms(&answers.refused, 0.99), 2),
        some(ms(&answers.refused_of_sent, 0.99), 2),
        format!("{:.0}", mib(outcome.memory_before)),
        format!("{:.0}", mib(outcome.memory_peak)),
        format!("{:.2}", cores(outcome.used.server)),
        some(outcome.used.database.map(cores), 2),
        format!("{:.2}", cores(outcome.generator)),
    ]
}

/// A quantile in milliseconds, if there is anything.
fn ms(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!histogram.is_empty()).then(|| float(histogram.value_at_quantile(quantile)) / 1000.0)
}

/// The 99th percentile of accepted calls as a multiple of that at half the capacity.
fn p99_to_half(run: &Run, step: &Step) -> Option<f64> {
    run.capacity()?;
    let half = ms(&run.steps.get(1)?.outcome.answers.accepted, 0.99)?;
    Some(ms(&step.outcome.answers.accepted, 0.99)? / half)
}

fn print_json(options: &Options, runs: &[Run]) -> anyhow::Result<()> {
    let servers: Vec<_> = runs
        .iter()
        .map(|run| {
            let rows: Vec<_> = run.steps.iter().map(|step| object(run, step)).collect();
            let normal_after = match run.recovery {
                Some(Recovery::Within(time)) => Some(time.as_secs_f64()),
                Some(Recovery::Never) | None => None,
            };
            json!({
                "server": run.subject,
                "normal_after_s": normal_after,
                "steps": rows,
            })
        })
        .collect();
    let report = json!({
        "connections": options.open_connections(),
        "seconds": options.seconds,
        "cores": cores(),
        "servers": servers,
    });
    cli::print(&serde_json::to_string_pretty(&report)?)
}

fn object(run: &Run, step: &Step) -> serde_json::Value {
    let outcome = &step.outcome;
    let answers = &outcome.answers;
    json!({
        "step": step.name,
        "planned_per_second": step.rate,
        "accepted_per_second": step.accepted(),
        "accepted_of_capacity": run.capacity().map(|c| step.accepted() / c),
        "refused_per_second": step.refused(),
        "accepted_p50_ms": ms(&answers.accepted, 0.5),
        "accepted_p99_ms": ms(&answers.accepted, 0.99),
        "accepted_p99_of_half": p99_to_half(run, step),
        "refused_p99_ms": ms(&answers.refused, 0.99),
        "refused_p99_as_sent_ms": ms(&answers.refused_of_sent, 0.99),
        "refusals": step.reasons,
        "sent": answers.sent,
        "sent_late": answers.late,
        "missed": answers.missed,
        "late_or_missed_for_the_server": answers.held,
        "memory_before_bytes": outcome.memory_before,
        "memory_peak_bytes": outcome.memory_peak,
        "server_cpu_s": outcome.used.server.as_secs_f64(),
        "database_cpu_s": outcome.used.database.map(|used| used.as_secs_f64()),
        "generator_cpu_s": outcome.generator.as_secs_f64(),
    })
}
