//! What a call may take: so much time, and a place among the calls under way; what a client may take of those; and
//! how long a stream may last.
//!
//! Nothing waits for a place: what finds none is refused before anything is done, with when to try again. Health and
//! reflection are outside of all this. Most limits are no rules of the contract but guards, far beyond what a website
//! or a CRM needs; whoever needs more sets more (`[limits]`, docs/operations.md). To add one: a field of [`Limits`]
//! with its default, its key in `config/limits.rs`, a [`Refusal`] of its own, and a line in the docs.
//!
//! [`Refusal`]: super::status::Refusal

mod admit;
mod allowance;
mod timeout;

pub use self::{
    admit::AdmitLayer,
    allowance::{CallsPerSecond, Taken, UnderWay},
    timeout::{GRPC_TIMEOUT, from_millis},
};
pub(super) use self::{
    admit::Until,
    allowance::{Allowance, Allowances, Rate},
};

use std::time::Duration;

/// The methods that answer with a stream. What they take is counted otherwise, and for longer than a call.
const STREAMS: [&str; 2] = [
    "/leadintake.v1.CrmService/StreamLeads",
    "/leadintake.v1.LedgerService/StreamVerifyLedger",
];

/// Whether a method answers with a stream.
pub(super) fn is_stream(path: &str) -> bool {
    STREAMS.contains(&path)
}

/// The limits of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls under way at once. Each may bring a message of 64 KiB.
    pub calls_max: usize,
    /// How many of these only privacy tooling and auditors get: a flood of forms must not keep a person's rights out.
    pub calls_reserved: usize,
    /// Calls of one client under way at once.
    pub client_calls_max: usize,
    /// How often one client may call.
    pub client_rate: Option<CallsPerSecond>,
    /// Streams that one client may have open: each may hold messages for a reader that does not take them.
    pub client_streams_max: usize,
    /// How often the database is asked for a token that nobody remembers.
    pub unknown_tokens: Option<CallsPerSecond>,
    /// The longest that a website or a CRM waits for an answer.
    pub call_max: Duration,
    /// The same for privacy tooling and auditors, whose call may concern thousands of leads.
    pub privacy_call_max: Duration,
    /// The same for `VerifyLedger` and `StreamVerifyLedger`, which read the whole ledger.
    pub verify_max: Duration,
    /// The life of a stream of the feed. Then it ends by itself, to be resumed, so that replicas can be drained.
    pub stream_max: Duration,
    /// A stream's reader that takes nothing for this long is cut off.
    pub stall_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_max: 1000,
            calls_reserved: 100,
            client_calls_max: 256,
            client_rate: Some(CallsPerSecond {
                steady: 1000,
                burst: 2000,
            }),
            client_streams_max: 4,
            unknown_tokens: Some(CallsPerSecond {
                steady: 20,
                burst: 100,
            }),
            call_max: Duration::from_secs(10),
            privacy_call_max: Duration::from_mins(1),
            verify_max: Duration::from_mins(10),
            stream_max: Duration::from_mins(5),
            stall_max: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// No limit on how many and how often, only on how long: for measuring.
    #[must_use]
    pub fn none() -> Self {
        Self {
            calls_max: usize::MAX,
            calls_reserved: 0,
            client_calls_max: usize::MAX,
            client_rate: None,
            client_streams_max: usize::MAX,
            unknown_tokens: None,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that is added to the contract is counted as one.
    #[test]
    fn the_streams_are_those_of_the_contract() {
        let pool = prost_reflect::DescriptorPool::decode(crate::pb::DESCRIPTORS).unwrap();
        let ours = pool
            .services()
            .filter(|service| service.package_name() == "leadintake.v1");
        for method in ours.flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let streams = method.is_server_streaming() || method.is_client_streaming();
            assert_eq!(is_stream(&path), streams, "{path}");
        }
    }
}
