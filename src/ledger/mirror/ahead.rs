//! What is written ahead: the acts that end or limit processing, each on disk before the database commits it.
//!
//! A line is a batch, the entries of one transaction, or the word that a batch came to be, or did not. Batches are
//! short-lived: once the entries are durable in [`super::segments`] the file is left for a new one and removed. What
//! is found at a start is judged by what the database has (`store::restore`): committed, cut off in the middle of
//! its commit, given up, or lost with a restored backup.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Line, MirrorError,
    files::{Appended, numbers},
    line::{read_hash, write_hash},
};
use crate::{
    ledger::{EntryKind, Hash},
    seal::random,
};

/// Bytes after which a file whose batches are all durable elsewhere is left for a new one.
const FILE_MAX: u64 = 1024 * 1024;
/// What a file's name begins with.
const PREFIX: &str = "ahead-";

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{number:010}.jsonl"))
}

/// The entries of one transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Random: two attempts at the same act may have the same hashes.
    id: u64,
    /// Hash of the entry before the first.
    #[serde(serialize_with = "write_hash", deserialize_with = "read_hash")]
    pub previous: Hash,
    /// The entries: at least one.
    pub lines: Vec<Line>,
    /// Whether the database took them, as far as was noted.
    #[serde(skip)]
    pub is_committed: bool,
}

impl Batch {
    /// Numbers of the first and the last entry.
    #[must_use]
    pub fn range(&self) -> (i64, i64) {
        let number = |line: Option<&Line>| line.map_or(0, |line| line.entry.sequence);
        (number(self.lines.first()), number(self.lines.last()))
    }
}

impl Batch {
    /// Whether its first entry has this hash.
    #[must_use]
    pub fn begins_with(&self, hash: Option<Hash>) -> bool {
        self.lines.first().map(|line| line.entry.hash) == hash
    }

    /// Whether it changes what a lead says: with values that are not in it.
    #[must_use]
    pub fn is_correction(&self) -> bool {
        let mut kinds = self.lines.iter().map(|line| line.entry.new.kind);
        kinds.any(|kind| kind == EntryKind::Rectified)
    }
}

#[derive(Serialize, Deserialize)]
enum Written {
    #[serde(rename = "batch")]
    Batch(Batch),
    /// The batch with this identifier did not come to be.
    #[serde(rename = "given_up")]
    GivenUp(u64),
    /// The database took the batch with this identifier.
    #[serde(rename = "committed")]
    Committed(u64),
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Ahead {
    dir: PathBuf,
    /// None after a failure, and before the first batch.
    file: Option<Appended>,
    /// Number of the last file.
    number: u64,
    /// The last entry in any of the files.
    last: i64,
    /// Batches that were given up while nothing could be written: they may be on the disk all the same, and the next
    /// file begins with the word that they did not come to be.
    unsaid: Vec<u64>,
}

impl Ahead {
    /// Goes on behind the files that are there, in a new one. They are flushed first: what is found in them is about to be done,
    /// and a process that was killed before its flush has left it in the system's memory only.
    pub(super) fn open(dir: &Path, found: &[Batch]) -> Result<Self, MirrorError> {
        let numbers = numbers(dir, PREFIX)?;
        for number in &numbers {
            File::open(path(dir, *number))?.sync_all()?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            file: None,
            number: numbers.last().copied().unwrap_or(0),
            last: found.iter().map(|batch| batch.range().1).max().unwrap_or(0),
            unsaid: Vec::new(),
        })
    }

    /// Writes a batch, durably; gives its identifier.
    pub(super) fn write(&mut self, previous: Hash, lines: Vec<Line>) -> Result<u64, MirrorError> {
        let id = u64::from_be_bytes(random().map_err(io::Error::other)?);
        let last = lines.last().map_or(0, |line| line.entry.sequence);
        let batch = Batch {
            id,
            previous,
            lines,
            is_committed: false,
        };
        self.append(&Written::Batch(batch), true)
            .inspect_err(|_| self.unsaid.push(id))?;
        self.last = self.last.max(last);
        Ok(id)
    }

