//! What every file of the mirror has in common: it is only appended to, durably, and never after a failure.
//!
//! After a failed write or fsync nobody knows what is on disk, and a second fsync of the same file may claim what
//! the first one lost. So a file that failed is never written again: the next write begins a new one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use crate::durable;

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct Appended {
    file: File,
    len: u64,
}

impl Appended {
    /// Makes a new file, for its owner only. Its name is durable before anything is in it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        durable::sync_name(path)?;
        Ok(Self { file, len: 0 })
    }

    /// Opens a file to go on at its end, cut to this length first. What is left of it is durable then: a process that was
    /// killed may have left it in the system's memory only.
    pub(super) fn reopen(path: &Path, len: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        if file.metadata()?.len() > len {
            file.set_len(len)?;
        }
        file.sync_all()?;
        Ok(Self { file, len })
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Makes what was appended durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        // A file that somebody removed takes writes and keeps nothing.
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("the file was removed"));
        }
        self.file.sync_data()
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }
}

/// The numbers of the files `<prefix><number>.jsonl` in a directory, in order.
pub(super) fn numbers(dir: &Path, prefix: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number: Option<u64> = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix)?.strip_suffix(".jsonl"))
            .and_then(|digits| digits.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Moves the files whose names begin so into a new directory beside them.
pub(super) fn set_aside(dir: &Path, prefixes: &[&str]) -> io::Result<()> {
    let mut number = 1;
    let mut aside = dir.join("aside-1");
    while aside.exists() {
        number += 1;
        aside = dir.join(format!("aside-{number}"));
    }
    fs::DirBuilder::new().mode(0o700).create(&aside)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_meant = name
            .to_str()
            .is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        if is_meant && entry.file_type()?.is_file() {
            fs::rename(entry.path(), aside.join(name))?;
        }
    }
    durable::sync_name(&aside.join("any"))?;
    durable::sync_name(&aside)
}
