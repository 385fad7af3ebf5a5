//! How a server ends: step by step, each with a bound.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::door::Stage;

/// The longest drain, if nobody says.
pub const DRAIN_MAX: Duration = Duration::from_secs(20);

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

/// Ends the calls, step by step, once `stop` is cancelled.
pub(super) async fn end(
    ending: Ending,
    stop: &CancellationToken,
    draining: &CancellationToken,
    stage: &watch::Sender<Stage>,
) {
    stop.cancelled().await;
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
