//! What is seen of a call: a request id, one log line, metrics; and the constant form of every error.
//!
//! The outermost layer, so that it sees what all others answer. Labels are method, code and role, and a
//! method that does not exist counts as "unknown": the number of series is bounded.

mod constant;
mod current;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use metrics::{Counter, Histogram};
use tokio::time::Instant;
use tonic::{Code, body::Body};
use tower::{Layer, Service};

pub use self::current::{REQUEST_ID, request_id};
pub(super) use self::current::{has_role, hold, hold_of_client};
use self::{
    constant::{constant, constant_trailers, status_of},
    current::{CallId, Held},
};
use super::{auth::Access, refusals};
use crate::{
    telemetry::traces::{self, Call as Trace},
    token::Role,
};

/// Methods of health and reflection.
const GRPC: &str = "grpc";
/// Everything else.
const UNKNOWN: &str = "unknown";

/// Observes calls.
#[derive(Clone, Debug)]
pub struct ObserveLayer(Arc<HashMap<String, Arc<Method>>>);

/// A method and its metrics, looked up once: by their labels they would be for every call.
struct Method {
    path: String,
    duration: Histogram,
    /// Calls that went well, by role; the last is for none.
    ok: [Counter; ROLES],
}

/// The roles, and none.
const ROLES: usize = Role::ALL.len() + 1;

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)
    }
}

impl Method {
    fn new(path: &str) -> Arc<Self> {
        let ok = std::array::from_fn(|place| {
            let role = Role::ALL.get(place).map_or("none", |role| role.name());
            calls(path, Code::Ok, role)
        });
        let duration =
            metrics::histogram!("lead_intake_call_duration_seconds", "method" => path.to_owned());
        Arc::new(Self {
            path: path.to_owned(),
            duration,
            ok,
        })
    }

    /// Whether it is one of the contract.
    fn is_known(&self) -> bool {
        self.path.starts_with('/')
    }
}

fn calls(path: &str, code: Code, role: &'static str) -> Counter {
    metrics::counter!(
        "lead_intake_calls_total",
        "method" => path.to_owned(), "code" => code_name(code), "role" => role
    )
}

impl ObserveLayer {
    /// A layer that knows these methods.
    #[must_use]
    pub fn new(access: &Access) -> Self {
        let paths = access
            .methods()
            .map(|(path, _)| path)
            .chain([GRPC, UNKNOWN]);
        Self(Arc::new(
            paths
                .map(|path| (path.to_owned(), Method::new(path)))
                .collect(),
        ))
    }

    fn method(&self, path: &str) -> Option<Arc<Method>> {
        let known = self.0.get(path).filter(|method| method.is_known());
        let other = || {
            self.0.get(if path.starts_with("/grpc.") {
                GRPC
            } else {
                UNKNOWN
            })
        };
        known.or_else(other).cloned()
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = ObserveService<S>;

    fn layer(&self, inner: S) -> ObserveService<S> {
        ObserveService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`ObserveLayer`] makes.
#[derive(Clone, Debug)]
pub struct ObserveService<S> {
    inner: S,
    layer: ObserveLayer,
}

impl<S, B> Service<Request<Body>> for ObserveService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let id = CallId::next();
        let method = self.layer.method(request.uri().path());
        let path = method.as_ref().map_or(UNKNOWN, |method| &method.path);
        // Nothing at all, unless the operator has named a collector.
        let trace = Trace::begin(request.headers(), path);
        let place = trace.as_ref().map(|trace| trace.place());
        let call = Call {
            id,
            method,
            role: None,
            start: Instant::now(),
            held: Arc::default(),
            trace,
        };
        // The inner services begin their work in `call`, so that is inside the scope too.
        let begin = || current::begin(id, || self.inner.call(request));
        let answer = async |future: S::Future| Ok(finish(future.await?, call));
        match place {
            None => Box::pin(current::within(id, answer(begin()))),
            Some(place) => {
                let future = traces::within(place.clone(), begin);
                Box::pin(traces::inside(place, current::within(id, answer(future))))
            }
        }
    }
}

