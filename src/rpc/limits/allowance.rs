//! What is counted: calls under way, a client's calls and streams, and how often it calls.
//!
//! A client's [`Allowance`] hangs from its remembered token, so that a call costs no look-up for it: an addition and a
//! subtraction for its place, and one comparison and exchange for its rate.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};
use tonic::Status;

use super::{
    super::status::{LATER_IN, Refusal, SOON_IN},
    Limits,
};
use crate::seal::random;

/// Clients whose allowances are kept. There are as many as an operator added.
const CLIENTS_KEPT: usize = 1024;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallsPerSecond {
    /// In the long run, each second.
    pub steady: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// Measures how often something happens.
#[derive(Debug)]
pub(in super::super) struct Rate(Option<DefaultDirectRateLimiter>);

impl Rate {
    /// No limit if there is none, or if it is of nothing at all.
    pub(in super::super) fn new(limit: Option<CallsPerSecond>) -> Self {
        let quota = limit.and_then(|limit| {
            let steady = Quota::per_second(NonZeroU32::new(limit.steady)?);
            Some(steady.allow_burst(NonZeroU32::new(limit.burst)?))
        });
        Self(quota.map(DefaultDirectRateLimiter::direct))
    }

    /// Counts one more, or says how long it must wait.
    pub(in super::super) fn check(&self) -> Result<(), Duration> {
        let Some(limiter) = &self.0 else {
            return Ok(());
        };
        limiter
            .check()
            .map_err(|not| not.wait_time_from(DefaultClock::default().now()))
    }
}

/// A count of what is under way.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<AtomicUsize>);

/// A place in a count, given back when dropped.
#[derive(Debug)]
pub struct Taken(UnderWay);

impl UnderWay {
    /// A place, if fewer than `max` are taken.
    pub(super) fn take(&self, max: usize) -> Option<Taken> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        // Made before it is asked whether there was room: dropped, it takes back what was added.
        let taken = Taken(self.clone());
        (before < max).then_some(taken)
    }

    /// How many are under way now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one client has taken, by whatever token and connection.
#[derive(Debug)]
pub(in super::super) struct Allowance {
    rate: Rate,
    calls: UnderWay,
    calls_max: usize,
    streams: UnderWay,
    streams_max: usize,
}

impl Allowance {
    fn new(limits: &Limits) -> Self {
        Self {
            rate: Rate::new(limits.client_rate),
            calls: UnderWay::default(),
            calls_max: limits.client_calls_max,
            streams: UnderWay::default(),
            streams_max: limits.client_streams_max,
        }
    }

    /// A place for one more call.
    pub(in super::super) fn call(&self) -> Result<Taken, Status> {
        let taken = self.calls.take(self.calls_max);
        let taken = taken.ok_or_else(|| Refusal::ClientCalls.after(spread(LATER_IN)))?;
        // Counted last: a call that found no place was none.
        let rate = self.rate.check();
        rate.map_err(|wait| Refusal::ClientRate.after(wait + spread(SOON_IN)))?;
        Ok(taken)
    }

    /// A place for one more stream, to be held for as long as its messages may lie here.
    pub(in super::super) fn stream(&self) -> Result<Taken, Status> {
        let taken = self.streams.take(self.streams_max);
        taken.ok_or_else(|| Refusal::ClientStreams.after(spread(LATER_IN)))
    }
}

/// The allowances of all clients, by their numbers.
#[derive(Debug)]
pub(in super::super) struct Allowances {
    limits: Limits,
    clients: Mutex<HashMap<i64, Arc<Allowance>>>,
}

impl Allowances {
    pub(in super::super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            clients: Mutex::default(),
        }
    }

    /// A client's. The same for all its tokens, for as long as anybody holds it.
    pub(in super::super) fn of(&self, client_id: i64) -> Arc<Allowance> {
        // A panic while it is held leaves at worst one entry less.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS_KEPT {
            clients.retain(|_, allowance| Arc::strong_count(allowance) > 1);
        }
        let new = || Arc::new(Allowance::new(&self.limits));
        clients.entry(client_id).or_insert_with(new).clone()
    }
}

/// About as long, by chance from half of it to one and a half: those who were refused together must not come back
/// together.
pub(super) fn spread(delay: Duration) -> Duration {
    let chance = u16::from_be_bytes(random().unwrap_or_default());
    delay / 2 + delay * u32::from(chance) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place that is given back is there for the next; a refused one takes nothing.
    #[test]
    fn places_are_given_back() {
        let under_way = UnderWay::default();
        let places: Vec<_> = (0..3).filter_map(|_| under_way.take(2)).collect();
        assert_eq!((places.len(), under_way.count()), (2, 2));
        assert!(under_way.take(2).is_none());
        assert!(under_way.take(3).is_some());
        drop(places);
        assert_eq!(under_way.count(), 0);
    }

    /// The tokens of a client share what it may take; another client's calls are its own.
    #[test]
    fn each_client_has_its_own() {
        let allowances = Allowances::new(Limits {
            client_calls_max: 1,
            client_streams_max: 1,
            ..Limits::default()
        });
        let held = (
            allowances.of(1).call().unwrap(),
            allowances.of(1).stream().unwrap(),
        );
        assert!(allowances.of(1).call().is_err());
        assert!(allowances.of(1).stream().is_err());
        assert!(allowances.of(2).call().is_ok());
        drop(held);
        assert!(allowances.of(1).call().is_ok());
    }

    /// What is refused says when to come back, and not to all the same.
    #[test]
    fn waits_are_spread() {
        let waits: std::collections::HashSet<_> = (0..20).map(|_| spread(LATER_IN)).collect();
        assert!(waits.len() > 1);
        for wait in waits {
            assert!(
                (LATER_IN / 2..=LATER_IN * 3 / 2).contains(&wait),
                "{wait:?}"
            );
        }
    }
}
