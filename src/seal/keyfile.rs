//! The key ring's file: read, changed, and replaced as a whole.
//!
//! Made on first run, readable by its owner only, and refused otherwise. A change is written to a file beside
//! it, made durable, and put in its place by one rename: a crash leaves the old ring or the new one, never
//! less than the keys that there were. Whoever changes it holds [`KeyFile::lock`].

mod change;

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use data_encoding::BASE64;
use fd_lock::RwLock;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

pub use self::change::KeyChangeError;
use super::{KeyRing, NoRandomness, keyring::KEY_LEN, random};
use crate::durable;

/// The file's own version.
const FORMAT: u32 = 1;

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
    /// Another command changes the ring.
    #[error("key ring {}: another command is changing it", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// No keys can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The file as written.
#[derive(Clone, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    format: u32,
    #[serde(default = "first_generation")]
    pub(super) generation: i64,
    pub(super) primary_sealing: u32,
    pub(super) primary_index: u32,
    pub(super) sealing: Vec<KeyEntry>,
    pub(super) index: Vec<KeyEntry>,
}

#[derive(Clone, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    pub(super) id: u32,
    /// The generation of the ring that brought it.
    #[serde(default = "first_generation")]
    pub(super) generation: i64,
    /// The day on which it was made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    made: String,
    /// Base64 of 32 bytes.
    pub(super) key: String,
}

fn first_generation() -> i64 {
    1
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFile(..)")
    }
}

impl KeyEntry {
    fn generate(id: u32, generation: i64, made: &str) -> Result<Self, NoRandomness> {
        let mut key: [u8; KEY_LEN] = random()?;
        let entry = Self {
            id,
            generation,
            made: made.to_owned(),
            key: BASE64.encode(&key),
        };
        key.zeroize();
        Ok(entry)
    }
}

impl KeyFile {
    /// A ring with one fresh key for each purpose, made on this day.
    pub fn generate(made: &str) -> Result<Self, KeyRingError> {
        Ok(Self {
            format: FORMAT,
            generation: 1,
            primary_sealing: 1,
            primary_index: 1,
            sealing: vec![KeyEntry::generate(1, 1, made)?],
            index: vec![KeyEntry::generate(1, 1, made)?],
        })
    }

    /// What is in this file.
    pub fn load(path: &Path) -> Result<Self, KeyRingError> {
        let io = io_error(path);
        let mode = fs::metadata(path).map_err(&io)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyRingError::Exposed {
                path: path.to_owned(),
            });
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(&io)?);
        Self::parse(&text).map_err(|problem| malformed(path, problem))
    }

    /// What is in the text of such a file.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        // A parser's message may quote the line it fails on, and that line may be a key.
        let file: Self = toml::from_str(text).map_err(|_| "not a key ring file")?;
        if file.format != FORMAT {
            return Err("written by another version of lead-intake");
        }
        Ok(file)
    }

    /// The ring, ready for use. `path` is for errors only.
    pub fn ring(&self, path: &Path) -> Result<KeyRing, KeyRingError> {
        KeyRing::from_file(self).map_err(|problem| malformed(path, problem))
    }

    /// Lets one command at a time change a ring. Held until the guard of `try_write` is dropped.
    pub fn lock(path: &Path) -> Result<RwLock<File>, KeyRingError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(path.with_extension("lock"));
        Ok(RwLock::new(lock.map_err(io_error(path))?))
    }

    /// Writes a new file that only its owner can read; fails if there is one already. Whole or not at all, and durable: leads are
    /// sealed with these keys from now on.
    pub fn create(&self, path: &Path) -> Result<(), KeyRingError> {
        let text = self.text(path)?;
        durable::create(path, text.as_bytes()).map_err(io_error(path))
    }

    /// Puts this ring in the place of the one in the file, whose owner it keeps.
    pub fn replace(&self, path: &Path) -> Result<(), KeyRingError> {
        let io = io_error(path);
        let new = path.with_extension("new");
        // What a crash left of an earlier change holds keys too, and none that were ever used.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(&io)?;
        let (before, after) = (
            fs::metadata(path).map_err(&io)?,
            file.metadata().map_err(&io)?,
        );
        if (before.uid(), before.gid()) != (after.uid(), after.gid()) {
            // Run by root for a service that is not: the service must still be able to read it.
            fchown(&file, Some(before.uid()), Some(before.gid())).map_err(&io)?;
        }
        let text = self.text(path)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, path))
            .and_then(|()| durable::sync_name(path))
            .map_err(&io)
    }

    fn text(&self, path: &Path) -> Result<Zeroizing<String>, KeyRingError> {
        let text = toml::to_string(self).map_err(|_| malformed(path, "cannot be written"))?;
        let text = Zeroizing::new(text);
        let head = "# Keys of lead-intake. Keep a copy apart from every copy of the database:\n\
                    # without it no lead can be read, with it every lead can.\n\
                    # Changed by `lead-intake keys`; each change raises the generation.\n";
        Ok(Zeroizing::new([head, &*text].concat()))
    }
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> KeyRingError {
    let path = path.to_owned();
    move |source| KeyRingError::Io {
        path: path.clone(),
        source,
    }
}

fn malformed(path: &Path, problem: &'static str) -> KeyRingError {
    KeyRingError::Malformed {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests;
