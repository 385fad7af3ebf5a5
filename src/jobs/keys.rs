//! Follows the key ring's file, and answers for this replica when a rotation asks who has which ring.
//!
//! The file is looked at each second, and at once when somebody wants it: on SIGHUP, when a lead names a key that
//! the ring lacks, when the database asks for a newer ring. A file that is no ring, or not this database's, is
//! refused: the ring before it stays, the log says so, and a counter rises.

use std::{sync::Arc, time::Duration};

use metrics::{counter, gauge};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    seal::{FileMark, KeyRing, LiveKeyRing},
    store::{Result, SharedStore},
};

/// How often a replica looks whether it is asked for a ring: it answers within this time.
pub const ASKED_EVERY: Duration = Duration::from_secs(1);

/// Keeps the ring in step with its file until `stopping`.
pub async fn follow_key_ring(
    store: SharedStore,
    keys: Arc<LiveKeyRing>,
    stopping: CancellationToken,
) {
    let mut tick = tokio::time::interval(ASKED_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut follower = Follower {
        store,
        keys,
        seen: None,
    };
    loop {
        let is_wanted = tokio::select! {
            () = stopping.cancelled() => return,
            () = follower.keys.look_wanted() => true,
            _ = tick.tick() => false,
        };
        // Stopping does not wait for it: what it writes is an objection, which may be lost.
        tokio::select! {
            () = stopping.cancelled() => return,
            () = follower.look(is_wanted) => {}
        }
    }
}

struct Follower {
    store: SharedStore,
    keys: Arc<LiveKeyRing>,
    /// The file as it was when it was last read; `None`: read it again.
    seen: Option<FileMark>,
}

impl Follower {
    async fn look(&mut self, is_wanted: bool) {
        if is_wanted || self.keys.mark() != self.seen {
            self.read().await;
        }
        if let Err(error) = self.answer().await {
            tracing::debug!(%error, "the database was not asked for its key ring");
        }
        let generation = self.keys.current().facts().generation;
        gauge!("lead_intake_key_ring_generation").set(u32::try_from(generation).unwrap_or(0));
    }

    /// Reads the file, and uses it if it is the ring of this database.
    async fn read(&mut self) {
        let Some(path) = self.keys.path() else { return };
        // Taken before the reading: a change in the middle of it is one to come back for.
        let mark = self.keys.mark();
        let ring = match KeyRing::load(path) {
            Ok(ring) => ring,
            Err(error) => {
                self.seen = mark;
                refused(&error);
                return;
            }
        };
        match self.store.check_keys(ring.facts()).await {
            Ok(()) => {}
            Err(error) if error.is_about_keys() => {
                self.seen = mark;
                refused(&error);
                return;
            }
            // The database's fault and not the ring's: the next look tries again.
            Err(error) => {
                tracing::warn!(%error, "the key ring was not compared with the database");
                return;
            }
        }
        self.seen = mark;
        if ring.facts() != self.keys.current().facts() {
            let generation = ring.facts().generation;
            self.keys.replace(ring);
            tracing::info!(generation, "the key ring changed");
        }
    }

    /// Tells whoever asks for a newer ring that this replica does not have it.
    async fn answer(&mut self) -> Result<()> {
        let state = self.store.ring_state().await?;
        let wanted = state.asked.max(state.ring_min);
        if self.keys.current().facts().generation < wanted {
            // Perhaps its file is there by now.
            self.read().await;
        }
        let own = self.keys.current().facts().generation;
        if own < state.asked {
            self.store.object_to_ring(state.asked).await?;
        }
        let is_stale = own < state.ring_min;
        if self.keys.set_stale(is_stale) && is_stale {
            tracing::error!(
                own,
                needed = state.ring_min,
                "the key ring is too old: copy the newest one here; until then nothing is sealed \
                 or looked up"
            );
        }
        Ok(())
    }
}

fn refused(error: &(dyn std::error::Error + 'static)) {
    counter!("lead_intake_key_ring_refused_total").increment(1);
    tracing::error!(
        error,
        "the changed key ring is refused; the one before it stays in use"
    );
}
