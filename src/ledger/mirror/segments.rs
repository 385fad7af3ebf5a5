//! The entries of the mirror: files of JSON lines, one line for each entry, named by their first entry.
//!
//! Written in order by one task and fsynced now and then: what the database has committed may be read from it
//! again, so a tail that a power cut took is no loss. A file is left for a new one when it is full, or when it
//! failed; the new one begins after the last entry that is surely on disk, and what the old one has from there on
//! does not count.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use super::{
    Line, MirrorError,
    files::{Appended, numbers},
};
use crate::ledger::{Hash, Head};

/// Bytes after which a file is left for a new one: some 17,000 entries. A start reads and hashes the last file, which is
/// 20 ms then.
const SEGMENT_MAX: u64 = 4 * 1024 * 1024;
/// What a file's name begins with.
const PREFIX: &str = "entries-";

fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{first:020}.jsonl"))
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    /// None after a failure, and before the first line.
    file: Option<Appended>,
    head: Head,
    synced: Head,
}

impl Segments {
    /// Finds the end of what is there, from the last file. A line that does not follow, and all behind it, was cut
    /// off by a crash: it is passed over, and cut when the first new line is written.
    pub(super) fn open(dir: &Path, genesis: Hash) -> Result<Self, MirrorError> {
        let mut head = Head {
            sequence: 0,
            hash: genesis,
            at: 0,
        };
        let mut file = None;
        if let Some(first) = numbers(dir, PREFIX)?.last().copied() {
            let before = i64::try_from(first).unwrap_or(0) - 1;
            if before > 0 {
                let previous = read_one(dir, before)?;
                let previous = previous.ok_or(MirrorError::Damaged(before))?;
                head = previous.entry.head();
            }
            let path = path(dir, first);
            let (end, len) = scan(&path, head)?;
            head = end;
            file = Some(Appended::reopen(&path, len)?);
        }
        Ok(Self {
            dir: dir.to_owned(),
            file,
            head,
            synced: head,
        })
    }

    /// The last entry that was written.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// The last entry that is surely on disk.
    pub(super) fn synced(&self) -> Head {
        self.synced
    }

    /// Appends the lines that follow. After a failure the head is back at what is surely on disk.
    pub(super) fn append(&mut self, lines: &[Line]) -> Result<(), MirrorError> {
        let mut bytes = Vec::with_capacity(lines.len() * 300);
        let mut head = self.head;
        for line in lines {
            let entry = &line.entry;
            if !entry.follows(&head) {
                return Err(MirrorError::Forked(entry.sequence));
            }
            serde_json::to_writer(&mut bytes, line).map_err(io::Error::from)?;
            bytes.push(b'\n');
            head = entry.head();
        }
        self.write(&bytes).inspect_err(|_| self.give_up())?;
        self.head = head;
        if self.file.as_ref().is_some_and(|it| it.len() > SEGMENT_MAX) {
            self.sync()?;
            self.file = None;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let first = u64::try_from(self.head.sequence + 1).unwrap_or(1);
                let path = path(&self.dir, first);
                // One of this name failed before anything in it was surely on disk.
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                none.insert(Appended::create(&path)?)
            }
        };
        file.write(bytes)
    }

    /// Makes everything durable that was appended.
    pub(super) fn sync(&mut self) -> Result<(), MirrorError> {
        if self.synced.sequence == self.head.sequence {
            return Ok(());
        }
        if let Some(file) = &self.file {
            file.sync().inspect_err(|_| self.give_up())?;
        }
        self.synced = self.head;
        Ok(())
    }

    fn give_up(&mut self) {
        self.file = None;
        self.head = self.synced;
    }
}

/// Reads a file of lines up to the first that does not follow: the head there, and the length up to there.
fn scan(path: &Path, mut head: Head) -> io::Result<(Head, u64)> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut bytes = Vec::new();
    let mut len = 0;
    loop {
        bytes.clear();
        let read = reader.read_until(b'\n', &mut bytes)?;
        let Some(line) = parse(&bytes) else {
            return Ok((head, len));
        };
        if !line.entry.follows(&head) {
            return Ok((head, len));
        }
        head = line.entry.head();
        len += read as u64;
    }
}

/// A whole line, with its end.
fn parse(bytes: &[u8]) -> Option<Line> {
    serde_json::from_slice(bytes.strip_suffix(b"\n")?).ok()
}

/// The number of a line's entry, without reading the rest: on the way to a later one.
fn sequence(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(br#"{"seq":"#)?;
    let len = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..len]).ok()?.parse().ok()
}

/// The line of one entry, if it is there.
pub(super) fn read_one(dir: &Path, sequence: i64) -> Result<Option<Line>, MirrorError> {
    Lines::after(dir, sequence - 1)?.next().transpose()
}

