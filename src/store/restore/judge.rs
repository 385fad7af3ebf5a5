//! What the difference between the database and its mirror means.

use super::{HASH, LAST_RESTORED, Result, StoreError, to_hash};
use crate::{
    ledger::{
        EntryKind, Hash, Head,
        mirror::{Batch, Line, Mirror, MirrorError},
    },
    store::{
        dialect::{Columns as _, Dialect, values},
        tx::Tx,
    },
};

/// What is to be done.
pub(super) struct Judgement {
    /// The last entry that both have.
    pub(super) agreed: i64,
    /// The database lacks entries that the mirror has, up to its end.
    pub(super) is_behind: bool,
    /// From `agreed` on the database has other entries than the mirror, since another replica restored it.
    pub(super) is_forked: bool,
    /// The database lost something that was committed, and not only what a crash cut off.
    pub(super) is_restored: bool,
    /// Written ahead, and following what both will have then: to be put back as they are.
    pub(super) completed: Vec<Line>,
    /// Acts that are lost, with numbers that cannot be had any more: to be done again.
    pub(super) again: Vec<Line>,
}

impl Judgement {
    pub(super) fn is_in_step(&self) -> bool {
        !self.is_behind && !self.is_forked && self.completed.is_empty() && self.again.is_empty()
    }
}

pub(super) async fn judge<DB: Dialect>(
    tx: &mut Tx<'_, DB>,
    database: Head,
    mirror: &Mirror,
    ahead: &[Batch],
    takes_other_history: bool,
) -> Result<Judgement> {
    let copy = mirror.head();
    let top = database.sequence.min(copy.sequence);
    let agreed = agreed(tx, mirror, top).await?;
    let mut judgement = Judgement {
        agreed,
        is_behind: agreed == database.sequence && copy.sequence > agreed,
        is_forked: agreed < top,
        is_restored: false,
        completed: Vec::new(),
        again: Vec::new(),
    };
    if judgement.is_forked {
        // What another replica put there after its restore begins with a word about it.
        let next = tx.entry(agreed + 1).await?;
        let is_explained = next.is_some_and(|(_, kind)| kind == EntryKind::Restored as i64);
        if !is_explained && !takes_other_history {
            return Err(MirrorError::Forked(agreed + 1).into());
        }
        judgement.again = acts(mirror, agreed)?;
    }
    // Where the ledger will end when the database has everything back.
    let end = if judgement.is_behind { copy } else { database };
    let mut beyond = Vec::new();
    for batch in latest(ahead) {
        let (first, _) = batch.range();
        if judgement.is_forked {
            if first > agreed {
                judgement.again.extend(batch.lines.iter().cloned());
            }
        } else if first <= copy.sequence {
            // The mirror has what was committed with this number: this batch, or another one after it was given up.
        } else if first <= database.sequence {
            // The database has what was committed; unless a restore lost it, this batch was given up.
            let there = tx.entry(first).await?;
            let restored_at = tx.last_restored_after(copy.sequence).await?;
            let is_lost = (copy.sequence + 1..=first).contains(&restored_at);
            if is_lost && !batch.begins_with(there.map(|(hash, _)| hash)) {
                judgement.again.extend(batch.lines.iter().cloned());
            }
        } else {
            beyond.push(batch);
        }
    }
    judgement.judge_beyond(end, &beyond);
    judgement.is_restored |=
        judgement.is_behind || judgement.is_forked || !judgement.again.is_empty();
    Ok(judgement)
}

impl Judgement {
    /// Judges the batches that neither the database nor the mirror's entries have. With the head locked there is one
    /// transaction at a time: so of several, or of one that was noted as committed, the database has lost some.
    fn judge_beyond(&mut self, mut end: Head, batches: &[&Batch]) {
        self.is_restored |=
            self.is_behind || batches.len() > 1 || batches.iter().any(|batch| batch.is_committed);
        for (place, batch) in batches.iter().enumerate() {
            let was_committed = batch.is_committed || place + 1 < batches.len();
            let follows = batch.range().0 == end.sequence + 1 && batch.previous == end.hash;
            if follows && (was_committed || !batch.is_correction()) {
                self.completed.extend(batch.lines.iter().cloned());
                end = batch.lines.last().map_or(end, |line| line.entry.head());
            } else if self.is_restored || !follows {
                // Whether a correction came to be or not: what it would have corrected is wrong.
                self.again.extend(batch.lines.iter().cloned());
            }
        }
    }
}

/// Of batches with the same numbers the last one: a number is free again only when a batch was given up.
fn latest(batches: &[Batch]) -> Vec<&Batch> {
    let mut latest: Vec<&Batch> = Vec::new();
    for batch in batches {
        let (first, _) = batch.range();
        latest.retain(|earlier| earlier.range().1 < first);
        latest.push(batch);
    }
    latest
}

/// The acts on leads that the mirror has after an entry.
fn acts(mirror: &Mirror, after: i64) -> Result<Vec<Line>> {
    let mut acts = Vec::new();
    for line in mirror.lines(after)? {
        let line = line?;
        if line.entry.new.kind.is_written_ahead() {
            acts.push(line);
        }
    }
    Ok(acts)
}

/// The last entry up to `top` that both have: the hashes tell, since each covers all before it.
async fn agreed<DB: Dialect>(tx: &mut Tx<'_, DB>, mirror: &Mirror, top: i64) -> Result<i64> {
    let (mut same, mut other) = (0, top + 1);
    let mut probe = top;
    while same + 1 < other {
        let ours = tx.entry(probe).await?.map(|(hash, _)| hash);
        let ours = ours.ok_or(StoreError::Corrupt("an entry is missing"))?;
        let copy = mirror.line(probe)?.ok_or(MirrorError::Damaged(probe))?;
        if ours == copy.entry.hash {
            same = probe;
        } else {
            other = probe;
        }
        probe = i64::midpoint(same, other);
    }
    Ok(same)
}

impl<DB: Dialect> Tx<'_, DB> {
    /// Hash and kind of an entry, if it is there.
    async fn entry(&mut self, sequence: i64) -> Result<Option<(Hash, i64)>> {
        let row = self.fetch_optional(HASH, values![sequence]).await?;
        row.map(|row| Ok((to_hash(row.bytes(0)?)?, row.int(1)?)))
            .transpose()
    }

    /// The number of the last entry after this one that tells of a restore; 0 for none.
    async fn last_restored_after(&mut self, after: i64) -> Result<i64> {
        let row = self.fetch_optional(LAST_RESTORED, values![after]).await?;
        Ok(row
            .ok_or(StoreError::Corrupt("a count without a row"))?
            .int(0)?)
    }
}
