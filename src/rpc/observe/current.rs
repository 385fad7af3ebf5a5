//! The call that is being answered: its name, in the log and to its caller, and what the inner layers have to say of it to the
//! outermost, which sees its end.

use std::{
    cell::RefCell,
    hash::{BuildHasher as _, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use data_encoding::HEXLOWER;
use http::HeaderValue;
use tokio::task::futures::TaskLocalFuture;

use crate::{rpc::limits::Taken, token::Role};

/// The header that names a call in the log.
pub const REQUEST_ID: &str = "x-request-id";

tokio::task_local! {
    static CURRENT: Current;
}

pub(super) struct Current {
    id: CallId,
    told: RefCell<Told>,
}

/// What inner layers told of a call.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The role of its caller.
    pub(super) role: Option<Role>,
    pub(super) held: Held,
}

/// A call's places: among all, and among its client's. An answer that nobody reads lies here, and takes room, for as long as its reader
/// likes. So they are kept with its bytes until these are sent.
#[derive(Debug, Default)]
pub(super) struct Held {
    of_all: Option<Taken>,
    of_client: Option<Taken>,
}

/// The current call, as [`Current`], for as long as this works.
pub(super) fn within<F: Future>(id: CallId, work: F) -> TaskLocalFuture<Current, F> {
    CURRENT.scope(Current::new(id), work)
}

/// The same, for what a service does before it gives its future.
pub(super) fn begin<T>(id: CallId, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(Current::new(id), work)
}

/// What was told of the current call until now.
pub(super) fn told() -> Told {
    tell(std::mem::take).unwrap_or_default()
}

/// The current call's caller has this role.
pub(in super::super) fn has_role(role: Role) {
    tell(|told| told.role = Some(role));
}

/// The answer to the current call keeps its place among all.
pub(in super::super) fn hold(place: Taken) {
    tell(|told| told.held.of_all = Some(place));
}

/// The answer to the current call keeps its place among its client's.
pub(in super::super) fn hold_of_client(place: Taken) {
    tell(|told| told.held.of_client = Some(place));
}

/// Outside of a call nobody listens.
fn tell<T>(say: impl FnOnce(&mut Told) -> T) -> Option<T> {
    CURRENT
        .try_with(|current| say(&mut current.told.borrow_mut()))
        .ok()
}

impl Current {
    fn new(id: CallId) -> Self {
        let told = RefCell::default();
        Self { id, told }
    }
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
    CURRENT
        .try_with(|current| current.id.text())
        .unwrap_or_default()
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
