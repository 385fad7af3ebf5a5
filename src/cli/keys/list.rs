//! The keys, and how many leads lie under each.

use std::path::Path;

use data_encoding::HEXLOWER;

use super::count_leads;
use crate::{
    cli::{Verdict, print, show::table},
    seal::{KeyFile, KeyName, RingFacts},
    store::{KeyCounts, KeyRecord, RingState, SharedStore},
};

/// A key, for the list.
struct Listed {
    key: KeyName,
    state: &'static str,
    made: String,
    commitment: String,
    leads: i64,
    retired_at: Option<String>,
}

pub(super) async fn run(path: &Path, store: &SharedStore, json: bool) -> anyhow::Result<Verdict> {
    let file = KeyFile::load(path)?;
    let ring = file.ring(path)?;
    let records = store.key_records().await?;
    let state = store.ring_state().await?;
    let counts = count_leads(&**store).await?;
    let rows = rows(&file, ring.facts(), &records, &counts);
    let is_foreign = rows.iter().any(|row| row.state == FOREIGN);
    if json {
        print(&serde_json::to_string_pretty(&value(
            ring.facts(),
            &state,
            &rows,
        ))?)?;
    } else {
        print(&text(ring.facts(), &state, &rows))?;
    }
    Ok(if is_foreign {
        Verdict::No
    } else {
        Verdict::Yes
    })
}

/// Another key stands under this name in the database.
const FOREIGN: &str = "FOREIGN";

fn rows(
    file: &KeyFile,
    ring: &RingFacts,
    records: &[KeyRecord],
    counts: &KeyCounts,
) -> Vec<Listed> {
    let leads = |key| counts.by_key.get(&key).copied().unwrap_or(0);
    let short = |commitment: &[u8]| HEXLOWER.encode(&commitment[..commitment.len().min(4)]);
    let record = |key| records.iter().find(|record| record.name == key);
    let made: Vec<(KeyName, &str)> = file.keys().collect();
    let mut rows = Vec::new();
    for key in &ring.keys {
        let name = KeyName {
            purpose: key.purpose,
            id: key.key_id,
        };
        let known = record(name);
        let state = match known {
            Some(known) if known.commitment != key.commitment => FOREIGN,
            _ if file.is_waiting(name) => "waiting",
            _ if file.is_old(name) => "old",
            _ => "primary",
        };
        let made = made.iter().find(|(of, _)| *of == name);
        rows.push(Listed {
            key: name,
            state,
            made: made.map_or_else(String::new, |(_, day)| (*day).to_owned()),
            commitment: short(&key.commitment),
            leads: leads(name),
            retired_at: known
                .and_then(|known| known.retired_at)
                .map(|at| at.to_string()),
        });
    }
    for known in records {
        if rows.iter().any(|row| row.key == known.name) {
            continue;
        }
        rows.push(Listed {
            key: known.name,
            // Of a newer ring, or lost.
            state: if known.retired_at.is_some() {
                "retired"
            } else {
                "not here"
            },
            made: known
                .recorded_at
                .map_or_else(String::new, |at| at.strftime("%Y-%m-%d").to_string()),
            commitment: short(&known.commitment),
            leads: leads(known.name),
            retired_at: known.retired_at.map(|at| at.to_string()),
        });
    }
    rows.sort_by_key(|row| row.key);
    rows
}

fn value(ring: &RingFacts, state: &RingState, rows: &[Listed]) -> serde_json::Value {
    let keys = rows.iter().map(|row| {
        serde_json::json!({
            "key": row.key.to_string(),
            "state": row.state,
            "made": row.made,
            "commitment": row.commitment,
            "leads": row.leads,
            "retired_at": row.retired_at,
        })
    });
    serde_json::json!({
        "generation": ring.generation,
        "generation_newest": state.generation,
        "generation_min": state.ring_min,
        "keys": keys.collect::<Vec<_>>(),
    })
}

fn text(ring: &RingFacts, state: &RingState, rows: &[Listed]) -> String {
    let mut shown = table(["key", "state", "made", "commitment", "leads"]);
    for row in rows {
        shown.add_row([
            &row.key.to_string(),
            row.state,
            &row.made,
            &row.commitment,
            &row.leads.to_string(),
        ]);
    }
    format!(
        "{shown}\ngeneration of this ring: {} (newest: {}; oldest that may be used: {})",
        ring.generation, state.generation, state.ring_min
    )
}
