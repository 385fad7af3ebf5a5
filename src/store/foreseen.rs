//! A batch in one go: the ledger's head is foreseen instead of asked for (docs/decisions/0023).
//!
//! To append takes the head, and to take it a transaction: on PostgreSQL five round trips, in three of which everybody else
//! waits for the head; on SQLite as many turns of its thread and ours, and one for each run of rows. But whoever moved the head last
//! knows where it stands, and [`super::history`] whoever did. So a batch is chained to that, and sent at once, as what moves the head
//! only from there: one statement on PostgreSQL, on SQLite a text of several with their transaction. If another replica or
//! a command came between, it changes nothing, and the batch goes the long way, by which it learns where the head is.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use super::{
    Result,
    append::{INSERT_ENTRIES, entry_rows},
    bulk::SIZES,
    dialect::{Dialect, Value, values},
    intake::{Batch, INSERT_LEADS},
    sql::Sql,
    tx::watch,
};
use crate::ledger::{Entry, Head};

/// What is sent for a batch.
pub(super) struct Foresight {
    /// Where the head was left.
    before: Head,
    /// Where it will be.
    head: Head,
    /// The generation of the oldest key ring that a lead was sealed with.
    ring: i64,
    /// The rows of [`INSERT_LEADS`], one after the other.
    leads: Vec<Value>,
    /// The rows of [`INSERT_ENTRIES`].
    entries: Vec<Value>,
}

/// SQLite: fails, by a hash that is none, if the head is elsewhere or the key ring too old, and ends the transaction with it.
const MOVE_HEAD: &str = "UPDATE OR ROLLBACK ledger_head SET sequence = ?, \
                         hash = CASE WHEN hash = ? AND ring_min <= ? THEN ? END, at = ? WHERE id = 1";

/// The statements of a batch of 1, 2, 4, … at most, with their transaction.
pub(super) fn sqlite_text(size: usize) -> &'static str {
    static TEXTS: [OnceLock<String>; SIZES] = [const { OnceLock::new() }; SIZES];
    TEXTS[size].get_or_init(|| {
        let [leads, entries] =
            [&INSERT_LEADS, &INSERT_ENTRIES].map(|bulk| bulk.values_part(1 << size));
        format!("BEGIN IMMEDIATE; {MOVE_HEAD}; {leads}; {entries}; COMMIT")
    })
}

/// A batch for SQLite, filled up with rows that are none: so there are few texts.
pub(super) fn sqlite(batch: Foresight) -> (&'static str, Vec<Value>) {
    let Foresight {
        before,
        head,
        ring,
        mut leads,
        mut entries,
    } = batch;
    let rows = (entries.len() / INSERT_ENTRIES.width()).next_power_of_two();
    let size = usize::try_from(rows.ilog2()).unwrap_or(0);
    leads.resize(rows * INSERT_LEADS.width(), Value::OptInt(None));
    entries.resize(rows * INSERT_ENTRIES.width(), Value::OptInt(None));
    let mut values = values![head.sequence, before.hash, ring, head.hash, head.at];
    values.append(&mut leads);
    values.append(&mut entries);
    (sqlite_text(size), values)
}

/// Whether the head is where it was foreseen, and the key ring new enough.
const IS_THERE: &str = "hash = $4 AND ring_min <= $5";
const VALUES: usize = 5;

/// A batch for PostgreSQL.
pub(super) fn postgres(batch: Foresight) -> (&'static str, Vec<Value>) {
    let Foresight {
        before,
        head,
        ring,
        leads,
        entries,
    } = batch;
    let mut values = values![head.sequence, head.hash, head.at, before.hash, ring];
    values.extend(INSERT_LEADS.array_values(leads));
    values.extend(INSERT_ENTRIES.array_values(entries));
    (postgres_text(), values)
}

