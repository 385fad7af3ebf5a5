//! What a server does with more calls than it can take: the steps of `--rate` and `--overload`.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use lead_intake::{cli::say, door::CONNECTIONS_MAX};

use super::{
    Options, Subject, WARM_UP,
    home::Limits,
    open::{Arrivals, Crowd, Outcome, Phase},
    server::Server,
};

/// The arrivals of the steps, in tenths of the capacity. After the flood it is as before.
const TENTHS: [u64; 5] = [5, 10, 20, 100, 5];
/// Calls in flight that capacity is measured with, on all connections: those of the closed loop.
const CALLS_OF_CAPACITY: usize = 256;
/// So many times the latency of half the load is normal yet.
const NORMAL: u32 = 3;

/// A step and what came of it.
pub(crate) struct Step {
    pub(crate) name: String,
    /// Calls that were to come each second.
    pub(crate) rate: Option<u64>,
    pub(crate) outcome: Outcome,
    /// Refusals by reason, from the server's metrics.
    pub(crate) reasons: BTreeMap<String, u64>,
}

/// What one subject did, step by step.
pub(crate) struct Run {
    pub(crate) subject: &'static str,
    pub(crate) steps: Vec<Step>,
    /// If there was a flood.
    pub(crate) recovery: Option<Recovery>,
}

/// From the end of a flood until calls are answered as before it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recovery {
    Within(Duration),
    /// Not within the last step.
    Never,
}

impl Run {
    /// Accepted calls a second at capacity, if that was measured.
    pub(crate) fn capacity(&self) -> Option<f64> {
        let first = self.steps.first()?;
        first.rate.is_none().then(|| first.accepted())
    }
}

impl Step {
    /// Accepted calls a second.
    pub(crate) fn accepted(&self) -> f64 {
        per_second(
            self.outcome.answers.accepted_in_time,
            self.outcome.duration(),
        )
    }

    /// Refused calls a second.
    pub(crate) fn refused(&self) -> f64 {
        per_second(
            self.outcome.answers.refused_in_time,
            self.outcome.duration(),
        )
    }

    fn p99(&self) -> Duration {
        Duration::from_micros(self.outcome.answers.accepted.value_at_quantile(0.99))
    }
}

fn per_second(count: u64, duration: Duration) -> f64 {
    super::report::float(count) / duration.as_secs_f64()
}

/// A server and its callers.
struct Bench<'a> {
    options: &'a Options,
    server: Server,
    crowd: Crowd,
}

impl<'a> Bench<'a> {
    async fn start(subject: &Subject, options: &'a Options) -> anyhow::Result<Self> {
        say(&format!("{}: open loop", subject.name()));
        let limits = Limits::AnyRate {
            connections_max: CONNECTIONS_MAX,
        };
        let server = Server::start(subject, limits).await?;
        let crowd = Crowd::connect(&server, options.open_connections()).await?;
        Ok(Self {
            options,
            server,
            crowd,
        })
    }

    async fn phase(
        &mut self,
        arrivals: Arrivals,
        duration: Duration,
        normal: Option<Duration>,
    ) -> anyhow::Result<Outcome> {
        let phase = Phase {
            arrivals,
            keys: self.options.keys,
            duration,
            normal,
        };
        self.crowd.run(&self.server, phase).await
    }

    async fn step(
        &mut self,
        name: String,
        arrivals: Arrivals,
        normal: Option<Duration>,
    ) -> anyhow::Result<Step> {
        say(&name);
        let before = self.server.refusals().await?;
        let duration = Duration::from_secs(self.options.seconds);
        let outcome = self.phase(arrivals, duration, normal).await?;
        let mut reasons = self.server.refusals().await?;
        for (reason, count) in &mut reasons {
            *count -= before.get(reason).copied().unwrap_or_default();
        }
        reasons.retain(|_, count| *count > 0);
        Ok(Step {
            name,
            rate: match arrivals {
                Arrivals::Open { rate } => Some(rate),
                Arrivals::Closed { .. } => None,
            },
            outcome,
            reasons,
        })
    }
}

/// One rate.
pub(crate) async fn rate(subject: &Subject, options: &Options, rate: u64) -> anyhow::Result<Run> {
    let mut bench = Bench::start(subject, options).await?;
    let arrivals = Arrivals::Open { rate };
    bench.phase(arrivals, WARM_UP, None).await?;
    let step = bench.step(format!("{rate}/s"), arrivals, None).await?;
    bench.server.stop().await?;
    Ok(Run {
        subject: subject.name(),
        steps: vec![step],
        recovery: None,
    })
}

/// The capacity in a closed loop, then parts and multiples of it in an open one.
pub(crate) async fn overload(subject: &Subject, options: &Options) -> anyhow::Result<Run> {
    let mut bench = Bench::start(subject, options).await?;
    let calls = CALLS_OF_CAPACITY.div_ceil(usize::from(options.open_connections()));
    let closed = Arrivals::Closed { calls };
    bench.phase(closed, WARM_UP, None).await?;
    let capacity = bench.step("capacity C".to_owned(), closed, None).await?;
    let per_second = capacity.outcome.answers.accepted_in_time / options.seconds;
    let mut steps = vec![capacity];
    let mut normal = None;
    let mut flood_ended: Option<Instant> = None;
    let mut recovery = None;
    for tenths in TENTHS {
        let rate = (per_second * tenths / 10).max(1);
        let name = format!("{}.{} C", tenths / 10, tenths % 10);
        let step = bench.step(name, Arrivals::Open { rate }, normal).await?;
        normal = normal.or(Some(step.p99() * NORMAL));
        recovery = flood_ended.map(|ended| match step.outcome.answers.normal_since() {
            Some(since) => Recovery::Within(since.saturating_duration_since(ended)),
            None => Recovery::Never,
        });
        flood_ended = Some(step.outcome.end);
        steps.push(step);
    }
    bench.server.stop().await.context("after the flood")?;
    Ok(Run {
        subject: subject.name(),
        steps,
        recovery,
    })
}
