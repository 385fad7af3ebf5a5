//! The door: who may come in, for how long, and how all leave.
//!
//! A [`Door`] accepts connections on a listener and serves each until it ends: by the peer, by its age, by a deadline
//! ([`guard`]), or because the service stops ([`Stage`]). Behind it everything is calls (`rpc`), and nothing knows of
//! connections but by [`Peer`].
//!
//! The rule: whatever strangers do, connections and descriptors are bounded, nothing waits for a silent peer for ever, and
//! nothing is asked of the processor that a peer does not pay for. A new bound is a field of [`Limits`], a reason in
//! [`metrics`], and a test in `tests/it/door`.

mod accept;
mod descriptors;
mod drained;
mod guard;
mod host;
mod metrics;
mod pace;
mod reading;
mod tls;

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tokio_util::task::TaskTracker;
use tower::Service;

pub use self::descriptors::{TooFewDescriptors, connections};
pub use self::drained::Drained;
pub use self::tls::{ClientCertificates, Tls, TlsError, TlsFiles};
use self::{accept::Accepting, host::Host, metrics::Metrics};

/// Most connections at once, if nobody says and descriptors allow it.
pub const CONNECTIONS_MAX: usize = 2000;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a door allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most connections at once.
    pub connections_max: usize,
    /// How long who comes waits for one to end, before all who come are turned away.
    pub room_within: Duration,
    /// Within which time TLS must have been agreed on.
    pub handshake_within: Duration,
    /// Within which time HTTP must begin: the preface and the first frame, or a first byte of HTTP/1.1.
    pub first_within: Duration,
    /// Within which time the rest of what was begun must come: a frame, a header block, a first head of HTTP/1.1.
    pub rest_within: Duration,
    /// Within which time a peer must take something of what is sent to it.
    pub written_within: Duration,
    /// How old a connection gets before it is asked to end; ± 10 %, so that not all come back at once.
    pub age_max: Duration,
    /// How long its calls may go on then.
    pub age_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            room_within: Duration::from_secs(1),
            handshake_within: Duration::from_secs(5),
            first_within: Duration::from_secs(3),
            rest_within: Duration::from_secs(10),
            written_within: Duration::from_secs(30),
            age_max: Duration::from_mins(30),
            // Longer than any stream of the feed lives.
            age_grace: Duration::from_mins(6),
        }
    }
}

/// How far the service is with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Everybody may come in.
    Open,
    /// Nobody comes in; who is in finishes.
    Draining,
    /// Whoever is still in is put out.
    Cut,
}

/// What is known of who is at the other end.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// The names in the certificate that it proved: none over plain TCP, or without one.
    pub names: Arc<[String]>,
}

/// What answers the calls of a connection. Whatever can, is one.
pub trait Calls:
    Service<
        Request<Incoming>,
        Response = Response<Self::Body>,
        Future: Send + 'static,
        Error: Into<BoxError>,
    > + Clone
    + Send
    + 'static
{
    /// What it answers with.
    type Body: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> Calls for S
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Future: Send + 'static,
            Error: Into<BoxError>,
        > + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

/// A listener and what it allows.
#[derive(Debug)]
pub struct Door {
    name: &'static str,
    listener: TcpListener,
    limits: Limits,
    tls: Option<Arc<Tls>>,
}

impl Door {
    /// A door with this name in metrics.
    #[must_use]
    pub fn new(name: &'static str, listener: TcpListener, limits: Limits) -> Self {
        Self {
            name,
            listener,
            limits,
            tls: None,
        }
    }

    /// The same, under TLS if there is some.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// Serves who comes, each by a service that is made for it, until the stage says to end; returns when the last
    /// connection has.
    pub async fn serve<M, S>(self, make: M, stage: watch::Receiver<Stage>)
    where
        M: Fn(Peer) -> S + Clone + Send + 'static,
        S: Calls,
    {
        let metrics = Metrics::new(self.name, self.limits.connections_max);
        let host = Arc::new(Host::new(self.limits.clone(), self.tls, metrics.clone()));
        let mut accepting = Accepting {
            listener: self.listener,
            permits: Arc::new(Semaphore::new(self.limits.connections_max)),
            room_within: self.limits.room_within,
            is_full: false,
            metrics,
            told: None,
        };
        let guests = TaskTracker::new();
        let mut ending = stage.clone();
        let (told, guests_stage) = watch::channel(Stage::Open);
        loop {
            let (socket, permit) = tokio::select! {
                biased;
                // Also when nobody is left who could say so.
                _ = ending.wait_for(|stage| *stage > Stage::Open) => break,
                next = accepting.next() => next,
            };
            let (host, make, stage) = (host.clone(), make.clone(), guests_stage.clone());
            guests.spawn(async move {
                host.receive(socket, make, stage).await;
                // Only now may another one come in its place.
                drop(permit);
            });
        }
        // The port first: who is told to leave, and comes back at once, must find it closed, and go elsewhere.
        drop((accepting, guests_stage));
        guests.close();
        tokio::select! {
            () = guests.wait() => {}
            () = pass_on(stage, &told) => guests.wait().await,
        }
    }
}

/// Tells the guests each stage, to the last.
async fn pass_on(mut stage: watch::Receiver<Stage>, told: &watch::Sender<Stage>) {
    loop {
        let now = *stage.borrow_and_update();
        told.send_replace(now);
        if now == Stage::Cut {
            return;
        }
        if stage.changed().await.is_err() {
            told.send_replace(Stage::Cut);
            return;
        }
    }
}
