//! Whether a call is begun, and for how long it may go on.
//!
//! Inside the layer for JSON, which is so bound by the same rules, and outside of the one that asks who calls: what has
//! no place or no time left costs no look at a token. Dropping a call ends it, wherever it is; whether it was done is
//! then not known, but of what was refused here it is known that it was not.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{BoxFuture, Either, Ready, ready};
use http::{Request, Response};
use tokio::time::{Instant, timeout};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{
    super::{
        observe,
        status::{LATER_IN, Refusal},
    },
    Limits, UnderWay,
    allowance::{Taken, spread},
    is_stream,
    timeout::asked,
};

/// The package whose calls are counted.
const PACKAGE: &str = "/leadintake.v1.";

/// The methods that read the whole ledger.
const VERIFYING: [&str; 2] = ["VerifyLedger", "StreamVerifyLedger"];

/// When the time for a stream's work is over, with its request's extensions: a stream has begun long before.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Until(Instant);

impl Until {
    /// Of a request.
    pub(in super::super) fn of<T>(request: &tonic::Request<T>) -> Result<Instant, Status> {
        // The layer put it there; a server wired without the layer works for nobody.
        let until = request.extensions().get::<Self>();
        until
            .map(|until| until.0)
            .ok_or_else(|| Refusal::Internal.into())
    }
}

/// Admits calls.
#[derive(Clone, Debug)]
pub struct AdmitLayer {
    under_way: UnderWay,
    common_max: usize,
    all_max: usize,
    call_max: Duration,
    privacy_call_max: Duration,
    verify_max: Duration,
}

impl AdmitLayer {
    /// A layer with these limits, which counts here.
    #[must_use]
    pub fn new(limits: &Limits, under_way: UnderWay) -> Self {
        Self {
            under_way,
            common_max: limits.calls_max.saturating_sub(limits.calls_reserved),
            all_max: limits.calls_max,
            call_max: limits.call_max,
            privacy_call_max: limits.privacy_call_max,
            verify_max: limits.verify_max,
        }
    }

    /// How many may be under way for a method to be begun, and its longest time; `None` for what is not counted.
    fn bounds(&self, path: &str) -> Option<(usize, Duration)> {
        let (service, method) = path.strip_prefix(PACKAGE)?.split_once('/')?;
        Some(match service {
            "LedgerService" if VERIFYING.contains(&method) => (self.all_max, self.verify_max),
            "PrivacyService" | "LedgerService" => (self.all_max, self.privacy_call_max),
            _ => (self.common_max, self.call_max),
        })
    }

    /// A place for a call and the time that it has.
    fn admit<B>(&self, request: &Request<B>) -> Result<Option<(Taken, Duration)>, Status> {
        let Some((max, longest)) = self.bounds(request.uri().path()) else {
            return Ok(None);
        };
        let time = match asked(request.headers()) {
            Some(asked) => left(asked).ok_or(Refusal::DeadlinePassed)?.min(longest),
            None => longest,
        };
        let place = self.under_way.take(max);
        let place = place.ok_or_else(|| Refusal::Overloaded.after(spread(LATER_IN)))?;
        Ok(Some((place, time)))
    }
}

/// What is left of a caller's time: a little less than it waits, so that our answer comes before it stops waiting, and
/// before tonic ends the call at the same moment with another answer. Nothing is left of what is shorter than a tick of
/// the clock that measures it.
fn left(asked: Duration) -> Option<Duration> {
    let tick = Duration::from_millis(1);
    let margin = (asked / 20).clamp(tick, 20 * tick);
    asked.checked_sub(margin).filter(|left| !left.is_zero())
}

impl<S> Layer<S> for AdmitLayer {
    type Service = AdmitService<S>;

    fn layer(&self, inner: S) -> AdmitService<S> {
        AdmitService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`AdmitLayer`] makes.
#[derive(Clone, Debug)]
pub struct AdmitService<S> {
    inner: S,
    layer: AdmitLayer,
}

type Answer<E> = Result<Response<Body>, E>;

impl<S> Service<Request<Body>> for AdmitService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future =
        Either<Ready<Answer<S::Error>>, Either<S::Future, BoxFuture<'static, Answer<S::Error>>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.layer.admit(&request) {
            Err(status) => Either::Left(ready(Ok(status.into_http()))),
            Ok(None) => Either::Right(Either::Left(self.inner.call(request))),
            Ok(Some((place, time))) => {
                let is_stream = is_stream(request.uri().path());
                if is_stream {
                    let until = Until(Instant::now() + time);
                    request.extensions_mut().insert(until);
                }
                let answer = timeout(time, self.inner.call(request));
                Either::Right(Either::Right(Box::pin(async move {
                    let answer = answer.await.unwrap_or_else(|_| {
                        Ok(Status::from(Refusal::DeadlineExceeded).into_http())
                    });
                    if !is_stream {
                        observe::hold(place);
                    }
                    answer
                })))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A method that is added to the contract is inside the limits, whatever it is called; what is no method of ours
    /// is not.
    #[test]
    fn every_method_of_ours_is_bounded() {
        let layer = AdmitLayer::new(&Limits::default(), UnderWay::default());
        let pool = prost_reflect::DescriptorPool::decode(crate::pb::DESCRIPTORS).unwrap();
        let access = super::super::super::auth::Access::from_descriptors(&pool).unwrap();
        for (path, _) in access.methods() {
            let (max, time) = layer.bounds(path).expect(path);
            let is_reserved = path.contains("PrivacyService/") || path.contains("LedgerService/");
            assert_eq!(max, if is_reserved { 1000 } else { 900 }, "{path}");
            let longest = match path.rsplit('/').next() {
                Some("VerifyLedger" | "StreamVerifyLedger") => 600,
                _ if is_reserved => 60,
                _ => 10,
            };
            assert_eq!(time.as_secs(), longest, "{path}");
        }
        for path in [
            "/grpc.health.v1.Health/Check",
            "/",
            "",
            "/leadintake.v1",
            "/x/y",
        ] {
            assert!(layer.bounds(path).is_none(), "{path}");
        }
    }

    /// O2: of a time that is over, or shorter than can be measured, nothing is left; of every other most is.
    #[test]
    fn a_little_less_than_the_caller_waits() {
        for millis in [0, 1] {
            assert_eq!(left(Duration::from_millis(millis)), None);
        }
        assert_eq!(left(Duration::from_micros(999)), None);
        for (asked, expected) in [(2, 1), (20, 19), (100, 95), (10_000, 9_980)] {
            let asked = Duration::from_millis(asked);
            assert_eq!(left(asked), Some(Duration::from_millis(expected)));
        }
    }
}
