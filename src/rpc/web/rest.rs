//! What nobody read of a request over HTTP/1.1.
//!
//! A caller is refused before its message is read. Over HTTP/2 that ends one call; over HTTP/1.1 the connection
//! would be closed, and a client that is still writing, as Node's is, reports a broken pipe instead of the refusal. So
//! what is left is thrown away first, within bounds.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use tonic::{Status, body::Body};

/// The most that is thrown away: of what a form could be, several times.
const DISCARDED_MAX: usize = 1024 * 1024;
/// For how long the rest may take.
const DISCARD_WITHIN: Duration = Duration::from_secs(1);

/// A body that its reader may leave half read.
#[derive(Clone)]
struct Lent(Arc<Mutex<Body>>);

/// What is left of a body when its call was answered.
pub(super) struct Rest(Option<Lent>);

/// Lends the body of a request to whoever answers it.
pub(super) fn lend(request: Request<Body>) -> (Request<Body>, Rest) {
    // Who waits to be asked for the message is not writing it.
    let waits = request.headers().contains_key(header::EXPECT);
    if request.version() > Version::HTTP_11 || waits {
        return (request, Rest(None));
    }
    let (head, body) = request.into_parts();
    let lent = Lent(Arc::new(Mutex::new(body)));
    let request = Request::from_parts(head, Body::new(lent.clone()));
    (request, Rest(Some(lent)))
}

impl Rest {
    /// Throws the rest away, as far as it comes soon.
    pub(super) async fn discard(self) {
        let Some(lent) = self.0.filter(|lent| !lent.is_end_stream()) else {
            return;
        };
        let discarding = async {
            let mut lent = pin!(lent);
            let mut discarded = 0;
            while let Some(Ok(frame)) = lent.frame().await
                && discarded <= DISCARDED_MAX
            {
                discarded += frame.data_ref().map_or(0, Bytes::len);
            }
        };
        // Who takes longer finds the connection closed.
        let _ = timeout(DISCARD_WITHIN, discarding).await;
    }
}

impl Lent {
    fn body(&self) -> std::sync::MutexGuard<'_, Body> {
        // A body whose reader panicked is at worst cut short.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}
