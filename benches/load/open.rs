//! The open loop: calls come at their times, whatever becomes of those before.
//!
//! A call's latency counts from the time that was planned for it, so a server that stalls is charged with all that
//! should have been sent meanwhile. A call that could not be sent within [`PATIENCE`] is given up and counted as missed:
//! its caller has gone, and what waits in the generator stays bounded. Calls are sent once a millisecond, which is the
//! step of the timer: so much of a latency may be the generator's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until},
};

use super::{
    answers::Answers,
    client, cpu,
    form::{Keys, form},
    server::{Server, Used},
    wire::Wire,
};

/// How long a caller waits until its call can be sent.
const PATIENCE: Duration = Duration::from_secs(1);
/// A server answers every call within its own limit of 10 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// Between two looks at the server's memory.
const LOOK: Duration = Duration::from_millis(20);
/// Connections of one client: its calls in flight stay below what one client may have.
pub(crate) const CONNECTIONS_OF_CLIENT: u16 = 2;

/// When calls come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrivals {
    /// As soon as there are fewer than so many in flight on a connection.
    Closed { calls: usize },
    /// So many a second, on all connections together.
    Open { rate: u64 },
}

/// What is asked of a server for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) arrivals: Arrivals,
    pub(crate) keys: Keys,
    pub(crate) duration: Duration,
    /// The latency up to which an accepted call counts as normal, if it is known.
    pub(crate) normal: Option<Duration>,
}

/// A phase as it was.
pub(crate) struct Outcome {
    pub(crate) answers: Answers,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) used: Used,
    /// Processor time of this process.
    pub(crate) generator: Duration,
    /// Memory of the server, in bytes.
    pub(crate) memory_before: u64,
    pub(crate) memory_peak: u64,
}

impl Outcome {
    pub(crate) fn duration(&self) -> Duration {
        self.end - self.start
    }
}

/// The callers of a server, connected.
pub(crate) struct Crowd {
    wires: Vec<Wire>,
    version: Arc<str>,
}

impl Crowd {
    pub(crate) async fn connect(server: &Server, connections: u16) -> anyhow::Result<Self> {
        let clients = connections.div_ceil(CONNECTIONS_OF_CLIENT);
        let tokens = server.clients(clients).await?;
        Self::of(server, connections, &tokens).await
    }

    /// Callers with these tokens.
    pub(crate) async fn of(
        server: &Server,
        connections: u16,
        tokens: &[String],
    ) -> anyhow::Result<Self> {
        let version = client::notice_version(server).await?;
        let mut wires = Vec::new();
        for (_, token) in (0..connections).zip(tokens.iter().cycle()) {
            wires.push(Wire::connect(server.address, token).await?);
        }
        Ok(Self { wires, version })
    }

    /// Runs a phase until its last call is answered.
    pub(crate) async fn run(&mut self, server: &Server, phase: Phase) -> anyhow::Result<Outcome> {
        let before = server.used().await?;
        let generator = cpu::times(std::process::id())?.own;
        let memory_before = server.memory()?;
        let count = u64::try_from(self.wires.len())?;
        let start = Instant::now();
        let end = start + phase.duration;
        let mut callers = JoinSet::new();
        for (index, wire) in (0..).zip(self.wires.drain(..)) {
            let caller = Caller {
                wire,
                version: self.version.clone(),
                arrivals: phase.arrivals,
                keys: phase.keys,
                start,
                end,
                next: index,
                step: count,
                full: None,
                answers: Answers::new((start, end), phase.normal)?,
            };
            callers.spawn(caller.run());
        }
        let mut memory_peak = memory_before;
        while Instant::now() < end {
            sleep(LOOK).await;
            memory_peak = memory_peak.max(server.memory()?);
        }
        let used = server.used().await?.since(before);
        let generator = cpu::times(std::process::id())?
            .own
            .saturating_sub(generator);
        let mut answers = Answers::new((start, end), phase.normal)?;
        while let Some(done) = callers.join_next().await {
            let (wire, part) = done??;
            answers.add(&part)?;
            self.wires.push(wire);
        }
        Ok(Outcome {
            answers,
            start,
            end,
            used,
            generator,
            memory_before,
            memory_peak: memory_peak.max(server.memory()?),
        })
    }
}

/// Who calls on one connection.
struct Caller {
    wire: Wire,
    version: Arc<str>,
    arrivals: Arrivals,
    keys: Keys,
    start: Instant,
    end: Instant,
    /// The number of its next call, among those of all connections.
    next: u64,
    /// From one of its calls to the next: the connections.
    step: u64,
    /// When a call last found the connection full.
    full: Option<Instant>,
    answers: Answers,
}

impl Caller {
    async fn run(mut self) -> anyhow::Result<(Wire, Answers)> {
        loop {
            let now = Instant::now();
            // Read first: a connection is full only if the server has not answered.
            let answers = &mut self.answers;
            self.wire.read(|call| answers.answered(call))?;
            self.send(now)?;
            self.wire.flush()?;
            if now >= self.end && self.wire.in_flight() == 0 {
                return Ok((self.wire, self.answers));
            }
            ensure!(
                now < self.end + ANSWERED_WITHIN,
                "calls were never answered"
            );
            let wake = self.wake(now);
            tokio::select! {
                ready = self.wire.ready() => ready?,
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    /// When there may be something to send, though nothing was read.
    fn wake(&self, now: Instant) -> Instant {
        if now >= self.end {
            return self.end + ANSWERED_WITHIN;
        }
        match self.planned() {
            Some(planned) if self.wire.is_free() => planned.min(self.end),
            _ => self.end,
        }
    }

    /// The time of the next call. In a closed loop it comes when there is room.
    fn planned(&self) -> Option<Instant> {
        match self.arrivals {
            Arrivals::Closed { .. } => None,
            Arrivals::Open { rate } => {
                // At most a million a second for ten minutes, times 10^9: below 2^63.
                Some(self.start + Duration::from_nanos(self.next * 1_000_000_000 / rate))
            }
        }
    }

    /// Sends what is due, and gives up what has been due for too long.
    fn send(&mut self, now: Instant) -> anyhow::Result<()> {
        match self.arrivals {
            Arrivals::Closed { calls } => {
                while now < self.end && self.wire.in_flight() < calls && self.wire.is_free() {
                    self.call(now)?;
                }
            }
            Arrivals::Open { .. } => {
                while let Some(planned) = self.planned()
                    && planned <= now
                    && planned < self.end
                {
                    if now >= self.end || now - planned > PATIENCE {
                        self.answers.missed(planned, self.was_held(planned));
                    } else if self.wire.is_free() {
                        self.call(planned)?;
                    } else {
                        self.full = Some(now);
                        break;
                    }
                    self.next += self.step;
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, planned: Instant) -> anyhow::Result<()> {
        let form = form(&self.version, self.keys)?;
        self.wire.call(&form, planned)?;
        self.answers.sent(planned, self.was_held(planned));
        Ok(())
    }

    /// Whether the connection was full when a call was due, or later.
    fn was_held(&self, planned: Instant) -> bool {
        self.full.is_some_and(|full| planned <= full)
    }
}
