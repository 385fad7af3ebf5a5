//! Rotating keys: the capability, and what it takes and gives. The bodies are in [`super::keys`], which knows the
//! rings, and [`super::reseal`], which walks over the leads.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;
use crate::{
    domain::lead::LeadId,
    seal::{KeyName, NewSeal, OldSeal, RingFacts},
};

/// Knows the keys, and rotates them. What is sealed stays sealed here: whoever calls has the keys.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// Whether a key ring was recorded: from then on only that one will do.
    async fn has_keys(&self) -> Result<bool>;

    /// Records the ring's keys on first use; later refuses a ring whose keys are others, that lacks one, or
    /// that is older than the database allows.
    async fn check_keys(&self, ring: &RingFacts) -> Result<()>;

    /// Every key of the key ring that the database has seen, retired ones too.
    async fn key_records(&self) -> Result<Vec<KeyRecord>>;

    /// Which ring is the newest, which is asked for, and which is the oldest that may be used.
    async fn ring_state(&self) -> Result<RingState>;

    /// Asks every replica whether its ring is of this generation at least. Who has an older one objects within
    /// [`crate::jobs::ASKED_EVERY`].
    async fn ask_for_ring(&self, generation: i64) -> Result<()>;

    /// Says that this replica has an older ring than the one asked for.
    async fn object_to_ring(&self, asked: i64) -> Result<()>;

    /// Lets no older ring than this write what is sealed or look anybody up, from now on.
    async fn raise_ring_min(&self, generation: i64) -> Result<()>;

    /// Notes that a key is no longer needed. The caller has counted its leads, after no ring that writes with it
    /// was allowed any more.
    async fn retire_key(&self, key: KeyName, now: Timestamp) -> Result<()>;

    /// Adds the next leads after `after` to the counts.
    async fn count_keys(&self, after: LeadId, counts: &mut KeyCounts) -> Result<Walk>;

    /// Of the next leads after `after` those that are under other keys than the ring's primary ones, at most
    /// 100.
    async fn old_seals(&self, after: LeadId, ring: &RingFacts) -> Result<(Vec<OldSeal>, Walk)>;

    /// Writes them as they were sealed anew, in one transaction; a lead that moved on stays as it is.
    async fn write_seals(&self, seals: NewSeals<'_>, ring: &RingFacts) -> Result<ResealBatch>;
}

/// Leads as they were read, and as they are to be.
pub type NewSeals<'a> = &'a [(OldSeal, NewSeal)];

/// A key as the database knows it.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Its name.
    pub name: KeyName,
    /// What tells it from another key of that name.
    pub commitment: Vec<u8>,
    /// The generation of the ring that brought it.
    pub generation: i64,
    /// When the database first saw it, if that was noted.
    pub recorded_at: Option<Timestamp>,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
}

/// What the database knows of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingState {
    /// The newest ring it has seen; 0 for none.
    pub generation: i64,
    /// The primary sealing key of that one.
    pub primary_sealing: u32,
    /// The primary index key of that one.
    pub primary_index: u32,
    /// The ring that replicas were last asked for.
    pub asked: i64,
    /// How often one said since that it has an older one.
    pub objections: i64,
    /// The oldest ring that may be used.
    pub ring_min: i64,
}

/// How many leads lie under which keys.
#[derive(Clone, Debug, Default)]
pub struct KeyCounts {
    /// Leads counted.
    pub leads: i64,
    /// Leads under each key.
    pub by_key: BTreeMap<KeyName, i64>,
    /// Leads under each pair of sealing and index key.
    pub by_pair: BTreeMap<(u32, u32), i64>,
}

/// How far a walk over the leads has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// To this lead; there may be more.
    UpTo(LeadId),
    /// To the end.
    End,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResealBatch {
    /// Leads under new keys.
    pub written: u64,
    /// Leads that had moved on: to be read again.
    pub moved_on: u64,
}
