//! The key ring: the keys that seal leads and compute look-up values, as they are used.
//!
//! A ring has sealing keys, of which one is primary (seals) and the others only open, and index keys in the
//! same way: a person is looked up by the values of each of them. Each change of the ring raises its
//! generation; a replica with an older one than the database allows can neither write sealed data nor look
//! anybody up (docs/decisions/0013). Keys are never in the database; it holds a commitment to each, so that
//! a wrong key with the right number is a definite error. To add a purpose: a number in [`KeyPurpose`], a list
//! in [`super::KeyFile`], and what is derived from its keys here.

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey},
    hkdf::{self, HKDF_SHA256},
    hmac::{self, HMAC_SHA256},
};
use zeroize::Zeroizing;

use super::{KeyFile, KeyRingError};

pub(super) const KEY_LEN: usize = 32;
/// Index keys that look-ups use: the primary one, and the one before or after it while leads move over. More
/// would cost every look-up.
pub const INDEX_KEYS_MAX: usize = 2;

/// What a key is for. The numbers are stored beside the commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPurpose {
    /// Seals content.
    Sealing = 1,
    /// Computes look-up values.
    Index = 2,
}

impl KeyPurpose {
    /// The purposes of the key ring's keys.
    pub const ALL: [Self; 2] = [Self::Sealing, Self::Index];

    /// The purpose with this number, if it is one of the key ring's.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| *purpose as i64 == number)
    }

    /// As commands and logs call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sealing => "sealing",
            Self::Index => "index",
        }
    }
}

/// A key's name: its purpose and number, such as `sealing-2`. A number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    /// What the key is for.
    pub purpose: KeyPurpose,
    /// Its number among the keys of that purpose.
    pub id: u32,
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.purpose.name(), self.id)
    }
}

impl FromStr for KeyName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let named = |(purpose, id): (&str, &str)| {
            Some(Self {
                purpose: KeyPurpose::ALL
                    .into_iter()
                    .find(|known| known.name() == purpose)?,
                id: id.parse().ok()?,
            })
        };
        text.split_once('-')
            .and_then(named)
            .ok_or("a key is named by its purpose and number, such as sealing-2")
    }
}

/// A fingerprint of one key, safe to store beside what the key seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCommitment {
    /// What the key is for.
    pub purpose: KeyPurpose,
    /// Its number in the ring.
    pub key_id: u32,
    /// Derived from the key by HKDF-SHA-256, 16 bytes.
    pub commitment: [u8; 16],
    /// The generation of the ring that brought it.
    pub generation: i64,
}

/// What may be told of a ring: everything but its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingFacts {
    /// Raised by one with each change.
    pub generation: i64,
    /// The key that seals.
    pub primary_sealing: u32,
    /// The key of new look-up values.
    pub primary_index: u32,
    /// Commitments to every key.
    pub keys: Vec<KeyCommitment>,
}

impl RingFacts {
    /// The primary key of a purpose.
    #[must_use]
    pub fn primary(&self, purpose: KeyPurpose) -> KeyName {
        let id = match purpose {
            KeyPurpose::Sealing => self.primary_sealing,
            KeyPurpose::Index => self.primary_index,
        };
        KeyName { purpose, id }
    }
}

/// The keys in use.
pub struct KeyRing {
    sealing: BTreeMap<u32, LessSafeKey>,
    index: BTreeMap<u32, IndexKeys>,
    facts: RingFacts,
}

/// What is derived from one index key.
pub(super) struct IndexKeys {
    pub(super) email: hmac::Key,
    pub(super) phone: hmac::Key,
    pub(super) content: hmac::Key,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(..)")
    }
}

impl KeyRing {
    /// A ring with one fresh key for each purpose.
    pub fn generate() -> Result<Self, KeyRingError> {
        KeyFile::generate("")?.ring(Path::new(""))
    }

    /// The ring in this file.
    pub fn load(path: &Path) -> Result<Self, KeyRingError> {
        KeyFile::load(path)?.ring(path)
    }

