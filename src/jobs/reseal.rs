//! Resealing: moves every lead to the primary keys, batch by batch, beside the service.
//!
//! It works on what is left, so it may be stopped and started at any time. Between two batches it waits as long as
//! the last one held the database: calls go first. A lead that cannot be moved is told and passed over.

use std::time::{Duration, Instant};

use crate::{
    domain::lead::LeadId,
    seal::{ResealError, Resealer},
    store::{KeyCounts, KeyStore, ResealBatch, Result, Walk},
};

/// The longest wait between two batches.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Leads that cannot be moved and are named; more are only counted.
const NAMED_MAX: usize = 20;

/// What came of it.
#[derive(Debug, Default)]
pub struct Resealed {
    /// Leads moved.
    pub moved: u64,
    /// Leads that cannot be moved, counted.
    pub failed: u64,
    /// Some of them.
    pub unopened: Vec<Unopened>,
}

/// A lead that cannot be moved.
#[derive(Clone, Copy, Debug)]
pub struct Unopened {
    /// The lead.
    pub id: LeadId,
    /// Why.
    pub error: ResealError,
}

/// Hears how many leads more were moved, or counted.
pub type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// Counts the leads under each key.
pub async fn count(store: &dyn KeyStore, progress: Progress<'_>) -> Result<KeyCounts> {
    let mut counts = KeyCounts::default();
    let mut after = first();
    loop {
        let before = counts.leads;
        let walk = store.count_keys(after, &mut counts).await?;
        progress(u64::try_from(counts.leads - before).unwrap_or(0));
        match walk {
            Walk::UpTo(last) => after = last,
            Walk::End => return Ok(counts),
        }
    }
}

/// Moves every lead to the resealer's primary keys.
pub async fn reseal(
    store: &dyn KeyStore,
    resealer: &Resealer,
    progress: Progress<'_>,
) -> Result<Resealed> {
    let ring = resealer.ring().facts();
    let mut done = Resealed::default();
    let mut after = first();
    loop {
        let (old, walk) = store.old_seals(after, ring).await?;
        let mut seals = Vec::with_capacity(old.len());
        let mut failed = Vec::new();
        for old in old {
            match resealer.reseal(&old) {
                Ok(new) => seals.push((old, new)),
                Err(error) => failed.push(Unopened { id: old.id, error }),
            }
        }
        let started = Instant::now();
        let batch = if seals.is_empty() {
            ResealBatch::default()
        } else {
            store.write_seals(&seals, ring).await?
        };
        done.moved += batch.written;
        progress(batch.written);
        if batch.moved_on > 0 {
            // The same place once more: what moved on is there as it is now, or is gone.
            continue;
        }
        done.failed += u64::try_from(failed.len()).unwrap_or(0);
        let room = NAMED_MAX.saturating_sub(done.unopened.len());
        done.unopened.extend(failed.into_iter().take(room));
        match walk {
            Walk::UpTo(last) => after = last,
            Walk::End => return Ok(done),
        }
        if batch.written > 0 {
            tokio::time::sleep(started.elapsed().min(PAUSE_MAX)).await;
        }
    }
}

/// Before every identifier.
fn first() -> LeadId {
    uuid::Uuid::nil().into()
}
