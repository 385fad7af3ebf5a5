//! Accepting connections, never more than there may be, and never in a hurry when it fails.
//!
//! A place is taken before a connection is, so descriptors are bounded. When all places stay taken, who comes is turned
//! away at once, which a balancer understands, instead of waiting for an answer in the kernel's queue.

use std::{io, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use super::metrics::{Closed, Metrics};

/// The pause after a failure: at the limit of descriptors the next attempt fails too.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// The least time between two lines of the log about failures.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// The pause after a peer was turned away: a thousand a second cost nothing that is noticed.
const REFUSAL_PAUSE: Duration = Duration::from_millis(1);
/// When the kernel asks a silent peer whether it is there, how often, and how often in vain.
const KEEPALIVE_AFTER: Duration = Duration::from_mins(1);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TRIES: u32 = 3;
/// How long what was sent may stay unacknowledged by the peer's kernel.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);

/// A listener at work.
pub(super) struct Accepting {
    pub(super) listener: TcpListener,
    pub(super) permits: Arc<Semaphore>,
    pub(super) room_within: Duration,
    /// No place became free for that long.
    pub(super) is_full: bool,
    pub(super) metrics: Metrics,
    /// When the log was last told of a failure.
    pub(super) told: Option<Instant>,
}

impl Accepting {
    /// The next connection that has a place. May be dropped at any time: nobody who was accepted is lost.
    pub(super) async fn next(&mut self) -> (TcpStream, OwnedSemaphorePermit) {
        loop {
            let place = self.place().await;
            let socket = match self.listener.accept().await {
                Ok((socket, _)) => socket,
                Err(error) => {
                    self.failed(&error).await;
                    continue;
                }
            };
            // One may have become free while nobody came.
            let Some(place) = place.or_else(|| self.permits.clone().try_acquire_owned().ok())
            else {
                self.metrics.closed(Closed::Full);
                drop(socket);
                sleep(REFUSAL_PAUSE).await;
                continue;
            };
            self.is_full = false;
            prepare(&socket);
            return (socket, place);
        }
    }

    /// A free place, unless there is none for a while.
    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        let permits = self.permits.clone();
        if self.is_full {
            return permits.try_acquire_owned().ok();
        }
        if let Ok(place) = timeout(self.room_within, permits.acquire_owned()).await {
            return place.ok();
        }
        self.is_full = true;
        if self.may_tell() {
            tracing::warn!("as many connections as there may be: who comes is turned away");
        }
        None
    }

    async fn failed(&mut self, error: &io::Error) {
        // The peer was gone before it was accepted: the next one is there already.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        ) {
            return;
        }
        self.metrics.failed();
        if self.may_tell() {
            tracing::warn!(%error, "cannot accept connections; trying again every 100 ms");
        }
        sleep(FAILURE_PAUSE).await;
    }

    fn may_tell(&mut self) -> bool {
        let may = self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if may {
            self.told = Some(Instant::now());
        }
        may
    }
}

/// Options of a new connection. One that the kernel refuses is gone, or goes without.
fn prepare(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    let options = SockRef::from(socket);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_TRIES);
    let _ = options.set_tcp_keepalive(&keepalive);
    let _ = options.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
}
