//! What names a call, in the log and to its caller.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use data_encoding::HEXLOWER;
use http::HeaderValue;

/// The header that names a call in the log.
pub const REQUEST_ID: &str = "x-request-id";

tokio::task_local! {
    pub(super) static CURRENT: CallId;
}

/// Names a call in the log. Ours, not the caller's: what strangers choose can carry anything into a log.
#[derive(Clone, Copy)]
pub(super) struct CallId([u8; 8]);

impl CallId {
    /// The next one: a count, so that none comes twice soon, hashed with a key of this process, so that nobody can tell from one how
    /// many calls there are. It guards nothing, and needs no better randomness.
    pub(super) fn next() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(KEY.hash_one(count).to_be_bytes())
    }

    pub(super) fn text(self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// For the header. Never the same again: in the connection's table of headers (RFC 7541) it would push out those that are, and
    /// every later one would be compared with it.
    pub(super) fn header(self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&self.text()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The identifier of the call that is being answered, for a line in the log; empty outside of one.
#[must_use]
pub fn request_id() -> String {
    CURRENT.try_with(|id| id.text()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// No two calls have one name, and none stays in a connection's table of headers.
    #[test]
    fn every_call_has_a_name_of_its_own() {
        let names: HashSet<_> = (0..10_000).map(|_| CallId::next().text()).collect();
        assert_eq!(names.len(), 10_000);
        assert!(names.iter().all(|name| name.len() == 16));
        let header = CallId::next().header().expect("letters and digits");
        assert!(header.is_sensitive());
    }
}
