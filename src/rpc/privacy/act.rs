//! Acts on one lead, and objections: the checks and answers of their calls.

use tonic::Status;

use super::{
    Privacy,
    asked::{self, Asked},
};
use crate::{
    clock::due_at,
    domain::{
        lead::{Amendment, RestrictionReason, Restrictions},
        subject::ObjectionKind,
    },
    export, pb,
    rpc::{
        auth::Caller,
        convert::{self, timestamp},
        status::{Fault, Refusal, Violations},
    },
    store::{Amended, Rectification, StoreError, StoredLead},
};

impl Privacy {
    pub(super) async fn rectify(
        &self,
        caller: &Caller,
        request: &pb::RectifyLeadRequest,
    ) -> Result<pb::RectifyLeadResponse, Status> {
        let mut violations = Violations::of_shape(request);
        let amendment = asked::amendment(request, self.region, &mut violations);
        let call = Asked {
            request_id: &request.request_id,
            lead_id: &request.lead_id,
            received_at: request.received_at.as_ref(),
            verification: request.verification,
        };
        let (call, id) = call.check(caller.client().id, self.clock.now(), violations)?;
        let amend = |stored: &StoredLead| self.amend(stored, &amendment);
        let order = Rectification {
            id,
            expected_revision: request.expected_revision,
            fields: amendment.fields,
            amend: &amend,
        };
        let done = self.store.rectify(&call, order).await?;
        let done = done.ok_or(Refusal::LeadNotFound)?;
        Ok(pb::RectifyLeadResponse {
            revision: done.revision,
            due_at: Some(timestamp(due_at(done.received_at))),
        })
    }

    /// Opens a lead, corrects it, and seals it again.
    fn amend(&self, stored: &StoredLead, amendment: &Amendment) -> Result<Amended, StoreError> {
        let id = stored.facts.id;
        let content = self.unsealer.unseal(id, &stored.sealed)?;
        let amended = amendment.apply(&content)?;
        Ok(Amended {
            resealed: self
                .sealer
                .seal_again(id, stored.index_key_id, &amended, amendment)
                .map_err(StoreError::from)?,
            differs: amended != content,
        })
    }

    pub(super) async fn restrict(
        &self,
        caller: &Caller,
        request: &pb::RestrictLeadRequest,
    ) -> Result<pb::RestrictLeadResponse, Status> {
        let mut violations = Violations::of_shape(request);
        let reason = reason(request.reason, &mut violations);
        let call = Asked {
            request_id: &request.request_id,
            lead_id: &request.lead_id,
            received_at: request.received_at.as_ref(),
            verification: request.verification,
        };
        let (call, id) = call.check(caller.client().id, self.clock.now(), violations)?;
        let done = self.store.restrict(&call, id, reason?).await?;
        let done = done.ok_or(Refusal::LeadNotFound)?;
        Ok(pb::RestrictLeadResponse {
            reasons: numbers(done.reasons),
            due_at: Some(timestamp(due_at(done.received_at))),
        })
    }

    pub(super) async fn lift(
        &self,
        caller: &Caller,
        request: &pb::LiftRestrictionRequest,
    ) -> Result<pb::LiftRestrictionResponse, Status> {
        let mut violations = Violations::of_shape(request);
        let reason = reason(request.reason, &mut violations);
        let given = request.subject_informed_at.as_ref();
        let informed_at =
            given.and_then(|at| convert::time("subject_informed_at", at, &mut violations));
        // That the person was not told yet is no mistake of form, and has a reason of its own.
        let is_informed = informed_at.is_some_and(|at| at <= self.clock.now());
        let call = Asked {
            request_id: &request.request_id,
            lead_id: &request.lead_id,
            received_at: given.filter(|_| is_informed),
            verification: 0,
        };
        let (call, id) = call.check(caller.client().id, self.clock.now(), violations)?;
        if !is_informed {
            return Err(Refusal::SubjectNotInformed.into());
        }
        let policy = &self.exporter.retention;
        let done = self.store.lift(&call, id, reason?, policy).await?;
        let done = done.ok_or(Refusal::LeadNotFound)?;
        Ok(pb::LiftRestrictionResponse {
            reasons: numbers(done.reasons),
            erased: done.erased,
        })
    }

    pub(super) async fn object(
        &self,
        caller: &Caller,
        request: &pb::ObjectToProcessingRequest,
    ) -> Result<pb::ObjectToProcessingResponse, Status> {
        let mut violations = Violations::of_shape(request);
        let language = convert::language(&request.language, &mut violations);
        let kind = ObjectionKind::from_number(request.kind.into());
        if kind.is_none() {
            violations.add("kind", Fault::UnknownValue);
        }
        let call = self.check(request.request.as_ref(), violations)?;
        let kind = kind.ok_or(Refusal::MalformedMessage)?;
        let judge = |stored: &StoredLead| self.judge(stored, &call);
        let lookup = self.lookup(caller, &call, kind as i64, &judge);
        let done = self.store.object(&lookup, kind).await?;
        Ok(pb::ObjectToProcessingResponse {
            lead_ids: done.leads.iter().map(ToString::to_string).collect(),
            explanation: export::objection(kind, language).to_owned(),
            due_at: Some(timestamp(due_at(done.received_at))),
            unconfirmed: done.unconfirmed.iter().map(convert::unconfirmed).collect(),
        })
    }
}

/// A reason; a number that is none is a violation.
fn reason(number: i32, violations: &mut Violations) -> Result<RestrictionReason, Refusal> {
    RestrictionReason::from_number(number.into()).ok_or_else(|| {
        violations.add("reason", Fault::UnknownValue);
        Refusal::MalformedMessage
    })
}

fn numbers(reasons: Restrictions) -> Vec<i32> {
    reasons.reasons().map(|reason| reason as i32).collect()
}
