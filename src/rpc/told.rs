//! What every stream has in common. A task of its own works and tells; what is told lies in a short queue until the reader
//! takes it. Nothing makes a reader take it: so the queue is bounded, a reader that takes nothing is given up, and the
//! client's place for a stream is held until what lies there is gone. The work ends when the server stops or the reader goes.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{auth::TRUST, limits::Taken, status::Refusal};

/// How often an open stream's token is checked again: a revocation acts within 5 s.
pub(super) const RECHECK: Duration = Duration::from_secs(1);
// R3 (OWASP ASVS 8.3.2): a token that was revoked the moment after it was looked up is found out by the next check.
const _: () = assert!(TRUST.as_secs() + RECHECK.as_secs() <= 5);

/// How a stream ends: `Ok` if there is nothing to say of it.
pub(super) type End = Result<(), Status>;

/// What a reader gets: the messages, then how the stream ended, however late it reads that.
#[derive(Debug)]
pub struct Told<M> {
    messages: mpsc::Receiver<M>,
    /// `None` once it was told.
    end: Option<oneshot::Receiver<End>>,
    _place: Taken,
}

impl<M: Send + 'static> Told<M> {
    /// Has a task do the work that `begin` gives, which tells by a queue of so many messages.
    pub(super) fn by<W>(
        waiting_max: usize,
        place: Taken,
        stopping: CancellationToken,
        begin: impl FnOnce(mpsc::Sender<M>) -> W,
    ) -> Self
    where
        W: Future<Output = End> + Send + 'static,
    {
        let (sender, messages) = mpsc::channel(waiting_max);
        let (ending, end) = oneshot::channel();
        let reader = sender.clone();
        let work = begin(sender);
        tokio::spawn(async move {
            let _shown = Shown::new();
            let end = tokio::select! {
                // First, so that a stream with much to send ends too.
                biased;
                () = stopping.cancelled() => Err(Refusal::Stopping.into()),
                // The reader went away: nothing is left to tell.
                () = reader.closed() => Ok(()),
                end = work => end,
            };
            // To nobody, if the reader went away.
            let _ = ending.send(end);
        });
        Self {
            messages,
            end: Some(end),
            _place: place,
        }
    }
}

impl<M> Stream for Told<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(message) = ready!(self.messages.poll_recv(context)) {
            return Poll::Ready(Some(Ok(message)));
        }
        let Some(end) = &mut self.end else {
            return Poll::Ready(None);
        };
        let end = ready!(Pin::new(end).poll(context));
        self.end = None;
        Poll::Ready(match end {
            Ok(Ok(())) => None,
            Ok(Err(status)) => Some(Err(status)),
            // The task panicked. Without a word of it the reader would think that this is all there is.
            Err(_) => Some(Err(Refusal::Internal.into())),
        })
    }
}

/// Counts a stream while it is open, also if its task panics.
struct Shown;

impl Shown {
    fn new() -> Self {
        metrics::gauge!("lead_intake_streams_open").increment(1);
        Self
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        metrics::gauge!("lead_intake_streams_open").decrement(1);
    }
}
