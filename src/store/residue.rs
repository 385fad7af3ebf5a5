//! What a deletion leaves in the database's files, and how far that is removed.
//!
//! A deleted row is gone for every reader at the commit, and not yet from the disk. On SQLite the service itself
//! removes the rest ([`super::dialect`] says how, [`crate::jobs`] when); on PostgreSQL vacuum does, in its own
//! time. The rule: whoever deletes or replaces something sealed calls [`Residue::left`] in the transaction, before
//! the commit. A call that is cut off between the commit and its end has told it then; and a clean-up cannot come
//! too early, since it needs the one connection that the transaction holds.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use tokio::sync::watch;

use super::{
    Result,
    dialect::{Columns as _, Dialect},
    ledger::HEAD_ROW,
    sql::Sql,
    sqlite::COPY_LOG,
    tx::watch,
};

/// What became of the bytes that an erasure left in the database's files. The numbers are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanUp {
    /// They are gone from every file of the database.
    Done = 1,
    /// Sealed, they may still be there.
    Pending = 2,
    /// Sealed, they stay until the database's own vacuum.
    ByVacuum = 3,
}

/// What this process knows of it: at its start, that anything may have been left.
#[derive(Clone, Debug, Default)]
pub(super) struct Residue(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Changes whenever something was left.
    left: watch::Sender<()>,
    /// The ledger's number up to which nothing is left.
    removed_to: AtomicI64,
}

impl Residue {
    /// The transaction under way deletes or replaces something sealed.
    pub(super) fn left(&self) {
        self.0.left.send_replace(());
    }

    /// Changes with each [`Self::left`].
    pub(super) fn receiver(&self) -> watch::Receiver<()> {
        self.0.left.subscribe()
    }
}

impl<DB: Dialect> Sql<DB> {
    /// Removes what was left until now; `false`: not all of it yet.
    pub(super) async fn clean_up(&self) -> Result<bool> {
        self.copy_log().await?;
        let mut connection = self.writer.acquire().await?;
        // On the connection that writes nothing is under way: what is numbered is committed.
        let rows = DB::fetch(&mut connection, HEAD_ROW, Vec::new()).await?;
        let head = rows.first().map_or(Ok(0), |row| row.int(0))?;
        self.broken.check()?;
        let done = DB::clean_up(&mut connection).await;
        let is_done = watch(&self.broken, &self.room, done)?;
        if is_done {
            self.residue.0.removed_to.fetch_max(head, Ordering::Relaxed);
        }
        Ok(is_done)
    }

    /// Copies the log into the file while others write: what came since is little, and all that keeps them waiting.
    async fn copy_log(&self) -> Result<()> {
        let Some(copier) = &self.copier else {
            return Ok(());
        };
        // Without it the one that writes copies all of it.
        let Ok(mut connection) = copier.acquire().await else {
            return Ok(());
        };
        self.broken.check()?;
        let done = DB::execute(&mut connection, COPY_LOG, Vec::new()).await;
        watch(&self.broken, &self.room, done).map(|_| ())
    }

    /// What became of what the acts up to this entry left.
    pub(super) fn clean_up_of(&self, sequence: i64) -> CleanUp {
        if !DB::CLEANS_UP {
            CleanUp::ByVacuum
        } else if sequence <= self.residue.0.removed_to.load(Ordering::Relaxed) {
            CleanUp::Done
        } else {
            CleanUp::Pending
        }
    }
}