    /// Notes that a batch did not come to be: now, or as soon as something can be written. What a crash leaves unsaid is
    /// judged by the database.
    pub(super) fn give_up(&mut self, id: u64) {
        if self.append(&Written::GivenUp(id), false).is_err() {
            self.unsaid.push(id);
        }
    }

    /// Notes that a batch came to be. Best effort: it tells a correction that was cut off from one that a restore lost.
    pub(super) fn commit(&mut self, id: u64) {
        let _ = self.append(&Written::Committed(id), false);
    }

    /// Writes nothing, durably: whether the disk takes writes.
    pub(super) fn probe(&mut self) -> Result<(), MirrorError> {
        self.append(&Written::GivenUp(0), true)
    }

    fn append(&mut self, written: &Written, durably: bool) -> Result<(), MirrorError> {
        let mut bytes = Vec::new();
        let given_up: Vec<_> = self.unsaid.iter().map(|id| Written::GivenUp(*id)).collect();
        for line in given_up.iter().chain([written]) {
            serde_json::to_writer(&mut bytes, line).map_err(io::Error::from)?;
            bytes.push(b'\n');
        }
        let done = self.write_bytes(&bytes, durably);
        match &done {
            Ok(()) => self.unsaid.clear(),
            Err(_) => self.file = None,
        }
        Ok(done?)
    }

    fn write_bytes(&mut self, bytes: &[u8], durably: bool) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                self.number += 1;
                none.insert(Appended::create(&path(&self.dir, self.number))?)
            }
        };
        file.write(bytes)?;
        if durably { file.sync() } else { Ok(()) }
    }

    /// Removes what is needed no more: everything up to this entry is durable elsewhere.
    pub(super) fn discard(&mut self, through: i64) -> Result<(), MirrorError> {
        let is_long = self.file.as_ref().is_none_or(|it| it.len() > FILE_MAX);
        if self.last == 0 || self.last > through || !is_long {
            return Ok(());
        }
        self.file = None;
        for number in numbers(&self.dir, PREFIX)? {
            fs::remove_file(path(&self.dir, number))?;
        }
        self.last = 0;
        Ok(())
    }
}

/// Every batch that was written ahead and not given up, in order of writing. The last line of a file may be cut off
/// by a crash: then its act did not happen.
pub(super) fn read(dir: &Path) -> Result<Vec<Batch>, MirrorError> {
    let mut batches: Vec<Batch> = Vec::new();
    let (mut given_up, mut committed) = (Vec::new(), Vec::new());
    for number in numbers(dir, PREFIX)? {
        for line in BufReader::new(File::open(path(dir, number))?).split(b'\n') {
            match serde_json::from_slice(&line?) {
                Ok(Written::Batch(batch)) if !batch.lines.is_empty() => batches.push(batch),
                Ok(Written::GivenUp(id)) => given_up.push(id),
                Ok(Written::Committed(id)) => committed.push(id),
                Ok(Written::Batch(_)) | Err(_) => break,
            }
        }
    }
    batches.retain(|batch| !given_up.contains(&batch.id));
    for batch in &mut batches {
        batch.is_committed = committed.contains(&batch.id);
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{EntryKind, Head, NewEntry, genesis};

    /// A1, D4: an act that was given up while the disk took nothing is not done at a later start, though its batch may
    /// lie on the disk: the next that is written says so.
    #[test]
    fn a1_what_was_given_up_on_a_broken_disk_is_said_when_it_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let hash = genesis(uuid::Uuid::from_u128(7));
        let mut head = Head {
            sequence: 0,
            hash,
            at: 0,
        };
        let entry = head.append(NewEntry::new(EntryKind::Erased, 1), 1);
        let mut ahead = Ahead::open(dir.path(), &[]).unwrap();
        let id = ahead.write(hash, vec![entry.into()]).unwrap();
        assert_eq!(read(dir.path()).unwrap().len(), 1);
        // The file fails, and so does the next one.
        ahead.file = None;
        let block = path(dir.path(), 2);
        fs::create_dir(&block).unwrap();
        ahead.give_up(id);
        fs::remove_dir(&block).unwrap();
        assert_eq!(read(dir.path()).unwrap().len(), 1);
        ahead.probe().unwrap();
        assert!(read(dir.path()).unwrap().is_empty());
        assert!(ahead.unsaid.is_empty());
    }
}
