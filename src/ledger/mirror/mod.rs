//! The mirror: the ledger's copy outside the database and its backups.
//!
//! A directory of append-only files, one for each replica. Its rules: what ends or limits processing is in it,
//! durably, before the database commits it ([`Mirror::write_ahead`]); every entry follows once it is committed
//! ([`Mirror::append`], called by `jobs::Follower`); nothing in it is personal data. At a start the store
//! compares the two (`store::restore`), so that a restored backup does not bring back what was erased.
//!
//! A new fact that a restore needs goes into [`Line`]; how it is applied again, into `store::restore`.

mod ahead;
mod files;
mod line;
mod segments;
mod witness;

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::{ahead::Ahead, segments::Segments};
pub use self::{
    ahead::Batch,
    line::{ClientFacts, Line, RequestFacts},
    segments::Lines,
    witness::{MirrorProver, Witness, WitnessError},
};
use super::{Hash, Head, genesis};
use crate::durable;

/// Version of the files' form.
const FORMAT: u32 = 1;
/// The file that says whose mirror it is.
const IDENTITY: &str = "mirror.json";
/// The file that says that a failover took from the database what this mirror has.
const FAILOVER: &str = "failover";

impl From<io::Error> for MirrorError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why the mirror cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The system refuses.
    #[error("the ledger's mirror: {0}")]
    Io(io::Error),
    /// Another process has it.
    #[error("another process writes the mirror in {}", .0.display())]
    Locked(PathBuf),
    /// There is none.
    #[error(
        "the ledger's mirror is missing in {}: without it nobody can tell whether a backup was restored, and who was \
         erased since. Put it back; or, for a new replica, or if it is lost for good: lead-intake mirror init",
        .0.display()
    )]
    Missing(PathBuf),
    /// It is that of another database.
    #[error(
        "the mirror in {} belongs to another database: give this one a directory of its own (mirror.dir), or move \
         that one away",
        .0.display()
    )]
    Foreign(PathBuf),
    /// It was written by another version.
    #[error("the mirror in {} was written by another version of lead-intake", .0.display())]
    Format(PathBuf),
    /// An entry that must be there is not, or is not what it was.
    #[error("the mirror is damaged at entry {0}")]
    Damaged(i64),
    /// The database's ledger does not continue what the mirror has.
    #[error(
        "the database's ledger and its mirror disagree at entry {0}, and no restore explains it: one was changed, or a \
         restored database was written to without its mirror. docs/operations.md, \"Restore\", says how to go on"
    )]
    Forked(i64),
}

/// Whose mirror it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    format: u32,
    store: Uuid,
}

/// The store whose mirror it is.
pub fn identity(dir: &Path) -> Result<Uuid, MirrorError> {
    let text = match fs::read_to_string(dir.join(IDENTITY)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MirrorError::Missing(dir.to_owned()));
        }
        text => text?,
    };
    let identity: Identity =
        serde_json::from_str(&text).map_err(|_| MirrorError::Format(dir.to_owned()))?;
    if identity.format == FORMAT {
        Ok(identity.store)
    } else {
        Err(MirrorError::Format(dir.to_owned()))
    }
}

/// A mirror that this process writes.
#[derive(Debug)]
pub struct Mirror {
    dir: PathBuf,
    genesis: Hash,
    /// Held for as long as it is written.
    lock: Mutex<Option<File>>,
    ahead: Arc<Mutex<Ahead>>,
    segments: Arc<Mutex<Segments>>,
    is_ahead_well: AtomicBool,
    is_following_well: AtomicBool,
}

