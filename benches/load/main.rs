//! The load bench: what a submission costs, beside what gRPC alone costs on the same machine.
//!
//! `cargo bench --bench load` runs, in turn and R times over, a bare tonic echo of the same message, the real
//! server on SQLite, and the real server on PostgreSQL. Each is a process of its own over a database of its
//! own. The figures are medians over the rounds. The loop is closed: a caller sends its next call when it has
//! its answer. Client and server share the machine's cores, so calls/s says what both achieve together; the
//! processor time per call is the server's alone.
//!
//! PostgreSQL comes by `LEAD_INTAKE_TEST_POSTGRES_URL`; `scripts/with-postgres` starts one with durable
//! settings. To measure another server, add a [`Subject`] and say in `server.rs` how it starts.

mod client;
mod cpu;
mod echo;
mod report;
mod server;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, ValueEnum};
use lead_intake::cli::say;

use self::{
    client::{Load, Outcome},
    report::Sample,
    server::Server,
};

/// The server that `scripts/with-postgres` and `scripts/test` start.
const POSTGRES_URL: &str = "LEAD_INTAKE_TEST_POSTGRES_URL";
/// Connections, caches and code paths are warm after this.
const WARM_UP: Duration = Duration::from_secs(1);

/// Measures submissions per second, their latency, and the processor time each costs
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Options {
    /// Connections of the callers
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stores {
    Sqlite,
    Postgres,
    All,
}

/// What is measured.
#[derive(Clone, Debug)]
enum Subject {
    /// Nothing but tonic.
    Echo,
    /// The service on SQLite.
    Sqlite,
    /// The service on a database of its own in this PostgreSQL server.
    Postgres(String),
    /// Another build of the service, on the same store as one of the others.
    Beside(PathBuf, Box<Self>),
}

impl Subject {
    fn name(&self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Sqlite => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::Beside(_, store) => match **store {
                Self::Postgres(_) => "postgres, beside",
                _ => "sqlite, beside",
            },
        }
    }

    /// The PostgreSQL server that it needs.
    fn postgres(&self) -> Option<&str> {
        match self {
            Self::Postgres(url) => Some(url),
            Self::Beside(_, store) => store.postgres(),
            Self::Echo | Self::Sqlite => None,
        }
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
    let mut subjects = subjects(options.store)?;
    if let Some(program) = &options.beside {
        let stores = subjects.iter().skip(1).cloned();
        let beside = |store| Subject::Beside(program.clone(), Box::new(store));
        subjects.extend(stores.map(beside).collect::<Vec<_>>());
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

/// The echo, and the databases that are wanted and there.
fn subjects(stores: Option<Stores>) -> anyhow::Result<Vec<Subject>> {
    let mut subjects = vec![Subject::Echo];
    if stores != Some(Stores::Postgres) {
        subjects.push(Subject::Sqlite);
    }
    match (stores, std::env::var(POSTGRES_URL)) {
        (Some(Stores::Sqlite), _) => {}
        (_, Ok(url)) => subjects.push(Subject::Postgres(url)),
        (None, Err(_)) => say(&format!(
            "PostgreSQL is NOT measured: {POSTGRES_URL} is not set; \
             run: ./scripts/with-postgres cargo bench --bench load"
        )),
        (Some(_), Err(_)) => bail!("{POSTGRES_URL} is not set"),
    }
    Ok(subjects)
}

/// One subject, once: under load, then with one caller alone.
async fn measure(subject: &Subject, options: &Options) -> anyhow::Result<Sample> {
    let server = Server::start(subject).await?;
    let crowd = Load {
        connections: options.connections,
        calls: options.calls,
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
