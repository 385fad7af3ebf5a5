//! How spans leave: a queue with an end, a thread that empties it, and a collector that may be away.
//!
//! A call only ever puts its span into the queue, and drops it if there is no room. Whether the collector takes them is
//! seen by the thread alone.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
    },
};

use super::TRACER;

/// How long the collector may take for a batch.
const EXPORT: Duration = Duration::from_secs(3);
/// How long a span waits for others.
const BATCH: Duration = Duration::from_secs(1);
/// Most spans that wait, some 2 MiB; what is more is dropped.
const QUEUE_MAX: usize = 4096;
/// The wait between two lines in the log about a collector that takes nothing.
const TELL: Duration = Duration::from_mins(1);
/// How long a stop waits for what is still to be sent.
const STOP: Duration = Duration::from_secs(4);

/// The endpoint cannot be used. Does not quote it: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error(
    "telemetry.otlp_endpoint must be the URL of a collector's OTLP/gRPC, such as http://127.0.0.1:4317"
)]
pub struct TracesError;

/// Spans are sent until this is stopped.
pub struct Sending(SdkTracerProvider);

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sending")
    }
}

/// Begins to send spans to a collector: of a part of the calls, from 0 to 1, and of those that their caller traces. Once in
/// a process, inside of a runtime.
pub fn start(endpoint: &str, sample_ratio: f64) -> Result<Sending, TracesError> {
    let otlp = Otlp::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT)
        .build()
        .map_err(|_| TracesError)?;
    let batches = BatchConfigBuilder::default()
        .with_scheduled_delay(BATCH)
        .with_max_queue_size(QUEUE_MAX)
        .build();
    let queue = BatchSpanProcessor::builder(Watched::new(otlp))
        .with_batch_config(batches)
        .build();
    let resource = Resource::builder()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attribute(opentelemetry::KeyValue::new(
            "service.version",
            env!("CARGO_PKG_VERSION"),
        ))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(queue)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            sample_ratio,
        ))))
        .with_resource(resource)
        .build();
    // A second start keeps the first.
    let _ = TRACER.set(provider.tracer(env!("CARGO_PKG_NAME")));
    Ok(Sending(provider))
}

impl Sending {
    /// Sends what is left, and gives up after [`STOP`].
    pub async fn stop(self) {
        let stop = move || self.0.shutdown_with_timeout(STOP);
        let stopped = tokio::task::spawn_blocking(stop).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be sent to telemetry.otlp_endpoint");
        }
    }
}

/// Counts what the collector takes and what it does not, and says so once in a while.
#[derive(Debug)]
struct Watched {
    inner: Otlp,
    told: Mutex<Option<Instant>>,
}

impl Watched {
    fn new(inner: Otlp) -> Self {
        Self {
            inner,
            told: Mutex::new(None),
        }
    }

    fn tell(&self, spans: u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL) {
            *told = Some(Instant::now());
            // What the collector says is a text of another program's: it stays out.
            tracing::warn!(spans, "spans could not be sent to telemetry.otlp_endpoint");
        }
    }
}

impl SpanExporter for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let sent = self.inner.export(batch).await;
        metrics::counter!(if sent.is_ok() {
            "lead_intake_spans_sent_total"
        } else {
            "lead_intake_spans_lost_total"
        })
        .increment(spans);
        if sent.is_err() {
            self.tell(spans);
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
