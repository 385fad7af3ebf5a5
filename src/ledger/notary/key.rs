//! The key that signs checkpoints, and the public half that whoever checks them has.
//!
//! Ed25519, in the text forms of signed notes: `PRIVATE+KEY+<name>+<id>+<base64>` in a file that only its owner may
//! read, `<name>+<id>+<base64>` for everybody. The name is that of the ledger ([`origin`]). Replicas of one database
//! share the file; the database holds a commitment to it, so that a replica with another key is refused at its start.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use aws_lc_rs::{
    encoding::AsBigEndian as _,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey, UnparsedPublicKey},
};
use data_encoding::{BASE64, HEXLOWER};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::super::chain::hash_of;
use crate::{
    durable,
    seal::{NoRandomness, random},
};

/// The algorithm's number in signed notes: Ed25519.
const ALGORITHM: u8 = 1;
const KEY_LEN: usize = 32;
/// The points of small order on the curve, as they may be written (the sign bit is left out): 0, 1, the two of order
/// 8, and p-1, p, p+1, the last two not reduced. Under a key that is one of them anybody can make a signature that
/// fits, of every message or of one in a few (RFC 8032, section 5.1.7, leaves it to the application to refuse them).
pub(super) const SMALL_ORDER: [[u8; KEY_LEN]; 7] = [
    [0; KEY_LEN],
    number(0x01, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    number(0xec, 0xff, 0x7f),
    number(0xed, 0xff, 0x7f),
    number(0xee, 0xff, 0x7f),
];
/// No key file is longer: a bound for what is read.
const FILE_BYTES_MAX: u64 = 4096;

/// The name of a store's ledger: the origin of its checkpoints, and its key's name.
#[must_use]
pub fn origin(store_id: Uuid) -> String {
    format!("lead-intake/{store_id}")
}

/// The public key of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public: [u8; KEY_LEN],
}

/// A text that is no key of a signed note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a verifier key: <name>+<id>+<base64>")]
pub struct NotAKey;

impl VerifierKey {
    pub(super) fn new(name: &str, public: [u8; KEY_LEN]) -> Self {
        let tagged = [&[ALGORITHM], &public[..]].concat();
        let input = [name.as_bytes(), b"\n", &tagged].concat();
        let [a, b, c, d, ..] = hash_of(&input);
        Self {
            name: name.to_owned(),
            id: [a, b, c, d],
            public,
        }
    }

    /// The name, which is the origin of the checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands before each signature, to find the key by.
    pub(super) fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether this is a signature of the message by this key.
    pub(super) fn is_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(message, signature)
            .is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode(&[&[ALGORITHM], &self.public[..]].concat());
        write!(f, "{}+{}+{key}", self.name, HEXLOWER.encode(&self.id))
    }
}

impl FromStr for VerifierKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (name, public) = parse(text).ok_or(NotAKey)?;
        ParsedPublicKey::new(&ED25519, *public).map_err(|_| NotAKey)?;
        if is_of_small_order(&public) {
            return Err(NotAKey);
        }
        let key = Self::new(name, *public);
        // The identifier is made of the rest, so a slip of the pen is found.
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(NotAKey)
        }
    }
}

/// A number in little endian: its first byte, those between, its last.
const fn number(first: u8, between: u8, last: u8) -> [u8; KEY_LEN] {
    let mut bytes = [between; KEY_LEN];
    bytes[0] = first;
    bytes[KEY_LEN - 1] = last;
    bytes
}

/// Whether these bytes, of whichever sign, are a point of small order.
fn is_of_small_order(public: &[u8; KEY_LEN]) -> bool {
    let mut unsigned = *public;
    unsigned[KEY_LEN - 1] &= 0x7f;
    SMALL_ORDER.contains(&unsigned)
}

/// Splits `<name>+<id>+<base64>` into the name and the key's bytes.
fn parse(text: &str) -> Option<(&str, Zeroizing<[u8; KEY_LEN]>)> {
    let (name, rest) = text.split_once('+')?;
    let (_, key) = rest.split_once('+')?;
    if name.is_empty() || name.chars().any(char::is_whitespace) {
        return None;
    }
    let key = Zeroizing::new(BASE64.decode(key.as_bytes()).ok()?);
    let (algorithm, key) = key.split_first()?;
    let key: [u8; KEY_LEN] = key.try_into().ok()?;
    (*algorithm == ALGORITHM).then(|| (name, Zeroizing::new(key)))
}

