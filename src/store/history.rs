//! What this replica has seen committed, and whether the database still has it.
//!
//! A database can lose under a running replica what it acknowledged: a standby that followed asynchronously becomes the
//! primary and lacks the newest entries, or somebody restores a backup in place. Who was erased by one of them would be shown
//! again, and what is written next would take numbers that cursors, receipts and the mirror have from others. So a replica
//! remembers the last entry it knows of (its hash covers all before it) and asks for it again: of each new session before that is
//! used, since another server means new ones ([`super::postgres`]); and for what was on its way when the session began, with each
//! look at the head ([`super::signal`]) and whenever that is locked ([`super::append`]). If it is gone, the process ends as after a failed flush
//! ([`super::broken`]), and its next start puts back what the database lost ([`super::restore`]).
//!
//! Of several replicas one may know nothing of what is lost, go on, and give its numbers away before the other is back, whose
//! mirror then has another history than the database. A start refuses that if nothing explains it. What a new session found does, or
//! a head that is behind: so it is noted in the mirror, and that start does the mirror's acts again by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::PgConnection;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Result, StoreError,
    broken::Broken,
    postgres::{PROBE_MAX, in_time},
    sql::statements,
};
use crate::ledger::{
    Head,
    mirror::{Mirror, on_disk},
};

statements! {
    ENTRY = "SELECT hash FROM ledger WHERE sequence = $1";
}

/// The last entry that this replica knows to be committed.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    last: Arc<Mutex<Option<Head>>>,
    broken: Broken,
    failed_over: CancellationToken,
}

impl History {
    /// What hears of a database that lost an entry.
    pub(super) fn broken(&self) -> Broken {
        self.broken.clone()
    }

    /// An entry is committed. Writers may tell out of order.
    pub(super) fn learn(&self, committed: Head) {
        let mut last = self.last();
        if last.is_none_or(|last| last.sequence < committed.sequence) {
            *last = Some(committed);
        }
    }

    /// The last entry; none of a ledger that has none.
    pub(super) fn known(&self) -> Option<Head> {
        *self.last()
    }

    /// Compares an entry with what the database has of it by now; gives whether that is still the same.
    pub(super) fn is_there(&self, known: Head, found: Option<&[u8]>) -> bool {
        let is_there = found == Some(&known.hash);
        if !is_there {
            self.broken.went_back(known.sequence);
        }
        is_there
    }

    /// Fails if the head, as it was locked, is behind what was known to be committed before that, or another: whatever is
    /// appended would be written over it.
    pub(super) fn check_head(&self, known: Option<Head>, locked: Head) -> Result<()> {
        let Some(known) = known else {
            return Ok(());
        };
        let is_after = known.sequence < locked.sequence;
        if is_after || known.sequence == locked.sequence && known.hash == locked.hash {
            return Ok(());
        }
        self.broken.went_back(known.sequence);
        self.failed_over.cancel();
        Err(StoreError::Broken)
    }

    /// Fails on a session with a database that lacks what was committed.
    pub(super) async fn check(&self, session: &mut PgConnection) -> sqlx::Result<()> {
        let Some(known) = self.known() else {
            return Ok(());
        };
        let asked = sqlx::query_as(ENTRY).bind(known.sequence);
        let found: Option<(Vec<u8>,)> = in_time(PROBE_MAX, asked.fetch_optional(session)).await?;
        if self.is_there(known, found.as_ref().map(|(hash,)| hash.as_slice())) {
            return Ok(());
        }
        self.failed_over.cancel();
        Err(sqlx::Error::Configuration(
            "it lacks what was committed".into(),
        ))
    }

    /// Notes a failover in the mirror, when it comes to that.
    pub(super) fn note_failover(&self, mirror: Option<Arc<Mirror>>) -> AbortHandle {
        let failed_over = self.failed_over.clone();
        let task = async move {
            failed_over.cancelled().await;
            if let Some(mirror) = mirror
                && let Err(error) = on_disk(move || mirror.note_failover()).await
            {
                tracing::warn!(%error, "the mirror took no note of the failover");
            }
        };
        tokio::spawn(task).abort_handle()
    }

    fn last(&self) -> MutexGuard<'_, Option<Head>> {
        // A panic while it is held leaves nothing half-done in it.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sequence: i64) -> Head {
        Head {
            sequence,
            hash: [u8::try_from(sequence).unwrap_or(0); 32],
            at: 0,
        }
    }

    /// Of two writers the one that is overtaken tells nothing new.
    #[test]
    fn the_last_entry_is_the_one_with_the_highest_number() {
        let history = History::default();
        assert_eq!(history.known(), None);
        for committed in [head(3), head(5), head(4)] {
            history.learn(committed);
        }
        assert_eq!(history.known(), Some(head(5)));
    }

    /// Nothing is appended to a head that is behind, or another.
    #[test]
    fn a_head_never_goes_back() {
        let history = History::default();
        assert!(history.check_head(None, head(0)).is_ok());
        let another = Head {
            hash: [6; 32],
            ..head(5)
        };
        for (locked, is_whole) in [
            (head(6), true),
            (head(5), true),
            (another, false),
            (head(4), false),
        ] {
            let history = History::default();
            let checked = history.check_head(Some(head(5)), locked);
            assert_eq!(checked.is_ok(), is_whole);
            assert_eq!(history.broken().check().is_ok(), is_whole);
            assert_eq!(history.failed_over.is_cancelled(), !is_whole);
        }
    }

    /// An entry that is gone, and one that is another by now, are both the end.
    #[test]
    fn what_was_committed_is_there_or_all_ends() {
        for (found, is_there) in [(Some([5; 32]), true), (Some([6; 32]), false), (None, false)] {
            let history = History::default();
            let found = found.as_ref().map(<[u8; 32]>::as_slice);
            assert_eq!(history.is_there(head(5), found), is_there);
            assert_eq!(history.broken().check().is_ok(), is_there);
        }
    }
}
