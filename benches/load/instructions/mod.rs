//! The instructions that a submission costs the server, counted by callgrind: `./scripts/instructions`.
//!
//! Times move by a tenth from run to run; what is executed for the same calls does by less than one part in a hundred, on a
//! busy machine too. The real server runs under valgrind, which executes one thread at a time, and is counted while it
//! answers a fixed number of submissions: of a small crowd, and of one caller alone. What it does while nobody calls is
//! taken away. Nothing in the kernel is counted, nor in PostgreSQL, and instructions are no times: one that waits for
//! memory is one, and SHA-256, for which valgrind has no instructions, is many more than on a processor that has.

mod callers;
mod callgrind;
mod parts;
mod profile;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use lead_intake::cli::say;
use tokio::time::sleep;

use self::{
    callers::Callers,
    callgrind::{Callgrind, Profile},
};
use super::{Options, Subject, home::Limits, report::float, server::Server};

pub(crate) use self::parts::{Costs, Part};

/// As many as make batches.
pub(crate) const CROWD: Load = Load {
    connections: 2,
    calls: 16,
    each: 125,
};
pub(crate) const ALONE: Load = Load {
    connections: 1,
    calls: 1,
    each: 1000,
};
/// Before anything is counted: caches are warm, and the database's trees have grown.
const WARM_UP: Load = Load { each: 250, ..CROWD };
/// What was put off is done after this: the mirror follows four times a second, the look-up indexes every second.
const SETTLED: Duration = Duration::from_millis(1500);
/// How long it is counted what the server does while nobody calls: a million instructions a second, by which a slow
/// machine's figures would be larger.
const IDLE: Duration = Duration::from_secs(5);

/// Submissions in a closed loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: u16,
    /// Calls in flight on each connection.
    pub(crate) calls: u16,
    /// Submissions of each caller, one after the other.
    each: u32,
}

impl Load {
    pub(crate) fn in_flight(self) -> u16 {
        self.connections * self.calls
    }

    pub(crate) fn submissions(self) -> u32 {
        u32::from(self.in_flight()) * self.each
    }
}

/// What submissions cost under one load.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    /// Instructions of each submission, by part.
    pub(crate) costs: Costs,
    /// Submissions in a transaction, on average.
    pub(crate) batch: f64,
}

/// The counts of one subject, of each round.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) subject: &'static str,
    pub(crate) crowd: Vec<Count>,
    pub(crate) alone: Vec<Count>,
}

/// Each subject in turn, as often as there are rounds. An echo is left out.
pub(crate) async fn run(options: &Options, subjects: &[Subject]) -> anyhow::Result<Vec<Counts>> {
    let ours = subjects.iter().filter(|it| !matches!(it, Subject::Echo));
    let ours: Vec<_> = ours.collect();
    let mut all: Vec<_> = ours.iter().map(|it| Counts::new(it)).collect();
    for round in 1..=options.rounds {
        for (subject, counts) in ours.iter().zip(&mut all) {
            let name = subject.name();
            say(&format!("round {round} of {}: {name}", options.rounds));
            let (crowd, alone) = count(subject, options).await.context(name)?;
            counts.crowd.push(crowd);
            counts.alone.push(alone);
        }
    }
    Ok(all)
}

impl Counts {
    fn new(subject: &Subject) -> Self {
        Self {
            subject: subject.name(),
            crowd: Vec::new(),
            alone: Vec::new(),
        }
    }
}

/// One subject, once.
async fn count(subject: &Subject, options: &Options) -> anyhow::Result<(Count, Count)> {
    let mut callgrind = Callgrind::new()?;
    let within = |command| callgrind.within(&command);
    let server = Server::start_within(subject, Limits::Off, within).await?;
    callgrind.watch(server.pid()?);
    let crowd = Callers::connect(&server, CROWD, options.keys).await?;
    let alone = Callers::connect(&server, ALONE, options.keys).await?;
    crowd.submit(WARM_UP).await?;
    sleep(SETTLED).await;
    callgrind.count().await?;
    sleep(IDLE).await;
    let idle = callgrind.profile().await?;
    let crowd = counted(&server, &mut callgrind, &idle, &crowd, CROWD).await?;
    let alone = counted(&server, &mut callgrind, &idle, &alone, ALONE).await?;
    // Not before the last profile is written.
    server.stop().await?;
    Ok((crowd, alone))
}

/// What the submissions of these callers cost, with all that they leave to be done later, and without what is done anyway.
async fn counted(
    server: &Server,
    callgrind: &mut Callgrind,
    idle: &Profile,
    callers: &Callers,
    load: Load,
) -> anyhow::Result<Count> {
    let before = server.used().await?;
    callgrind.count().await?;
    callers.submit(load).await?;
    sleep(SETTLED).await;
    let mut profile = callgrind.profile().await?;
    let batches = server.used().await?.since(before).batches;
    profile.costs.less(&idle.costs, profile.during, idle.during);
    ensure!(profile.costs.total() > 0, "nothing was counted");
    Ok(Count {
        costs: profile.costs,
        batch: f64::from(load.submissions()) / batches.map_or(1.0, float).max(1.0),
    })
}
