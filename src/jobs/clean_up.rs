//! Removes what erasures and corrections leave in the database's files, and says so while it cannot.

use std::time::Duration;

use metrics::gauge;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::store::SharedStore;

/// How soon after an erasure what it leaves behind is removed, so that a run of them is one effort.
const CLEAN_UP: Duration = Duration::from_millis(100);
/// The longest wait until the next attempt. Each attempt keeps writers waiting a little, and a reader may hold the
/// log for long: a backup does.
const RETRY_MAX: Duration = Duration::from_millis(500);
/// A clean-up that takes longer than this is worth a line in the log.
const WARN_AFTER: Duration = Duration::from_secs(5);
/// 1 while something is left, else 0.
const PENDING: &str = "lead_intake_clean_up_pending";

/// Removes what erasures leave in the database's files, soon after each.
pub async fn clean_up(store: SharedStore, stopping: CancellationToken) {
    gauge!(PENDING).set(0.0);
    let Some(mut residue) = store.residue() else {
        // It is not the service that does it: nothing is pending here.
        return;
    };
    // What was erased just before the last stop may still be there.
    residue.mark_changed();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            left = residue.changed() => if left.is_err() { return },
        }
        gauge!(PENDING).set(1.0);
        let removed = remove(&store, &mut residue, &stopping).await;
        if removed.is_none() {
            return;
        }
        gauge!(PENDING).set(0.0);
    }
}

/// Tries until nothing is left. `None`: the service stops first; its next start tries again.
async fn remove(
    store: &SharedStore,
    residue: &mut watch::Receiver<()>,
    stopping: &CancellationToken,
) -> Option<()> {
    let begun = Instant::now();
    let mut wait = CLEAN_UP;
    let mut is_told = false;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return None,
            () = tokio::time::sleep(wait) => {}
        }
        // What is left from here on may be missed by the attempt: it is another round's.
        residue.mark_unchanged();
        let hindrance = match store.clean_up().await {
            Ok(true) if is_told => {
                let seconds = begun.elapsed().as_secs();
                tracing::info!(
                    seconds,
                    "what was erased is now gone from the database's files too"
                );
                return Some(());
            }
            Ok(true) => return Some(()),
            Ok(false) => "a reader holds the write-ahead log".to_owned(),
            Err(error) => error.to_string(),
        };
        if !is_told && begun.elapsed() >= WARN_AFTER {
            is_told = true;
            tracing::warn!(
                hindrance,
                "what was erased, sealed as it was, is still in the database's files; it is tried again"
            );
        }
        wait = (wait * 2).min(RETRY_MAX);
    }
}
