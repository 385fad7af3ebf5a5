//! A prover that a test can keep from signing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use lead_intake::{
    ledger::{
        mirror::MirrorProver,
        notary::{Checkpoint, TreeReader, VerifierKey},
        prover::Prover,
    },
    store::SharedStore,
};

/// The prover of the mirror, behind a switch.
#[derive(Debug)]
pub struct SwitchedProver {
    pub store: SharedStore,
    pub inner: Arc<MirrorProver>,
    /// Whether it asks for something newer: else the last checkpoint is the answer, if there is one.
    pub signs: AtomicBool,
}

impl SwitchedProver {
    /// Has the ledger signed as it is.
    pub async fn sign(&self) -> Arc<Checkpoint> {
        let head = self.store.ledger_head().await.unwrap().sequence;
        let head = u64::try_from(head).unwrap();
        let signed = self.inner.checkpoint(head).await.unwrap();
        assert!(signed.size >= head, "nothing was signed");
        signed
    }
}

#[async_trait]
impl Prover for SwitchedProver {
    fn verifier(&self) -> &VerifierKey {
        self.inner.verifier()
    }

    async fn checkpoint(&self, at_least: u64) -> Option<Arc<Checkpoint>> {
        if self.signs.load(Ordering::Relaxed) {
            self.inner.checkpoint(at_least).await
        } else {
            self.inner.last()
        }
    }

    fn tree(&self) -> Arc<TreeReader> {
        self.inner.tree()
    }
}
