//! The invariants, read from the ledger and the feed of each replica, not from the model alone.

use std::collections::{BTreeMap, BTreeSet};

use lead_intake::{
    pb::{self, EntryKind},
    rpc::cursor,
};

use super::{
    callers::{Callers, known},
    state::Model,
};
use crate::steps::*;

/// Entries before the model's end that are looked at again after each trouble.
const TAIL: i64 = 40;

fn is_tombstone(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Erased | EntryKind::HandedOver)
}

/// A2, F3, F8, F4: the chain holds, the ledger is the model's from `after` on, and what is hidden or gone (of these
/// leads) is not read.
pub async fn check_now(callers: &mut Callers, model: &Model, is_whole: bool, ids: &[String]) {
    verify_by(&mut callers.auditor).await;
    let after = if is_whole {
        0
    } else {
        (model.head() - TAIL).max(0)
    };
    check_ledger(callers, model, after).await;
    for id in ids {
        if model.view(id).is_none() {
            let read = get_lead(&mut callers.crms[0], id).await;
            assert!(read.is_err(), "a hidden or erased lead is nowhere");
        }
    }
}

async fn check_ledger(callers: &mut Callers, model: &Model, after: i64) -> Vec<pb::LedgerEntry> {
    let entries = ledger_after(&mut callers.auditor, after).await.unwrap();
    let first = usize::try_from(after).unwrap();
    let must = &model.ledger[first..];
    for (place, (is, must)) in entries.iter().map(known).zip(must).enumerate() {
        assert_eq!(is, *must, "entry {}", first + place + 1);
    }
    assert_eq!(entries.len(), must.len());
    entries
}

/// The same for everything, and what each reader hears of every lead there ever was.
pub async fn check(callers: &mut Callers, proofs: &[(i64, String)], model: &Model) {
    verify_by(&mut callers.auditor).await;
    let entries = check_ledger(callers, model, 0).await;
    for (sequence, hash) in proofs {
        assert_eq!(entries[usize::try_from(*sequence).unwrap() - 1].hash, *hash);
    }
    let gone = tombstones(&entries);
    let there: BTreeSet<_> = model.leads.keys().cloned().collect();
    assert!(gone.keys().all(|id| !there.contains(id)));
    for by in 0..callers.crms.len() {
        let told: BTreeSet<_> = model.readers[by].told.keys().cloned().collect();
        let start = cursor::encode(model.epoch, 0);
        let (changes, _) = pull_all(&mut callers.crms[by], &start, 1000).await;
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
            // What is restricted is there for whoever was given it.
            let heard = lead.is_some() || told.contains(id);
            let first = theirs.first().map(|change| change.kind());
            assert_eq!(
                first,
                heard.then_some(pb::ChangeKind::Submitted),
                "client {by}, lead {id}"
            );
            assert!(theirs.iter().all(|change| change.lead == lead), "lead {id}");
        }
    }
}

/// A hidden or erased lead is nowhere. Recorded readings come of it: the last look at a world.
pub async fn check_leads(callers: &mut Callers, model: &Model) {
    for id in model.leads.keys().chain(model.gone.keys()) {
        let read = get_lead(&mut callers.crms[0], id).await.ok();
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
