//! Figures side by side: a table for each subject, or JSON.

use lead_intake::cli;
use serde_json::{Map, json};

use super::{
    super::{
        Options,
        figures::{Column, Sheet},
    },
    cores, table,
};

/// Prints the figures, those of the last column beside those of the first.
pub(crate) fn print_sheets(options: &Options, sheets: &[Sheet]) -> anyhow::Result<()> {
    if options.json {
        return print_json(sheets);
    }
    for sheet in sheets {
        print_table(sheet)?;
    }
    cli::print(&format!(
        "one thing at a time; client, server and database share {} cores",
        cores()
    ))
}

fn print_table(sheet: &Sheet) -> anyhow::Result<()> {
    let (Some(first), Some(last)) = (sheet.columns.first(), sheet.columns.last()) else {
        return Ok(());
    };
    let mut header = vec![sheet.subject];
    header.extend(sheet.columns.iter().map(|column| column.condition.as_str()));
    header.push("last/first");
    let mut table = table(&header);
    for (place, figure) in first.figures.iter().enumerate() {
        let mut row = vec![figure.name.clone()];
        let value = |column: &Column| column.figures.get(place).map_or(0.0, |it| it.value);
        for column in &sheet.columns {
            row.push(format!("{:.*}", figure.digits, value(column)));
        }
        row.push(format!("{:.2}", value(last) / figure.value));
        table.add_row(row);
    }
    cli::print(&table.to_string())
}

fn print_json(sheets: &[Sheet]) -> anyhow::Result<()> {
    let servers: Vec<_> = sheets
        .iter()
        .map(|sheet| {
            let columns: Vec<_> = sheet.columns.iter().map(object).collect();
            json!({ "server": sheet.subject, "columns": columns })
        })
        .collect();
    let report = json!({ "cores": cores(), "servers": servers });
    cli::print(&serde_json::to_string_pretty(&report)?)
}

fn object(column: &Column) -> serde_json::Value {
    let figures: Map<_, _> = column
        .figures
        .iter()
        .map(|figure| (figure.name.clone(), figure.value.into()))
        .collect();
    json!({ "condition": column.condition, "figures": figures })
}
