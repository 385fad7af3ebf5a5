//! What is seen of a call: a request id, one log line, metrics; and the constant form of every error.
//!
//! The outermost layer, so that it sees what all others answer. Labels are method, code and role, and a
//! method that does not exist counts as "unknown": the number of series is bounded.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::{auth::Access, status::Refusal};
use crate::{seal::random, token::Role};

/// The header that names a call in the log.
pub const REQUEST_ID: &str = "x-request-id";

/// Observes calls.
#[derive(Clone, Debug)]
pub struct ObserveLayer(Arc<Access>);

impl ObserveLayer {
    /// A layer that knows these methods.
    #[must_use]
    pub fn new(access: Arc<Access>) -> Self {
        Self(access)
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = ObserveService<S>;

    fn layer(&self, inner: S) -> ObserveService<S> {
        ObserveService {
            inner,
            access: self.0.clone(),
        }
    }
}

/// The service that [`ObserveLayer`] makes.
#[derive(Clone, Debug)]
pub struct ObserveService<S> {
    inner: S,
    access: Arc<Access>,
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
        let path = request.uri().path();
        let method: Arc<str> = if self.access.roles(path).is_some() {
            path.into()
        } else if path.starts_with("/grpc.") {
            // Health and reflection.
            "grpc".into()
        } else {
            "unknown".into()
        };
        // Ours, not the caller's: a name that strangers choose can carry anything into the log.
        let id = data_encoding::HEXLOWER.encode(&random::<8>().unwrap_or_default());
        let span = tracing::info_span!("call", method = &*method, request_id = %id);
        let call = Call {
            method,
            role: None,
            start: Instant::now(),
            span: span.clone(),
        };
        let future = self.inner.call(request);
        let answer = async move {
            let response = future.await?;
            Ok(finish(response, call, &id))
        };
        Box::pin(answer.instrument(span))
    }
}

/// A call under way.
struct Call {
    method: Arc<str>,
    role: Option<Role>,
    start: Instant,
    span: tracing::Span,
}

impl Call {
    /// Whether the method is one of the contract.
    fn is_known(&self) -> bool {
        self.method.starts_with('/')
    }

    fn done(&self, code: Code) {
        let duration = self.start.elapsed();
        let role = self.role.map_or("none", Role::name);
        let labels = [
            ("method", self.method.to_string()),
            ("code", code_name(code).to_owned()),
            ("role", role.to_owned()),
        ];
        metrics::counter!("lead_intake_calls_total", &labels).increment(1);
        metrics::histogram!("lead_intake_call_duration_seconds", "method" => self.method.to_string())
            .record(duration.as_secs_f64());
        let duration_ms = duration.as_secs_f64() * 1e3;
        let code = code_name(code);
        // At "debug", since a busy server would otherwise write more log than leads; failures stand out.
        match code {
            "INTERNAL" | "UNAVAILABLE" | "UNKNOWN" | "DATA_LOSS" => {
                tracing::warn!(parent: &self.span, code, role, duration_ms, "call failed");
            }
            _ => tracing::debug!(parent: &self.span, code, role, duration_ms, "call"),
        }
    }
}

fn finish<B>(response: Response<B>, mut call: Call, id: &str) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    call.role = response.extensions().get().copied();
    let mut response = match status_of(response.headers()) {
        Some(status) => {
            call.done(status.code());
            if status.details().is_empty() && status.code() != Code::Ok {
                // Made by a library, not by us: its text may quote what was sent.
                constant(status.code(), call.is_known()).into_http()
            } else {
                response.map(Body::new)
            }
        }
        None => response.map(|inner| {
            Body::new(ObservedBody {
                inner: Box::pin(inner),
                call,
                code: None,
            })
        }),
    };
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn status_of(headers: &HeaderMap) -> Option<Status> {
    headers
        .contains_key(Status::GRPC_STATUS)
        .then(|| Status::from_header_map(headers))
        .flatten()
}

/// Our form of an error that a library made.
fn constant(code: Code, known_method: bool) -> Status {
    match code {
        Code::OutOfRange | Code::ResourceExhausted => Refusal::MessageTooLarge.into(),
        // A known method that a library refuses was called in a way it does not speak.
        Code::Unimplemented if known_method => Refusal::EncodingNotSupported.into(),
        Code::Unimplemented => Refusal::UnknownMethod.into(),
        Code::InvalidArgument | Code::FailedPrecondition => Refusal::MalformedMessage.into(),
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => {
            Status::new(code, "the call was ended")
        }
        Code::NotFound => Status::new(code, "not found"),
        _ => Refusal::Internal.into(),
    }
}

/// A body whose trailers, or whose early end, end the call.
struct ObservedBody<B> {
    inner: Pin<Box<B>>,
    call: Call,
    code: Option<Code>,
}

impl<B: HttpBody<Data = Bytes>> HttpBody for ObservedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(self.inner.as_mut().poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.code = status_of(trailers).map(|status| status.code());
        }
        Poll::Ready(frame)
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
        self.call.done(self.code.unwrap_or(Code::Cancelled));
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
