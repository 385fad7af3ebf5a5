//! A batch in one statement: the ledger's head is foreseen instead of asked for (docs/decisions/0023).
//!
//! To append takes the head, and to take it a transaction: five round trips, in three of which everybody else waits for the
//! head. But whoever moved it last knows where it stands. So on a kept connection ([`super::kept`]) a batch is chained to where the
//! last one left the head, and sent as one statement that moves it only from there. If another replica, or an act, came
//! between, it changes nothing, and the batch goes the long way, by which it learns where the head is.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::{
    Result,
    append::{INSERT_ENTRIES, entry_rows},
    dialect::{Dialect, values},
    intake::{Batch, INSERT_LEADS},
    sql::Sql,
    tx::watch,
};
use crate::ledger::{Entry, Head};

/// Whether the head is where it was foreseen, and the key ring new enough.
const IS_THERE: &str = "hash = $4 AND ring_min <= $5";
const VALUES: usize = 5;

/// Leads, their entries, and the head that the last of these makes: all of it, or nothing if the head was elsewhere.
pub(super) fn append_foreseen() -> &'static str {
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

/// Where a writer believes that the ledger ends.
#[derive(Debug, Default)]
pub(super) struct Foreseen(Mutex<Guess>);

#[derive(Debug, Default)]
struct Guess {
    head: Option<Head>,
    /// Batches that missed since one did not.
    misses: u32,
    /// Batches that go the long way before the next one that tries.
    pause: u32,
}

impl Foreseen {
    /// The head was moved to here. `None`: nobody knows.
    pub(super) fn learn(&self, head: Option<Head>) {
        self.guess().head = head;
    }

    /// Where the head is, if it is worth trying; `moved`: how far the ledger is known to go.
    fn get(&self, moved: i64) -> Option<Head> {
        let mut guess = self.guess();
        if guess.pause > 0 {
            guess.pause -= 1;
            return None;
        }
        guess.head.filter(|head| head.sequence >= moved)
    }

    fn count(&self, came_true: bool) {
        let mut guess = self.guess();
        guess.misses = if came_true {
            0
        } else {
            guess.misses.saturating_add(1)
        };
        // A single miss may be an act, of which there are few.
        guess.pause = PAUSE_MAX.min((1 << guess.misses.min(16)) / 4);
    }

    fn guess(&self) -> MutexGuard<'_, Guess> {
        // A panic while it is held leaves nothing half-done in it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<DB: Dialect> Sql<DB> {
    /// Writes a batch in one statement. `false`: it did not; or its session ended meanwhile, and if it did then after all,
    /// the next attempt finds that as repeats.
    pub(super) async fn append_foreseen(
        &self,
        connection: &mut DB::Connection,
        batch: &Batch<'_>,
        foreseen: &Foreseen,
    ) -> Result<bool> {
        self.broken.check()?;
        let Some(before) = foreseen.get(self.signal.sequence()) else {
            return Ok(false);
        };
        let mut head = before;
        let now = self.clock.now().as_microsecond();
        let new = batch.entries.iter();
        let entries: Vec<Entry> = new.map(|new| head.append(*new, now)).collect();
        let mut values = values![head.sequence, head.hash, head.at, before.hash, batch.ring];
        values.extend(INSERT_LEADS.array_values(batch.leads()));
        values.extend(INSERT_ENTRIES.array_values(entry_rows(Vec::new(), &entries)));
        foreseen.learn(None);
        let answer = DB::execute(connection, append_foreseen(), values).await;
        match watch(&self.broken, &self.room, answer) {
            Ok(0) => {
                foreseen.count(false);
                Ok(false)
            }
            Ok(_) => {
                foreseen.count(true);
                foreseen.learn(Some(head));
                self.signal.moved(&entries);
                Ok(true)
            }
            Err(error) if error.is_end_of_session() => Ok(false),
            Err(error) => {
                if error.is_unique_violation() {
                    foreseen.learn(Some(before));
                }
                Err(error)
            }
        }
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

    /// Batches that go the long way after these outcomes.
    fn pause_after(outcomes: &[bool]) -> usize {
        let foreseen = Foreseen::default();
        for came_true in outcomes {
            foreseen.count(*came_true);
        }
        foreseen.learn(Some(head(1)));
        (0..1_000).take_while(|_| foreseen.get(1).is_none()).count()
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

    /// A head that is known to be behind is not tried, nor one of which nothing is known.
    #[test]
    fn what_is_known_to_be_wrong_is_not_foreseen() {
        let foreseen = Foreseen::default();
        assert_eq!(foreseen.get(0), None);
        foreseen.learn(Some(head(7)));
        assert_eq!(foreseen.get(7), Some(head(7)));
        assert_eq!(foreseen.get(8), None);
        foreseen.learn(None);
        assert_eq!(foreseen.get(7), None);
    }
}