/// Leads, their entries, and the head that the last of these makes: all of it, or nothing if the head was elsewhere.
pub(super) fn postgres_text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        // Not in a WHERE: that would look at the head as it was when the statement began, and not wait for who moves it. What
        // an UPDATE sets is read again when it has the lock.
        let moved = |column, place| {
            format!("{column} = CASE WHEN {IS_THERE} THEN ${place} ELSE {column} END")
        };
        let [sequence, hash, at] = [moved("sequence", 1), moved("hash", 2), moved("at", 3)];
        let there = "moved WHERE moved.hash = $2";
        let leads = INSERT_LEADS.array_part(VALUES + 1, there);
        let entries = INSERT_ENTRIES.array_part(VALUES + 1 + INSERT_LEADS.width(), there);
        format!(
            "WITH moved AS (UPDATE ledger_head SET {sequence}, {hash}, {at} WHERE id = 1 RETURNING hash), \
             leads AS ({leads}) {entries}"
        )
    })
}

/// The most batches that go the long way after one more that missed: where others write as much as this replica, trying
/// costs them and it more than it brings.
const PAUSE_MAX: u32 = 64;

/// Whether a writer foresees the head.
#[derive(Debug, Default)]
pub(super) struct Foreseen {
    /// Batches that missed since one did not.
    misses: AtomicU32,
    /// Batches that go the long way before the next one that tries.
    pause: AtomicU32,
}

impl Foreseen {
    /// Whether it is worth trying.
    fn tries(&self) -> bool {
        let left = |pause: u32| pause.checked_sub(1);
        self.pause.fetch_update(Relaxed, Relaxed, left).is_err()
    }

    fn count(&self, came_true: bool) {
        let misses = if came_true {
            0
        } else {
            self.misses.load(Relaxed).saturating_add(1)
        };
        self.misses.store(misses, Relaxed);
        // A single miss may be an act, of which there are few.
        let pause = PAUSE_MAX.min((1 << misses.min(16)) / 4);
        self.pause.store(pause, Relaxed);
    }
}

impl<DB: Dialect> Sql<DB> {
    /// Writes a batch in one go. `false`: it did not; or its session ended meanwhile, and if it did then after all, the next
    /// attempt finds that as repeats.
    pub(super) async fn append_foreseen(
        &self,
        connection: &mut DB::Connection,
        batch: &Batch<'_>,
        foreseen: &Foreseen,
    ) -> Result<bool> {
        self.broken.check()?;
        let known = self.signal.history().known();
        let Some(before) = known.filter(|_| foreseen.tries()) else {
            return Ok(false);
        };
        let mut head = before;
        let now = self.clock.now().as_microsecond();
        let new = batch.entries.iter();
        let entries: Vec<Entry> = new.map(|new| head.append(*new, now)).collect();
        let (sql, values) = DB::foreseen(Foresight {
            before,
            head,
            ring: batch.ring,
            leads: batch.leads(),
            entries: entry_rows(Vec::new(), &entries),
        });
        let answer = DB::execute(connection, sql, values).await;
        match watch(&self.broken, &self.room, answer) {
            Ok(0) => {
                foreseen.count(false);
                Ok(false)
            }
            Ok(_) => {
                foreseen.count(true);
                self.signal.moved(&entries);
                Ok(true)
            }
            Err(error) if error.is_not_null_violation() => {
                foreseen.count(false);
                Ok(false)
            }
            Err(error) if error.is_end_of_session() => Ok(false),
            Err(error) => {
                if let Some(undo) = DB::UNDO_FORESEEN {
                    // Whether it is still under way depends on the failure. If it is not, this fails and changes nothing.
                    let _ = DB::execute(connection, undo, Vec::new()).await;
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches that go the long way after these outcomes.
    fn pause_after(outcomes: &[bool]) -> usize {
        let foreseen = Foreseen::default();
        for came_true in outcomes {
            foreseen.count(*came_true);
        }
        (0..1_000).take_while(|_| !foreseen.tries()).count()
    }

    /// Where somebody else writes as much, trying stops nearly, and it never stops for good.
    #[test]
    fn who_misses_again_and_again_tries_seldom() {
        let misses = [false; 40];
        assert_eq!(pause_after(&misses[..1]), 0, "one may be an act");
        assert_eq!(pause_after(&misses[..2]), 1);
        assert_eq!(pause_after(&misses[..5]), 8);
        assert_eq!(pause_after(&misses), usize::try_from(PAUSE_MAX).unwrap());
        assert_eq!(pause_after(&[false, false, false, true]), 0);
    }
}
