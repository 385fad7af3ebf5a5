//! The body of a request, which is read to its end even if nobody wants it.
//!
//! A call may be answered before its message was read: without room for it, without a token. A body that is dropped then
//! makes hyper reset the stream, and h2 takes a message that comes for a stream that is gone for its peer's mistake; after
//! 256 of these it ends the connection, with every other call on it. So what is left of a body is read and thrown away, as
//! long as it may be one of ours.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::timeout};

/// More than any message has. What sends more is reset.
const LEFT_MAX: usize = 128 * 1024;
/// By then the rest of what was begun must have come.
const WITHIN: Duration = Duration::from_secs(5);

/// Such a body.
#[derive(Debug)]
pub struct Drained(Option<Incoming>);

impl Drained {
    /// Reads this body to its end, whoever drops it before.
    #[must_use]
    pub fn new(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Body for Drained {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        // Mostly all of it is here already.
        let mut rest = Box::pin(drain(body));
        if (&mut rest).now_or_never().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(WITHIN, rest));
        }
    }
}

async fn drain(mut body: Incoming) {
    let mut left = LEFT_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
