//! How fast calls are refused: who is refused more often than that is read from later.
//!
//! To refuse a call costs what it costs the bare server to answer one (37 µs, docs/performance.md), so ten times as many calls as
//! can be taken left the taken ones a twentieth of the processor. A refusal says when to come back. For whoever does not
//! heed that, all connections together have so many refusals a second ([`PER_SECOND`]); beyond them, a connection on which
//! one more call is refused is not read until its turn has come. TCP then keeps the peer waiting, and what it sends costs
//! nothing here until it is read.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Response, StatusCode};
use tokio::time::{Instant, Sleep, sleep_until};

/// Refusals a second, in the long run: a tenth of two cores.
const PER_SECOND: u32 = 5_000;
/// What one takes of that second.
const ONE: Duration = Duration::from_nanos(1_000_000_000 / PER_SECOND as u64);
/// So much at once keeps nobody waiting: 250 refusals.
const BURST: Duration = Duration::from_millis(50);
/// The longest that a connection is not read.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// What all connections of a door have refused lately.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    start: Instant,
    /// Nanoseconds after the start, by which all refusals so far would be due.
    due: Arc<AtomicU64>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            due: Arc::default(),
        }
    }

    /// One more; how long nothing more should be read from who was refused.
    fn refused(&self) -> Duration {
        let now = self.start.elapsed();
        let next = |due| (Duration::from_nanos(due).max(now) + ONE).min(now + PAUSE_MAX);
        let update = self
            .due
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
                u64::try_from(next(due).as_nanos()).ok()
            });
        let ahead = update.map_or(Duration::ZERO, next).saturating_sub(now);
        if ahead > BURST { ahead } else { Duration::ZERO }
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from((at - self.start).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// One connection's share of it.
#[derive(Clone, Debug)]
pub(super) struct Brake {
    pace: Pace,
    /// Nanoseconds after the start, before which nothing is read.
    until: Arc<AtomicU64>,
}

impl Brake {
    pub(super) fn new(pace: &Pace) -> Self {
        Self {
            pace: pace.clone(),
            until: Arc::default(),
        }
    }

    /// Notes what a call was answered.
    pub(super) fn answered<B>(&self, response: &Response<B>) {
        if is_refusal(response) {
            let pause = self.pace.refused();
            if !pause.is_zero() {
                let until = self.pace.nanos(Instant::now() + pause);
                self.until.fetch_max(until, Ordering::Relaxed);
            }
        }
    }

    fn until(&self) -> Instant {
        self.pace.start + Duration::from_nanos(self.until.load(Ordering::Relaxed))
    }
}

/// Whether there was no room for a call, as gRPC says it before any message, or as HTTP does.
fn is_refusal<B>(response: &Response<B>) -> bool {
    const RESOURCE_EXHAUSTED: &[u8] = b"8";
    let code = response.headers().get("grpc-status");
    response.status() == StatusCode::TOO_MANY_REQUESTS
        || code.is_some_and(|code| code.as_bytes() == RESOURCE_EXHAUSTED)
}

/// The side that reads: waits while the brake is on.
#[derive(Debug)]
pub(super) struct Braked {
    brake: Brake,
    /// There while it waits.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Braked {
    pub(super) fn new(brake: Brake) -> Self {
        Self { brake, timer: None }
    }

    /// Ready when something may be read: says whether that had to be waited for.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let until = self.brake.until();
        if self.timer.is_none() && until <= Instant::now() {
            return Poll::Ready(false);
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.timer = None;
        Poll::Ready(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O1: a few are refused at once; from then on each waits its turn, and never long; and what was long ago is forgotten.
    #[tokio::test(start_paused = true)]
    async fn who_is_refused_often_waits() {
        let pace = Pace::new();
        let free = (0..1_000).take_while(|_| pace.refused().is_zero()).count();
        assert_eq!(free, 250);
        assert!(pace.refused() > BURST);
        for _ in 0..10_000 {
            pace.refused();
        }
        assert_eq!(pace.refused(), PAUSE_MAX);
        tokio::time::advance(BURST).await;
        assert!(pace.refused() > BURST, "there is still as much to come");
        tokio::time::advance(PAUSE_MAX).await;
        assert!(pace.refused().is_zero());
    }

    /// What is no refusal for want of room costs nothing.
    #[test]
    fn only_refusals_for_want_of_room_count() {
        let grpc = |code: &'static str| Response::builder().header("grpc-status", code).body(());
        let http = |code: u16| Response::builder().status(code).body(());
        for (response, counts) in [
            (grpc("8"), true),
            (http(429), true),
            (grpc("0"), false),
            (grpc("16"), false),
            (http(200), false),
            (http(503), false),
        ] {
            assert_eq!(is_refusal(&response.unwrap()), counts);
        }
    }
}
