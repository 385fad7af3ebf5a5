//! Figures of ours and its peers, side by side.

use lead_intake::cli;
use serde_json::json;

use super::{
    super::{
        Options,
        peers::{CALLS, Pace, Pair},
    },
    cores, table,
};

/// Prints the figures; the ratio is ours to the peer's.
pub(crate) fn print_peers(options: &Options, pairs: &[Pair]) -> anyhow::Result<()> {
    if options.json {
        return print_json(options, pairs);
    }
    let mut table = table(&[
        "server",
        "calls/s",
        "ours/peer",
        "p50 ms",
        "p99 ms",
        "CPU µs/call",
    ]);
    for Pair { ours, peer } in pairs {
        let ratio = format!("{:.2}", ours.1.calls_per_second / peer.1.calls_per_second);
        for ((name, pace), ratio) in [(ours, ratio), (peer, String::new())] {
            table.add_row(row(name, pace, ratio));
        }
    }
    cli::print(&table.to_string())?;
    for (name, pace) in pairs.iter().map(|pair| &pair.peer) {
        if pace.failed > 0 {
            cli::print(&format!("{name}: {} more calls failed", pace.failed))?;
        }
    }
    cli::print(&format!(
        "{CALLS} calls in flight, {} s, medians of {} round(s); client, server and database share {} cores",
        options.seconds,
        options.rounds,
        cores(),
    ))
}

fn row(name: &str, pace: &Pace, ratio: String) -> Vec<String> {
    let some = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |it| format!("{it:.2}"));
    vec![
        name.to_owned(),
        format!("{:.0}", pace.calls_per_second),
        ratio,
        some(pace.p50_ms),
        some(pace.p99_ms),
        pace.cpu_us
            .map_or_else(|| "-".to_owned(), |it| format!("{it:.1}")),
    ]
}

fn print_json(options: &Options, pairs: &[Pair]) -> anyhow::Result<()> {
    let object = |(name, pace): &(&str, Pace)| {
        json!({
            "server": name,
            "calls_per_second": pace.calls_per_second,
            "p50_ms": pace.p50_ms,
            "p99_ms": pace.p99_ms,
            "cpu_us": pace.cpu_us,
            "failed": pace.failed,
        })
    };
    let rows: Vec<_> = pairs
        .iter()
        .map(|Pair { ours, peer }| {
            json!({
                "ours": object(ours),
                "peer": object(peer),
                "ratio": ours.1.calls_per_second / peer.1.calls_per_second,
            })
        })
        .collect();
    let report = json!({
        "calls": CALLS,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "cores": cores(),
        "pairs": rows,
    });
    cli::print(&serde_json::to_string_pretty(&report)?)
}
