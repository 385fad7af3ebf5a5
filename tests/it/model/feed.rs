//! The model's half for CRM clients: the feed, and single leads.

use lead_intake::{
    pb::{self, EntryKind},
    rpc::{convert::timestamp, cursor},
};
use tonic::Code;

use super::{
    op::Answer,
    rules::Cause,
    state::{Gone, Hint, Model, not_found, refused},
};

impl Model {
    /// A lead as a CRM reads it.
    pub fn view(&self, id: &str) -> Option<pb::Lead> {
        let lead = self.leads.get(id).filter(|lead| !lead.hidden())?;
        Some(pb::Lead {
            lead_id: id.to_owned(),
            name: lead.content.name.clone(),
            company: lead.content.company.clone(),
            phone: lead.content.phone.clone(),
            email: lead.content.email.clone(),
            lawful_basis: lead.basis.into(),
            consent: lead.consent,
            notice_version: "1.1".to_owned(),
            submitted_at: Some(timestamp(lead.submitted_at)),
            erase_by: Some(timestamp(lead.erase_by(self.policy))),
            revision: lead.revision,
        })
    }

    /// What a reader hears of an entry now: of a lead that may be read every change, of one that is restricted
    /// or gone what follows, if the reader was ever told of it.
    pub fn heard(&self, by: usize, sequence: i64) -> Option<pb::LeadChange> {
        let entry = &self.ledger[usize::try_from(sequence).unwrap() - 1];
        let id = &entry.lead_id;
        let told = self.readers[by].told.contains_key(id);
        let heard = match entry.kind {
            EntryKind::Erased | EntryKind::HandedOver => told,
            EntryKind::Submitted
            | EntryKind::Rectified
            | EntryKind::ConsentWithdrawn
            | EntryKind::Restricted
            | EntryKind::Released
            | EntryKind::Objected => match self.leads.get(id) {
                Some(lead) => told || !lead.hidden(),
                None => false,
            },
            _ => false,
        };
        heard.then(|| pb::LeadChange {
            cursor: cursor::encode(1, sequence),
            kind: entry.kind.into(),
            lead_id: id.clone(),
            changed_at: Some(timestamp(entry.at)),
            lead: self.view(id),
        })
    }

    pub fn pull(&mut self, by: usize, request: &pb::PullLeadsRequest, hint: &Hint) -> Answer {
        let reader = &self.readers[by];
        let start = match cursor::decode(&request.cursor, 1) {
            Ok(given) => given.unwrap_or(reader.acknowledged),
            Err(_) => return refused(Code::InvalidArgument, "CURSOR_INVALID"),
        };
        if start > reader.delivered {
            return refused(Code::FailedPrecondition, "CURSOR_NOT_DELIVERED");
        }
        assert!(
            start <= hint.next && hint.next <= self.head(),
            "a page ends in the feed"
        );
        let changes: Vec<_> = (start + 1..=hint.next)
            .filter_map(|at| self.heard(by, at))
            .collect();
        let size = usize::try_from(request.page_size).unwrap();
        assert!(
            changes.len() <= if size == 0 { 100 } else { size },
            "a page has its limit"
        );
        let left = (hint.next + 1..=self.head()).any(|at| self.heard(by, at).is_some());
        assert!(
            hint.has_more || !left,
            "a page that is the last leaves nothing"
        );
        assert!(!hint.has_more || !changes.is_empty(), "a page goes on");
        let now = self.now;
        let reader = &mut self.readers[by];
        reader.delivered = reader.delivered.max(hint.next);
        for change in &changes {
            reader.told.entry(change.lead_id.clone()).or_insert(now);
        }
        let answer = pb::PullLeadsResponse {
            changes,
            next_cursor: cursor::encode(1, hint.next),
            has_more: hint.has_more,
        };
        Answer::done("PullLeadsResponse", &answer)
    }

    pub fn acknowledge(&mut self, by: usize, given: &str) -> Answer {
        let reader = &mut self.readers[by];
        let position = cursor::decode(given, 1).unwrap().unwrap();
        if position > reader.delivered {
            return refused(Code::FailedPrecondition, "CURSOR_NOT_DELIVERED");
        }
        reader.acknowledged = reader.acknowledged.max(position);
        let position = reader.acknowledged;
        let answer = pb::AcknowledgeLeadsResponse {
            acknowledged_cursor: cursor::encode(1, position),
            changes_behind: self.head() - position,
        };
        Answer::done("AcknowledgeLeadsResponse", &answer)
    }

    pub fn get(&mut self, by: usize, id: &str) -> Answer {
        let Some(lead) = self.view(id) else {
            return not_found();
        };
        self.record(EntryKind::LeadRead, id, &crm_name(by), 0);
        let now = self.now;
        self.readers[by].told.entry(id.to_owned()).or_insert(now);
        let answer = pb::GetLeadResponse { lead: Some(lead) };
        Answer::done("GetLeadResponse", &answer)
    }

    pub fn close(&mut self, by: usize, request: &pb::CloseLeadRequest) -> Answer {
        let id = &request.lead_id;
        let (outcome, erase_by) = if let Some(lead) = self.leads.get_mut(id) {
            if lead.hidden() {
                return not_found();
            }
            let is_first = lead.closing.is_none();
            let (outcome, _) = *lead.closing.get_or_insert((request.outcome(), self.now));
            let mut erase_by = lead.erase_by(self.policy);
            if is_first {
                lead.revision += 1;
                self.closed_by.insert(id.clone(), by);
                self.record(EntryKind::Closed, id, &crm_name(by), outcome.into());
                if erase_by <= self.now {
                    self.bury(id, &crm_name(by), Cause::Closed);
                    erase_by = self.now;
                }
            }
            (outcome, erase_by)
        } else {
            match self.gone.get(id) {
                Some(Gone {
                    closed: Some((closer, outcome)),
                    at,
                }) if *closer == by => (*outcome, *at),
                _ => return not_found(),
            }
        };
        let answer = pb::CloseLeadResponse {
            outcome: outcome.into(),
            erase_by: Some(timestamp(erase_by)),
        };
        Answer::done("CloseLeadResponse", &answer)
    }
}

/// The name of a CRM client.
pub fn crm_name(by: usize) -> String {
    format!("crm-{by}")
}
