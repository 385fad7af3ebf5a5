//! What erasures leave in the database's log.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::SharedStore;

/// How soon after an erasure what it leaves behind is removed, so that a run of them is one effort.
const CLEAN_UP: Duration = Duration::from_millis(100);

/// Removes what erasures leave in the database's log, soon after each.
pub async fn clean_up(store: SharedStore, stopping: CancellationToken) {
    let mut erasures = store.erasures();
    // What was erased just before the last stop may still be there.
    erasures.mark_changed();
    loop {
        let wake = async {
            erasures.changed().await?;
            tokio::time::sleep(CLEAN_UP).await;
            Ok::<(), tokio::sync::watch::error::RecvError>(())
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            woken = wake => if woken.is_err() { return },
        }
        // A reader may hold the log: the next round tries again.
        if !matches!(store.clean_up().await, Ok(true)) {
            erasures.mark_changed();
        }
    }
}
