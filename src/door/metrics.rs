//! What is counted at the door. Labels are the listener and a reason of [`Closed`]: the number of series is bounded.

use std::sync::Arc;

use metrics::{Counter, Gauge, counter, gauge};

/// Defines [`Closed`]: name, label, what it means.
macro_rules! reasons {
    ($($name:ident = $label:literal, $doc:literal;)*) => {
        /// Why a connection ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Closed {
            $(#[doc = $doc] $name,)*
        }

        impl Closed {
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

reasons! {
    Peer = "peer", "The peer ended it, or broke it off.";
    Silent = "silent", "Nothing, or less than a beginning, came in time.";
    Slow = "slow", "What was begun was not finished in time.";
    NotRead = "not_read", "What was sent was not taken in time.";
    Flood = "flood", "More pings than any client has a use for.";
    Protocol = "protocol", "What came is not HTTP, or breaks its rules.";
    Handshake = "handshake", "The TLS handshake failed, or was not done in time.";
    Age = "age", "It was old, and its calls were done.";
    Full = "full", "There were as many connections as there may be.";
    Stop = "stop", "The service stops, and its calls were done.";
    Cut = "cut", "The service stops, or it was old, and its calls were not done in time.";
}

/// The metrics of one listener, looked up once.
#[derive(Clone)]
pub(super) struct Metrics {
    open: Gauge,
    /// In the order of [`Closed::ALL`].
    closed: Arc<[Counter]>,
    failures: Counter,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    pub(super) fn new(listener: &'static str, connections_max: usize) -> Self {
        let max = u32::try_from(connections_max).unwrap_or(u32::MAX);
        gauge!("lead_intake_connections_max", "listener" => listener).set(f64::from(max));
        let open = gauge!("lead_intake_connections_open", "listener" => listener);
        open.set(0.0);
        Self {
            open,
            closed: Closed::ALL
                .iter()
                .map(|closed| {
                    counter!(
                        "lead_intake_connections_closed_total",
                        "listener" => listener, "reason" => closed.label()
                    )
                })
                .collect(),
            failures: counter!("lead_intake_accept_failures_total"),
        }
    }

    /// Counts a connection as open until it is dropped.
    pub(super) fn present(&self) -> Present {
        self.open.increment(1);
        Present(self.open.clone())
    }

    pub(super) fn closed(&self, closed: Closed) {
        self.closed[closed as usize].increment(1);
    }

    pub(super) fn failed(&self) {
        self.failures.increment(1);
    }
}

/// A connection that is open.
pub(super) struct Present(Gauge);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
