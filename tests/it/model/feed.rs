//! The model's half for CRM clients: the feed, and single leads.

use lead_intake::{
    pb::{self, EntryKind},
    rpc::{convert::timestamp, cursor, status::Refusal},
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
            cursor: cursor::encode(self.epoch, sequence),
            kind: entry.kind.into(),
            lead_id: id.clone(),
            changed_at: Some(timestamp(entry.at)),
            lead: self.view(id),
        })
    }

    /// The position that a cursor names; none if it is empty.
    pub fn position(&self, given: &str) -> Result<Option<i64>, Answer> {
        cursor::decode(given, self.epoch).map_err(|refusal| match refusal {
            Refusal::CursorExpired => refused(Code::OutOfRange, "CURSOR_EXPIRED"),
            _ => refused(Code::InvalidArgument, "CURSOR_INVALID"),
        })
    }

    pub fn pull(&mut self, by: usize, request: &pb::PullLeadsRequest, hint: &Hint) -> Answer {
        self.reading(by, |then| then.page(by, request, hint))
    }

    /// Has a reader read what there was, and records that now: a page is read first and recorded before it leaves, and
    /// calls that meet it come in between.
    pub fn reading<T>(&mut self, by: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let Some(past) = self.past.take() else {
            return read(self);
        };
        let mut then = Self {
            leads: past.leads.clone(),
            readers: past.readers.clone(),
            ledger: self.ledger[..past.entries].to_vec(),
            ..self.clone()
        };
        let done = read(&mut then);
        let (read, reader) = (then.readers.swap_remove(by), &mut self.readers[by]);
        reader.delivered = read.delivered;
        reader.snapshot = read.snapshot;
        for (id, at) in read.told {
            reader.told.entry(id).or_insert(at);
        }
        done
    }

    fn page(&mut self, by: usize, request: &pb::PullLeadsRequest, hint: &Hint) -> Answer {
        let reader = &self.readers[by];
        let start = match self.position(&request.cursor) {
            Ok(given) => given.unwrap_or(reader.acknowledged),
            Err(refused) => return refused,
        };
        if start > reader.delivered {
            return refused(Code::FailedPrecondition, "CURSOR_NOT_DELIVERED");
        }
        if hint.next < start || self.head() < hint.next {
            return refused(Code::Unknown, "a page ends in the feed");
        }
        let changes = self.given(by, start, hint.next);
        let size = usize::try_from(request.page_size).unwrap();
        if changes.len() > if size == 0 { 100 } else { size } {
            return refused(Code::Unknown, "a page has its limit");
        }
        let left = (hint.next + 1..=self.head()).any(|at| self.heard(by, at).is_some());
        if left && !hint.has_more {
            return refused(Code::Unknown, "a page that is the last leaves nothing");
        }
        if hint.has_more && changes.is_empty() {
            return refused(Code::Unknown, "a page goes on");
        }
        let answer = pb::PullLeadsResponse {
            changes,
            next_cursor: cursor::encode(self.epoch, hint.next),
            has_more: hint.has_more,
        };
        Answer::done("PullLeadsResponse", &answer)
    }

    /// Gives a reader what it hears from one position to another.
    pub fn given(&mut self, by: usize, start: i64, next: i64) -> Vec<pb::LeadChange> {
        let heard = (start + 1..=next).filter_map(|at| Some((at, self.heard(by, at)?)));
        let heard: Vec<_> = heard.collect();
        let (now, snapshot) = (self.now, self.head());
        let reader = &mut self.readers[by];
        if heard.last().is_some_and(|(at, _)| *at > reader.delivered) {
            reader.snapshot = snapshot;
        }
        reader.delivered = reader.delivered.max(next);
        let changes: Vec<_> = heard.into_iter().map(|(_, change)| change).collect();
        for change in &changes {
            reader.told.entry(change.lead_id.clone()).or_insert(now);
        }
        changes
    }

    pub fn acknowledge(&mut self, by: usize, given: &str) -> Answer {
        let position = match self.position(given) {
            Ok(given) => given.unwrap(),
            Err(refused) => return refused,
        };
        let reader = &mut self.readers[by];
        if position > reader.delivered {
            return refused(Code::FailedPrecondition, "CURSOR_NOT_DELIVERED");
        }
        reader.acknowledged = reader.acknowledged.max(position);
        let position = reader.acknowledged;
        let answer = pb::AcknowledgeLeadsResponse {
            acknowledged_cursor: cursor::encode(self.epoch, position),
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

/// The name of a CRM client. The first is every world's.
pub fn crm_name(by: usize) -> String {
    match by {
        0 => "crm".to_owned(),
        _ => format!("crm-{by}"),
    }
}
