//! Figures of stores with leads: a table for each subject, or JSON.

use lead_intake::cli;
use serde_json::{Map, json};

use super::{
    super::{
        Options,
        filled::{Filled, Size},
    },
    cores, table,
};

/// Prints the figures, those of the largest store beside those of the smallest.
pub(crate) fn print_filled(options: &Options, all: &[Filled]) -> anyhow::Result<()> {
    if options.json {
        return print_json(all);
    }
    for filled in all {
        print_table(filled)?;
    }
    cli::print(&format!(
        "one thing at a time; client, server and database share {} cores",
        cores()
    ))
}

fn print_table(filled: &Filled) -> anyhow::Result<()> {
    let (Some(first), Some(last)) = (filled.sizes.first(), filled.sizes.last()) else {
        return Ok(());
    };
    let mut header = vec![filled.subject.to_owned()];
    header.extend(
        filled
            .sizes
            .iter()
            .map(|size| format!("{} leads", size.leads)),
    );
    header.push("last/first".to_owned());
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = table(&header);
    for (place, figure) in first.figures.iter().enumerate() {
        let mut row = vec![figure.name.clone()];
        let value = |size: &Size| size.figures.get(place).map_or(0.0, |it| it.value);
        for size in &filled.sizes {
            row.push(format!("{:.*}", figure.digits, value(size)));
        }
        row.push(format!("{:.2}", value(last) / figure.value));
        table.add_row(row);
    }
    cli::print(&table.to_string())
}

fn print_json(all: &[Filled]) -> anyhow::Result<()> {
    let servers: Vec<_> = all
        .iter()
        .map(|filled| {
            let sizes: Vec<_> = filled.sizes.iter().map(object).collect();
            json!({ "server": filled.subject, "sizes": sizes })
        })
        .collect();
    let report = json!({ "cores": cores(), "servers": servers });
    cli::print(&serde_json::to_string_pretty(&report)?)
}

fn object(size: &Size) -> serde_json::Value {
    let figures: Map<_, _> = size
        .figures
        .iter()
        .map(|figure| (figure.name.clone(), figure.value.into()))
        .collect();
    json!({ "leads": size.leads, "figures": figures })
}
