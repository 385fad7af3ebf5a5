//! `pgbench`: the lead's row and nothing else, in a database with our schema.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use super::{
    super::{Subject, WARM_UP, cpu, home::Limits, server::Server},
    CALLS, Pace,
};

/// Values of the sizes of ours. Each is the cheapest that PostgreSQL can make.
const INSERT: &str = "INSERT INTO lead (id, sealed, key_id, email_index, phone_index, content_mac, \
     lawful_basis, consent, notice_version, submitted_at, restrictions, revision, index_key_id) \
     VALUES (gen_random_uuid(), decode(repeat('a5', 160), 'hex'), 1, uuid_send(gen_random_uuid()), \
     uuid_send(gen_random_uuid()), uuid_send(gen_random_uuid()), 2, false, '1.1', 1764000000000000, \
     0, 1, 1);\n";

pub(super) async fn measure(
    program: &Path,
    subject: &Subject,
    duration: Duration,
) -> anyhow::Result<Pace> {
    // Its start makes the schema; from then on it does next to nothing.
    let server = Server::start(subject, Limits::Off).await?;
    let url = server.database_url().context("no database")?;
    let script = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    std::fs::write(script.path(), INSERT)?;
    run(program, script.path(), url, WARM_UP).await?;
    let postmaster = server.postmaster();
    let before = postmaster.map(cpu::family).transpose()?;
    let report = run(program, script.path(), url, duration).await?;
    let after = postmaster.map(cpu::family).transpose()?;
    server.stop().await?;
    let calls_per_second = number(&report, "tps = ").context("pgbench said no rate")?;
    let calls = number(&report, "transactions actually processed: ").context("no count")?;
    let failed = number(&report, "number of failed transactions: ").unwrap_or_default();
    ensure!(failed < 1.0, "an insert failed");
    let used = after
        .zip(before)
        .map(|(now, before)| now.saturating_sub(before));
    Ok(Pace {
        calls_per_second,
        p50_ms: None,
        p99_ms: None,
        failed: 0,
        cpu_us: used.map(|used| used.as_secs_f64() * 1e6 / calls),
    })
}

async fn run(
    program: &Path,
    script: &Path,
    url: &str,
    duration: Duration,
) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={CALLS}"))
        .arg(format!("--time={}", duration.as_secs()))
        .arg("--file")
        .arg(script)
        .arg(url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "pgbench: {error}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The number after a text.
fn number(report: &str, after: &str) -> Option<f64> {
    let (_, rest) = report.split_once(after)?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
    rest[..end.unwrap_or(rest.len())].parse().ok()
}
