//! Logs, metrics and, behind a setting, [`traces`].
//!
//! Logs go to standard error: text for a terminal, JSON lines otherwise. The libraries' own trace is not let
//! through at all: HTTP/2 headers and statement arguments pass there, and with them tokens and people.

mod catalogue;
mod process;
pub mod traces;

pub use self::process::{show_calls_under_way, show_process};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::clock::unix_seconds;

/// Buckets of the histograms of durations, in seconds.
const DURATIONS: [f64; 12] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Buckets of the batch size.
const SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON lines elsewhere.
    #[default]
    Auto,
    /// Text.
    Text,
    /// JSON lines.
    Json,
}

/// Starts logging. `RUST_LOG` chooses what of our own is logged; of the libraries, warnings are.
pub fn start_logs(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let json = format == LogFormat::Json || format == LogFormat::Auto && !terminal;
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(terminal);
    let layer = if json {
        layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed()
    } else {
        layer.boxed()
    };
    // A second start, as in tests, keeps the first.
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter_fn(is_ours_or_grave)))
        .with(filter)
        .try_init();
}

fn is_ours_or_grave(metadata: &tracing::Metadata<'_>) -> bool {
    metadata.target().starts_with("lead_intake") || *metadata.level() <= tracing::Level::WARN
}

/// Logs all that can be logged, as JSON lines, to somewhere else: for tests that look at what is in it.
pub fn trace_to<W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static>(writer: W) {
    let layer = fmt::layer().json().flatten_event(true).with_writer(writer);
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter_fn(is_ours_or_grave)))
        .try_init();
}

/// Makes panics print where they happened, and not what they say: a message may hold a value. Goes to the log, or,
/// for a command that has none, to standard error.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "?".to_owned(), ToString::to_string);
        if !tracing::dispatcher::has_been_set() {
            use std::io::Write as _;
            // Nobody is left to be told if this fails.
            let _ = writeln!(
                std::io::stderr(),
                "lead-intake: a fault in the program, at {place}"
            );
            return;
        }
        let request_id = crate::rpc::observe::request_id();
        tracing::error!(place, request_id, "panic");
    }));
}

/// Shows when the process started.
pub fn show_start(now: jiff::Timestamp) {
    metrics::gauge!("process_start_time_seconds").set(unix_seconds(now));
}

/// Starts collecting metrics. `None` if this process collects them already.
#[must_use]
pub fn start_metrics() -> Option<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATIONS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZES)
        })
        .ok()?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    catalogue::describe();
    metrics::gauge!("lead_intake_streams_open").increment(0.0);
    metrics::gauge!("lead_intake_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Some(handle)
}
