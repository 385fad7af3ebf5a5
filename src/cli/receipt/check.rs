//! Whether a receipt is proven: with nothing but the receipt and the public key.

use data_encoding::HEXLOWER;
use prost_types::Timestamp;

use super::super::kept::{Since, hashes};
use crate::{
    clock::from_micros,
    domain::erasure::ErasureCause,
    ledger::{
        Entry, EntryKind,
        notary::{Checkpoint, VerifierKey},
        tree::{leaf_hash, verify_inclusion},
    },
    pb::{self, ErasureOutcome},
    rpc::convert::timestamp,
};

/// What a receipt proves.
pub(super) struct Proven {
    /// The request.
    pub(super) request: Entry,
    /// What became of each lead, as its entry says.
    pub(super) leads: Vec<(Entry, ErasureOutcome)>,
    /// The checkpoint in which the entries are.
    pub(super) checkpoint: Checkpoint,
    /// That it continues an earlier one.
    pub(super) since: Since,
}

/// Checks a receipt; gives the first thing that does not hold, in words.
pub(super) fn check(
    answer: &pb::GetErasureReceiptResponse,
    key: &VerifierKey,
) -> Result<Proven, String> {
    let receipt = answer.receipt.as_ref().ok_or("there is no receipt in it")?;
    let proof = answer.proof.as_ref().ok_or("it has no proof")?;
    if answer.proof_absence != 0 {
        return Err("it says that it has no proof, and has one".to_owned());
    }
    if proof.verifier_key != key.to_string() {
        return Err(format!("it names another public key than {key}"));
    }
    let checkpoint =
        Checkpoint::open(&proof.note, key).map_err(|error| format!("its checkpoint: {error}"))?;
    if receipt.entries.is_empty() || receipt.entries.len() != proof.entries.len() {
        return Err("its entries are not those of its proof".to_owned());
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (told, proven) in receipt.entries.iter().zip(&proof.entries) {
        let sequence = told.sequence;
        let entry = entry(told, proven, &checkpoint, entries.last())
            .map_err(|what| format!("entry {sequence}: {what}"))?;
        entries.push(entry);
    }
    let mut entries = entries.into_iter().zip(&receipt.entries);
    let (request, first) = entries.next().ok_or("it has no entries")?;
    let is_request = request.new.kind == EntryKind::ErasureRequested
        && request.new.lead_id.is_none()
        && (&*first.lead_id, first.outcome) == ("", 0);
    check_all(&[
        (is_request, "its first entry is not a request for erasure"),
        (
            request.new.request_id.map(|id| id.to_string()).as_deref() == Some(&receipt.request_id),
            "the request that was recorded has another id",
        ),
        (
            request.new.detail == i64::from(receipt.ground),
            "the request was recorded with another ground",
        ),
        (
            receipt.erased_at == Some(recorded_at(&request)),
            "the request was recorded at another time",
        ),
    ])?;
    let lead = |(entry, told): (Entry, &pb::ReceiptEntry)| {
        outcome(&entry, told, &request)
            .map(|outcome| (entry, outcome))
            .map_err(|what| format!("entry {}: {what}", entry.sequence))
    };
    let leads = entries.map(lead).collect::<Result<_, _>>()?;
    let since = Since::new(proof.since_size, &proof.consistency);
    if since.size() == 0 && !proof.consistency.is_empty() {
        return Err("it has a proof of consistency with nothing".to_owned());
    }
    Ok(Proven {
        request,
        leads,
        checkpoint,
        since,
    })
}

/// Checks that an entry is in the ledger of the checkpoint, right after the one before it.
fn entry(
    told: &pb::ReceiptEntry,
    proven: &pb::EntryProof,
    checkpoint: &Checkpoint,
    before: Option<&Entry>,
) -> Result<Entry, &'static str> {
    let record = HEXLOWER
        .decode(proven.record.as_bytes())
        .map_err(|_| "its record is not hexadecimal")?;
    let (entry, previous) =
        Entry::from_record(&record).map_err(|_| "its record is not that of a ledger entry")?;
    let is_next = before
        .is_none_or(|before| (before.sequence + 1, before.hash) == (entry.sequence, previous));
    check_all(&[
        (
            proven.sequence == told.sequence,
            "its proof is that of another entry",
        ),
        (
            entry.sequence == told.sequence,
            "its record is that of another entry",
        ),
        (
            HEXLOWER.encode(&entry.hash) == told.hash,
            "its hash is not that of its record",
        ),
        (is_next, "it does not follow the entry before it"),
    ])?;
    let inclusion = hashes(&proven.inclusion).ok_or("its proof is not made of hashes")?;
    // `from_record` gives numbers from 1.
    let index = u64::try_from(entry.sequence - 1).map_err(|_| "it has no number")?;
    let leaf = leaf_hash(&record);
    verify_inclusion(&checkpoint.root, checkpoint.size, index, &leaf, &inclusion)
        .map_err(|_| "it is not in the ledger that was signed")?;
    Ok(entry)
}

/// What became of a lead, if the entry says what the receipt says.
fn outcome(
    entry: &Entry,
    told: &pb::ReceiptEntry,
    request: &Entry,
) -> Result<ErasureOutcome, &'static str> {
    let detail = i32::try_from(entry.new.detail).unwrap_or(0);
    let recorded = match entry.new.kind {
        EntryKind::Erased if detail == ErasureCause::Request as i32 => Some(ErasureOutcome::Erased),
        EntryKind::ErasureRefused => ErasureOutcome::try_from(detail).ok().filter(|outcome| {
            matches!(
                outcome,
                ErasureOutcome::Retained | ErasureOutcome::NeedsConfirmation
            )
        }),
        _ => None,
    };
    let recorded = recorded.ok_or("it does not tell what an erasure did")?;
    let lead = entry.new.lead_id.map(|id| id.to_string());
    let (at, client) = (request.at, request.new.client_id);
    check_all(&[
        (
            lead.as_deref() == Some(&told.lead_id),
            "it speaks of another lead",
        ),
        (
            told.outcome == i32::from(recorded),
            "it says that something else became of the lead",
        ),
        (entry.new.request_id.is_none(), "it is another request"),
        (
            (entry.at, entry.new.client_id) == (at, client),
            "it belongs to another request",
        ),
    ])?;
    Ok(recorded)
}

fn check_all(checks: &[(bool, &'static str)]) -> Result<(), &'static str> {
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(what),
        None => Ok(()),
    }
}

/// When an entry was recorded, as the contract writes it.
pub(super) fn recorded_at(entry: &Entry) -> Timestamp {
    timestamp(from_micros(entry.at))
}
