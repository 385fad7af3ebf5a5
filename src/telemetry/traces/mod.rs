//! Traces, sent by OTLP over gRPC to a collector, if the operator names one (`telemetry.otlp_endpoint`).
//!
//! Rule: a span is made here and nowhere else, from what the functions below take: a method of the contract, a code, a
//! role, a number of leads. None takes a text from outside, so none can carry a person's. There is no bridge from
//! `tracing` either: what libraries say of a call passes there, and with it headers and statement arguments.
//!
//! Without the setting [`TRACER`] stays empty, and every function returns at that look: nothing is allocated, no clock
//! is read, and no call is wrapped.
//!
//! To add a span: a function here that takes what it may say as numbers and constants; call it where the work is. The
//! scan of `tests/it/leaks` reads everything that is sent.

mod send;

pub use self::send::{Sending, TracesError, start};

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    time::now,
    trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, Span},
};

/// Makes spans, once [`start`] was called.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The header by which a caller tells of its own trace (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";
/// Codes that are a fault of ours, and so of the span: the others are answers.
const FAULTS: [i32; 6] = [2, 4, 12, 13, 14, 15];

/// Where a call's children belong.
pub type Place = Arc<SpanContext>;

tokio::task_local! {
    /// The call that is being answered, if it is traced.
    static CALL: Place;
}

/// The call that is being answered here, if it is traced.
#[must_use]
pub fn here() -> Option<Place> {
    TRACER.get()?;
    CALL.try_with(Place::clone).ok()
}

/// Runs work inside of a call.
pub fn within<T>(place: Place, work: impl FnOnce() -> T) -> T {
    CALL.sync_scope(place, work)
}

/// The same, of work that waits.
pub fn inside<F: Future>(place: Place, work: F) -> impl Future<Output = F::Output> {
    CALL.scope(place, work)
}

/// A call of the API.
pub struct Call {
    span: Span,
    is_over: bool,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Call")
    }
}

impl Call {
    /// Begins the span of a call, as a child of the caller's if its headers say so. `None` if nothing is traced, or not this
    /// call. `path` is what [`crate::rpc::observe`] counts calls by: never what a stranger asked for.
    #[must_use]
    pub fn begin(headers: &HeaderMap, path: &str) -> Option<Box<Self>> {
        let tracer = TRACER.get()?;
        let name = path.trim_start_matches('/');
        let mut attributes = vec![KeyValue::new("rpc.system", "grpc")];
        if let Some((service, method)) = name.split_once('/') {
            attributes.push(KeyValue::new("rpc.service", service.to_owned()));
            attributes.push(KeyValue::new("rpc.method", method.to_owned()));
        }
        let span = SpanBuilder::from_name(name.to_owned())
            .with_kind(SpanKind::Server)
            .with_attributes(attributes)
            .start_with_context(tracer, &parent(headers));
        span.is_recording().then(|| {
            Box::new(Self {
                span,
                is_over: false,
            })
        })
    }

    /// Where its children belong.
    #[must_use]
    pub fn place(&self) -> Place {
        Arc::new(self.span.span_context().clone())
    }

    /// Ends it with a code of gRPC and its name.
    pub fn end(&mut self, code: i32, name: &'static str, role: &'static str) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.span
            .set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code)));
        self.span
            .set_attribute(KeyValue::new("lead_intake.role", role));
        if FAULTS.contains(&code) {
            self.span.set_status(Status::error(name));
        }
        self.span.end();
    }
}

impl Drop for Call {
    /// A call that nobody waits for any more.
    fn drop(&mut self) {
        self.end(1, "CANCELLED", "none");
    }
}

/// The caller's span. Of its headers `traceparent` alone is read, 55 characters in a fixed form; `tracestate` and
/// `baggage` are texts of anybody's making, and go nowhere.
fn parent(headers: &HeaderMap) -> Context {
    struct Parent<'h>(&'h HeaderMap);
    impl Extractor for Parent<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            let header = self.0.get(key).filter(|_| key == TRACEPARENT)?;
            header.to_str().ok()
        }
        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Parent(headers))
}

/// A transaction that writes, in a call that is traced.
pub struct Transaction {
    span: Span,
    is_committed: bool,
}

impl Transaction {
    /// Begins the span of a transaction.
    #[must_use]
    pub fn begin() -> Option<Self> {
        let place = here()?;
        Some(Self {
            span: child(&place, SpanBuilder::from_name("transaction"))?,
            is_committed: false,
        })
    }

    /// Says that it was committed; else its span says that it was not.
    pub fn committed(mut self) {
        self.is_committed = true;
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let committed = KeyValue::new("lead_intake.committed", self.is_committed);
        self.span.set_attribute(committed);
    }
}

/// The time, if anything is traced: for [`batch`].
#[must_use]
pub fn time() -> Option<SystemTime> {
    TRACER.get().map(|_| now())
}

/// The span of a transaction that a call shared with others: from `since` to now, with `leads` in it.
pub fn batch(place: &Place, since: SystemTime, leads: u32, is_committed: bool) {
    let builder = SpanBuilder::from_name("batch")
        .with_start_time(since)
        .with_attributes([
            KeyValue::new("lead_intake.leads", i64::from(leads)),
            KeyValue::new("lead_intake.committed", is_committed),
        ]);
    // Dropped, it ends.
    drop(child(place, builder));
}

fn child(place: &Place, builder: SpanBuilder) -> Option<Span> {
    let parent = Context::new().with_remote_span_context(SpanContext::clone(place));
    Some(builder.start_with_context(TRACER.get()?, &parent))
}
