//! A prover in the test's own process: whenever it is asked for a checkpoint, it reads what is new in the store
//! into a notary of its own.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use lead_intake::{
    ledger::{
        genesis,
        notary::{Checkpoint, Notary, SigningKey, TreeReader, VerifierKey},
        prover::Prover,
    },
    store::SharedStore,
};
use tokio::sync::Mutex;

/// The prover.
#[derive(Debug)]
pub struct StoreProver {
    store: SharedStore,
    verifier: VerifierKey,
    tree: Arc<TreeReader>,
    notary: Mutex<Notary>,
    /// Whether it signs when it is asked: else the last checkpoint is the answer, if there is one.
    pub signs: AtomicBool,
}

impl StoreProver {
    /// Over a notary in this directory, which is made.
    pub fn new(store: SharedStore, key: Arc<SigningKey>, dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let verifier = key.verifier().clone();
        let notary = Notary::open(dir, key).unwrap();
        Self {
            store,
            verifier,
            tree: notary.reader(),
            notary: Mutex::new(notary),
            signs: AtomicBool::new(true),
        }
    }

    /// Signs the ledger as it is.
    pub async fn sign(&self) -> Arc<Checkpoint> {
        let mut notary = self.notary.lock().await;
        let size = i64::try_from(notary.size()).unwrap();
        // From the entry before: its hash is in the record of the next.
        let mut previous = genesis(self.store.store_id());
        if size > 0 {
            let last = self.store.entries(size - 1, 1, None).await.unwrap();
            previous = last[0].entry.hash;
        }
        let new = self.store.entries(size, 1_000_000, None).await.unwrap();
        for named in new {
            notary.append([named.entry.record(&previous)]).unwrap();
            previous = named.entry.hash;
        }
        let size = notary.size();
        notary.sign(size).unwrap()
    }
}

#[async_trait]
impl Prover for StoreProver {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    async fn checkpoint(&self, at_least: u64) -> Option<Arc<Checkpoint>> {
        let last = self.notary.lock().await.signed().borrow().clone();
        let is_enough = last.as_ref().is_some_and(|last| last.size >= at_least);
        if is_enough || !self.signs.load(Ordering::Relaxed) {
            return last;
        }
        Some(self.sign().await)
    }

    fn tree(&self) -> Arc<TreeReader> {
        self.tree.clone()
    }
}
