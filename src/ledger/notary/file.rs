//! The file of the tree's stored hashes, 32 bytes each, one after another.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use crate::{
    durable,
    ledger::{
        Hash,
        tree::{self, ReadHashes, stored_hash_count},
    },
};

const HASH_LEN: u64 = 32;

/// Reads the tree, also while its writer appends: what is below a signed size does not change.
#[derive(Debug)]
pub struct TreeReader {
    file: File,
}

impl TreeReader {
    /// Opens the file, and makes it if it is not there. For its owner only: it is nobody else's business how much
    /// happens here.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        durable::sync_name(path)?;
        Ok(Self { file })
    }

    /// A handle that cannot be written: as a disk that fails.
    #[cfg(test)]
    pub(super) fn read_only(path: &Path) -> io::Result<Self> {
        File::open(path).map(|file| Self { file })
    }

    /// The root of the first `size` entries.
    pub fn root(&self, size: u64) -> io::Result<Hash> {
        tree::root(self, size)
    }

    /// The proof that entry `sequence`, counted from 1, is among the first `size`.
    pub fn inclusion(&self, sequence: u64, size: u64) -> io::Result<Vec<Hash>> {
        let index = sequence.checked_sub(1).ok_or(io::ErrorKind::InvalidInput)?;
        tree::inclusion(self, size, index)
    }

    /// The proof that the first `old` entries are the beginning of the first `new`.
    pub fn consistency(&self, old: u64, new: u64) -> io::Result<Vec<Hash>> {
        tree::consistency(self, old, new)
    }

    /// Writes the hashes that follow those of `size` entries.
    pub(super) fn write(&self, size: u64, hashes: &[Hash]) -> io::Result<()> {
        self.file.write_all_at(hashes.as_flattened(), len_of(size))
    }

    /// Cuts off what follows the hashes of `size` entries.
    pub(super) fn cut(&self, size: u64) -> io::Result<()> {
        self.file.set_len(len_of(size))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl ReadHashes for TreeReader {
    fn hashes(&self, indexes: &[u64]) -> io::Result<Vec<Hash>> {
        let mut hashes = vec![Hash::default(); indexes.len()];
        for (hash, index) in hashes.iter_mut().zip(indexes) {
            self.file.read_exact_at(hash, index * HASH_LEN)?;
        }
        Ok(hashes)
    }
}

fn len_of(size: u64) -> u64 {
    stored_hash_count(size) * HASH_LEN
}