/// A panic while one of these is held leaves a file that the next write judges by itself.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mirror {
    /// Makes an empty mirror for a store; gives whether there was none in this directory.
    pub fn create(dir: &Path, store_id: Uuid) -> Result<bool, MirrorError> {
        if dir.join(IDENTITY).exists() {
            return Ok(false);
        }
        if !dir.is_dir() {
            DirBuilder::new().mode(0o700).create(dir)?;
            durable::sync_name(dir)?;
        }
        let identity = Identity {
            format: FORMAT,
            store: store_id,
        };
        let text = serde_json::to_string(&identity).map_err(io::Error::from)?;
        // Whole or not at all: a crash in the middle must not leave a mirror of nothing.
        let new = dir.join("mirror.json.new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&new, dir.join(IDENTITY))?;
        durable::sync_name(&new)?;
        Ok(true)
    }

    /// Opens the mirror of a store, for this process alone, and gives what was written ahead in it.
    pub fn open(dir: &Path, store_id: Uuid) -> Result<(Self, Vec<Batch>), MirrorError> {
        if identity(dir)? != store_id {
            return Err(MirrorError::Foreign(dir.to_owned()));
        }
        let held = File::create(dir.join("lock"))?;
        match held.try_lock() {
            Err(fs::TryLockError::WouldBlock) => return Err(MirrorError::Locked(dir.to_owned())),
            locked => locked.map_err(io::Error::from)?,
        }
        let batches = ahead::read(dir)?;
        let mirror = Self {
            dir: dir.to_owned(),
            genesis: genesis(store_id),
            lock: Mutex::new(Some(held)),
            ahead: Arc::new(Mutex::new(Ahead::open(dir, &batches)?)),
            segments: Arc::new(Mutex::new(Segments::open(dir, genesis(store_id))?)),
            is_ahead_well: AtomicBool::new(true),
            is_following_well: AtomicBool::new(true),
        };
        Ok((mirror, batches))
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last entry it has.
    #[must_use]
    pub fn head(&self) -> Head {
        lock(&self.segments).head()
    }

    /// The last entry that is surely on disk.
    #[must_use]
    pub fn synced(&self) -> Head {
        lock(&self.segments).synced()
    }

    /// The hash before the first entry.
    fn genesis(&self) -> Hash {
        self.genesis
    }

    /// The line of one entry, if it has that.
    pub fn line(&self, sequence: i64) -> Result<Option<Line>, MirrorError> {
        segments::read_one(&self.dir, sequence)
    }

    /// The lines after an entry.
    pub fn lines(&self, after: i64) -> Result<Lines, MirrorError> {
        Lines::after(&self.dir, after)
    }

    /// Writes the entries of a transaction that is about to commit, durably. The answer, dropped before
    /// [`WrittenAhead::committing`], notes that the transaction was given up.
    pub async fn write_ahead(
        self: &Arc<Self>,
        previous: Hash,
        lines: Vec<Line>,
    ) -> Result<WrittenAhead, MirrorError> {
        let mirror = self.clone();
        // On its way the note belongs to the task: a caller that goes away gives the batch up.
        on_disk(move || {
            let id = lock(&mirror.ahead).write(previous, lines);
            mirror.tell_ahead(id.is_ok());
            id.map(|id| WrittenAhead {
                mirror: mirror.clone(),
                id: Some(id),
            })
        })
        .await
    }

    /// Appends entries that are committed; only those that follow its head will do.
    pub fn append(&self, lines: &[Line]) -> Result<(), MirrorError> {
        let done = lock(&self.segments).append(lines);
        self.tell_following(done.is_ok());
        done
    }

    /// Makes durable what was appended, and removes what was written ahead for it.
    pub fn sync(&self) -> Result<(), MirrorError> {
        let through = {
            let mut segments = lock(&self.segments);
            let done = segments.sync();
            self.tell_following(done.is_ok());
            done?;
            segments.synced().sequence
        };
        lock(&self.ahead).discard(through)
    }

    /// Puts everything aside that it has, and begins anew: the database has another history, which a restore
    /// explains. Nothing is removed; an auditor may want to see it.
    pub fn set_aside(&self) -> Result<(), MirrorError> {
        let mut ahead = lock(&self.ahead);
        let mut segments = lock(&self.segments);
        files::set_aside(&self.dir, &["entries-", "ahead-", "tree", "checkpoint"])?;
        *ahead = Ahead::open(&self.dir, &[])?;
        *segments = Segments::open(&self.dir, self.genesis)?;
        Ok(())
    }

    /// Puts aside what was written ahead: it was done again, as other entries.
    pub fn set_aside_ahead(&self) -> Result<(), MirrorError> {
        let mut ahead = lock(&self.ahead);
        files::set_aside(&self.dir, &["ahead-"])?;
        *ahead = Ahead::open(&self.dir, &[])?;
        Ok(())
    }

    /// Notes that a failover took from the database what was committed: so the next start knows why the two disagree.
    pub fn note_failover(&self) -> Result<(), MirrorError> {
        let path = self.dir.join(FAILOVER);
        File::create(&path)?;
        Ok(durable::sync_name(&path)?)
    }

    /// Whether that was noted.
    #[must_use]
    pub fn saw_failover(&self) -> bool {
        self.dir.join(FAILOVER).exists()
    }

    /// The two agree again.
    pub fn forget_failover(&self) -> Result<(), MirrorError> {
        match fs::remove_file(self.dir.join(FAILOVER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Whether it takes what it must take. After a failure it is tried again.
    pub fn check(&self) -> Result<(), MirrorError> {
        if !self.is_ahead_well.load(Ordering::Relaxed) {
            let probed = lock(&self.ahead).probe();
            self.tell_ahead(probed.is_ok());
            probed?;
        }
        if self.is_following_well.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(io::Error::other("does not follow the database").into())
        }
    }

    /// Lets another process have it.
    pub fn close(&self) {
        lock(&self.lock).take();
    }

    /// Notes whether the last try to write ahead went well.
    fn tell_ahead(&self, is_well: bool) {
        self.is_ahead_well.store(is_well, Ordering::Relaxed);
    }

    /// Notes whether the last try to follow the database went well.
    fn tell_following(&self, is_well: bool) {
        self.is_following_well.store(is_well, Ordering::Relaxed);
    }
}

/// A batch that is on disk while its transaction is not committed yet.
#[derive(Debug)]
pub struct WrittenAhead {
    mirror: Arc<Mirror>,
    id: Option<u64>,
}

impl WrittenAhead {
    /// The transaction is about to be committed: from here on it is not given up any more, whoever goes away.
    #[must_use]
    pub fn committing(mut self) -> Committing {
        Committing {
            mirror: self.mirror.clone(),
            id: self.id.take(),
        }
    }
}

/// A batch whose transaction is being committed. Dropped: nobody knows, and the database will tell.
#[derive(Debug)]
pub struct Committing {
    mirror: Arc<Mirror>,
    id: Option<u64>,
}

impl Committing {
    /// The database took it.
    pub fn committed(self) {
        if let Some(id) = self.id {
            lock(&self.mirror.ahead).commit(id);
        }
    }
}

impl Drop for WrittenAhead {
    fn drop(&mut self) {
        // Some microseconds for a short line that nobody waits for to be on disk.
        if let Some(id) = self.id.take() {
            lock(&self.mirror.ahead).give_up(id);
        }
    }
}

/// Does what waits for a disk where no call waits for a thread.
pub async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MirrorError> + Send + 'static,
) -> Result<T, MirrorError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}