/// The lines after an entry, in order, to the end. Numbers are dense; whether the chain holds is for the reader to
/// check.
#[derive(Debug)]
pub struct Lines {
    dir: PathBuf,
    /// First entries of the files that are left, the next one last.
    files: Vec<u64>,
    reader: Option<BufReader<File>>,
    /// The entry that comes next.
    next: i64,
    bytes: Vec<u8>,
}

impl Lines {
    /// Reads on after this entry.
    pub fn after(dir: &Path, after: i64) -> Result<Self, MirrorError> {
        let next = after + 1;
        let mut files = numbers(dir, PREFIX)?;
        let begins = |first: &u64| i64::try_from(*first).is_ok_and(|first| first <= next);
        let skipped = files.partition_point(begins).saturating_sub(1);
        files.drain(..skipped);
        files.reverse();
        Ok(Self {
            dir: dir.to_owned(),
            files,
            reader: None,
            next,
            bytes: Vec::new(),
        })
    }

    /// The last line there is, as far as its file can be read.
    pub fn last(dir: &Path) -> Result<Option<Line>, MirrorError> {
        // A file's name is durable before its first line: after a crash the last one may have none.
        for first in numbers(dir, PREFIX)?.into_iter().rev() {
            let lines = Self::after(dir, i64::try_from(first).unwrap_or(1) - 1)?;
            let last = lines.map_while(Result::ok).last();
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// The first entry of the file after the one that is read.
    fn bound(&self) -> Option<i64> {
        self.files
            .last()
            .and_then(|first| i64::try_from(*first).ok())
    }

    fn read(&mut self) -> Result<Option<Line>, MirrorError> {
        loop {
            let Some(reader) = &mut self.reader else {
                let Some(first) = self.files.pop() else {
                    return Ok(None);
                };
                if i64::try_from(first).is_ok_and(|first| first > self.next) {
                    return Err(MirrorError::Damaged(self.next));
                }
                let file = File::open(path(&self.dir, first))?;
                self.reader = Some(BufReader::with_capacity(1 << 16, file));
                continue;
            };
            self.bytes.clear();
            reader.read_until(b'\n', &mut self.bytes)?;
            if sequence(&self.bytes).is_some_and(|sequence| sequence < self.next) {
                continue;
            }
            match parse(&self.bytes) {
                // What a file has beyond the beginning of the next one does not count.
                Some(line)
                    if line.entry.sequence == self.next && self.bound() != Some(self.next) =>
                {
                    self.next += 1;
                    return Ok(Some(line));
                }
                _ if self.bound() == Some(self.next) => self.reader = None,
                // The end, or a line that a crash cut off.
                None if !self.bytes.ends_with(b"\n") && self.files.is_empty() => return Ok(None),
                _ => return Err(MirrorError::Damaged(self.next)),
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line, MirrorError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{EntryKind, NewEntry, genesis};

    /// A file that a crash left without a whole line, its name being durable first, does not hide those before it: or a
    /// mirror that is ahead of a restored database would pass for an empty one.
    #[test]
    fn a_last_file_without_a_line_hides_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let genesis = genesis(uuid::Uuid::from_u128(7));
        let mut segments = Segments::open(dir.path(), genesis).unwrap();
        assert!(Lines::last(dir.path()).unwrap().is_none());
        let mut head = segments.head();
        let line = || Line::from(head.append(NewEntry::new(EntryKind::Submitted, 1), 1));
        let lines: Vec<_> = std::iter::repeat_with(line).take(2).collect();
        segments.append(&lines).unwrap();
        segments.sync().unwrap();
        let last = || Lines::last(dir.path()).unwrap().unwrap().entry.sequence;
        assert_eq!(last(), 2);
        for torn in ["", "{\"seq\":3,\"ki"] {
            std::fs::write(path(dir.path(), 3), torn).unwrap();
            assert_eq!(last(), 2, "{torn}");
        }
    }

    /// D6: a file that failed, on a full disk perhaps, before anything in it was surely there, does not keep the mirror from
    /// following once the disk takes writes again.
    #[test]
    fn d6_a_first_file_that_failed_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let genesis = genesis(uuid::Uuid::from_u128(7));
        let mut segments = Segments::open(dir.path(), genesis).unwrap();
        let mut head = segments.head();
        let line: Line = head
            .append(NewEntry::new(EntryKind::Submitted, 1), 1)
            .into();
        segments.append(std::slice::from_ref(&line)).unwrap();
        segments.give_up();
        segments.append(&[line]).unwrap();
        segments.sync().unwrap();
        assert_eq!(segments.synced().sequence, 1);
        assert!(read_one(dir.path(), 1).unwrap().is_some());
    }
}
