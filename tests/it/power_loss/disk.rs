//! What a power loss may leave of the files below a directory, by the calls that were made about them.
//!
//! What is promised, and so the only thing that this model keeps for sure:
//!
//! - `fsync` and `fdatasync` of a file: its bytes and its length, as the calls that had ended before the flush began left
//!   them (POSIX.1-2024, `fsync`, `fdatasync`; fsync(2): fdatasync flushes the metadata that "a subsequent data read" needs,
//!   "a change to the file size" among it).
//! - Not the file's name. "Calling `fsync()` does not necessarily ensure that the entry in the directory containing the file has
//!   also reached disk. For that an explicit `fsync()` on a file descriptor for the directory is also needed" (fsync(2)).
//!   So a name that was made, moved or removed is so for sure once its directory was flushed. ext4 does more (a
//!   new file's flush takes its name along), and not every file system does; the harsher is taken.
//! - A name is moved within a directory whole or not at all (POSIX `rename`, and all file systems of the study below).
//! - A sector of 512 bytes is written whole or not at all.
//!
//! All else may be there or not, one thing without what was done before it: file systems do reorder writes, and changes of names
//! too (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014). [`Kept::Nothing`] is the one end, [`Kept::Some`]
//! anything between, [`Kept::Names`] the files that are there and empty, and [`Kept::All`] what a `kill -9` leaves. Of a file whose length was flushed by chance and whose
//! bytes were not, there are zeros: blocks that were never written read so.
//!
//! Not modelled: a name moved to another directory, a second name, shared memory. SQLite's `-shm` is such memory, and
//! made anew by the first who opens the database (<https://www.sqlite.org/walformat.html>, "The WAL-Index File Format"); it gets
//! bytes by chance here, or none.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::record::{Call, Record, Step, is_shared_memory};
use crate::support::random::Random;

const SECTOR: usize = 512;
/// Bytes that an index of the write-ahead log begins with.
const SHARED_MEMORY: usize = 32 * 1024;

/// What reached the disk of what was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Nothing,
    /// Every name, and nothing of what is in the files: as file systems leave it that allocate blocks late.
    Names,
    /// By chance, of so many out of eight.
    Some(usize),
    All,
}

impl Kept {
    fn keeps(self, random: &mut Random) -> bool {
        match self {
            Self::Nothing | Self::Names => false,
            Self::Some(of_eight) => random.below(8) < of_eight,
            Self::All => true,
        }
    }
}

/// A change of a file or a directory that was not flushed, and the step at which it was done.
struct Unflushed<T> {
    at: usize,
    change: T,
}

enum Change {
    Bytes(u64, Vec<u8>),
    Len(u64),
}

enum NameChange {
    Made(String, usize),
    Removed(String, usize),
    Moved(String, String, usize),
}

#[derive(Default)]
struct File {
    flushed: Vec<u8>,
    unflushed: Vec<Unflushed<Change>>,
    /// As the program sees it.
    len: u64,
}

#[derive(Default)]
struct Directory {
    flushed: BTreeMap<String, usize>,
    unflushed: Vec<Unflushed<NameChange>>,
    /// As the program sees it.
    names: BTreeMap<String, usize>,
}

enum Node {
    File(File),
    Directory(Directory),
}

/// What the program has open.
struct Open {
    node: usize,
    appends: bool,
    /// Where the next bytes go; none after a call that moved it.
    position: Option<u64>,
}

/// The files below a directory, as far as they are on the disk for sure.
pub struct Disk {
    nodes: Vec<Node>,
    open: HashMap<i64, Open>,
    /// Flushes under way: the call, and when it began.
    flushing: HashMap<usize, usize>,
    /// Calls that flush nothing: for a control.
    ignored: HashSet<usize>,
}

impl Disk {
    /// An empty directory.
    pub fn new(ignored: HashSet<usize>) -> Self {
        Self {
            nodes: vec![Node::Directory(Directory::default())],
            open: HashMap::new(),
            flushing: HashMap::new(),
            ignored,
        }
    }

