//! The mirror's notary: takes the entries that the mirror has, and signs what of them is durable.
//!
//! The tree can be made again from the mirror, so nothing waits for it to be on disk. If its file fails it is
//! opened again, and what was cut off is read from the mirror.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use super::{Line, Mirror, MirrorError, lock};
use crate::ledger::{
    Hash,
    notary::{Checkpoint, Notary, NotaryError, SigningKey, TreeReader, VerifierKey},
    prover::{Prover, newest},
};

/// How long a caller waits for a checkpoint of what has just happened.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
/// Entries read from the mirror at once.
const PAGE: usize = 5000;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The mirror cannot be read.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The notary refuses, or cannot write.
    #[error(transparent)]
    Notary(#[from] NotaryError),
}

/// Keeps the tree in step with the mirror.
#[derive(Debug)]
pub struct Witness {
    mirror: Arc<Mirror>,
    key: Arc<SigningKey>,
    notary: Notary,
    /// Hash of the last entry in the tree.
    tail: Hash,
    prover: Arc<MirrorProver>,
}

impl Witness {
    /// A witness of this mirror. Reads no more than the tree's right edge.
    pub fn open(mirror: Arc<Mirror>, key: Arc<SigningKey>) -> Result<Self, WitnessError> {
        let (notary, tail) = open(&mirror, &key)?;
        let prover = Arc::new(MirrorProver {
            verifier: key.verifier().clone(),
            signed: watch::Sender::new(notary.signed().borrow().clone()),
            tree: Mutex::new(notary.reader()),
            wanted: Notify::new(),
        });
        Ok(Self {
            mirror,
            key,
            notary,
            tail,
            prover,
        })
    }

    /// How many entries were signed.
    #[must_use]
    pub fn signed(&self) -> u64 {
        self.prover.last().map_or(0, |last| last.size)
    }

    /// What gives its checkpoints to callers.
    #[must_use]
    pub fn prover(&self) -> Arc<MirrorProver> {
        self.prover.clone()
    }

    /// Takes lines that the mirror was given; those that do not follow come by [`Self::catch_up`].
    pub fn append(&mut self, lines: &[Line]) -> Result<(), WitnessError> {
        let next = self.notary.size() + 1;
        if lines.first().map(|line| line.entry.sequence) != i64::try_from(next).ok() {
            return Ok(());
        }
        let mut records = Vec::with_capacity(lines.len());
        let mut tail = self.tail;
        for Line { entry, .. } in lines {
            records.push(entry.record(&tail));
            tail = entry.hash;
        }
        self.notary.append(records)?;
        self.tail = tail;
        Ok(())
    }

    /// Reads on to the end of the mirror. After a failure it begins anew, with the file opened again.
    pub fn catch_up(&mut self) -> Result<(), WitnessError> {
        let done = self.read_on();
        if let Err(WitnessError::Notary(NotaryError::Broken | NotaryError::Io { .. })) = &done {
            (self.notary, self.tail) = open(&self.mirror, &self.key)?;
            *lock(&self.prover.tree) = self.notary.reader();
        }
        done
    }

    fn read_on(&mut self) -> Result<(), WitnessError> {
        let size = i64::try_from(self.notary.size()).unwrap_or(i64::MAX);
        if size == self.mirror.head().sequence {
            return Ok(());
        }
        let mut page = Vec::with_capacity(PAGE);
        for line in self.mirror.lines(size)? {
            page.push(line?);
            if page.len() == PAGE {
                self.append(&page)?;
                page.clear();
            }
        }
        self.append(&page)
    }

    /// Signs what is durable in the mirror, if that is more than was signed.
    pub fn sign(&mut self) -> Result<(), WitnessError> {
        let durable = u64::try_from(self.mirror.synced().sequence).unwrap_or(0);
        let size = durable.min(self.notary.size());
        if size > 0 {
            let checkpoint = self.notary.sign(size)?;
            self.prover.signed.send_replace(Some(checkpoint));
        }
        Ok(())
    }
}

/// The notary in the mirror's directory, and the hash of the last entry that it has. A tree that is not what was
/// signed, or longer than the mirror, is made again from the mirror.
fn open(mirror: &Mirror, key: &Arc<SigningKey>) -> Result<(Notary, Hash), WitnessError> {
    let mut notary = match Notary::open(mirror.dir(), key.clone()) {
        Err(NotaryError::TreeDiffers { .. }) => Notary::rebuild(mirror.dir(), key.clone())?,
        opened => opened?,
    };
    let size = i64::try_from(notary.size()).unwrap_or(i64::MAX);
    let last = if size > mirror.head().sequence {
        notary = Notary::rebuild(mirror.dir(), key.clone())?;
        None
    } else if size == 0 {
        None
    } else {
        mirror.line(size)?
    };
    let tail = last.map_or(mirror.genesis(), |line| line.entry.hash);
    Ok((notary, tail))
}

/// Gives checkpoints and the tree below them to whoever proves something.
#[derive(Debug)]
pub struct MirrorProver {
    verifier: VerifierKey,
    signed: watch::Sender<Option<Arc<Checkpoint>>>,
    tree: Mutex<Arc<TreeReader>>,
    wanted: Notify,
}

impl MirrorProver {
    /// The last checkpoint that was signed.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Checkpoint>> {
        self.signed.borrow().clone()
    }

    /// Waits until somebody asks for a checkpoint that is not there yet.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

#[async_trait]
impl Prover for MirrorProver {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    async fn checkpoint(&self, at_least: u64) -> Option<Arc<Checkpoint>> {
        let last = self.last();
        if last.as_ref().is_some_and(|last| last.size >= at_least) {
            return last;
        }
        let signed = self.signed.subscribe();
        self.wanted.notify_one();
        newest(signed, at_least, PATIENCE).await
    }

    fn tree(&self) -> Arc<TreeReader> {
        lock(&self.tree).clone()
    }
}
