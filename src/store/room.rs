//! Room on the disk of a SQLite database: seeing that there is none, and keeping some for those who must not wait
//! (docs/decisions/0022).
//!
//! A full disk stops an erasure as it stops a submission, since both write. So a file beside the database, the ballast, holds
//! 16 MiB. An act for a person, or one that ends or limits processing, that meets a full disk ([`Sql::on_ballast`]) removes it
//! and is tried again. From then on what may wait is refused ([`Room::check`]), or it would eat what was given; until the
//! disk has room for all of it again, and the ballast is back.
//!
//! The rule: whatever adds data that nobody is owed asks [`Room::check`] first; whatever is owed runs in
//! [`Sql::on_ballast`].

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    fs::{FallocateFlags, StatVfsMountFlags, fallocate, statvfs},
    io::Errno,
};

use super::{Result, StoreError, dialect::Dialect, sql::Sql};

/// Bytes of the ballast: more than the log's longest (8 MiB, and what a full disk adds to it before it is full), all of which
/// may have to be moved into the database's file before an erasure is gone from the log.
const BALLAST: u64 = 16 * 1024 * 1024;
/// Free bytes below which each look writes, to see whether that can be done: whom the last blocks belong to, and what a
/// quota leaves, is not in the file system's figures.
const LOW: u64 = 8 * 1024 * 1024;
/// Free bytes from which the ballast is made, or made again: that, and as much for new leads. Well above what an erasure
/// frees by emptying the log, so that one erasure does not let submissions in for a moment.
const ENOUGH: u64 = 2 * BALLAST;
/// Bytes that a look writes: more than a batch of submissions does.
const PROBE: u64 = 1024 * 1024;

/// The room that a process watches: none, for a command or a database that is elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Option<Arc<Disk>>);

#[derive(Debug)]
struct Disk {
    dir: PathBuf,
    ballast: PathBuf,
    probe: PathBuf,
    /// Whether there is to be a ballast and is none. Held by who looks or releases, for as long as the disk takes.
    lacks_ballast: Mutex<bool>,
    /// Why what may wait has to wait. Held for a moment only.
    short: Mutex<Option<ErrorKind>>,
}

impl Room {
    /// Watches the disk of this database, and makes the ballast if it is to be kept and there is room for it.
    pub(super) fn watch(database: &Path, keeps_ballast: bool) -> Self {
        let beside = |suffix| {
            let mut name = database.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let ballast = beside("-ballast");
        if !keeps_ballast {
            // One that was kept until now.
            let _ = fs::remove_file(&ballast);
        }
        let is_there = fs::metadata(&ballast).is_ok_and(|it| it.blocks() * 512 >= BALLAST);
        let parent = database.parent().filter(|dir| *dir != Path::new(""));
        let disk = Disk {
            dir: parent.unwrap_or(Path::new(".")).to_owned(),
            ballast,
            probe: beside("-probe"),
            lacks_ballast: Mutex::new(keeps_ballast && !is_there),
            short: Mutex::default(),
        };
        // A disk that is full already is no reason not to start: health says so, and erasures must go on.
        let _ = disk.look();
        Self(Some(Arc::new(disk)))
    }

    /// Refuses what may wait while there is no room for it.
    pub(super) fn check(&self) -> Result<()> {
        let short = self.0.as_ref().and_then(|disk| *lock(&disk.short));
        short.map_or(Ok(()), |why| Err(StoreError::NoRoom(why)))
    }

    /// Hears of an error of the database: after one that the disk may be behind, the next look has to find room first.
    pub(super) fn heed(&self, error: &StoreError) {
        if let (Some(disk), Some(why)) = (&self.0, error.lacks_room()) {
            lock(&disk.short).get_or_insert(why);
        }
    }

    /// Looks whether there is room, and has the ballast back if there is enough. An error says that there is not.
    pub(super) async fn look(&self) -> Result<()> {
        self.on_disk(Disk::look).await.unwrap_or(Ok(()))
    }

    /// Gives the ballast away; `false`: there is no disk here that could have one.
    async fn release(&self) -> bool {
        self.on_disk(Disk::release).await.is_some()
    }

    /// Does what waits for the disk where no call waits for a thread.
    async fn on_disk<T: Send + 'static>(&self, work: fn(&Disk) -> T) -> Option<T> {
        let disk = self.0.clone()?;
        tokio::task::spawn_blocking(move || work(&disk)).await.ok()
    }
}