/// A call under way.
struct Call {
    id: CallId,
    method: Option<Arc<Method>>,
    role: Option<Role>,
    start: Instant,
    held: Arc<Held>,
    trace: Option<Box<Trace>>,
}

impl Call {
    fn path(&self) -> &str {
        self.method.as_ref().map_or(UNKNOWN, |method| &method.path)
    }

    fn done(&mut self, code: Code, reason: Option<&'static str>) {
        let duration = self.start.elapsed();
        let role = self.role.map_or("none", Role::name);
        if let Some(trace) = &mut self.trace {
            trace.end(code as i32, code_name(code), role);
        }
        if let Some(method) = &self.method {
            method.duration.record(duration.as_secs_f64());
            match code {
                Code::Ok => {
                    method.ok[self.role.map_or(ROLES, |role| role as usize) - 1].increment(1);
                }
                _ => calls(&method.path, code, role).increment(1),
            }
            if let Some(reason) = reason {
                refusals::count(&method.path, reason);
            }
        }
        // To the microsecond: more digits say nothing, and look like somebody's number.
        let (method, duration_ms) = (self.path(), (duration.as_secs_f64() * 1e6).round() / 1e3);
        // At "debug", since a busy server would otherwise write more log than leads; failures stand out.
        match code {
            Code::Internal | Code::Unavailable | Code::Unknown | Code::DataLoss => {
                let (code, request_id) = (code_name(code), self.id.text());
                tracing::warn!(method, code, role, duration_ms, request_id, "call failed");
            }
            _ if tracing::enabled!(tracing::Level::DEBUG) => {
                let (code, request_id) = (code_name(code), self.id.text());
                tracing::debug!(method, code, role, duration_ms, request_id, "call");
            }
            _ => {}
        }
    }
}

fn finish<B>(response: Response<B>, mut call: Call) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let told = current::told();
    call.role = told.role;
    call.held = Arc::new(told.held);
    let id = call.id.header();
    let known = call.method.as_ref().is_some_and(|method| method.is_known());
    let mut response = match status_of(response.headers()) {
        Some(status) => {
            if status.details().is_empty() && status.code() != Code::Ok {
                // Made by a library, not by us: its text may quote what was sent.
                let ours = constant(status.code(), known);
                call.done(status.code(), refusals::reason_of(&ours));
                ours.into_http()
            } else {
                call.done(status.code(), refusals::reason_of(&status));
                response.map(Body::new)
            }
        }
        None => response.map(|inner| {
            Body::new(ObservedBody {
                inner: Box::pin(inner),
                call,
                code: None,
                reason: None,
            })
        }),
    };
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// These bytes, which hold what their call holds: HTTP/2 has taken them long before its peer does, if the peer's window
/// is shut.
fn kept(data: Bytes, held: &Arc<Held>) -> Bytes {
    struct Kept(
        Bytes,
        #[expect(dead_code, reason = "held, to be dropped")] Arc<Held>,
    );
    impl AsRef<[u8]> for Kept {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Kept(data, held.clone()))
}

/// A body whose trailers, or whose early end, end the call.
struct ObservedBody<B> {
    inner: Pin<Box<B>>,
    call: Call,
    code: Option<Code>,
    reason: Option<&'static str>,
}

impl<B: HttpBody<Data = Bytes>> HttpBody for ObservedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(self.inner.as_mut().poll_frame(context));
        let Some(Ok(frame)) = frame else {
            return Poll::Ready(frame);
        };
        Poll::Ready(Some(Ok(match frame.into_trailers() {
            Err(frame) => frame.map_data(|data| kept(data, &self.call.held)),
            Ok(trailers) => {
                let (trailers, status) = constant_trailers(trailers);
                self.reason = status.as_ref().and_then(refusals::reason_of);
                self.code = status.map(|status| status.code());
                Frame::trailers(trailers)
            }
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for ObservedBody<B> {
    fn drop(&mut self) {
        // Without trailers the caller went away.
        self.call
            .done(self.code.unwrap_or(Code::Cancelled), self.reason);
    }
}

/// The canonical name of a code.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
