//! The notary: keeps the tree over the ledger's entries and signs its checkpoints.
//!
//! It works in the mirror's directory, and the mirror feeds it every record in order. Two files
//! there are the notary's: `tree` (the stored hashes, see [`super::tree`]; whatever is lost of it can be made again from
//! the entries) and `checkpoint` (the last note that was signed, written before anybody is given it).
//!
//! Its rule: **no two checkpoints contradict each other.** Before a size is signed, the root at the last signed size
//! is computed from the tree and must be the signed one. So a ledger that was rewritten below a checkpoint gets no
//! new one, and an auditor's old note stays the beginning of every later one.
//!
//! A failed write or flush of a file ends its use through this handle ([`NotaryError::Broken`]): after a failed
//! flush the system may forget what it could not write and say so only once. Open again: what was not flushed
//! is cut off, and the records after the last checkpoint are appended again.

mod checkpoint;
mod file;
mod key;
pub(crate) mod note;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;

pub use self::{
    checkpoint::Checkpoint,
    file::TreeReader,
    key::{NotAKey, SigningKey, SigningKeyError, VerifierKey, origin},
    note::NoteError,
};
use super::{
    Hash,
    tree::{Frontier, leaf_hash},
};

const TREE: &str = "tree";
const CHECKPOINT: &str = "checkpoint";

/// Keeps the tree and signs.
#[derive(Debug)]
pub struct Notary {
    dir: PathBuf,
    key: Arc<SigningKey>,
    tree: Arc<TreeReader>,
    /// The right edge of what was appended.
    frontier: Frontier,
    /// Entries whose hashes are flushed.
    synced: u64,
    /// The last signed checkpoint.
    signed: watch::Sender<Option<Arc<Checkpoint>>>,
    is_broken: bool,
}

/// Why the notary cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// A file cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write failed: open again.
    #[error("an earlier write to the tree or its checkpoint failed")]
    Broken,
    /// The last checkpoint is not one that this key signed.
    #[error("{}", path.display())]
    ForeignCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NoteError,
    },
    /// The tree's file does not have what the last checkpoint signed: damaged, or from another time. It can be made
    /// again from the entries ([`Notary::rebuild`]).
    #[error("the tree does not have the root that the checkpoint of {size} entries signed")]
    TreeDiffers {
        /// The size of the checkpoint.
        size: u64,
    },
    /// The entries are others than those that were signed. Nothing is signed any more.
    #[error("the first {size} entries are not those that an earlier checkpoint signed")]
    Contradiction {
        /// The size of the checkpoint.
        size: u64,
    },
    /// Fewer entries were appended.
    #[error("the tree has {has} entries, not {size}")]
    TooShort {
        /// Entries asked for.
        size: u64,
        /// Entries appended.
        has: u64,
    },
    /// What is signed is not taken back.
    #[error("the first {signed} entries are signed, and {size} would be left")]
    AlreadySigned {
        /// Entries that would be left.
        size: u64,
        /// The size of the checkpoint.
        signed: u64,
    },
}

type Result<T> = std::result::Result<T, NotaryError>;

impl Notary {
    /// Opens the tree in this directory, and makes it on first use. What follows the last checkpoint is cut off, since
    /// it may not have been flushed: append the records from [`Self::size`] on again.
    ///
    /// Fails with [`NotaryError::TreeDiffers`] if the tree is not the one that was signed.
    pub fn open(dir: &Path, key: Arc<SigningKey>) -> Result<Self> {
        Self::start(dir, key, |checkpoint| checkpoint.size)
    }

    /// The same with an empty tree, to be filled from the first record on. The last checkpoint stays: if the records
    /// are not those that it signed, nothing will be signed.
    pub fn rebuild(dir: &Path, key: Arc<SigningKey>) -> Result<Self> {
        Self::start(dir, key, |_| 0)
    }

