//! What may become of a ring: a key is added, promoted, and taken out, in this order.

use super::{KeyEntry, KeyFile};
use crate::seal::{INDEX_KEYS_MAX, KeyName, KeyPurpose, NoRandomness};

/// Sealing keys that a ring may have: each but the primary one waits for its leads to be resealed.
const SEALING_KEYS_MAX: usize = 8;

/// Why a change of the ring is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyChangeError {
    /// A key that was added before waits for its promotion.
    #[error("{0} was added before and waits: promote it first")]
    Waiting(KeyName),
    /// The ring has as many keys of this purpose as it may.
    #[error("the ring has as many {0} keys as it may: reseal, and retire an old one")]
    TooMany(&'static str),
    /// There is no such key.
    #[error("the ring has no {0}")]
    Unknown(KeyName),
    /// An older key than the primary one.
    #[error("{0} is older than the primary key: add a new one by `keys rotate`")]
    Older(KeyName),
    /// The primary key, or one that was not promoted yet.
    #[error("{0} is the primary key, or waits to be: promote another one first")]
    InUse(KeyName),
    /// No keys can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Changes. Each is made to a copy of the next generation, and leaves it as it was if it fails.
impl KeyFile {
    /// The same ring, to be changed: of the generation after its own and after the newest one known.
    #[must_use]
    pub fn next(&self, newest: i64) -> Self {
        let mut next = self.clone();
        next.generation = self.generation.max(newest) + 1;
        next
    }

    /// Adds a fresh key that only opens, until it is promoted. Its number is above `taken`, the highest that the
    /// database knows of.
    pub fn add(
        &mut self,
        purpose: KeyPurpose,
        taken: u32,
        made: &str,
    ) -> Result<KeyName, KeyChangeError> {
        let (primary, max) = match purpose {
            KeyPurpose::Sealing => (self.primary_sealing, SEALING_KEYS_MAX),
            KeyPurpose::Index => (self.primary_index, INDEX_KEYS_MAX),
        };
        let generation = self.generation;
        let entries = self.entries_mut(purpose);
        let newest = entries.iter().map(|entry| entry.id).max().unwrap_or(0);
        if newest > primary {
            let id = newest;
            return Err(KeyChangeError::Waiting(KeyName { purpose, id }));
        }
        if entries.len() >= max {
            return Err(KeyChangeError::TooMany(purpose.name()));
        }
        let id = newest.max(taken) + 1;
        entries.push(KeyEntry::generate(id, generation, made)?);
        Ok(KeyName { purpose, id })
    }

    /// Makes a key primary.
    pub fn promote(&mut self, key: KeyName) -> Result<(), KeyChangeError> {
        self.generation_of(key)?;
        let primary = match key.purpose {
            KeyPurpose::Sealing => &mut self.primary_sealing,
            KeyPurpose::Index => &mut self.primary_index,
        };
        if key.id < *primary {
            return Err(KeyChangeError::Older(key));
        }
        *primary = key.id;
        Ok(())
    }

    /// Takes out a key that is older than the primary one.
    pub fn remove(&mut self, key: KeyName) -> Result<(), KeyChangeError> {
        self.generation_of(key)?;
        if !self.is_old(key) {
            return Err(KeyChangeError::InUse(key));
        }
        self.entries_mut(key.purpose)
            .retain(|entry| entry.id != key.id);
        Ok(())
    }

    /// Which change the ring is at.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// The generation of the ring that brought a key.
    pub fn generation_of(&self, key: KeyName) -> Result<i64, KeyChangeError> {
        let mut entries = self.entries(key.purpose).iter();
        let entry = entries.find(|entry| entry.id == key.id);
        entry
            .map(|entry| entry.generation)
            .ok_or(KeyChangeError::Unknown(key))
    }

    /// Every key, and the day on which it was made; empty for a key of a version that did not note it.
    pub fn keys(&self) -> impl Iterator<Item = (KeyName, &str)> {
        KeyPurpose::ALL.into_iter().flat_map(|purpose| {
            let entries = self.entries(purpose).iter();
            entries.map(move |entry| {
                (
                    KeyName {
                        purpose,
                        id: entry.id,
                    },
                    &*entry.made,
                )
            })
        })
    }

    /// Whether a key waits to be promoted.
    #[must_use]
    pub fn is_waiting(&self, key: KeyName) -> bool {
        key.id > self.primary(key.purpose)
    }

    /// Whether a key was primary once.
    #[must_use]
    pub fn is_old(&self, key: KeyName) -> bool {
        key.id < self.primary(key.purpose)
    }

    fn primary(&self, purpose: KeyPurpose) -> u32 {
        match purpose {
            KeyPurpose::Sealing => self.primary_sealing,
            KeyPurpose::Index => self.primary_index,
        }
    }

    fn entries(&self, purpose: KeyPurpose) -> &[KeyEntry] {
        match purpose {
            KeyPurpose::Sealing => &self.sealing,
            KeyPurpose::Index => &self.index,
        }
    }

    fn entries_mut(&mut self, purpose: KeyPurpose) -> &mut Vec<KeyEntry> {
        match purpose {
            KeyPurpose::Sealing => &mut self.sealing,
            KeyPurpose::Index => &mut self.index,
        }
    }
}
