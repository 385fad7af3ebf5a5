//! What strace wrote down: what a program did to the files below a directory, in order, and what it sent.
//!
//! The order is sound for what must come before what. strace writes the line of a call, or of its end, while the thread is
//! stopped at it: so whatever another thread does because of that call stands below. Where two threads do not wait for each
//! other, the order may be any, as it may be on the machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER_PERMISSIVE;

/// The calls that change a file or a name, or make a change durable; those that move the place where the next bytes go; and
/// those by which something is sent.
const MODELLED: &str = "open,openat,creat,close,read,lseek,write,pwrite64,writev,sendto,sendmsg,ftruncate,fallocate,fsync,\
    fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat";
/// Others that do. Met on a file below the directory, they fail the test: whoever begins to use one teaches it to
/// [`super::disk`].
const NOT_MODELLED: &str = "pwritev,pwritev2,truncate,sync,syncfs,sync_file_range,link,linkat,symlink,symlinkat,rmdir,\
    mmap,msync,copy_file_range,sendfile,splice,dup,dup2,dup3,io_uring_setup";

/// strace's expressions for a record.
pub fn expressions() -> [String; 2] {
    [
        format!("trace={MODELLED},{NOT_MODELLED}"),
        "signal=none".to_owned(),
    ]
}

/// A call, of those that matter here. Paths are relative to the directory; "" is itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Open {
        path: PathBuf,
        flags: String,
    },
    Close {
        fd: i64,
    },
    /// Reads, or goes elsewhere: where, is not followed.
    Move {
        fd: i64,
    },
    /// `at`: none, where the file stands.
    Write {
        fd: i64,
        path: PathBuf,
        at: Option<u64>,
        bytes: Vec<u8>,
    },
    Cut {
        fd: i64,
        len: u64,
    },
    /// Bytes from 0 to `len` are there from now on.
    Allocate {
        fd: i64,
        len: u64,
    },
    Flush {
        fd: i64,
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink {
        path: PathBuf,
    },
    MakeDir {
        path: PathBuf,
    },
    Sent(Vec<u8>),
}

/// A moment of the record.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A call begins: its number.
    Begin(usize),
    /// It has ended with this answer.
    End(usize, i64),
    /// The program is gone; all that it had open is closed.
    Gone,
}

/// A call in the record.
#[derive(Debug)]
pub struct Recorded {
    pub call: Call,
    pub thread: u32,
    /// Which life of the program, and where in its file.
    pub place: (usize, u64),
}

/// What was recorded of some lives of the program, one after the other.
#[derive(Debug, Default)]
pub struct Record {
    pub calls: Vec<Recorded>,
    pub steps: Vec<Step>,
}

impl Record {
    /// Adds what strace wrote of a life that has just ended. `root`: the directory, as the system names it.
    pub fn add(&mut self, life: usize, written: &Path, root: &Path) {
        let text = fs::read_to_string(written).unwrap();
        // What each thread is in the midst of; none for a call that is of no interest.
        let mut begun: Vec<(u32, Option<usize>)> = Vec::new();
        // Calls in whose midst the program came to its end.
        let mut open = Vec::new();
        let mut place = 0;
        for line in text.split_inclusive('\n') {
            let here = (life, place);
            place += line.len() as u64;
            let (thread, what) = line.trim_end().split_once(' ').unwrap();
            let thread = thread.parse().unwrap();
            let what = what.trim_start();
            if what.starts_with("+++") || what.starts_with("---") {
                continue;
            }
            if let Some(resumed) = what.strip_prefix("<... ") {
                let at = begun.iter().position(|(of, _)| *of == thread);
                let (_, call) = begun.swap_remove(at.expect("it was begun"));
                open.extend(call.and_then(|call| self.end(call, resumed)));
                continue;
            }
            let whole = what.strip_suffix(" <unfinished ...>");
            let call = call(whole.unwrap_or(what), root).map(|call| {
                self.calls.push(Recorded {
                    call,
                    thread,
                    place: here,
                });
                self.steps.push(Step::Begin(self.calls.len() - 1));
                self.calls.len() - 1
            });
            if whole.is_some() {
                begun.push((thread, call));
            } else {
                open.extend(call.and_then(|call| self.end(call, what)));
            }
        }
        open.extend(begun.into_iter().filter_map(|(_, call)| call));
        for call in open {
            self.settle(call, root);
        }
        self.steps.push(Step::Gone);
    }

