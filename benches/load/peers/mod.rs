//! The same submission beside what people use instead, in one run: a record created in PocketBase, whose store is SQLite,
//! and a row inserted into our own table by pgbench.
//!
//! Both are given what makes them fast. PocketBase has no index but that of the request's identifier, asks for no token
//! and does not wait for the disk (`synchronous` is NORMAL there); pgbench inserts the lead alone, prepared, without a
//! ledger, and nobody checks or seals anything. All have as many calls in flight, and generators that cost little.

mod pgbench;
mod pocketbase;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use lead_intake::cli::say;

use super::{
    Options, Subject, WARM_UP,
    home::Limits,
    open::{Arrivals, Crowd, Phase},
    report::{float, median},
    server::Server,
    subject::Stores,
};

/// Calls in flight, of ours on so many connections.
pub(crate) const CALLS: u16 = 64;
const CONNECTIONS: u16 = 8;

/// What a peer, or one of ours, did in one round; or the medians.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    pub(crate) calls_per_second: f64,
    /// pgbench has an average only.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// Processor time of the server, PostgreSQL's included, for each call in microseconds, if it can be measured.
    pub(crate) cpu_us: Option<f64>,
    /// Calls that were answered otherwise than was asked.
    pub(crate) failed: u64,
}

/// Ours and its peer, on the same kind of database.
pub(crate) struct Pair {
    pub(crate) ours: (&'static str, Pace),
    pub(crate) peer: (&'static str, Pace),
}

impl Pace {
    fn new(
        latencies: &Histogram<u64>,
        failed: u64,
        duration: Duration,
        cpu: Option<Duration>,
    ) -> anyhow::Result<Self> {
        ensure!(!latencies.is_empty(), "no call was answered");
        let calls = float(latencies.len());
        let ms = |quantile| float(latencies.value_at_quantile(quantile)) / 1000.0;
        Ok(Self {
            calls_per_second: calls / duration.as_secs_f64(),
            p50_ms: Some(ms(0.5)),
            p99_ms: Some(ms(0.99)),
            cpu_us: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / calls),
            failed,
        })
    }

    /// The median of each figure by itself.
    fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> Option<f64>| {
            let figures: Vec<f64> = rounds.iter().filter_map(figure).collect();
            (!figures.is_empty()).then(|| median(figures))
        };
        Self {
            calls_per_second: of(|it| Some(it.calls_per_second)).unwrap_or_default(),
            p50_ms: of(|it| it.p50_ms),
            p99_ms: of(|it| it.p99_ms),
            cpu_us: of(|it| it.cpu_us),
            failed: rounds.iter().map(|it| it.failed).sum(),
        }
    }
}

/// Who is beside us, and where its program is.
enum Peer {
    PocketBase(PathBuf),
    Pgbench(PathBuf),
}

impl Peer {
    fn name(&self) -> &'static str {
        match self {
            Self::PocketBase(_) => "PocketBase",
            Self::Pgbench(_) => "pgbench, one-row insert",
        }
    }

    async fn measure(&self, subject: &Subject, duration: Duration) -> anyhow::Result<Pace> {
        match self {
            Self::PocketBase(program) => pocketbase::measure(program, duration).await,
            Self::Pgbench(program) => pgbench::measure(program, subject, duration).await,
        }
    }
}

/// Measures in turn, and as many rounds as are wanted.
pub(crate) async fn run(options: &Options, subjects: &[Subject]) -> anyhow::Result<Vec<Pair>> {
    let duration = Duration::from_secs(options.seconds);
    let mut pairs = Vec::new();
    for subject in subjects {
        let peer = match subject {
            Subject::Sqlite => Peer::PocketBase(program("LEAD_INTAKE_BENCH_POCKETBASE")?),
            Subject::Postgres(_) => {
                Peer::Pgbench(program("LEAD_INTAKE_TEST_POSTGRES_BIN")?.join("pgbench"))
            }
            _ => continue,
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=options.rounds {
            let of = options.rounds;
            let name = subject.name();
            say(&format!("round {round} of {of}: {name}, {}", peer.name()));
            ours.push(measure(subject, options, duration).await.context(name)?);
            let pace = peer.measure(subject, duration).await;
            theirs.push(pace.context(peer.name())?);
        }
        pairs.push(Pair {
            ours: (subject.name(), Pace::median(&ours)),
            peer: (peer.name(), Pace::median(&theirs)),
        });
    }
    ensure!(
        options.store == Some(Stores::Sqlite) || pairs.len() > 1,
        "no PostgreSQL to measure with"
    );
    Ok(pairs)
}

fn program(variable: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os(variable);
    let path = path.with_context(|| format!("{variable} is not set; run: ./scripts/peers"))?;
    Ok(path.into())
}

/// Ours, by the same generator as the open loop's.
async fn measure(subject: &Subject, options: &Options, duration: Duration) -> anyhow::Result<Pace> {
    let server = Server::start(subject, Limits::Off).await?;
    let mut crowd = Crowd::connect(&server, CONNECTIONS).await?;
    let phase = |duration| Phase {
        arrivals: Arrivals::Closed {
            calls: usize::from(CALLS / CONNECTIONS),
        },
        keys: options.keys,
        duration,
        normal: None,
    };
    crowd.run(&server, phase(WARM_UP)).await?;
    let outcome = crowd.run(&server, phase(duration)).await?;
    server.stop().await?;
    ensure!(outcome.answers.refused.is_empty(), "a call was refused");
    let used = &outcome.used;
    let cpu = used.server + used.database.unwrap_or_default();
    Pace::new(&outcome.answers.accepted, 0, outcome.duration(), Some(cpu))
}
