//! The blind indexes: how people are found, and how their leads come to be found (docs/decisions/0021).
//!
//! The values are keyed hashes, so an entry falls anywhere in an index. On SQLite each of the two of a submission
//! was a page of its own to be written, which was nearly half of what a submission cost. So there a submission writes
//! none: the submissions after the number in `blind_index_head` are the *tail*, and the view that look-ups
//! read has the index and, in the same snapshot, the tail. The tail moves into the index many at a time, in order of
//! the values: by a job ([`crate::jobs`]) when it is [`STEP`] long, or within a second; and if that does not
//! keep up, by the submission that would make it longer than [`TAIL_MAX`].
//!
//! The rule: a lead up to that number has an entry for each of its values, a later one has none. Corrections and
//! deletions keep it by triggers (migrations/sqlite, 0009), so no statement can forget an entry. On PostgreSQL
//! an entry costs less, and the index is the table's own.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use super::{
    Result, StoreError,
    dialect::{Columns as _, Dialect, values},
    sql::{Sql, candidate_columns, statements},
};

statements! {
    // By the values of each index key. The identifiers are in order of time, so this is oldest first. The limit
    // inside tells PostgreSQL, which may keep no statistics of the values, that few are found.
    CANDIDATES = concat!(
        "SELECT ", candidate_columns!(), " FROM lead WHERE lead.id IN (\
         SELECT lead_id FROM (SELECT DISTINCT lead_id FROM lead_by_value \
         WHERE value IN ($1, $2, $3, $4) ORDER BY lead_id LIMIT $5) AS found) ORDER BY lead.id"
    );
}

/// Finds a person's leads, oldest first: `$1` to `$4` are values of e-mail and phone, `$5` how many at most.
pub(super) const LOOK_UP: &str = CANDIDATES;

/// The statements of a database that has a tail.
pub(super) const TAIL_STATEMENTS: &[&str] = &[TAIL, INDEX, MOVE];
const TAIL: &str = "SELECT blind_index_head.sequence, ledger_head.sequence \
                    FROM blind_index_head, ledger_head";
// CROSS JOIN is SQLite's word for: in this order. Without it, and without being told that a step is short, it may go
// through all leads.
const INDEX: &str = "WITH tail AS (\
                         SELECT ledger.sequence, lead.email_index, lead.phone_index \
                         FROM ledger CROSS JOIN lead ON lead.id = ledger.lead_id \
                         WHERE likelihood(ledger.sequence > $1, 0.000001) \
                         AND ledger.sequence <= $2 AND ledger.kind = 1) \
                     INSERT INTO blind_index (value, sequence) \
                     SELECT email_index AS value, sequence FROM tail WHERE email_index IS NOT NULL \
                     UNION ALL \
                     SELECT phone_index, sequence FROM tail WHERE phone_index IS NOT NULL \
                     ORDER BY value";
const MOVE: &str = "UPDATE blind_index_head SET sequence = $1 WHERE id = 1";

/// Entries of the ledger whose leads are put into the index at once: some tens of milliseconds.
pub const STEP: i64 = 8192;
/// The longest tail that a submission may make longer. It bounds what a look-up has to look through: some tens of
/// milliseconds too.
pub const TAIL_MAX: i64 = 4 * STEP;

/// How far the index has come, as far as this process knows, and how long the tail may be.
#[derive(Clone, Debug)]
pub(super) struct Indexed {
    upto: Arc<AtomicI64>,
    tail_max: i64,
}

impl Indexed {
    pub(super) fn new(tail_max: i64) -> Self {
        let upto = Arc::default();
        Self { upto, tail_max }
    }
}

impl<DB: Dialect> Sql<DB> {
    /// How many entries long the tail is, as far as this process knows; `None`: there is none.
    pub(super) fn unindexed(&self) -> Option<i64> {
        let indexed = || self.indexed.upto.load(Ordering::Relaxed);
        DB::HAS_TAIL.then(|| (self.signal.sequence() - indexed()).max(0))
    }

    /// Moves the tail into the index, a step at a time, so that others can write in between.
    pub(super) async fn index(&self) -> Result<()> {
        while self.unindexed() > Some(0) {
            // A look-up finds the lead without it.
            self.room.check()?;
            let mut tx = self.begin().await?;
            let row = tx.fetch_optional(TAIL, Vec::new()).await?;
            let row = row.ok_or(StoreError::Corrupt("the blind indexes have no head"))?;
            let (after, head) = (row.int(0)?, row.int(1)?);
            let upto = head.min(after + STEP);
            if upto > after {
                tx.execute(INDEX, values![after, upto]).await?;
                tx.execute(MOVE, values![upto]).await?;
            }
            tx.commit().await?;
            self.indexed.upto.store(upto, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Keeps a submission from making the tail longer than it may be: without room, nothing is written.
    pub(super) async fn bound_tail(&self) -> Result<()> {
        if self.unindexed() > Some(self.indexed.tail_max) {
            self.index().await?;
        }
        Ok(())
    }
}