    /// Takes one step of a record.
    pub fn step(&mut self, record: &Record, at: usize) {
        match record.steps[at] {
            Step::Gone => {
                self.open.clear();
                self.flushing.clear();
            }
            Step::Begin(number) => {
                if matches!(record.calls[number].call, Call::Flush { .. }) {
                    self.flushing.insert(number, at);
                }
            }
            Step::End(_, answer) if answer < 0 => {}
            Step::End(number, answer) => match &record.calls[number].call {
                Call::Flush { fd, .. } => {
                    let begun = self.flushing.remove(&number).unwrap();
                    if !self.ignored.contains(&number) {
                        self.flush(*fd, begun);
                    }
                }
                call => self.change(call, answer, at),
            },
        }
    }

    fn change(&mut self, call: &Call, answer: i64, at: usize) {
        match call {
            Call::Flush { .. } | Call::Sent(_) => {}
            Call::Open { path, flags } => self.open(path, flags, answer, at),
            Call::Close { fd } => {
                self.open.remove(fd);
            }
            Call::Move { fd } => self.open.get_mut(fd).unwrap().position = None,
            Call::Write {
                fd,
                at: place,
                bytes,
                ..
            } => {
                assert_eq!(answer, i64::try_from(bytes.len()).unwrap(), "a short write");
                self.write(*fd, *place, bytes, at);
            }
            Call::Cut { fd, len } => {
                let file = self.file(*fd);
                file.change(at, Change::Len(*len), *len);
            }
            Call::Allocate { fd, len } => {
                let file = self.file(*fd);
                let len = file.len.max(*len);
                file.change(at, Change::Len(len), len);
            }
            Call::Rename { from, to } => {
                assert_eq!(from.parent(), to.parent(), "not modelled");
                let (directory, name) = self.directory_of(from);
                let node = directory.names[&name];
                let to = name_of(to);
                directory.change(at, NameChange::Moved(name, to, node));
            }
            Call::Unlink { path } => {
                let (directory, name) = self.directory_of(path);
                let node = directory.names[&name];
                directory.change(at, NameChange::Removed(name, node));
            }
            Call::MakeDir { path } => self.make(path, Node::Directory(Directory::default()), at),
        }
    }

    fn open(&mut self, path: &Path, flags: &str, fd: i64, at: usize) {
        let has = |flag: &str| flags.split('|').any(|it| it == flag);
        if self.find(path).is_none() {
            assert!(has("O_CREAT"), "{} is not known", path.display());
            self.make(path, Node::File(File::default()), at);
        }
        let node = self.find(path).unwrap();
        let open = Open {
            node,
            appends: has("O_APPEND"),
            position: Some(0),
        };
        self.open.insert(fd, open);
        if has("O_TRUNC") && self.file(fd).len > 0 {
            self.file(fd).change(at, Change::Len(0), 0);
        }
    }

    fn write(&mut self, fd: i64, place: Option<u64>, bytes: &[u8], at: usize) {
        let end = self.file(fd).len;
        let open = self.open.get_mut(&fd).unwrap();
        let begin = match place {
            Some(place) => place,
            None if open.appends => end,
            None => open.position.expect("moved: not modelled"),
        };
        let behind = begin + bytes.len() as u64;
        if place.is_none() {
            open.position = Some(behind);
        }
        let change = Change::Bytes(begin, bytes.to_vec());
        self.file(fd).change(at, change, end.max(behind));
    }

    fn make(&mut self, path: &Path, node: Node, at: usize) {
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        let (directory, name) = self.directory_of(path);
        directory.change(at, NameChange::Made(name, node));
    }

    /// What had ended before the flush began is durable.
    fn flush(&mut self, fd: i64, begun: usize) {
        let node = self.open[&fd].node;
        match &mut self.nodes[node] {
            Node::File(file) => {
                for done in file.unflushed.extract_if(.., |it| it.at < begun) {
                    done.change.apply(&mut file.flushed);
                }
            }
            Node::Directory(directory) => {
                for done in directory.unflushed.extract_if(.., |it| it.at < begun) {
                    done.change.apply(&mut directory.flushed);
                }
            }
        }
    }

    fn file(&mut self, fd: i64) -> &mut File {
        let node = self.open.get(&fd).expect("opened in the record").node;
        match &mut self.nodes[node] {
            Node::File(file) => file,
            Node::Directory(_) => panic!("a directory is written"),
        }
    }

    fn directory(&self, node: usize) -> &Directory {
        match &self.nodes[node] {
            Node::Directory(directory) => directory,
            Node::File(_) => panic!("a file has no names in it"),
        }
    }

