//! Leads under old keys: counted, read, and written back under the primary ones.
//!
//! A walk by identifier, a thousand at a time, so that no statement runs for long and no index has to be kept for
//! it. The rows are written one by one in order of their identifiers, as every act on several leads, each only if
//! it is still as it was read; what moved on meanwhile is read again. The revision stays and there is no entry:
//! nothing of the person's data changes.

use super::{
    KeyCounts, NewSeals, ResealBatch, Result, Walk,
    dialect::{Columns, Dialect, values},
    error::retrying_at_most,
    keys::key_id,
    sql::{Sql, statements},
};
use crate::{
    domain::lead::{LawfulBasis, LeadId},
    seal::{KeyName, KeyPurpose, LeadIndex, OldSeal, RingFacts},
};

statements! {
    // The last of the next thousand.
    STEP = "SELECT id FROM lead WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2";
    COUNT = "SELECT key_id, index_key_id, COUNT(*) FROM lead WHERE id > $1 AND id <= $2 \
             GROUP BY key_id, index_key_id";
    OLD = "SELECT id, sealed, key_id, email_index, phone_index, index_key_id, content_mac, \
           lawful_basis, consent, notice_version, revision FROM lead \
           WHERE id > $1 AND id <= $2 AND (key_id <> $3 OR index_key_id <> $4) \
           ORDER BY id LIMIT $5";
    WRITE = "UPDATE lead SET sealed = $5, key_id = $6, email_index = $7, phone_index = $8, \
             index_key_id = $9, content_mac = $10 \
             WHERE id = $1 AND revision = $2 AND key_id = $3 AND index_key_id = $4";
}

/// Leads that a statement walks over: some milliseconds of reading.
const WALK: i64 = 1000;
/// Leads that a statement counts.
const COUNT_WALK: i64 = 10_000;
/// Leads written in a transaction: it holds their rows, and on SQLite the writer, for as long.
const BATCH: i64 = 100;
/// How often a batch is tried: on SQLite each attempt waits 5 s for a busy service.
const ATTEMPTS: usize = 12;

impl<DB: Dialect> Sql<DB> {
    pub(super) async fn count_keys(&self, after: LeadId, counts: &mut KeyCounts) -> Result<Walk> {
        let (until, walk) = self.step(after, COUNT_WALK).await?;
        for row in self
            .read(COUNT, values![after.uuid(), until.uuid()])
            .await?
        {
            let leads = row.int(2)?;
            for (purpose, id) in [(KeyPurpose::Sealing, 0), (KeyPurpose::Index, 1)] {
                let id = key_id(row.int(id)?)?;
                *counts.by_key.entry(KeyName { purpose, id }).or_default() += leads;
            }
            counts.leads += leads;
            let pair = (key_id(row.int(0)?)?, key_id(row.int(1)?)?);
            *counts.by_pair.entry(pair).or_default() += leads;
        }
        Ok(walk)
    }

    pub(super) async fn old_seals(
        &self,
        after: LeadId,
        ring: &RingFacts,
    ) -> Result<(Vec<OldSeal>, Walk)> {
        let (until, mut walk) = self.step(after, WALK).await?;
        let place = values![
            after.uuid(),
            until.uuid(),
            i64::from(ring.primary_sealing),
            i64::from(ring.primary_index),
            BATCH,
        ];
        let rows = self.read(OLD, place).await?;
        let seals = rows.iter().map(old_seal).collect::<Result<Vec<_>>>()?;
        if let Some(last) = seals.last()
            && i64::try_from(seals.len()).is_ok_and(|found| found == BATCH)
        {
            // There may be more before the end of the walk.
            walk = Walk::UpTo(last.id);
        }
        Ok((seals, walk))
    }

    /// Where a walk of this length ends, and what it says of the rest.
    async fn step(&self, after: LeadId, leads: i64) -> Result<(LeadId, Walk)> {
        let last = self.read(STEP, values![after.uuid(), leads - 1]).await?;
        match last.first() {
            Some(row) => {
                let until = LeadId::from(row.uuid(0)?);
                Ok((until, Walk::UpTo(until)))
            }
            None => Ok((uuid::Uuid::max().into(), Walk::End)),
        }
    }

    pub(super) async fn write_seals(
        &self,
        seals: NewSeals<'_>,
        ring: &RingFacts,
    ) -> Result<ResealBatch> {
        retrying_at_most(ATTEMPTS, || self.write_batch(seals, ring)).await
    }

    async fn write_batch(&self, seals: NewSeals<'_>, ring: &RingFacts) -> Result<ResealBatch> {
        self.room.check()?;
        let mut tx = self.begin().await?;
        // What is replaced lies in the log until that is emptied.
        self.residue.left();
        let mut batch = ResealBatch::default();
        for (old, new) in seals {
            let row = values![
                old.id.uuid(),
                old.revision,
                i64::from(old.key_id),
                i64::from(old.index_key_id),
                new.sealed.as_slice(),
                i64::from(new.key_id),
                new.index.email,
                new.index.phone,
                i64::from(new.index_key_id),
                new.content_mac.as_slice(),
            ];
            if tx.execute(WRITE, row).await? == 1 {
                batch.written += 1;
            } else {
                batch.moved_on += 1;
            }
        }
        tx.lock_ring(ring.generation).await?;
        tx.commit().await?;
        Ok(batch)
    }
}

fn old_seal(row: &impl Columns) -> Result<OldSeal> {
    let index = |value: Option<Vec<u8>>| value.map(|value| value.try_into().unwrap_or_default());
    Ok(OldSeal {
        id: row.uuid(0)?.into(),
        sealed: row.bytes(1)?,
        key_id: key_id(row.int(2)?)?,
        index: LeadIndex {
            email: index(row.opt_bytes(3)?),
            phone: index(row.opt_bytes(4)?),
        },
        index_key_id: key_id(row.int(5)?)?,
        content_mac: row.bytes(6)?,
        basis: LawfulBasis::from_number(row.int(7)?)
            .ok_or(super::StoreError::Corrupt("a lead without a lawful basis"))?,
        consent: row.bool(8)?,
        notice_version: row.text(9)?,
        revision: row.int(10)?,
    })
}