    fn start(dir: &Path, key: Arc<SigningKey>, keep: fn(&Checkpoint) -> u64) -> Result<Self> {
        let path = dir.join(TREE);
        let io = |source| NotaryError::Io {
            path: path.clone(),
            source,
        };
        let signed = last_checkpoint(dir, key.verifier())?;
        let size = signed.as_ref().map_or(0, keep);
        let tree = TreeReader::open(&path).map_err(io)?;
        let frontier = match Frontier::read(size, &tree) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            read => Some(read.map_err(io)?),
        };
        let is_signed = |edge: &Frontier| {
            size == 0 || signed.as_ref().is_some_and(|last| last.root == edge.root())
        };
        let Some(frontier) = frontier.filter(is_signed) else {
            return Err(NotaryError::TreeDiffers { size });
        };
        tree.cut(size).map_err(io)?;
        Ok(Self {
            dir: dir.to_owned(),
            key,
            tree: Arc::new(tree),
            frontier,
            synced: 0,
            signed: watch::Sender::new(signed.map(Arc::new)),
            is_broken: false,
        })
    }

    /// The number of records appended: the sequence number of the last one.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Reads the tree, from other threads too.
    #[must_use]
    pub fn reader(&self) -> Arc<TreeReader> {
        self.tree.clone()
    }

    /// The last signed checkpoint, as it moves.
    #[must_use]
    pub fn signed(&self) -> watch::Receiver<Option<Arc<Checkpoint>>> {
        self.signed.subscribe()
    }

    /// The public key.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// Appends records, of the entries that follow [`Self::size`]. Not flushed before [`Self::sync`].
    pub fn append(&mut self, records: impl IntoIterator<Item: AsRef<[u8]>>) -> Result<()> {
        self.check()?;
        let size = self.size();
        let mut hashes = Vec::new();
        for record in records {
            self.frontier.push(leaf_hash(record.as_ref()), &mut hashes);
        }
        let written = self.tree.write(size, &hashes);
        self.tried(TREE, written)
    }

    /// Flushes what was appended.
    pub fn sync(&mut self) -> Result<()> {
        self.check()?;
        if self.synced < self.size() {
            let flushed = self.tree.sync();
            self.tried(TREE, flushed)?;
            self.synced = self.size();
        }
        Ok(())
    }

    /// Takes back what follows the first `size` records, for entries that were written ahead and never came to be.
    /// What is signed stays.
    pub fn truncate(&mut self, size: u64) -> Result<()> {
        self.check()?;
        let signed = self.signed.borrow().as_ref().map_or(0, |last| last.size);
        if size < signed {
            return Err(NotaryError::AlreadySigned { size, signed });
        }
        if size >= self.size() {
            return Ok(());
        }
        let frontier = self.tried(TREE, Frontier::read(size, &*self.tree))?;
        let cut = self.tree.cut(size);
        self.tried(TREE, cut)?;
        self.frontier = frontier;
        self.synced = self.synced.min(size);
        Ok(())
    }

    /// The checkpoint of the first `size` entries, which must lie safely elsewhere: what is signed is not taken back.
    /// A size that is not beyond the last checkpoint gets that one.
    pub fn sign(&mut self, size: u64) -> Result<Arc<Checkpoint>> {
        self.check()?;
        let last = self.signed.borrow().clone();
        if let Some(last) = &last {
            let signed = last.size;
            if signed <= self.size() && self.root(signed)? != last.root {
                return Err(NotaryError::Contradiction { size: signed });
            }
            if size <= signed {
                return Ok(last.clone());
            }
        }
        if size > self.size() {
            let has = self.size();
            return Err(NotaryError::TooShort { size, has });
        }
        self.sync()?;
        let checkpoint = Arc::new(Checkpoint::sign(size, self.root(size)?, &self.key));
        let kept = keep_checkpoint(&self.dir, &checkpoint.note);
        self.tried(CHECKPOINT, kept)?;
        self.signed.send_replace(Some(checkpoint.clone()));
        Ok(checkpoint)
    }

    fn root(&self, size: u64) -> Result<Hash> {
        self.tree.root(size).map_err(|source| NotaryError::Io {
            path: self.dir.join(TREE),
            source,
        })
    }

    fn check(&self) -> Result<()> {
        if self.is_broken {
            return Err(NotaryError::Broken);
        }
        Ok(())
    }

    /// Passes on how it went with a file; a failure is the end of this handle.
    fn tried<T>(&mut self, name: &str, result: io::Result<T>) -> Result<T> {
        self.is_broken |= result.is_err();
        result.map_err(|source| NotaryError::Io {
            path: self.dir.join(name),
            source,
        })
    }
}

/// The checkpoint that was signed last, if there is one.
fn last_checkpoint(dir: &Path, key: &VerifierKey) -> Result<Option<Checkpoint>> {
    let path = dir.join(CHECKPOINT);
    match fs::read_to_string(&path) {
        Ok(note) => Checkpoint::open(&note, key)
            .map(Some)
            .map_err(|source| NotaryError::ForeignCheckpoint { path, source }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(NotaryError::Io { path, source }),
    }
}

/// Puts a note in the place of the last one: after a crash there is the one or the other, whole.
fn keep_checkpoint(dir: &Path, note: &str) -> io::Result<()> {
    let new = dir.join("checkpoint.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, dir.join(CHECKPOINT))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
