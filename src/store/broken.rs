//! A database that is not to be trusted any more: the end of this process.
//!
//! Two things do that: a flush that failed, and a database that lacks what was committed ([`super::history`]).
//!
//! A flush that failed says that something which was written is perhaps not on the disk. The system tells so once, and may
//! then take the same pages for clean: the next flush succeeds and has written nothing. So nothing that this process still
//! believes about the file can be trusted, and a second try proves nothing. What the most careful databases do is what is
//! done here: no write is begun any more, readiness goes, and the process ends with exit code 1. The next start reads
//! from the log what was committed, writes it to the file anew ([`rewrite_log`]), and only then listens.
//!
//! What counts as such a failure, of SQLite's extended result codes (<https://www.sqlite.org/rescode.html>): only those
//! of a flush, of the file (`SQLITE_IOERR_FSYNC`, which is that of a system that has no room left at its flush too) and
//! of its directory (`SQLITE_IOERR_DIR_FSYNC`). A write that failed (`SQLITE_IOERR_WRITE`, `SQLITE_FULL`) is no such
//! thing: it said so before anything rested on it, SQLite takes its transaction back, and the next one writes the same
//! places again. PostgreSQL keeps this rule itself. The mirror's and the notary's files have it too: one that failed is never
//! written again, and everything since its last good flush is written to another.
//!
//! A failed flush of a checkpoint that a commit sets off stays inside SQLite, which keeps the log until one succeeds and
//! then writes all of it again: so nothing is lost by it, and the next commit's flush has its own answer.

use sqlx::SqlitePool;
use tokio_util::sync::CancellationToken;

use super::{Result, StoreError, sqlite::COPY_LOG};

/// `SQLITE_IOERR_FSYNC`, `SQLITE_IOERR_DIR_FSYNC`.
const FLUSH_FAILED: [&str; 2] = ["1034", "1290"];

/// Whether the database is not to be trusted any more: if so, for good.
#[derive(Clone, Debug, Default)]
pub(super) struct Broken(CancellationToken);

impl Broken {
    /// Refuses what comes after the failure.
    pub(super) fn check(&self) -> Result<()> {
        if self.0.is_cancelled() {
            Err(StoreError::Broken)
        } else {
            Ok(())
        }
    }

    /// Looks at an answer of the database on its way.
    pub(super) fn watch<T>(&self, answer: sqlx::Result<T>) -> Result<T> {
        let answer = answer.map_err(StoreError::from);
        let code = answer.as_ref().err().and_then(StoreError::code);
        if code.is_some_and(|code| FLUSH_FAILED.contains(&&*code)) && !self.0.is_cancelled() {
            self.0.cancel();
            tracing::error!(
                "the disk failed to flush the database, so nobody knows what is on it: this process ends now. See to the \
                 disk before the next start: docs/operations.md, \"A failing disk\""
            );
        }
        answer
    }

    /// The database lacks the entry with this number, which it had, or has another one.
    pub(super) fn went_back(&self, sequence: i64) {
        if !self.0.is_cancelled() {
            self.0.cancel();
            tracing::error!(
                sequence,
                "the database went back behind what it had acknowledged: this process ends now, and its next start puts back \
                 what is missing: docs/operations.md, \"When PostgreSQL fails\""
            );
        }
    }

    /// Cancelled at the failure.
    pub(super) fn token(&self) -> CancellationToken {
        self.0.clone()
    }
}

/// Writes what is in the log to the database's file, and flushes it, before anybody is told what it says: after a failed
/// flush the log is read from the system's memory, and may be nowhere else.
pub(super) async fn rewrite_log(writer: &SqlitePool) -> Result<()> {
    // Waits for nobody. What another process's reader keeps from it, that process's connection will do.
    let moved = sqlx::query(COPY_LOG).execute(writer).await;
    match moved.map_err(StoreError::from) {
        // Without room it stays in the log, and erasures must go on.
        Err(error) if error.code().as_deref() == Some("13") => Ok(()),
        moved => moved.map(|_| ()),
    }
}
