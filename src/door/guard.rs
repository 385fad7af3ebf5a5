//! A connection's bytes, with deadlines: for what the peer began to send, and for taking what is sent to it.
//!
//! The rule: who owes nothing may be silent for as long as the connection lives, as a follower of the feed is. The price
//! for each read is a look at the frames' heads; a timer is touched only while something is owed.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::{
    Limits,
    metrics::Closed,
    pace::{Brake, Braked},
    reading::Reading,
};

/// Frames that belong to no call, such as pings, that a peer may send at once; and in a second, for ever. A client that
/// measures the line pings once for each round trip.
const IDLE_FRAMES_BURST: f64 = 20_000.0;
const IDLE_FRAMES_PER_SECOND: f64 = 5_000.0;

/// A stream of bytes, in the clear or under TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    /// Boxed: a kilobyte that most connections would carry for nothing.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Does the same with either stream.
macro_rules! either {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Plain($inner) => $call,
            Stream::Tls($inner) => $call,
        }
    };
}

/// Why a connection was ended, from where it is noticed to where it is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Cause(Arc<OnceLock<Closed>>);

impl Cause {
    pub(super) fn get(&self) -> Option<Closed> {
        self.0.get().copied()
    }
}

/// A stream with deadlines.
#[derive(Debug)]
pub(super) struct Guard {
    stream: Stream,
    reading: Reading,
    braked: Braked,
    rest_within: Duration,
    written_within: Duration,
    /// By when the peer must have sent what it owes.
    read_by: Option<Instant>,
    /// By when it must have taken something of what waits for it.
    write_by: Option<Instant>,
    /// The earlier of the two, or earlier still: then it is set anew.
    timer: Pin<Box<Sleep>>,
    idle_frames: Bucket,
    cause: Cause,
}

impl Guard {
    pub(super) fn new(stream: Stream, limits: &Limits, brake: Brake) -> Self {
        let first = Instant::now() + limits.first_within;
        Self {
            stream,
            reading: Reading::new(),
            braked: Braked::new(brake),
            rest_within: limits.rest_within,
            written_within: limits.written_within,
            read_by: Some(first),
            write_by: None,
            timer: Box::pin(sleep_until(first)),
            idle_frames: Bucket::default(),
            cause: Cause::default(),
        }
    }

    pub(super) fn cause(&self) -> Cause {
        self.cause.clone()
    }

    /// Notes what was read.
    fn took(&mut self, bytes: &[u8]) -> io::Result<()> {
        let read = self.reading.take(bytes);
        if !self.reading.is_owed() {
            self.read_by = None;
        } else if read.settled || self.read_by.is_none() {
            self.read_by = Some(Instant::now() + self.rest_within);
        }
        if read.idle_frames > 0 && !self.idle_frames.take(read.idle_frames) {
            return Err(self.end(Closed::Flood));
        }
        Ok(())
    }

    /// Whether a deadline passed. Called when nothing can be read or written now; wakes the task when one will.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let due = match (self.read_by, self.write_by) {
            (None, None) => return Ok(()),
            (Some(due), None) | (None, Some(due)) => due,
            (Some(read), Some(write)) => read.min(write),
        };
        if self.timer.is_elapsed() || self.timer.deadline() > due {
            self.timer.as_mut().reset(due);
        }
        while self.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if self.write_by.is_some_and(|by| by <= now) {
                return Err(self.end(Closed::NotRead));
            }
            if self.read_by.is_some_and(|by| by <= now) {
                return Err(self.end(match self.reading {
                    Reading::Preface(_) => Closed::Silent,
                    _ => Closed::Slow,
                }));
            }
            self.timer.as_mut().reset(due);
        }
        Ok(())
    }

    fn end(&self, closed: Closed) -> io::Error {
        // The first reason stands.
        let _ = self.cause.0.set(closed);
        io::ErrorKind::TimedOut.into()
    }

    /// Notes what became of a write.
    fn wrote<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write_by = None;
            return polled;
        }
        if self.write_by.is_none() {
            self.write_by = Some(Instant::now() + self.written_within);
        }
        self.check(context)?;
        polled
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if ready!(self.braked.poll_ready(context)) {
            // That time was not the peer's.
            self.read_by = self.read_by.map(|_| Instant::now() + self.rest_within);
        }
        let before = buffer.filled().len();
        let polled = either!(&mut self.stream, it => Pin::new(it).poll_read(context, buffer));
        match polled {
            Poll::Ready(Ok(())) => self.took(&buffer.filled()[before..])?,
            Poll::Pending => self.check(context)?,
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = either!(&mut self.stream, it => Pin::new(it).poll_write(context, bytes));
        self.wrote(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled =
            either!(&mut self.stream, it => Pin::new(it).poll_write_vectored(context, slices));
        self.wrote(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        either!(&self.stream, it => it.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = either!(&mut self.stream, it => Pin::new(it).poll_flush(context));
        self.wrote(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = either!(&mut self.stream, it => Pin::new(it).poll_shutdown(context));
        self.wrote(context, polled)
    }
}

/// A supply that fills up again.
#[derive(Debug)]
struct Bucket {
    left: f64,
    since: Instant,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            left: IDLE_FRAMES_BURST,
            since: Instant::now(),
        }
    }
}

impl Bucket {
    fn take(&mut self, count: u32) -> bool {
        let now = Instant::now();
        let gained = (now - self.since).as_secs_f64() * IDLE_FRAMES_PER_SECOND;
        self.since = now;
        self.left = (self.left + gained).min(IDLE_FRAMES_BURST) - f64::from(count);
        self.left >= 0.0
    }
}
