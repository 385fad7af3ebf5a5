//! What the database knows of keys: which there are, which ring is the newest, and which may still be used.
//!
//! The rule is a fence. `ledger_head.ring_min` is the oldest ring that may write what is sealed or look anybody
//! up; [`Tx::append`] reads it where it locks the head, so that once it is raised no older ring has anything
//! under way. A command first asks whether every running replica has the ring ([`KeyStore::ask_for_ring`]): one
//! that has not objects. So nothing fails in a rotation that is done in order, and nothing is lost in one that
//! is not. See docs/decisions/0013.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    KeyCounts, KeyRecord, KeyStore, NewSeals, ResealBatch, Result, RingState, StoreError, Walk,
    dialect::{Columns, Dialect, values},
    error::retrying,
    sql::{Sql, SqlStore, statements},
    tx::Tx,
};
use crate::{
    clock::from_micros,
    domain::lead::LeadId,
    seal::{KeyCommitment, KeyName, KeyPurpose, OldSeal, RingFacts},
};

statements! {
    KEYS = "SELECT purpose, key_id, commitment, generation, recorded_at, retired_at \
            FROM key_commitment ORDER BY purpose, key_id";
    ADD_KEY = "INSERT INTO key_commitment (purpose, key_id, commitment, generation, recorded_at) \
               VALUES ($1, $2, $3, $4, $5)";
    RETIRE_KEY = "UPDATE key_commitment SET retired_at = $3 \
                  WHERE purpose = $1 AND key_id = $2 AND retired_at IS NULL";
    RING = "SELECT key_ring.generation, key_ring.primary_sealing, key_ring.primary_index, \
            key_ring.asked, key_ring.objections, ledger_head.ring_min \
            FROM key_ring, ledger_head WHERE key_ring.id = 1 AND ledger_head.id = 1";
    NEWEST_RING = "UPDATE key_ring SET generation = $1, primary_sealing = $2, primary_index = $3 \
                   WHERE id = 1 AND generation < $1";
    ASK = "UPDATE key_ring SET asked = $1, objections = 0 WHERE id = 1";
    OBJECT = "UPDATE key_ring SET objections = objections + 1 WHERE id = 1 AND asked = $1";
    // Waits for whatever holds the head, and then for nothing: who locks it next sees the new value.
    RAISE = "UPDATE ledger_head SET ring_min = $1 WHERE id = 1 AND ring_min < $1";
    // Changes nothing but the lock, and no row if the ring is too old.
    LOCK_RING = "UPDATE ledger_head SET ring_min = ring_min WHERE id = 1 AND ring_min <= $1";
}

#[async_trait]
impl<DB: Dialect> KeyStore for SqlStore<DB> {
    async fn has_keys(&self) -> Result<bool> {
        Ok(!self.sql.key_records().await?.is_empty())
    }

    async fn check_keys(&self, ring: &RingFacts) -> Result<()> {
        // Two replicas may record the same new key at once: the second then finds it.
        retrying(async || {
            self.sql
                .check_keys(ring)
                .await
                .map_err(StoreError::or_contended)
        })
        .await
    }

    async fn key_records(&self) -> Result<Vec<KeyRecord>> {
        self.sql.key_records().await
    }

    async fn ring_state(&self) -> Result<RingState> {
        let rows = self.sql.read(RING, Vec::new()).await?;
        ring_state(rows.first())
    }

    async fn ask_for_ring(&self, generation: i64) -> Result<()> {
        self.sql.change_ring(ASK, generation).await
    }

    async fn object_to_ring(&self, asked: i64) -> Result<()> {
        self.sql.change_ring(OBJECT, asked).await
    }

    async fn raise_ring_min(&self, generation: i64) -> Result<()> {
        self.sql.change_ring(RAISE, generation).await
    }

    async fn retire_key(&self, key: KeyName, now: Timestamp) -> Result<()> {
        let row = || values![key.purpose as i64, i64::from(key.id), now.as_microsecond()];
        retrying(async || {
            let mut tx = self.sql.begin().await?;
            tx.execute(RETIRE_KEY, row()).await?;
            tx.commit().await
        })
        .await
    }

    async fn count_keys(&self, after: LeadId, counts: &mut KeyCounts) -> Result<Walk> {
        self.sql.count_keys(after, counts).await
    }

    async fn old_seals(&self, after: LeadId, ring: &RingFacts) -> Result<(Vec<OldSeal>, Walk)> {
        self.sql.old_seals(after, ring).await
    }

    async fn write_seals(&self, seals: NewSeals<'_>, ring: &RingFacts) -> Result<ResealBatch> {
        self.sql.write_seals(seals, ring).await
    }
}