    /// Adds the end of a call; gives the call if there is none.
    fn end(&mut self, call: usize, line: &str) -> Option<usize> {
        let Some(answer) = answer(line) else {
            return Some(call);
        };
        self.steps.push(Step::End(call, answer));
        None
    }

    /// A kill in the midst of a write: whether it was made is to be seen in the file, which no power loss has met.
    fn settle(&mut self, call: usize, root: &Path) {
        if let Call::Write {
            path, at, bytes, ..
        } = &self.calls[call].call
        {
            let file = fs::read(root.join(path)).unwrap_or_default();
            let at = at.map_or(file.len().saturating_sub(bytes.len()), |at| {
                usize::try_from(at).unwrap()
            });
            if file.get(at..at + bytes.len()) == Some(bytes) {
                let all = i64::try_from(bytes.len()).unwrap();
                self.steps.push(Step::End(call, all));
            }
        }
    }

    /// The first step, of those from this place on, at which these bytes begin to leave.
    pub fn sent(&self, from: (usize, u64), bytes: &[u8]) -> Option<usize> {
        self.steps.iter().position(|step| {
            let Step::Begin(call) = step else {
                return false;
            };
            let recorded = &self.calls[*call];
            recorded.place >= from
                && matches!(&recorded.call, Call::Sent(sent)
                    if sent.windows(bytes.len()).any(|window| window == bytes))
        })
    }

    /// The steps at which a call begins that has to do with files.
    pub fn of_files(&self) -> impl Iterator<Item = usize> {
        let of_files = |step: &Step| match step {
            Step::Begin(call) => !matches!(self.calls[*call].call, Call::Sent(_)),
            _ => false,
        };
        (0..self.steps.len()).filter(move |at| of_files(&self.steps[*at]))
    }

    /// What is flushed from this step on, if a flush begins at it.
    pub fn flushed(&self, step: usize) -> Option<&Path> {
        let Step::Begin(call) = self.steps[step] else {
            return None;
        };
        match &self.calls[call].call {
            Call::Flush { path, .. } => Some(path),
            _ => None,
        }
    }

    /// What is about to happen at a step, for whoever reads a failure.
    pub fn tell(&self, step: usize) -> String {
        match self.steps.get(step) {
            None => "the end".to_owned(),
            Some(Step::Gone) => "the end of a life".to_owned(),
            Some(Step::Begin(call) | Step::End(call, _)) => {
                let Recorded { call, place, .. } = &self.calls[*call];
                let told = match call {
                    Call::Sent(_) => "something is sent".to_owned(),
                    Call::Write { path, at, .. } => {
                        format!("Write to {} at {at:?}", path.display())
                    }
                    call => format!("{call:?}"),
                };
                format!("life {}, {told}", place.0 + 1)
            }
        }
    }
}

/// What a call gave; none if the program came to its end within it.
fn answer(line: &str) -> Option<i64> {
    let (_, answer) = line.rsplit_once(" = ").unwrap();
    let number = answer
        .split(|it: char| it != '-' && !it.is_ascii_alphanumeric())
        .next()?;
    // `?`, or an address: neither is looked at.
    number.parse().ok()
}

