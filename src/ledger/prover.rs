//! What the services ask for proofs: the newest checkpoint, and the tree below it.
//!
//! [`Prover`] is for whoever keeps a [`Notary`](super::notary::Notary); [`inclusions`] and [`consistency`] make the
//! proofs. None leaves here unchecked: a damaged tree file, or an entry that the database tells otherwise than the
//! tree, is [`Unproven`] rather than a proof that fails at the auditor's.

use std::{fmt, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::watch, task, time::timeout};

use super::{
    Hash,
    notary::{Checkpoint, TreeReader, VerifierKey},
    tree::{verify_consistency, verify_inclusion},
};

/// Keeps a tree and signs its checkpoints.
#[async_trait]
pub trait Prover: fmt::Debug + Send + Sync {
    /// The public key of the checkpoints.
    fn verifier(&self) -> &VerifierKey;

    /// The newest checkpoint: of at least this many entries, if they come to be signed within a moment. `None`: none was
    /// ever signed.
    async fn checkpoint(&self, at_least: u64) -> Option<Arc<Checkpoint>>;

    /// The tree that the checkpoints are of.
    fn tree(&self) -> Arc<TreeReader>;
}

/// A prover that services share.
pub type SharedProver = Arc<dyn Prover>;

/// Waits a moment for a checkpoint of at least this many entries; gives the newest there is.
pub async fn newest(
    mut signed: watch::Receiver<Option<Arc<Checkpoint>>>,
    at_least: u64,
    patience: Duration,
) -> Option<Arc<Checkpoint>> {
    let reached =
        |last: &Option<Arc<Checkpoint>>| last.as_ref().is_some_and(|c| c.size >= at_least);
    // Whether it came, did not, or never will: what there is is the answer.
    let _ = timeout(patience, signed.wait_for(reached)).await;
    signed.borrow().clone()
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    /// The tree says otherwise than what was to be proven: one of them was changed.
    #[error("the tree contradicts the ledger")]
    Contradicted,
    /// The tree cannot be read.
    #[error("the tree cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// Proofs that these leaves, each with the number of its entry, are in the ledger of this checkpoint.
pub async fn inclusions(
    tree: Arc<TreeReader>,
    checkpoint: Arc<Checkpoint>,
    leaves: Vec<(u64, Hash)>,
) -> Result<Vec<Vec<Hash>>, Unproven> {
    blocking(move || {
        let Checkpoint { size, root, .. } = &*checkpoint;
        let prove = |(sequence, leaf): &(u64, Hash)| {
            let proof = tree.inclusion(*sequence, *size)?;
            verify_inclusion(root, *size, sequence - 1, leaf, &proof)
                .map_err(|_| Unproven::Contradicted)?;
            Ok(proof)
        };
        leaves.iter().map(prove).collect()
    })
    .await
}

/// The proof that the first `old` entries are the beginning of the ledger of this checkpoint, which has as many at least.
pub async fn consistency(
    tree: Arc<TreeReader>,
    checkpoint: Arc<Checkpoint>,
    old: u64,
) -> Result<Vec<Hash>, Unproven> {
    blocking(move || {
        let new = (checkpoint.size, &checkpoint.root);
        let proof = tree.consistency(old, new.0)?;
        let old = (old, &tree.root(old)?);
        verify_consistency(old, new, &proof).map_err(|_| Unproven::Contradicted)?;
        Ok(proof)
    })
    .await
}

/// Reads files away from the threads that serve calls.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Unproven> + Send + 'static,
) -> Result<T, Unproven> {
    task::spawn_blocking(read).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(size: u64) -> Arc<Checkpoint> {
        Arc::new(Checkpoint {
            size,
            root: Hash::default(),
            note: String::new(),
        })
    }

    /// Whoever asks gets a checkpoint that is large enough if one comes in time, and else the newest there is: also when
    /// nobody signs any more.
    #[tokio::test(start_paused = true)]
    async fn the_newest_checkpoint_is_waited_for() {
        let moment = Duration::from_secs(1);
        let (sender, signed) = watch::channel(None);
        let wait = |at_least| newest(signed.clone(), at_least, moment);
        assert_eq!(wait(1).await, None);
        sender.send_replace(Some(checkpoint(5)));
        assert_eq!(wait(5).await, Some(checkpoint(5)));
        let (later, ()) = tokio::join!(wait(7), async {
            tokio::time::sleep(moment / 2).await;
            sender.send_replace(Some(checkpoint(6)));
            sender.send_replace(Some(checkpoint(7)));
        });
        assert_eq!(later, Some(checkpoint(7)));
        assert_eq!(wait(8).await, Some(checkpoint(7)));
        drop(sender);
        assert_eq!(wait(8).await, Some(checkpoint(7)));
    }
}