/// The private key of a ledger.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file cannot be read or written.
    #[error("signing key {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner can read the file.
    #[error("signing key {0}: readable by others; run: chmod 600 {0}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no key. Its content is not repeated here.
    #[error("signing key {}: not a signing key in the form PRIVATE+KEY+...", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The key is another store's.
    #[error("signing key {}: belongs to another store than {origin}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The name of this store's ledger.
        origin: String,
    },
    /// No key can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl SigningKey {
    /// A fresh key for the ledger of this name.
    pub fn generate(origin: &str) -> Result<Self, NoRandomness> {
        let secret = Zeroizing::new(random::<KEY_LEN>()?);
        Self::new(origin, &secret).ok_or(NoRandomness)
    }

    /// The key of the ledger of this name with this secret.
    pub(crate) fn new(name: &str, secret: &[u8; KEY_LEN]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(secret).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        Some(Self {
            verifier: VerifierKey::new(name, public),
            pair,
        })
    }

    /// The key in this file, which must be that of the ledger of this name.
    pub fn load(path: &Path, origin: &str) -> Result<Self, SigningKeyError> {
        let io = |source| SigningKeyError::Io {
            path: path.to_owned(),
            source,
        };
        let path = path.to_owned();
        let file = File::open(&path).map_err(io)?;
        if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
            return Err(SigningKeyError::Exposed { path });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(io)?;
        let text = text.trim_end_matches('\n');
        let key = text.strip_prefix("PRIVATE+KEY+").and_then(|text| {
            let (name, secret) = parse(text)?;
            let key = Self::new(name, &secret)?;
            (*key.text(&secret) == format!("PRIVATE+KEY+{text}")).then_some(key)
        });
        match key {
            Some(key) if key.verifier.name == origin => Ok(key),
            Some(_) => Err(SigningKeyError::Foreign {
                path,
                origin: origin.to_owned(),
            }),
            None => Err(SigningKeyError::Malformed { path }),
        }
    }

    /// Writes the key to a new file that only its owner can read; fails if there is one already.
    pub fn create(&self, path: &Path) -> Result<(), SigningKeyError> {
        let io = |source| SigningKeyError::Io {
            path: path.to_owned(),
            source,
        };
        let seed = self.pair.seed().map_err(|_| NoRandomness)?;
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        let seed = seed.as_be_bytes().map_err(|_| NoRandomness)?;
        secret.copy_from_slice(seed.as_ref());
        let text = Zeroizing::new([&*self.text(&secret), "\n"].concat());
        durable::create(path, text.as_bytes()).map_err(io)
    }

    /// Writes the public half, unless the file has it already.
    pub fn publish(&self, path: &Path) -> Result<(), SigningKeyError> {
        let io = |source| SigningKeyError::Io {
            path: path.to_owned(),
            source,
        };
        let text = format!("{}\n", self.verifier);
        if fs::read_to_string(path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        // Written whole: who copies it meanwhile, or after a power loss, must not get half a key.
        durable::replace(path, text.as_bytes()).map_err(io)
    }

    fn text(&self, secret: &[u8; KEY_LEN]) -> Zeroizing<String> {
        let tagged = Zeroizing::new([&[ALGORITHM], &secret[..]].concat());
        let key = Zeroizing::new(BASE64.encode(&tagged));
        let (name, id) = (&self.verifier.name, HEXLOWER.encode(&self.verifier.id));
        Zeroizing::new(format!("PRIVATE+KEY+{name}+{id}+{}", *key))
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// What the database keeps of it: of a public key a part of its hash will do.
    #[must_use]
    pub fn commitment(&self) -> [u8; 16] {
        let mut commitment = [0; 16];
        commitment.copy_from_slice(&hash_of(&self.verifier.public)[..16]);
        commitment
    }

    /// Signs a message.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}
