//! The model's half for acts on one lead.

use lead_intake::{
    pb::{self, EntryKind},
    rpc::convert::timestamp,
};
use tonic::Code;

use super::{
    op::{Answer, Op},
    rules::{Cause, amended, mask_bits},
    state::{Model, Used, due, not_found, refused, reused},
};

/// Who acts.
pub const BY: &str = "privacy";

impl Model {
    /// An earlier call under this key.
    pub fn earlier(&self, request_id: &str) -> Option<Used> {
        self.used.get(&(BY, request_id.to_owned())).cloned()
    }

    /// Remembers the first call under a key; gives its answer.
    pub fn first(
        &mut self,
        op: &Op,
        request_id: &str,
        answer: Answer,
        touched: Vec<String>,
    ) -> Answer {
        let used = Used {
            op: op.clone(),
            answer: answer.clone(),
            touched,
        };
        self.used.insert((BY, request_id.to_owned()), used);
        answer
    }

    /// One reason more; gives the entry.
    pub fn limit(&mut self, id: &str, by: &str, reason: i32) -> i64 {
        let lead = self.leads.get_mut(id).unwrap();
        lead.reasons.insert(reason);
        lead.revision += 1;
        self.record(EntryKind::Restricted, id, by, reason)
    }

    pub fn rectify(&mut self, op: &Op, request: &pb::RectifyLeadRequest) -> Answer {
        let id = &request.lead_id;
        if let Some(used) = self.earlier(&request.request_id) {
            return self.rectify_again(request, &used);
        }
        let Some(lead) = self.leads.get_mut(id) else {
            return not_found();
        };
        if lead.revision != request.expected_revision {
            return refused(Code::Aborted, "REVISION_MISMATCH");
        }
        if !lead.may_rectify() {
            return refused(Code::FailedPrecondition, "LEAD_RESTRICTED");
        }
        lead.content = match amended(&lead.content, request) {
            Ok(content) => content,
            Err(reason) => return refused(Code::InvalidArgument, reason),
        };
        lead.revision += 1;
        let answer = pb::RectifyLeadResponse {
            revision: lead.revision,
            due_at: Some(due(self.now)),
        };
        let entry = self.record(EntryKind::Rectified, id, BY, mask_bits(request));
        self.key(entry, &request.request_id);
        let answer = Answer::done("RectifyLeadResponse", &answer);
        self.first(op, &request.request_id, answer, vec![id.clone()])
    }

    /// What tells a repeat from another call: the lead, the mask, the revision, and the values as long as
    /// they are still those of the lead.
    fn rectify_again(&self, request: &pb::RectifyLeadRequest, used: &Used) -> Answer {
        let Op::Rectify(first) = &used.op else {
            return reused();
        };
        if first.lead_id != request.lead_id
            || mask_bits(first) != mask_bits(request)
            || first.expected_revision != request.expected_revision
        {
            return reused();
        }
        match self.leads.get(&request.lead_id) {
            Some(lead) if lead.revision == first.expected_revision + 1 => {
                match amended(&lead.content, request) {
                    Ok(content) if content == lead.content => used.answer.clone(),
                    Ok(_) => reused(),
                    Err(reason) => refused(Code::InvalidArgument, reason),
                }
            }
            _ => used.answer.clone(),
        }
    }

    pub fn restrict(&mut self, op: &Op, request: &pb::RestrictLeadRequest) -> Answer {
        let id = &request.lead_id;
        if let Some(used) = self.earlier(&request.request_id) {
            return match &used.op {
                Op::Restrict(first) if first.lead_id == *id && first.reason == request.reason => {
                    used.answer
                }
                _ => reused(),
            };
        }
        if !self.leads.contains_key(id) {
            return not_found();
        }
        let entry = self.limit(id, BY, request.reason);
        self.key(entry, &request.request_id);
        let answer = pb::RestrictLeadResponse {
            reasons: self.leads[id].reasons.iter().copied().collect(),
            due_at: Some(due(self.now)),
        };
        let answer = Answer::done("RestrictLeadResponse", &answer);
        self.first(op, &request.request_id, answer, vec![id.clone()])
    }

    pub fn lift(&mut self, op: &Op, request: &pb::LiftRestrictionRequest) -> Answer {
        let (id, reason) = (&request.lead_id, request.reason);
        let now = timestamp(self.now);
        let told = request.subject_informed_at.as_ref();
        if told.is_none_or(|at| (at.seconds, at.nanos) > (now.seconds, now.nanos)) {
            return refused(Code::FailedPrecondition, "SUBJECT_NOT_INFORMED");
        }
        if let Some(used) = self.earlier(&request.request_id) {
            return match &used.op {
                Op::Lift(first) if first.lead_id == *id && first.reason == reason => used.answer,
                _ => reused(),
            };
        }
        let Some(lead) = self.leads.get_mut(id) else {
            return not_found();
        };
        if !lead.reasons.remove(&reason) {
            return refused(Code::FailedPrecondition, "REASON_NOT_IN_FORCE");
        }
        let free = !lead.hidden();
        let erased = free && (lead.withdrawn() || lead.erase_by(self.policy) <= self.now);
        lead.revision += 1;
        let reasons = lead.reasons.iter().copied().collect();
        let kind = if free && !erased {
            EntryKind::Released
        } else {
            EntryKind::ReasonLifted
        };
        let entry = self.record(kind, id, BY, reason);
        self.key(entry, &request.request_id);
        if erased {
            self.bury(id, BY, Cause::Lifted);
        }
        let answer = pb::LiftRestrictionResponse { reasons, erased };
        let answer = Answer::done("LiftRestrictionResponse", &answer);
        self.first(op, &request.request_id, answer, vec![id.clone()])
    }
}
