//! Every metric there is, with what it says. A new one gets its line here, and one in `docs/operations.md` (a test
//! compares the two with what a running service shows).

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

/// How a metric is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Only rises. Without labels it is shown from the start: an alert on its rise would miss its first.
    Counter,
    /// The same, with labels: each series begins with what it counts.
    LabelledCounter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram, LabelledCounter};

const METRICS: [(&str, Kind, &str); 43] = [
    (
        "lead_intake_accept_failures_total",
        Counter,
        "Times that a connection could not be accepted",
    ),
    (
        "lead_intake_build_info",
        Gauge,
        "1, with the version of the program",
    ),
    (
        "lead_intake_call_duration_seconds",
        Histogram,
        "Duration of calls; a stream counts when it ends",
    ),
    (
        "lead_intake_calls_total",
        LabelledCounter,
        "Calls that ended",
    ),
    (
        "lead_intake_calls_under_way",
        Gauge,
        "Calls under way, as limits.calls_max counts them",
    ),
    (
        "lead_intake_checkpoint_entries",
        Gauge,
        "Entries that the last signed checkpoint covers",
    ),
    (
        "lead_intake_checkpoint_failures_total",
        Counter,
        "Times that no checkpoint could be signed",
    ),
    (
        "lead_intake_clean_up_pending",
        Gauge,
        "1 while erased bytes are still in SQLite's write-ahead log",
    ),
    (
        "lead_intake_connections_closed_total",
        LabelledCounter,
        "Connections that ended, or were turned away",
    ),
    (
        "lead_intake_connections_max",
        Gauge,
        "Connections that there may be at once",
    ),
    ("lead_intake_connections_open", Gauge, "Open connections"),
    (
        "lead_intake_disk_full",
        Gauge,
        "1 while the database's disk takes nothing more",
    ),
    (
        "lead_intake_feed_behind_entries",
        Gauge,
        "Entries of the ledger that a CRM client has not acknowledged",
    ),
    (
        "lead_intake_feed_oldest_lead_seconds",
        Gauge,
        "Age of the oldest lead that a CRM client has not acknowledged",
    ),
    (
        "lead_intake_key_ring_generation",
        Gauge,
        "Generation of the key ring in use",
    ),
    (
        "lead_intake_key_ring_refused_total",
        Counter,
        "Changes of the key ring's file that were refused",
    ),
    ("lead_intake_ledger_entries", Gauge, "Entries of the ledger"),
    (
        "lead_intake_mirror_entries",
        Gauge,
        "Entries of the ledger that are durable in this replica's mirror",
    ),
    (
        "lead_intake_mirror_follows",
        Gauge,
        "1 while this replica's mirror takes what it is given",
    ),
    (
        "lead_intake_ready",
        Gauge,
        "1 while this replica is ready, as /readyz says",
    ),
    (
        "lead_intake_refusals_total",
        LabelledCounter,
        "Calls that were refused, or failed, with a reason",
    ),
    (
        "lead_intake_requests_open",
        Gauge,
        "Requests of people that are not settled",
    ),
    (
        "lead_intake_requests_overdue",
        Gauge,
        "Those of them that are past their due date",
    ),
    (
        "lead_intake_spans_lost_total",
        Counter,
        "Spans that the collector of traces did not take",
    ),
    (
        "lead_intake_spans_sent_total",
        Counter,
        "Spans that the collector of traces took",
    ),
    (
        "lead_intake_streams_open",
        Gauge,
        "Open streams, of the feed and of verifications",
    ),
    (
        "lead_intake_submit_batch_size",
        Histogram,
        "Submissions in one transaction",
    ),
    (
        "lead_intake_submit_withdrawn_total",
        Counter,
        "Submissions whose caller stopped waiting before they were begun; nothing was stored",
    ),
    (
        "lead_intake_sweep_erased_total",
        Counter,
        "Leads that the sweep erased",
    ),
    (
        "lead_intake_sweep_last_run_timestamp_seconds",
        Gauge,
        "When the last round of the sweep ended",
    ),
    (
        "lead_intake_sweep_refused_total",
        Counter,
        "Rounds of the sweep that erased nothing because the clock had jumped",
    ),
    (
        "lead_intake_tls_certificate_expiry_timestamp_seconds",
        Gauge,
        "When the TLS certificate in force ends",
    ),
    (
        "lead_intake_tls_refused_total",
        Counter,
        "Changes of the TLS files that were refused",
    ),
    (
        "lead_intake_token_expiry_timestamp_seconds",
        Gauge,
        "Until when a client has a token that holds",
    ),
    (
        "lead_intake_tombstone_oldest_unacknowledged_seconds",
        Gauge,
        "How long the oldest unacknowledged erasure is open",
    ),
    (
        "lead_intake_tombstones_unacknowledged",
        Gauge,
        "Erasures that a CRM client has not acknowledged",
    ),
    (
        "process_cpu_seconds_total",
        Gauge,
        "Processor time of the process",
    ),
    (
        "process_max_fds",
        Gauge,
        "Files that the process may have open",
    ),
    ("process_open_fds", Gauge, "Files that the process has open"),
    (
        "process_resident_memory_bytes",
        Gauge,
        "Memory of the process",
    ),
    (
        "process_start_time_seconds",
        Gauge,
        "When the process started",
    ),
    ("process_threads", Gauge, "Threads of the process"),
    (
        "lead_intake_unindexed_entries",
        Gauge,
        "Entries of the ledger whose leads are not in SQLite's look-up indexes yet",
    ),
];

/// Says what each metric is, and shows the counters that nothing has moved yet.
pub(super) fn describe() {
    for (name, kind, text) in METRICS {
        match kind {
            Counter => {
                describe_counter!(name, text);
                counter!(name).increment(0);
            }
            LabelledCounter => describe_counter!(name, text),
            Gauge => describe_gauge!(name, text),
            Histogram => describe_histogram!(name, text),
        }
    }
}
