//! One connection, from the greeting to its end.

use std::{sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpStream,
    pin,
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    Calls, Limits, Peer, Stage, Tls,
    guard::{Guard, Stream},
    metrics::{Closed, Metrics},
    pace::{Brake, Pace},
    tls::peer_names,
};
use tower::ServiceExt as _;

use crate::seal::random;

/// The largest header list.
const HEADERS_MAX: u32 = 8 * 1024;
/// Bytes of a request over HTTP/1.1 that are held at once: its head must fit.
const HTTP1_BUFFER_MAX: usize = 16 * 1024;
/// How long a connection of HTTP/1.1 may be without a call, or with the head of a later one unfinished.
const HTTP1_IDLE_MAX: Duration = Duration::from_secs(30);
/// Calls in flight on a connection.
const CALLS_MAX: u32 = 100;

/// What serves connections.
pub(super) struct Host {
    limits: Limits,
    tls: Option<Arc<Tls>>,
    metrics: Metrics,
    pace: Pace,
    http: auto::Builder<TokioExecutor>,
}

impl Host {
    pub(super) fn new(limits: Limits, tls: Option<Arc<Tls>>, metrics: Metrics) -> Self {
        Self {
            limits,
            tls,
            metrics,
            pace: Pace::new(),
            http: http(),
        }
    }

    /// Serves a connection until it ends.
    pub(super) async fn receive<M, S>(
        &self,
        socket: TcpStream,
        make: M,
        stage: watch::Receiver<Stage>,
    ) where
        M: Fn(Peer) -> S,
        S: Calls,
    {
        let _present = self.metrics.present();
        let closed = match self.greet(socket, stage.clone()).await {
            Ok((stream, peer)) => self.serve(stream, make(peer), stage).await,
            Err(closed) => closed,
        };
        self.metrics.closed(closed);
    }

    /// Agrees on TLS, if there is any.
    async fn greet(
        &self,
        socket: TcpStream,
        mut stage: watch::Receiver<Stage>,
    ) -> Result<(Stream, Peer), Closed> {
        let Some(tls) = &self.tls else {
            return Ok((Stream::Plain(socket), Peer::default()));
        };
        tokio::select! {
            // Why it failed is not logged: who scans ports would fill the log. The metric tells.
            greeted = timeout(self.limits.handshake_within, tls.accept(socket)) => {
                let stream = greeted.ok().and_then(Result::ok).ok_or(Closed::Handshake)?;
                let names = peer_names(&stream);
                Ok((Stream::Tls(Box::new(stream)), Peer { names }))
            }
            _ = stage.wait_for(|stage| *stage == Stage::Cut) => Err(Closed::Cut),
        }
    }

    async fn serve<S>(
        &self,
        stream: Stream,
        service: S,
        mut stage: watch::Receiver<Stage>,
    ) -> Closed
    where
        S: Calls,
    {
        let brake = Brake::new(&self.pace);
        let guard = Guard::new(stream, &self.limits, brake.clone());
        let cause = guard.cause();
        let service = service.map_response(move |response| {
            brake.answered(&response);
            response
        });
        let service = TowerToHyperService::new(service);
        let connection = self.http.serve_connection(TokioIo::new(guard), service);
        let age = sleep(self.limits.age());
        pin!(connection, age);
        // Why it was asked to end, once it was.
        let mut asked = None;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    return cause.get().unwrap_or(match (asked, ended) {
                        (Some(reason), _) => reason,
                        (None, Ok(())) => Closed::Peer,
                        (None, Err(error)) => blame(&*error),
                    });
                }
                stage = next(&mut stage, asked) => {
                    if stage == Stage::Cut {
                        return Closed::Cut;
                    }
                    asked = Some(Closed::Stop);
                    connection.as_mut().graceful_shutdown();
                }
                // Once the service stops, that decides.
                () = age.as_mut(), if asked != Some(Closed::Stop) => {
                    if asked.is_some() {
                        return Closed::Cut;
                    }
                    asked = Some(Closed::Age);
                    connection.as_mut().graceful_shutdown();
                    age.set(sleep(self.limits.age_grace));
                }
            }
        }
    }
}

/// The next stage that this connection has not heard of.
async fn next(stage: &mut watch::Receiver<Stage>, asked: Option<Closed>) -> Stage {
    let known = match asked {
        Some(Closed::Stop) => Stage::Draining,
        _ => Stage::Open,
    };
    // Nobody is left who could say more: the service is gone.
    stage
        .wait_for(|stage| *stage > known)
        .await
        .map_or(Stage::Cut, |stage| *stage)
}

/// Whose fault the end of a connection was: a peer that breaks off is none.
fn blame(error: &(dyn std::error::Error + 'static)) -> Closed {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<std::io::Error>() {
            return Closed::Peer;
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_closed() || error.is_canceled())
        {
            return Closed::Peer;
        }
        next = error.source();
    }
    Closed::Protocol
}

impl Limits {
    /// The age of one connection.
    fn age(&self) -> Duration {
        let [chance] = random::<1>().unwrap_or([128]);
        let share = 0.9 + 0.2 * f64::from(chance) / f64::from(u8::MAX);
        self.age_max.mul_f64(share)
    }
}

/// HTTP, with the limits that the libraries leave open.
fn http() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(CALLS_MAX)
        // Without it one connection that forces resets keeps a core busy for as long as it likes.
        .max_local_error_reset_streams(256)
        .max_pending_accept_reset_streams(20)
        .max_header_list_size(HEADERS_MAX)
        .max_frame_size(16 * 1024)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .adaptive_window(false)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP1_IDLE_MAX)
        .max_buf_size(HTTP1_BUFFER_MAX);
    builder
}
