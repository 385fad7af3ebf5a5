//! The load bench: what a submission costs, beside what gRPC alone costs on the same machine.
//!
//! `cargo bench --bench load` runs, in turn and R times over, a bare tonic echo of the same message, the real
//! server on SQLite, and the real server on PostgreSQL. Each is a process of its own over a database of its
//! own. The figures are medians over the rounds. The loop is closed: a caller sends its next call when it has
//! its answer. Client and server share the machine's cores, so calls/s says what both achieve together; the
//! processor time per call is the server's alone.
//!
//! With `--rate` and `--overload` the loop is open (`open.rs`), and the server has its limits: calls come at their
//! times, and what it cannot take it refuses. With `--neighbour` one client calls beyond its limit (`neighbour.rs`).
//!
//! With `--held` it is what idle connections and unread streams cost (`held.rs`).
//!
//! With `--leads` it is everything else that is measured, on a store that has so many leads (`filled/`): the feed, what
//! people ask for, the start, memory.
//!
//! With `--peers` a submission is measured beside those of PocketBase and pgbench (`peers/`).
//!
//! With `--instructions` it is not time that is measured, but what the server executes for a submission (`instructions/`).
//!
//! PostgreSQL comes by `LEAD_INTAKE_TEST_POSTGRES_URL`; `scripts/with-postgres` starts one with durable
//! settings. To measure another server, add a [`Subject`] and say in `server.rs` how it starts.

mod answers;
mod client;
mod cpu;
mod database;
mod echo;
mod figures;
mod filled;
mod form;
mod held;
mod home;
mod instructions;
mod neighbour;
mod open;
mod overload;
mod peers;
mod report;
mod server;
mod subject;
mod wire;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Parser;
use lead_intake::cli::say;

use self::{
    client::{Load, Outcome},
    form::Keys,
    home::Limits,
    report::Sample,
    server::Server,
    subject::{Stores, Subject, subjects},
};

/// Connections, caches and code paths are warm after this.
const WARM_UP: Duration = Duration::from_secs(1);