/// A panic while one of these is held leaves nothing half-done in it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    fn look(&self) -> Result<()> {
        let mut lacks_ballast = lock(&self.lacks_ballast);
        let looked = self.find_room(&mut lacks_ballast);
        let looked = looked.map_err(|error| error.kind());
        *lock(&self.short) = looked.err();
        looked.map_err(StoreError::NoRoom)
    }

    fn find_room(&self, lacks_ballast: &mut bool) -> io::Result<()> {
        let is_short = lock(&self.short).is_some();
        let free = free(&self.dir)?;
        let needed = match (*lacks_ballast, is_short) {
            (true, _) => ENOUGH,
            // After a failure it must have become better, or each second one more would be tried in vain.
            (false, true) => LOW,
            (false, false) => 0,
        };
        if free < needed {
            return Err(ErrorKind::StorageFull.into());
        }
        if *lacks_ballast {
            allocate(&self.ballast, BALLAST)?;
            *lacks_ballast = false;
            tracing::info!("the ballast for a full disk is in its place");
        }
        if free < LOW || is_short {
            self.try_writing()?;
        }
        Ok(())
    }

    /// Writes something, durably, and removes it.
    fn try_writing(&self) -> io::Result<()> {
        let written = allocate(&self.probe, PROBE).and_then(|mut file| {
            file.write_all(&[0; 4096])?;
            file.sync_data()
        });
        let removed = fs::remove_file(&self.probe);
        written.and(removed)
    }

    fn release(&self) {
        let mut lacks_ballast = lock(&self.lacks_ballast);
        *lock(&self.short) = Some(ErrorKind::StorageFull);
        if !self.ballast.exists() {
            return;
        }
        match fs::remove_file(&self.ballast) {
            Ok(()) => {
                *lacks_ballast = true;
                tracing::warn!(
                    "the disk is full: the ballast was removed, so that erasures go on; make room: docs/operations.md, \
                     \"Full disk\""
                );
            }
            Err(error) => {
                tracing::error!(%error, "the disk is full, and the ballast cannot be removed");
            }
        }
    }
}

/// Free bytes of the file system of a directory; an error if it takes no writes at all.
fn free(dir: &Path) -> io::Result<u64> {
    let found = statvfs(dir)?;
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(ErrorKind::ReadOnlyFilesystem.into());
    }
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Makes a file of this length that has its blocks, for its owner only; or none.
fn allocate(path: &Path, len: u64) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let made = match fallocate(&file, FallocateFlags::empty(), 0, len) {
        // A file system that cannot promise blocks gives them to what is written.
        Err(Errno::OPNOTSUPP) => io::copy(&mut io::Read::take(io::repeat(0), len), &mut file)
            .and_then(|_| file.sync_all()),
        made => Ok(made?),
    };
    made.inspect_err(|_| {
        let _ = fs::remove_file(path);
    })?;
    Ok(file)
}

impl<DB: Dialect> Sql<DB> {
    /// Runs what is owed to somebody; if the disk is full, once more on what the ballast gives.
    pub(super) async fn on_ballast<T, F>(&self, mut act: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        match act().await {
            Err(error) if self.makes_room_after(&error).await => act().await,
            done => done,
        }
    }

    /// Gives the ballast away after an error that a full disk may be behind; gives whether it is worth another try.
    pub(super) async fn makes_room_after(&self, error: &StoreError) -> bool {
        error.lacks_room().is_some() && self.room.release().await
    }
}
