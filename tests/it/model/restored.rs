//! The model's half of a restore: the backup's data under the whole ledger (decision 0014).

use std::collections::BTreeMap;

use jiff::Timestamp;
use lead_intake::pb::{EntryKind, RestrictionReason};

use super::{
    feed::crm_name,
    rules::Cause,
    state::{Model, Reader},
};

/// The service itself.
const NOBODY: &str = "";

impl Model {
    /// What is there after a backup of `backup` came back and the mirror had everything since: each entry stays;
    /// who was erased stays erased and who was restricted restricted; a lost correction is a restriction, a lost lead
    /// has a tombstone; every reader starts again, and what it may have been given since, it was given.
    pub fn restore(&mut self, backup: &Self) {
        let (from, head) = (backup.head(), self.head());
        assert!(from < head, "a backup that lost nothing is none");
        let since: Vec<_> = self.ledger[backup.ledger.len()..].to_vec();
        let happened = |id: &str, kind: EntryKind| {
            since
                .iter()
                .any(|entry| entry.lead_id == id && entry.kind == kind)
        };
        let detail = i32::try_from(from).unwrap();
        self.record(EntryKind::Restored, "", NOBODY, detail);
        let mut lost = Vec::new();
        let mut contested = Vec::new();
        for (id, lead) in &mut self.leads {
            match backup.leads.get(id) {
                None => lost.push((lead.submission, id.clone())),
                Some(old) => {
                    lead.content.clone_from(&old.content);
                    if happened(id, EntryKind::Rectified) {
                        contested.push(id.clone());
                    }
                }
            }
        }
        lost.sort();
        for (_, id) in lost {
            self.bury(&id, NOBODY, Cause::Lost);
        }
        let reason = i32::from(RestrictionReason::AccuracyContested);
        for id in contested {
            if !self.leads[&id].reasons.contains(&reason) {
                self.limit(&id, NOBODY, reason);
            }
        }
        self.epoch += 1;
        let tombstones =
            self.ledger.iter().zip(1..).filter(|(entry, _)| {
                matches!(entry.kind, EntryKind::Erased | EntryKind::HandedOver)
            });
        let tombstones: BTreeMap<_, _> = tombstones
            .map(|(entry, sequence)| (entry.lead_id.clone(), sequence))
            .collect();
        // Whether a lead was there at some time since the backup.
        let was_there = |id: &str| tombstones.get(id).is_none_or(|end| *end > from);
        for by in 0..self.readers.len() {
            let before = backup.readers[by].clone();
            let may_have = |id: &str, submission: i64| {
                // Passed over already, it could be given only if it could be read.
                let was_readable = backup.leads.get(id).is_some_and(|lead| !lead.hidden());
                let readable = was_readable || happened(id, EntryKind::Released);
                was_there(id) && (submission > before.delivered || readable)
            };
            let mut told = before.told.clone();
            self.add_given(by, &mut told, &may_have);
            let reader = &mut self.readers[by];
            let mut given = reader.told.keys();
            assert!(
                given.all(|id| told.contains_key(id)),
                "what was given counts as given"
            );
            *reader = Reader {
                delivered: head,
                acknowledged: 0,
                snapshot: from,
                told,
            };
        }
    }

    /// Adds the leads that a reader read by themselves, and those that it may have been given.
    fn add_given(
        &self,
        by: usize,
        told: &mut BTreeMap<String, Timestamp>,
        may_have: &impl Fn(&str, i64) -> bool,
    ) {
        let name = crm_name(by);
        for (entry, sequence) in self.ledger.iter().zip(1..) {
            let at = match entry.kind {
                EntryKind::LeadRead if entry.client == name => entry.at,
                EntryKind::Submitted if may_have(&entry.lead_id, sequence) => self.now,
                _ => continue,
            };
            let first = told.entry(entry.lead_id.clone()).or_insert(at);
            *first = at.min(*first);
        }
    }
}