/// Measures submissions per second, their latency, and the processor time each costs
#[derive(Debug, Parser)]
#[command(name = "load")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line, and not states"
)]
struct Options {
    /// Connections of the callers [default: 8; in an open loop 32]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: Option<u16>,
    /// Calls in flight on each connection (the server takes 100)
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=100))]
    calls: u16,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rounds; the figures are medians over them
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Which databases [default: all that there are]
    #[arg(long, value_enum)]
    store: Option<Stores>,
    /// Another build of the program, to be measured side by side with this one
    #[arg(long, value_name = "PROGRAM")]
    beside: Option<PathBuf>,
    /// How callers make the identifiers of their requests
    #[arg(long, value_enum, default_value = "v4")]
    keys: Keys,
    /// Open loop: so many calls come each second, whatever becomes of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: Option<u64>,
    /// Open loop at a half, once, twice and ten times of what a closed loop achieves, and at a half again
    #[arg(long, conflicts_with = "rate")]
    overload: bool,
    /// Measure the feed, requests of people, start and memory with so many leads: `10000,100000`
    #[arg(long, value_name = "N,…", value_delimiter = ',', conflicts_with_all = ["rate", "overload"])]
    leads: Vec<u64>,
    /// Open loop: clients at half of what each may, by themselves and beside one at ten times that
    #[arg(long, conflicts_with_all = ["rate", "overload", "leads"])]
    neighbour: bool,
    /// Measure one caller beside a thousand streams that nobody reads, and beside so many idle connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), conflicts_with_all = ["rate", "overload", "leads", "neighbour"])]
    held: Option<u16>,
    /// Measure submissions beside PocketBase's and pgbench's: `./scripts/peers`
    #[arg(long, conflicts_with_all = ["rate", "overload", "leads"])]
    peers: bool,
    /// Count the instructions of a submission: `./scripts/instructions`
    #[arg(long, conflicts_with_all = ["rate", "overload", "leads", "peers", "connections", "calls", "seconds"])]
    instructions: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Be the echo server
    #[arg(long, hide = true)]
    echo: bool,
    /// What `cargo bench` says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn closed_connections(&self) -> u16 {
        self.connections.unwrap_or(8)
    }

    /// Enough for more calls in flight than the server takes at once, a hundred on each.
    fn open_connections(&self) -> u16 {
        self.connections.unwrap_or(32)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let result = if options.echo {
        echo::serve().await
    } else {
        run(&options).await
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("load: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let subjects = subjects(options.store, options.beside.as_ref())?;
    if !options.leads.is_empty() {
        return filled(options, &subjects).await;
    }
    if options.peers {
        return report::print_peers(options, &peers::run(options, &subjects).await?);
    }
    if options.instructions {
        let counts = instructions::run(options, &subjects).await?;
        return report::print_instructions(options, &counts);
    }
    if let Some(idle) = options.held {
        return held(options, &subjects, idle).await;
    }
    if options.rate.is_some() || options.overload || options.neighbour {
        return open(options, &subjects).await;
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); subjects.len()];
    for round in 1..=options.rounds {
        for (subject, samples) in subjects.iter().zip(&mut samples) {
            say(&format!(
                "round {round} of {}: {}",
                options.rounds,
                subject.name()
            ));
            let sample = measure(subject, options).await;
            samples.push(sample.with_context(|| subject.name())?);
        }
    }
    let rows: Vec<_> = subjects
        .iter()
        .zip(&samples)
        .map(|(subject, samples)| (subject.name(), Sample::median(samples)))
        .collect();
    report::print(options, &rows)?;
    let errors: u64 = samples.iter().flatten().map(|sample| sample.errors).sum();
    ensure!(errors == 0, "{errors} calls failed");
    Ok(())
}

/// The open loop, on each subject once.
async fn open(options: &Options, subjects: &[Subject]) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for subject in subjects {
        let steps = match (options.rate, subject) {
            (Some(rate), _) => overload::rate(subject, options, rate).await,
            // It refuses nothing, so it has no overload to be measured.
            (None, Subject::Echo) => continue,
            (None, _) if options.neighbour => neighbour::run(subject, options).await,
            (None, _) => overload::overload(subject, options).await,
        };
        all.push(steps.with_context(|| subject.name())?);
    }
    report::print_open(options, &all)
}

/// Stores with leads, of each subject that stores any.
async fn filled(options: &Options, subjects: &[Subject]) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for subject in subjects {
        if !matches!(subject, Subject::Echo) {
            let filled = filled::run(subject, &options.leads, options.keys).await;
            all.push(filled.with_context(|| subject.name())?);
        }
    }
    report::print_sheets(options, &all)
}

/// What is held, of each subject that is a service.
async fn held(options: &Options, subjects: &[Subject], idle: u16) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for subject in subjects {
        if !matches!(subject, Subject::Echo) {
            let held = held::run(subject, options, idle).await;
            all.push(held.with_context(|| subject.name())?);
        }
    }
    report::print_sheets(options, &all)
}

/// One subject, once: under load, then with one caller alone.
async fn measure(subject: &Subject, options: &Options) -> anyhow::Result<Sample> {
    let server = Server::start(subject, Limits::Off).await?;
    let crowd = Load {
        connections: options.closed_connections(),
        calls: options.calls,
        keys: options.keys,
        warm_up: WARM_UP,
        duration: Duration::from_secs(options.seconds),
    };
    let alone = Load {
        connections: 1,
        calls: 1,
        ..crowd
    };
    let crowd = client::run(&server, crowd).await?;
    let alone = client::run(&server, alone).await?;
    server.stop().await?;
    for Outcome { first_error, .. } in [&crowd, &alone] {
        if let Some(error) = first_error {
            say(&format!("{}: {error}", subject.name()));
        }
    }
    Ok(Sample::new(&crowd, &alone))
}
