//! Follows the ledger with its mirror: what is committed is appended, soon, and made durable now and then.
//!
//! Submissions of this process come from memory as they are committed. Everything else, and what was missed, is
//! read from the database: the acts of this process, which were written ahead, and what other replicas do.

use std::{sync::Arc, time::Duration};

use tokio::{sync::broadcast::error::RecvError, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    ledger::{
        Entry,
        mirror::{Line, Mirror, on_disk},
    },
    store::{Result, SharedStore},
};

/// How often the mirror catches up with what it was not handed, and is made durable. A power cut and a restored
/// backup together cost the submissions of this time their tombstones, nothing else.
const CATCH_UP: Duration = Duration::from_millis(250);
/// Entries read at once: some 2 MiB.
const PAGE: i64 = 5000;

/// Follows the ledger until `stopping`, and then to its end.
pub async fn follow_ledger(store: SharedStore, stopping: CancellationToken) {
    let Some(mirror) = store.mirror() else { return };
    let mut committed = store.committed();
    let mut tick = tokio::time::interval(CATCH_UP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_well = true;
    loop {
        let done = tokio::select! {
            () = stopping.cancelled() => {
                if let Err(error) = catch_up(&store, &mirror).await {
                    tracing::warn!(%error, "the mirror is behind; it follows at the next start");
                }
                return;
            }
            entries = committed.recv() => match entries {
                Ok(entries) => append(&mirror, &entries).await,
                Err(RecvError::Lagged(_)) => Ok(()),
                Err(RecvError::Closed) => return,
            },
            _ = tick.tick() => catch_up(&store, &mirror).await,
        };
        if let Err(error) = &done
            && is_well
        {
            tracing::error!(%error, "the ledger's mirror does not follow; it is tried again");
        }
        is_well = done.is_ok();
    }
}

/// Appends entries that this process committed, if they are the next ones.
async fn append(mirror: &Arc<Mirror>, entries: &[Entry]) -> Result<()> {
    if entries.first().map(|entry| entry.sequence - 1) != Some(mirror.head().sequence) {
        // Something else comes first, or these were read already: the next catching up finds out.
        return Ok(());
    }
    let lines = entries.iter().copied().map(Line::from).collect();
    write(mirror, lines).await
}

/// Reads on to the end of the ledger, and makes everything durable.
async fn catch_up(store: &SharedStore, mirror: &Arc<Mirror>) -> Result<()> {
    loop {
        let lines = store.lines(mirror.head().sequence, PAGE).await?;
        let is_last = i64::try_from(lines.len()).is_ok_and(|count| count < PAGE);
        if !lines.is_empty() {
            write(mirror, lines).await?;
        }
        if is_last {
            let mirror = mirror.clone();
            return Ok(on_disk(move || mirror.sync()).await?);
        }
    }
}

async fn write(mirror: &Arc<Mirror>, lines: Vec<Line>) -> Result<()> {
    let mirror = mirror.clone();
    Ok(on_disk(move || mirror.append(&lines)).await?)
}