    /// The directory that a path is in, and the path's last name.
    fn directory_of(&mut self, path: &Path) -> (&mut Directory, String) {
        let node = self.find(path.parent().unwrap()).expect("it is there");
        match &mut self.nodes[node] {
            Node::Directory(directory) => (directory, name_of(path)),
            Node::File(_) => panic!("a file has no names in it"),
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        path.iter().try_fold(0, |node, name| {
            let names = &self.directory(node).names;
            names.get(name.to_str().unwrap()).copied()
        })
    }

    /// Writes what a power loss would leave now into a directory.
    pub fn leave(&self, kept: Kept, random: &mut Random, to: &Path) {
        self.leave_directory(0, kept, random, to);
    }

    fn leave_directory(&self, node: usize, kept: Kept, random: &mut Random, to: &Path) {
        let directory = self.directory(node);
        let mut names = directory.flushed.clone();
        for done in &directory.unflushed {
            if kept == Kept::Names || kept.keeps(random) {
                done.change.apply(&mut names);
            }
        }
        for (name, node) in names {
            let path = to.join(name);
            match &self.nodes[node] {
                Node::Directory(_) => {
                    fs::create_dir(&path).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
                    self.leave_directory(node, kept, random, &path);
                }
                Node::File(_) if is_shared_memory(&path) => {
                    let random = (0..SHARED_MEMORY).map(|_| random.bits().to_le_bytes()[0]);
                    let bytes: Vec<_> = random.collect();
                    leave_file(
                        &path,
                        &bytes[..if kept == Kept::Nothing {
                            0
                        } else {
                            SHARED_MEMORY
                        }],
                    );
                }
                Node::File(file) => leave_file(&path, &file.left(kept, random)),
            }
        }
    }
}

impl File {
    fn change(&mut self, at: usize, change: Change, len: u64) {
        self.unflushed.push(Unflushed { at, change });
        self.len = len;
    }

    fn left(&self, kept: Kept, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.flushed.clone();
        let mut end = bytes.len();
        for done in &self.unflushed {
            match &done.change {
                Change::Len(_) if !kept.keeps(random) => {}
                Change::Len(_) => done.change.apply(&mut bytes),
                Change::Bytes(at, written) => {
                    end = end.max(index(*at) + written.len());
                    // Whole, not at all, or torn.
                    let is_torn = random.below(2) == 0;
                    let is_kept = kept.keeps(random);
                    for (at, sector) in sectors(*at, written) {
                        if (is_torn && kept.keeps(random)) || (!is_torn && is_kept) {
                            put(&mut bytes, at, sector);
                        }
                    }
                }
            }
        }
        // The length without the bytes.
        if end > bytes.len() && matches!(kept, Kept::Some(_)) && random.below(4) == 0 {
            bytes.resize(end, 0);
        }
        bytes
    }
}

/// The parts of what is written at a place, by the sectors that they are in.
fn sectors(at: u64, mut bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut at = index(at);
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let len = (SECTOR - at % SECTOR).min(bytes.len());
        let (part, rest) = bytes.split_at(len);
        parts.push((at, part));
        at += len;
        bytes = rest;
    }
    parts
}

fn put(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    if bytes.len() < at + part.len() {
        bytes.resize(at + part.len(), 0);
    }
    bytes[at..at + part.len()].copy_from_slice(part);
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Len(len) => bytes.resize(index(*len), 0),
            Self::Bytes(at, written) => put(bytes, index(*at), written),
        }
    }
}

impl Directory {
    fn change(&mut self, at: usize, change: NameChange) {
        change.apply(&mut self.names);
        self.unflushed.push(Unflushed { at, change });
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Made(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Removed(name, node) => forget(names, name, *node),
            Self::Moved(from, to, node) => {
                forget(names, from, *node);
                names.insert(to.clone(), *node);
            }
        }
    }
}

/// Removes a name, if it is that of this file.
fn forget(names: &mut BTreeMap<String, usize>, name: &str, node: usize) {
    if names.get(name) == Some(&node) {
        names.remove(name);
    }
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Writes a file without the zeros at its end, which take no room.
fn leave_file(path: &PathBuf, bytes: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600);
    let file = file.open(path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0);
    file.write_all_at(&bytes[..end.map_or(0, |end| end + 1)], 0)
        .unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}
