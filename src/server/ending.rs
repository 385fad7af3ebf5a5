//! How a server ends: step by step, each with a bound.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::door::Stage;

/// The longest drain, if nobody says.
pub const DRAIN_MAX: Duration = Duration::from_secs(20);

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Ended {
    /// It was asked to, and everything is closed.
    Stopped,
    /// The database is not to be trusted any more: what is left to do belongs to the next start.
    Broken,
}

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// For how long calls are still taken after health said that they are not.
    pub wait: Duration,
    /// How long connections may take to finish after that.
    pub drain_max: Duration,
}

impl Default for Ending {
    /// At once: for whoever has no balancer to wait for.
    fn default() -> Self {
        Self {
            wait: Duration::ZERO,
            drain_max: DRAIN_MAX,
        }
    }
}

/// How it ends when the database is not to be trusted any more: calls hear that nothing is done, for as long as a balancer needs to
/// look away, and soon it is over.
const ON_BROKEN: Ending = Ending {
    wait: Duration::from_secs(1),
    drain_max: Duration::from_secs(1),
};

/// Ends the calls, step by step, once `stop` is cancelled or the database is `broken`.
pub(super) async fn end(
    asked: Ending,
    stop: &CancellationToken,
    broken: &CancellationToken,
    draining: &CancellationToken,
    stage: &watch::Sender<Stage>,
) {
    let ending = tokio::select! {
        () = stop.cancelled() => asked,
        () = broken.cancelled() => {
            // Readiness listens to it, and goes at once.
            stop.cancel();
            ON_BROKEN
        }
    };
    tokio::time::sleep(ending.wait).await;
    draining.cancel();
    stage.send_replace(Stage::Draining);
    // A silent peer or an endless stream would hold a graceful stop for ever: so, a deadline.
    tokio::select! {
        () = stage.closed() => {}
        () = tokio::time::sleep(ending.drain_max) => {
            stage.send_replace(Stage::Cut);
        }
    }
}
