//! Puts new leads into the blind indexes: many at a time while many come, within a second otherwise.

use std::time::Duration;

use metrics::gauge;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::store::{INDEX_STEP, SharedStore};

/// How long a lead may wait to be put into the indexes while few come; also the wait after an error.
pub const INDEX_EVERY: Duration = Duration::from_secs(1);
/// Entries of the ledger that wait.
const UNINDEXED: &str = "lead_intake_unindexed_entries";

/// Keeps what a look-up has to look through short.
pub async fn index(store: SharedStore, every: Duration, stopping: CancellationToken) {
    gauge!(UNINDEXED).set(0.0);
    if store.unindexed().is_none() {
        return;
    }
    let mut head = store.head();
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_told = false;
    loop {
        let is_full = head.wait_for(|_| store.unindexed() >= Some(INDEX_STEP));
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = tick.tick() => {}
            // After an error the tick alone counts: a full tail stays full.
            is_full = is_full, if !is_told => if is_full.is_err() { return },
        }
        if store.unindexed() == Some(0) {
            continue;
        }
        let indexed = store.index().await;
        gauge!(UNINDEXED).set(
            store
                .unindexed()
                .map_or(0, |it| u32::try_from(it).unwrap_or(u32::MAX)),
        );
        match indexed {
            Ok(()) => is_told = false,
            Err(error) if !is_told => {
                is_told = true;
                tracing::warn!(
                    %error,
                    "new leads cannot be put into the look-up indexes; look-ups take longer, and it is tried again"
                );
            }
            Err(_) => {}
        }
    }
}
