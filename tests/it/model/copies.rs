//! A CRM's own copy of the leads it was given, kept as the contract says: by what each change shows, and by nothing
//! that the service knows of it.

use std::collections::BTreeMap;

use lead_intake::{
    pb::{self, ChangeKind},
    rpc::cursor,
};

use super::state::Model;

/// What a CRM client keeps.
pub struct Copy {
    /// Where it goes on.
    pub cursor: String,
    /// What it was given last of each lead; none while that is restricted.
    leads: BTreeMap<String, Option<pb::Lead>>,
}

impl Copy {
    /// One that has everything before it.
    pub fn new() -> Self {
        let mut copy = Self {
            cursor: String::new(),
            leads: BTreeMap::new(),
        };
        copy.start_again(1);
        copy
    }

    /// Goes to the beginning, as it must when its cursor expired. It keeps what it has.
    pub fn start_again(&mut self, epoch: i64) {
        self.cursor = cursor::encode(epoch, 0);
    }

    /// Takes a page that it asked for by this cursor.
    pub fn take(&mut self, cursor: &str, page: &pb::PullLeadsResponse) {
        for change in &page.changes {
            match change.kind() {
                ChangeKind::Erased | ChangeKind::HandedOver => {
                    self.leads.remove(&change.lead_id);
                }
                _ => {
                    let lead = change.lead.clone();
                    self.leads.insert(change.lead_id.clone(), lead);
                }
            }
        }
        if cursor == self.cursor {
            self.cursor.clone_from(&page.next_cursor);
        }
    }

    /// Art. 17, 18, 19: what a client keeps that has read to the end is what there is for it, and nobody else.
    pub fn check(&self, by: usize, model: &Model) {
        let told = &model.readers[by].told;
        let there = model
            .leads
            .iter()
            .filter(|(id, lead)| !lead.hidden() || told.contains_key(*id));
        let there: Vec<_> = there.map(|(id, _)| id).collect();
        let kept: Vec<_> = self.leads.keys().collect();
        assert_eq!(kept, there, "client {by} keeps others than it may");
        for (id, kept) in &self.leads {
            // When it ends may have moved by its closing, which is no change.
            let shown = |lead: pb::Lead| pb::Lead {
                erase_by: None,
                revision: 0,
                ..lead
            };
            let is = kept.clone().map(shown);
            let must = model.view(id).map(shown);
            assert!(is == must, "client {by} keeps lead {id} otherwise");
        }
    }
}