    pub(super) fn from_file(file: &KeyFile) -> Result<Self, &'static str> {
        let mut sealing = BTreeMap::new();
        let mut index = BTreeMap::new();
        let mut keys = Vec::new();
        for entry in &file.sealing {
            let secret = Secret::decode(&entry.key)?;
            let key = UnboundKey::new(&AES_256_GCM_SIV, &*secret.derive(b"seal"))
                .map_err(|_| "a key cannot be used")?;
            if sealing.insert(entry.id, LessSafeKey::new(key)).is_some() {
                return Err("a key number stands twice");
            }
            keys.push(secret.commitment(KeyPurpose::Sealing, entry.id, entry.generation));
        }
        for entry in &file.index {
            let secret = Secret::decode(&entry.key)?;
            let key = |label: &[u8]| hmac::Key::new(HMAC_SHA256, &*secret.derive(label));
            let derived = IndexKeys {
                email: key(b"index email"),
                phone: key(b"index phone"),
                content: key(b"index content"),
            };
            if index.insert(entry.id, derived).is_some() {
                return Err("a key number stands twice");
            }
            keys.push(secret.commitment(KeyPurpose::Index, entry.id, entry.generation));
        }
        if !sealing.contains_key(&file.primary_sealing) {
            return Err("the primary sealing key is missing");
        }
        if !index.contains_key(&file.primary_index) {
            return Err("the primary index key is missing");
        }
        if index.len() > INDEX_KEYS_MAX {
            return Err("it has more than two index keys");
        }
        Ok(Self {
            sealing,
            index,
            facts: RingFacts {
                generation: file.generation,
                primary_sealing: file.primary_sealing,
                primary_index: file.primary_index,
                keys,
            },
        })
    }

    /// What may be told of it.
    #[must_use]
    pub fn facts(&self) -> &RingFacts {
        &self.facts
    }

    /// The key that seals, with its number.
    pub(crate) fn primary(&self) -> (u32, &LessSafeKey) {
        // `from_file` made sure that the primary keys are there.
        let id = self.facts.primary_sealing;
        (id, &self.sealing[&id])
    }

    /// The key with this number.
    pub(super) fn sealing_key(&self, id: u32) -> Option<&LessSafeKey> {
        self.sealing.get(&id)
    }

    /// The key of new look-up values, with its number.
    pub(super) fn primary_index(&self) -> (u32, &IndexKeys) {
        let id = self.facts.primary_index;
        (id, &self.index[&id])
    }

    /// The index key with this number.
    pub(super) fn index_key(&self, id: u32) -> Option<&IndexKeys> {
        self.index.get(&id)
    }

    /// Every index key.
    pub(super) fn index_keys(&self) -> impl Iterator<Item = &IndexKeys> {
        self.index.values()
    }

    /// The index key that is not primary, if there is one.
    pub(super) fn other_index_key(&self) -> Option<&IndexKeys> {
        let primary = self.facts.primary_index;
        let mut others = self.index.iter().filter(|(id, _)| **id != primary);
        others.next().map(|(_, keys)| keys)
    }
}

/// One secret of the file, from which the keys in use are derived.
struct Secret(hkdf::Prk);

impl Secret {
    fn decode(key: &str) -> Result<Self, &'static str> {
        let bytes = data_encoding::BASE64
            .decode(key.as_bytes())
            .map_err(|_| "a key is not base64")?;
        let bytes = Zeroizing::new(bytes);
        if bytes.len() != KEY_LEN {
            return Err("a key is not 32 bytes long");
        }
        Ok(Self(
            hkdf::Salt::new(HKDF_SHA256, b"lead-intake key ring 1").extract(&bytes),
        ))
    }

    fn derive(&self, label: &[u8]) -> Zeroizing<[u8; KEY_LEN]> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let info = [label];
        // HKDF-SHA-256 gives up to 8,160 bytes (RFC 5869), so 32 cannot fail; were it to, the zero key
        // would not match the stored commitment and the start would be refused.
        let _ = self
            .0
            .expand(&info, HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *key));
        key
    }

    fn commitment(&self, purpose: KeyPurpose, key_id: u32, generation: i64) -> KeyCommitment {
        let mut commitment = [0; 16];
        commitment.copy_from_slice(&self.derive(b"commitment")[..16]);
        KeyCommitment {
            purpose,
            key_id,
            commitment,
            generation,
        }
    }
}
