//! Checkpoints and proofs on the wire: for auditors ([`super::ledger`]) and for receipts ([`super::privacy`]).

use std::sync::Arc;

use data_encoding::HEXLOWER;
use tonic::Status;

use super::{observe::request_id, status::Refusal};
use crate::{
    ledger::{
        Entry, Hash,
        notary::Checkpoint,
        prover::{self, SharedProver, Unproven},
        tree::leaf_hash,
    },
    pb::{self, ProofAbsence},
};

/// Makes proofs, if this service has somebody who signs.
#[derive(Clone, Debug)]
pub struct Proofs {
    prover: Option<SharedProver>,
}

impl Proofs {
    /// Proofs by this prover.
    #[must_use]
    pub fn new(prover: Option<SharedProver>) -> Self {
        Self { prover }
    }

    /// The newest checkpoint, of `at_least` as many entries if possible, with the proof that it continues `since`.
    pub(super) async fn checkpoint(
        &self,
        at_least: i64,
        since: i64,
    ) -> Result<pb::GetCheckpointResponse, Status> {
        let since = size(since);
        let (prover, checkpoint) = self
            .newest(size(at_least).max(since))
            .await
            .ok_or(Refusal::CheckpointUnavailable)?;
        if since > checkpoint.size {
            return Err(Refusal::SizeNotReached.into());
        }
        let consistency = prover::consistency(prover.tree(), checkpoint.clone(), since).await;
        let consistency = consistency.map_err(|error| {
            told(&error);
            Refusal::Internal
        })?;
        Ok(pb::GetCheckpointResponse {
            note: checkpoint.note.clone(),
            verifier_key: prover.verifier().to_string(),
            size: number(checkpoint.size),
            since_size: number(since),
            consistency: hex(&consistency),
        })
    }

    /// The proof that these entries, in order and after the one with hash `previous`, are in the ledger.
    pub(super) async fn entries(
        &self,
        entries: &[Entry],
        previous: Hash,
        since: i64,
    ) -> Result<Result<pb::ErasureProof, ProofAbsence>, Status> {
        let since = size(since);
        let last = size(entries.last().map_or(0, |entry| entry.sequence));
        let Some((prover, checkpoint)) = self.newest(last.max(since)).await else {
            return Ok(Err(ProofAbsence::Unavailable));
        };
        if since > checkpoint.size {
            return Err(Refusal::SizeNotReached.into());
        }
        if last > checkpoint.size {
            return Ok(Err(ProofAbsence::NotSignedYet));
        }
        Ok(prove(prover, &checkpoint, (entries, previous), since)
            .await
            .map_err(|error| told(&error)))
    }

    /// The newest checkpoint, of `at_least` as many entries if possible.
    pub(super) async fn last(&self, at_least: i64) -> Option<Checkpoint> {
        let (_, checkpoint) = self.newest(size(at_least)).await?;
        Some((*checkpoint).clone())
    }

    async fn newest(&self, at_least: u64) -> Option<(&SharedProver, Arc<Checkpoint>)> {
        let prover = self.prover.as_ref()?;
        let checkpoint = prover.checkpoint(at_least).await?;
        Some((prover, checkpoint))
    }
}

async fn prove(
    prover: &SharedProver,
    checkpoint: &Arc<Checkpoint>,
    (entries, mut previous): (&[Entry], Hash),
    since: u64,
) -> Result<pb::ErasureProof, Unproven> {
    let mut records = Vec::with_capacity(entries.len());
    let mut leaves = Vec::with_capacity(entries.len());
    for entry in entries {
        let record = entry.record(&previous);
        leaves.push((size(entry.sequence), leaf_hash(record.as_bytes())));
        records.push(pb::EntryProof {
            sequence: entry.sequence,
            record: HEXLOWER.encode(record.as_bytes()),
            inclusion: Vec::new(),
        });
        previous = entry.hash;
    }
    let inclusions = prover::inclusions(prover.tree(), checkpoint.clone(), leaves).await?;
    for (entry, inclusion) in records.iter_mut().zip(inclusions) {
        entry.inclusion = hex(&inclusion);
    }
    let consistency = prover::consistency(prover.tree(), checkpoint.clone(), since).await?;
    Ok(pb::ErasureProof {
        note: checkpoint.note.clone(),
        verifier_key: prover.verifier().to_string(),
        entries: records,
        since_size: number(since),
        consistency: hex(&consistency),
    })
}

/// Logs why there is no proof, once, and gives what the caller hears of it.
fn told(error: &Unproven) -> ProofAbsence {
    tracing::error!(%error, request_id = request_id(), "a proof cannot be given");
    match error {
        Unproven::Contradicted => ProofAbsence::Contradicted,
        Unproven::Unreadable(_) => ProofAbsence::Unavailable,
    }
}

fn hex(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| HEXLOWER.encode(hash)).collect()
}

/// Numbers of entries are never negative; the contract's type only allows for it.
fn size(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn number(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
