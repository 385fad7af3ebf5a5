//! The receipt of an erasure (Art. 5(2), 19): what was done, which never changes and is proven, and who has acknowledged
//! it, which does.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use tonic::Status;
use uuid::Uuid;

use crate::{
    clock::from_micros,
    domain::erasure::ErasurePolicy,
    ledger::{Entry, EntryKind},
    pb,
    rpc::{
        auth::Caller,
        convert::{age_seconds, timestamp},
        proof::Proofs,
        status::{Fault, Refusal, Violations},
    },
    store::{AccountStore, Recipient},
};

/// Looks receipts up.
#[derive(Debug)]
pub struct Receipts {
    store: Arc<dyn AccountStore>,
    proofs: Proofs,

    policy: ErasurePolicy,
}

impl Receipts {
    /// Receipts from this store. `policy` says when an acknowledgement is overdue.
    #[must_use]
    pub fn new(store: Arc<dyn AccountStore>, proofs: Proofs, policy: ErasurePolicy) -> Self {
        Self {
            store,
            proofs,
            policy,
        }
    }

    pub(super) async fn get(
        &self,
        caller: &Caller,
        request: &pb::GetErasureReceiptRequest,
        now: Timestamp,
    ) -> Result<pb::GetErasureReceiptResponse, Status> {
        let mut violations = Violations::of_shape(request);
        let id = Uuid::try_parse(&request.request_id).map_err(|_| Fault::UuidInvalid);
        let id = violations.keep("request_id", id).unwrap_or_default();
        violations.check()?;
        let receipt = self.store.receipt(caller.client().id, id).await?;
        let receipt = receipt.ok_or(Refusal::ReceiptUnknown)?;
        let entries = &receipt.entries;
        let proofs = &self.proofs;
        let proven = proofs.entries(entries, receipt.previous, request.since_size);
        let (proof, absence) = match proven.await? {
            Ok(proof) => (Some(proof), pb::ProofAbsence::Unspecified),
            Err(absence) => (None, absence),
        };
        let recipients = receipt.recipients.iter();
        Ok(pb::GetErasureReceiptResponse {
            receipt: told(entries, receipt.ground, id),
            recipients: recipients.map(|had| self.recipient(had, now)).collect(),
            proof,
            proof_absence: absence.into(),
            clean_up: receipt.clean_up as i32,
        })
    }

    fn recipient(&self, had: &Recipient, now: Timestamp) -> pb::ErasureRecipient {
        let oldest_open_seconds = had.open_since.map_or(0, |since| age_seconds(since, now));
        pb::ErasureRecipient {
            client: had.client.clone(),
            leads: i32::try_from(had.leads).unwrap_or(i32::MAX),
            acknowledged: i32::try_from(had.acknowledged).unwrap_or(i32::MAX),
            acknowledged_at: had.acknowledged_at.map(timestamp),
            overdue: had.open_since.is_some() && self.policy.is_overdue(oldest_open_seconds),
            oldest_open_seconds,
        }
    }
}

/// The receipt: an erasure's entries and their hashes. `None` without entries, as after a dry run.
pub(super) fn told(entries: &[Entry], ground: i64, request_id: Uuid) -> Option<pb::ErasureReceipt> {
    let request = entries.first()?;
    let entries = entries.iter().map(|entry| pb::ReceiptEntry {
        sequence: entry.sequence,
        lead_id: entry
            .new
            .lead_id
            .map_or_else(String::new, |id| id.to_string()),
        outcome: match entry.new.kind {
            // Its detail is the ground, which the receipt names beside.
            EntryKind::ErasureRequested => 0,
            kind if kind.is_tombstone() => pb::ErasureOutcome::Erased.into(),
            _ => i32::try_from(entry.new.detail).unwrap_or(0),
        },
        hash: HEXLOWER.encode(&entry.hash),
    });
    Some(pb::ErasureReceipt {
        request_id: request_id.to_string(),
        erased_at: Some(timestamp(from_micros(request.at))),
        ground: i32::try_from(ground).unwrap_or(0),
        entries: entries.collect(),
    })
}