/// Reads a call; none if it is about other files and sends nothing.
fn call(line: &str, root: &Path) -> Option<Call> {
    let (name, arguments) = line.split_once('(').unwrap();
    let (fd, of) = descriptor(arguments);
    let of = of.and_then(|path| path.strip_prefix(root).ok().map(Path::to_owned));
    match name {
        "write" | "pwrite64" | "writev" | "sendto" | "sendmsg" => {
            let bytes = strings(arguments).concat();
            Some(match of {
                None => Call::Sent(bytes),
                Some(path) => Call::Write {
                    fd,
                    path,
                    at: (name == "pwrite64").then(|| last_number(arguments)),
                    bytes,
                },
            })
        }
        "close" => of.map(|_| Call::Close { fd }),
        "read" | "lseek" => of.map(|_| Call::Move { fd }),
        "fsync" | "fdatasync" => of.map(|path| Call::Flush { fd, path }),
        "ftruncate" => of.map(|_| Call::Cut {
            fd,
            len: last_number(arguments),
        }),
        "fallocate" => of.map(|_| {
            let numbers: Vec<_> = arguments.split(", ").collect();
            assert_eq!(&numbers[1..3], ["0", "0"], "not modelled: {line}");
            Call::Allocate {
                fd,
                len: last_number(arguments),
            }
        }),
        "open" | "openat" | "creat" | "rename" | "renameat" | "renameat2" | "unlink"
        | "unlinkat" | "mkdir" | "mkdirat" => of_names(name, arguments, root),
        // Written by nobody else, and made anew at each opening: see `super::disk`.
        "mmap" if of.as_ref().is_some_and(|it| is_shared_memory(it)) => None,
        "mmap" if !arguments.contains("MAP_SHARED") => None,
        _ => {
            let named = strings(arguments);
            let named = named.iter().find_map(|name| below(name, root));
            let whole = ["sync", "io_uring_setup"].contains(&name);
            assert!(
                of.or(named).is_none() && !whole,
                "{name} is not modelled: {line}"
            );
            None
        }
    }
}

/// The calls whose files are named.
fn of_names(name: &str, arguments: &str, root: &Path) -> Option<Call> {
    let names = strings(arguments);
    let path = below(&names[0], root)?;
    Some(match name {
        "open" | "openat" | "creat" => {
            // After the name: of what comes before, only the name could be taken for a flag.
            let (_, flags) = arguments.rsplit_once("\", ").unwrap();
            let flags = flags.split([',', ')']).next().unwrap().to_owned();
            Call::Open { path, flags }
        }
        "unlink" | "unlinkat" => Call::Unlink { path },
        "mkdir" | "mkdirat" => Call::MakeDir { path },
        _ => {
            let to = below(&names[1], root).expect("moved out: not modelled");
            Call::Rename { from: path, to }
        }
    })
}

/// SQLite's index of the write-ahead log, which its processes share.
pub fn is_shared_memory(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with("-shm"))
}

fn below(name: &[u8], root: &Path) -> Option<PathBuf> {
    let path = Path::new(str::from_utf8(name).ok()?);
    // The program is given absolute names, and makes its own of them.
    path.strip_prefix(root).ok().map(Path::to_owned)
}

/// The file descriptor that a call begins with, and its file; −1 for none.
fn descriptor(arguments: &str) -> (i64, Option<PathBuf>) {
    let digits = arguments.split('<').next().unwrap_or_default();
    let Ok(fd) = digits.parse() else {
        return (-1, None);
    };
    let path = arguments[digits.len()..].strip_prefix('<');
    let path = path.and_then(|path| path.split('>').next()).map(unescaped);
    let path = path.and_then(|path| String::from_utf8(path).ok());
    (fd, path.map(PathBuf::from))
}

/// The strings among the arguments.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    let mut strings = Vec::new();
    let mut parts = arguments.split('"');
    parts.next();
    while let Some(string) = parts.next() {
        strings.push(unescaped(string));
        let behind = parts.next().unwrap();
        assert!(!behind.starts_with("..."), "strace left bytes out");
    }
    strings
}

/// `\x6b\x61`, as strace writes everything with `-xx`.
fn unescaped(text: &str) -> Vec<u8> {
    let digits = text.replace("\\x", "");
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
    bytes.unwrap_or_else(|_| text.as_bytes().to_vec())
}

fn last_number(arguments: &str) -> u64 {
    let (arguments, _) = arguments.rsplit_once(" = ").unwrap_or((arguments, ""));
    let (_, number) = arguments.rsplit_once(", ").unwrap();
    number.trim_end().trim_end_matches(')').parse().unwrap()
}