impl<DB: Dialect> Sql<DB> {
    async fn key_records(&self) -> Result<Vec<KeyRecord>> {
        let rows = self.read(KEYS, Vec::new()).await?;
        let records = rows.iter().map(record);
        // A purpose that is not the key ring's has its own keeper.
        records.filter_map(Result::transpose).collect()
    }

    async fn change_ring(&self, sql: &'static str, generation: i64) -> Result<()> {
        retrying(async || {
            let mut tx = self.begin().await?;
            tx.execute(sql, values![generation]).await?;
            tx.commit().await
        })
        .await
    }

    /// Refuses a ring that is not this database's, is too old, or was changed in two ways; records what is
    /// new of it.
    async fn check_keys(&self, ring: &RingFacts) -> Result<()> {
        let now = self.clock.now().as_microsecond();
        let mut tx = self.begin().await?;
        let state = ring_state(tx.fetch(RING, Vec::new()).await?.first())?;
        let mut recorded = HashMap::new();
        for row in &tx.fetch(KEYS, Vec::new()).await? {
            if let Some(record) = record(row)? {
                recorded.insert(record.name, record);
            }
        }
        for key in &ring.keys {
            let id = key.key_id;
            let purpose = key.purpose;
            match recorded.remove(&KeyName { purpose, id }) {
                Some(known) if known.commitment != key.commitment => {
                    return Err(StoreError::ForeignKey(purpose, id));
                }
                Some(known) if known.retired_at.is_some() && ring.primary(purpose).id == id => {
                    return Err(StoreError::RetiredKey(known.name));
                }
                Some(_) => {}
                None => tx.add_key(key, now).await?,
            }
        }
        // A key that a newer ring brought may be missing until that ring is asked for.
        let must_have = state.ring_min.max(ring.generation);
        let is_missing = |key: &&KeyRecord| key.retired_at.is_none() && key.generation <= must_have;
        if let Some(key) = recorded
            .values()
            .filter(is_missing)
            .min_by_key(|key| key.name)
        {
            return Err(StoreError::MissingKey(key.name.purpose, key.name.id));
        }
        if ring.generation < state.ring_min {
            return Err(StoreError::StaleRing);
        }
        let (primary_sealing, primary_index) = (ring.primary_sealing, ring.primary_index);
        if ring.generation == state.generation
            && (primary_sealing, primary_index) != (state.primary_sealing, state.primary_index)
        {
            return Err(StoreError::DivergedRing);
        }
        if ring.generation > state.generation {
            let primaries = [primary_sealing, primary_index].map(i64::from);
            let newest = values![ring.generation, primaries[0], primaries[1]];
            tx.execute(NEWEST_RING, newest).await?;
        }
        tx.commit().await
    }
}

impl<DB: Dialect> Tx<'_, DB> {
    async fn add_key(&mut self, key: &KeyCommitment, now: i64) -> Result<()> {
        let place = values![key.purpose as i64, i64::from(key.key_id)];
        let rest = values![key.commitment, key.generation, now];
        let row = place.into_iter().chain(rest).collect();
        self.execute(ADD_KEY, row).await.map(|_| ())
    }

    /// Locks the ledger's head until the commit, and fails if a ring of this generation may not write any more.
    /// For what writes sealed data without an entry; [`Tx::append`] does the same for the rest.
    pub(super) async fn lock_ring(&mut self, generation: i64) -> Result<()> {
        if self.execute(LOCK_RING, values![generation]).await? == 1 {
            Ok(())
        } else {
            Err(StoreError::StaleRing)
        }
    }
}

fn record(row: &impl Columns) -> Result<Option<KeyRecord>> {
    let Some(purpose) = KeyPurpose::from_number(row.int(0)?) else {
        return Ok(None);
    };
    let id = key_id(row.int(1)?)?;
    Ok(Some(KeyRecord {
        name: KeyName { purpose, id },
        commitment: row.bytes(2)?,
        generation: row.int(3)?,
        recorded_at: row.opt_int(4)?.map(from_micros),
        retired_at: row.opt_int(5)?.map(from_micros),
    }))
}

fn ring_state<R: Columns>(row: Option<&R>) -> Result<RingState> {
    let row = row.ok_or(StoreError::Corrupt("the key ring has no row"))?;
    Ok(RingState {
        generation: row.int(0)?,
        primary_sealing: key_id(row.int(1)?)?,
        primary_index: key_id(row.int(2)?)?,
        asked: row.int(3)?,
        objections: row.int(4)?,
        ring_min: row.int(5)?,
    })
}

pub(super) fn key_id(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| StoreError::Corrupt("a key number that is none"))
}
