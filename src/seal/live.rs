//! The key ring that a running service uses, which follows its file.
//!
//! Whoever seals or opens takes the ring of the moment and finishes with that one. A file that cannot be used
//! changes nothing: the ring before it stays. [`crate::jobs::follow_key_ring`] does the following.

use std::{
    fmt,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use super::KeyRing;

/// The ring in use.
pub struct LiveKeyRing {
    ring: RwLock<Arc<KeyRing>>,
    path: Option<PathBuf>,
    look: Notify,
    is_stale: AtomicBool,
}

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMark {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl fmt::Debug for LiveKeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveKeyRing(..)")
    }
}

impl LiveKeyRing {
    /// This ring, which came from this file.
    #[must_use]
    pub fn from_file(ring: KeyRing, path: PathBuf) -> Arc<Self> {
        Self::new(Arc::new(ring), Some(path))
    }

    /// This ring for ever.
    #[must_use]
    pub fn fixed(ring: Arc<KeyRing>) -> Arc<Self> {
        Self::new(ring, None)
    }

    fn new(ring: Arc<KeyRing>, path: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self {
            ring: RwLock::new(ring),
            path,
            look: Notify::new(),
            is_stale: AtomicBool::new(false),
        })
    }

    /// The ring of this moment.
    #[must_use]
    pub fn current(&self) -> Arc<KeyRing> {
        // A panic while it is held leaves nothing half-done in it.
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.clone()
    }

    /// Uses another ring from now on.
    pub fn replace(&self, ring: KeyRing) {
        let mut current = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(ring);
    }

    /// Its file, if it follows one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What its file is now; `None` if there is none, or it cannot be looked at.
    #[must_use]
    pub fn mark(&self) -> Option<FileMark> {
        let found = fs::metadata(self.path.as_ref()?).ok()?;
        Some(FileMark::of(&found))
    }

    /// Has the file looked at now, whatever it looks like from outside.
    pub fn look_again(&self) {
        self.look.notify_one();
    }

    /// Waits until somebody wants the file to be looked at.
    pub async fn look_wanted(&self) {
        self.look.notified().await;
    }

    /// Whether the database asks for a newer ring than this one: nothing sealed can be written then.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    /// Notes whether it is stale; gives whether that is news.
    pub fn set_stale(&self, is_stale: bool) -> bool {
        self.is_stale.swap(is_stale, Ordering::Relaxed) != is_stale
    }
}

impl FileMark {
    fn of(found: &Metadata) -> Self {
        Self {
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}
