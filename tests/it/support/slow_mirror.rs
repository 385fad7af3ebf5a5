//! A mirror that is read as slowly as a test likes: in the place of its first file is a pipe. So a verification lasts for
//! as long as the test holds it, on either database.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::{entries_file, eventually};

/// The mirror, for as long as nothing is written to it.
pub struct SlowMirror {
    /// The file as it was, how much of it is before its last line, the pipe in its place, and the file with that line.
    whole: Vec<u8>,
    before: usize,
    path: PathBuf,
    last: PathBuf,
    /// The writing end, once somebody reads.
    pipe: Option<File>,
    /// What was not given yet.
    left: Vec<u8>,
}

impl Drop for SlowMirror {
    /// A test that failed does not wait for who still wants to read.
    fn drop(&mut self) {
        let _ = OpenOptions::new().read(true).write(true).open(&self.path);
    }
}

impl SlowMirror {
    /// Of a small mirror, that has every entry.
    pub fn of(mirror: &Path) -> Self {
        let path = entries_file(mirror);
        let whole = fs::read(&path).unwrap();
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        let end = *lines.last().unwrap();
        let before = whole.len() - end.len();
        let last = mirror.join(format!("entries-{:020}.jsonl", lines.len()));
        fs::write(&last, end).unwrap();
        fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        Self {
            left: whole[..before].to_vec(),
            before,
            whole,
            path,
            last,
            pipe: None,
        }
    }

    /// Waits until somebody reads.
    pub async fn is_read(&mut self) {
        let mut open = OpenOptions::new();
        open.write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        self.pipe = Some(eventually(async || open.open(&self.path).ok()).await);
    }

    /// Gives whoever reads so many bytes; gives whether it is still there.
    fn give_bytes(&mut self, count: usize) -> bool {
        assert!(self.left.len() >= count, "it is read on and on");
        let rest = self.left.split_off(count);
        let given = std::mem::replace(&mut self.left, rest);
        match self.pipe.as_mut().unwrap().write_all(&given) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                false
            }
        }
    }

    /// Gives whoever reads so many entries.
    pub fn give(&mut self, entries: usize) {
        let lines = self.left.split_inclusive(|byte| *byte == b'\n');
        let bytes = lines.take(entries).map(<[u8]>::len).sum();
        assert!(self.give_bytes(bytes), "nobody reads any more");
    }

    /// Gives the rest, to the end.
    pub fn give_all(&mut self) {
        assert!(self.give_bytes(self.left.len()), "nobody reads any more");
        self.pipe = None;
    }

    /// Has all of it to give again, to who reads next.
    pub fn begin_again(&mut self) {
        self.left = self.whole[..self.before].to_vec();
    }

    /// Waits until nobody reads any more. An entry is given, so that who reads looks up; what follows it, bit by bit, is
    /// none, so that who goes on is still there at the end.
    pub async fn is_left(&mut self) {
        let line = self.left.iter().position(|byte| *byte == b'\n').unwrap();
        let mut is_read = self.give_bytes(line + 1);
        eventually(async || {
            is_read = is_read && self.give_bytes(1);
            (!is_read).then_some(())
        })
        .await;
        self.pipe = None;
    }

    /// Puts the file back.
    pub fn restore(&self) {
        fs::remove_file(&self.path).unwrap();
        fs::write(&self.path, &self.whole).unwrap();
        fs::remove_file(&self.last).unwrap();
    }
}
