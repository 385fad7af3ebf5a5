//! The end of a world: the invariants, read from the ledger and the feed, not from the model alone.

use std::collections::{BTreeMap, BTreeSet};

use lead_intake::{
    pb::{self, EntryKind},
    rpc::cursor,
};

use super::{
    run::{Under, known},
    state::Model,
};
use crate::{steps::*, support::*};

fn is_tombstone(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Erased | EntryKind::HandedOver)
}

pub async fn check(replica: &Replica, under: &mut Under, model: &Model) {
    verify(replica).await;
    let entries = ledger(replica).await;
    let ledger: Vec<_> = entries.iter().map(known).collect();
    for (place, (is, must)) in ledger.iter().zip(&model.ledger).enumerate() {
        assert_eq!(is, must, "entry {}", place + 1);
    }
    assert_eq!(ledger.len(), model.ledger.len());
    for (sequence, hash) in &under.proofs {
        assert_eq!(entries[usize::try_from(*sequence).unwrap() - 1].hash, *hash);
    }
    let gone = tombstones(&entries);
    let there: BTreeSet<_> = model.leads.keys().cloned().collect();
    assert!(gone.keys().all(|id| !there.contains(id)));
    for by in 0..under.crms.len() {
        let told: BTreeSet<_> = model.readers[by].told.keys().cloned().collect();
        let (changes, _) = pull_all(&mut under.crms[by], &cursor::encode(1, 0), 1000).await;
        for (id, kind) in &gone {
            let theirs: Vec<_> = changes
                .iter()
                .filter(|change| change.lead_id == *id)
                .collect();
            let kinds: Vec<_> = theirs.iter().map(|change| change.kind).collect();
            // Who was given a lead hears its tombstone and nothing else; who was not hears nothing.
            let expected = told.contains(id).then_some(i32::from(*kind));
            assert_eq!(kinds, Vec::from_iter(expected), "client {by}, lead {id}");
            assert!(theirs.iter().all(|change| change.lead.is_none()));
        }
        for id in &there {
            let lead = model.view(id);
            let theirs: Vec<_> = changes
                .iter()
                .filter(|change| change.lead_id == *id)
                .collect();
            assert_eq!(theirs[0].kind(), pb::ChangeKind::Submitted);
            assert!(theirs.iter().all(|change| change.lead == lead), "lead {id}");
        }
    }
    for id in there.iter().chain(gone.keys()) {
        let read = get_lead(&mut under.crms[0], id).await.ok();
        assert_eq!(read, model.view(id), "a hidden or erased lead is nowhere");
    }
}

/// The tombstone of each lead that is gone: one, and its last change. Copies and refusals of an erasure are
/// no changes; a lead has them before.
fn tombstones(entries: &[pb::LedgerEntry]) -> BTreeMap<String, EntryKind> {
    let mut gone = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.lead_id.is_empty()) {
        assert!(
            !gone.contains_key(&entry.lead_id),
            "nothing after a tombstone"
        );
        if is_tombstone(entry.kind()) {
            gone.insert(entry.lead_id.clone(), entry.kind());
        }
    }
    gone
}
