//! The key ring: a file with the keys that seal leads and compute look-up values.
//!
//! Made on first run, readable by its owner only, and refused otherwise. The ring lists several sealing
//! keys with numbers, of which one is primary (seals) and the others only open, and index keys in the
//! same way: the form that rotation needs. Keys are never in the database; it holds a commitment to
//! each, so that a wrong key with the right number is a definite error at start.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey},
    hkdf::{self, HKDF_SHA256},
    hmac::{self, HMAC_SHA256},
};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use super::{NoRandomness, random};

const KEY_LEN: usize = 32;
/// The file's own version.
const FORMAT: u32 = 1;

/// What a key is for. The numbers are stored beside the commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPurpose {
    /// Seals content.
    Sealing = 1,
    /// Computes look-up values.
    Index = 2,
    /// Signs checkpoints: not in the ring, but recorded like its keys.
    Signing = 3,
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
}

/// The keys in use.
pub struct KeyRing {
    sealing: BTreeMap<u32, LessSafeKey>,
    primary: u32,
    email: hmac::Key,
    phone: hmac::Key,
    content: hmac::Key,
    commitments: Vec<KeyCommitment>,
    file: KeyFile,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(..)")
    }
}

/// Why there is no key ring to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The file cannot be read or written.
    #[error("key ring {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner can read the file.
    #[error("key ring {0}: readable by others; run: chmod 600 {0}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a key ring. Its content is not repeated here.
    #[error("key ring {}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as a constant.
        problem: &'static str,
    },
    /// No keys can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The file as written.
#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    format: u32,
    primary_sealing: u32,
    primary_index: u32,
    sealing: Vec<KeyEntry>,
    index: Vec<KeyEntry>,
}

#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    id: u32,
    /// Base64 of 32 bytes.
    key: String,
}

impl KeyRing {
    /// A ring with one fresh key for each purpose.
    pub fn generate() -> Result<Self, KeyRingError> {
        let entry = |mut key: [u8; KEY_LEN]| {
            let entry = KeyEntry {
                id: 1,
                key: BASE64.encode(&key),
            };
            key.zeroize();
            vec![entry]
        };
        let file = KeyFile {
            format: FORMAT,
            primary_sealing: 1,
            primary_index: 1,
            sealing: entry(random()?),
            index: entry(random()?),
        };
        Self::from_file(file).map_err(|problem| malformed(Path::new(""), problem))
    }

    /// The ring in this file.
    pub fn load(path: &Path) -> Result<Self, KeyRingError> {
        let io = |source| KeyRingError::Io {
            path: path.to_owned(),
            source,
        };
        let mode = fs::metadata(path).map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyRingError::Exposed {
                path: path.to_owned(),
            });
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(io)?);
        // A parser's message may quote the line it fails on, and that line may be a key.
        let file = toml::from_str(&text).map_err(|_| malformed(path, "not a key ring file"))?;
        Self::from_file(file).map_err(|problem| malformed(path, problem))
    }

    /// Writes the ring to a new file that only its owner can read; fails if there is one already.
    pub fn create(&self, path: &Path) -> Result<(), KeyRingError> {
        let io = |source| KeyRingError::Io {
            path: path.to_owned(),
            source,
        };
        let text = toml::to_string(&self.file).map_err(|_| malformed(path, "cannot be written"))?;
        let text = Zeroizing::new(format!(
            "# Keys of lead-intake. Keep a copy apart from every copy of the database:\n\
             # without it no lead can be read, with it every lead can.\n{text}"
        ));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(io)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(io)?;
        // The name must be as durable as the content: leads are sealed with these keys from now on.
        path.parent()
            .map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
            .map_err(io)
    }

    fn from_file(file: KeyFile) -> Result<Self, &'static str> {
        if file.format != FORMAT {
            return Err("written by another version of lead-intake");
        }
        let mut sealing = BTreeMap::new();
        let mut commitments = Vec::new();
        for entry in &file.sealing {
            let secret = Secret::decode(entry)?;
            let key = UnboundKey::new(&AES_256_GCM_SIV, &*secret.derive(b"seal"))
                .map_err(|_| "a key cannot be used")?;
            if sealing.insert(entry.id, LessSafeKey::new(key)).is_some() {
                return Err("a key number stands twice");
            }
            commitments.push(secret.commitment(KeyPurpose::Sealing, entry.id));
        }
        if !sealing.contains_key(&file.primary_sealing) {
            return Err("the primary sealing key is missing");
        }
        let index = file
            .index
            .iter()
            .find(|entry| entry.id == file.primary_index);
        let secret = Secret::decode(index.ok_or("the primary index key is missing")?)?;
        commitments.push(secret.commitment(KeyPurpose::Index, file.primary_index));
        let key = |label: &[u8]| hmac::Key::new(HMAC_SHA256, &*secret.derive(label));
        Ok(Self {
            sealing,
            primary: file.primary_sealing,
            email: key(b"index email"),
            phone: key(b"index phone"),
            content: key(b"index content"),
            commitments,
            file,
        })
    }

    /// Commitments to every key of the ring.
    #[must_use]
    pub fn commitments(&self) -> &[KeyCommitment] {
        &self.commitments
    }

    /// The key that seals, with its number.
    pub(super) fn primary(&self) -> (u32, &LessSafeKey) {
        // `from_file` made sure that the primary key is there.
        (self.primary, &self.sealing[&self.primary])
    }

    /// The key with this number.
    pub(super) fn sealing_key(&self, id: u32) -> Option<&LessSafeKey> {
        self.sealing.get(&id)
    }

    pub(super) fn email_key(&self) -> &hmac::Key {
        &self.email
    }

    pub(super) fn phone_key(&self) -> &hmac::Key {
        &self.phone
    }

    pub(super) fn content_key(&self) -> &hmac::Key {
        &self.content
    }
}

/// One secret of the file, from which the keys in use are derived.
struct Secret(hkdf::Prk);

impl Secret {
    fn decode(entry: &KeyEntry) -> Result<Self, &'static str> {
        let bytes = BASE64
            .decode(entry.key.as_bytes())
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

    fn commitment(&self, purpose: KeyPurpose, key_id: u32) -> KeyCommitment {
        let mut commitment = [0; 16];
        commitment.copy_from_slice(&self.derive(b"commitment")[..16]);
        KeyCommitment {
            purpose,
            key_id,
            commitment,
        }
    }
}

fn malformed(path: &Path, problem: &'static str) -> KeyRingError {
    KeyRingError::Malformed {
        path: path.to_owned(),
        problem,
    }
}
