//! The rights of people, article by article: what each act does, to whom it is told, what a repeat answers.
//!
//! One file per right; the steps that they share are here. To add a right, add a file of its own.

mod close;
mod erase;
mod object;
mod rectify;
mod restrict;
mod together;
mod withdraw;

use lead_intake::{
    clock::Clock as _,
    pb::{self, ChangeKind, RestrictionReason, WithdrawalOutcome},
    rpc::convert::timestamp,
    token::Role,
};
use tonic::{Code, Response, Status};

use crate::{steps::*, support::*};

/// A form of a person who consents.
pub fn consent_form(email: &str) -> pb::SubmitLeadRequest {
    pb::SubmitLeadRequest {
        lawful_basis: pb::LawfulBasis::Consent.into(),
        consent: true,
        ..form("Kari Nordmann", email)
    }
}

/// The world's time on the wire, this many seconds on.
fn seconds_on(world: &World, seconds: i64) -> prost_types::Timestamp {
    let mut time = timestamp(world.clock.now());
    time.seconds += seconds;
    time
}

pub fn restriction(lead_id: &str, reason: RestrictionReason) -> pb::RestrictLeadRequest {
    pb::RestrictLeadRequest {
        request_id: new_id().to_string(),
        lead_id: lead_id.to_owned(),
        reason: reason.into(),
        ..Default::default()
    }
}

/// A lifting of which the person was told just now.
pub fn lifting(
    world: &World,
    lead_id: &str,
    reason: RestrictionReason,
) -> pb::LiftRestrictionRequest {
    pb::LiftRestrictionRequest {
        request_id: new_id().to_string(),
        lead_id: lead_id.to_owned(),
        reason: reason.into(),
        subject_informed_at: Some(seconds_on(world, 0)),
    }
}

/// A correction of one field.
pub fn correction(
    lead_id: &str,
    revision: i64,
    field: &str,
    value: &str,
) -> pb::RectifyLeadRequest {
    let mut fields = pb::LeadFields::default();
    let place = match field {
        "name" => &mut fields.name,
        "company" => &mut fields.company,
        "phone" => &mut fields.phone,
        _ => &mut fields.email,
    };
    value.clone_into(place);
    pb::RectifyLeadRequest {
        request_id: new_id().to_string(),
        lead_id: lead_id.to_owned(),
        field_mask: Some(prost_types::FieldMask {
            paths: vec![field.to_owned()],
        }),
        fields: Some(fields),
        expected_revision: revision,
        ..Default::default()
    }
}

pub async fn restrict(replica: &Replica, lead_id: &str, reason: RestrictionReason) -> Vec<i32> {
    let request = restriction(lead_id, reason);
    let done = replica.privacy().restrict_lead(request).await.unwrap();
    done.into_inner().reasons
}

pub async fn lift(
    world: &World,
    replica: &Replica,
    lead_id: &str,
    reason: RestrictionReason,
) -> pb::LiftRestrictionResponse {
    let request = lifting(world, lead_id, reason);
    let done = replica.privacy().lift_restriction(request).await.unwrap();
    done.into_inner()
}

pub async fn rectify(
    replica: &Replica,
    request: &pb::RectifyLeadRequest,
) -> pb::RectifyLeadResponse {
    let done = replica.privacy().rectify_lead(request.clone()).await;
    done.unwrap().into_inner()
}

pub async fn withdraw(replica: &Replica, lead_id: &str) -> WithdrawalOutcome {
    let request = pb::WithdrawConsentRequest {
        lead_id: lead_id.to_owned(),
    };
    let done = replica.intake().withdraw_consent(request).await.unwrap();
    done.into_inner().outcome()
}

pub async fn close(
    crm: &mut Crm,
    lead_id: &str,
    outcome: pb::CloseOutcome,
) -> Result<pb::CloseLeadResponse, Status> {
    let request = pb::CloseLeadRequest {
        lead_id: lead_id.to_owned(),
        outcome: outcome.into(),
    };
    Ok(crm.close_lead(request).await?.into_inner())
}

pub async fn find(replica: &Replica, email: &str) -> pb::FindSubjectResponse {
    let request = pb::FindSubjectRequest {
        request: subject(email),
    };
    let found = replica.privacy().find_subject(request).await.unwrap();
    found.into_inner()
}

/// The leads that are the person's.
pub async fn theirs(replica: &Replica, email: &str) -> Vec<String> {
    let found = find(replica, email).await;
    found.leads.into_iter().map(|lead| lead.lead_id).collect()
}

async fn export(replica: &Replica, email: &str, kind: pb::ExportKind) -> pb::ExportSubjectResponse {
    let request = pb::ExportSubjectRequest {
        request: subject(email),
        kind: kind.into(),
        ..Default::default()
    };
    let made = replica.privacy().export_subject(request).await.unwrap();
    made.into_inner()
}

/// A CRM client of its own.
async fn crm(world: &World, replica: &Replica, name: &str) -> Crm {
    let token = world.new_token(&replica.store, name, Role::Crm).await;
    replica.crm_as(token.expose())
}

/// Code and reason of an answer that must be an error.
fn refused<T>(answer: Result<Response<T>, Status>) -> (Code, String) {
    let status = answer.err().expect("it must be refused");
    (status.code(), reason(&status))
}

/// Whether an answer is this refusal.
macro_rules! assert_refused {
    ($answer:expr, $code:ident, $reason:literal) => {
        assert_eq!(refused($answer.await), (Code::$code, $reason.to_owned()));
    };
}
use assert_refused;

/// Kind of each change of one lead, and whether the lead comes with it, as a client hears them from the start.
pub async fn story(crm: &mut Crm, lead_id: &str) -> Vec<(ChangeKind, bool)> {
    let start = feed_start();
    let (changes, _) = pull_all(crm, &start, 0).await;
    changes
        .iter()
        .filter(|change| change.lead_id == lead_id)
        .map(|change| (change.kind(), change.lead.is_some()))
        .collect()
}

/// The cursor before the first change.
fn feed_start() -> String {
    lead_intake::rpc::cursor::encode(1, 0)
}

/// Kind and detail of each entry of one lead.
pub async fn entries(replica: &Replica, lead_id: &str) -> Vec<(pb::EntryKind, i32)> {
    let entries = ledger(replica).await.into_iter();
    entries
        .filter(|entry| entry.lead_id == lead_id)
        .map(|entry| (entry.kind(), entry.detail))
        .collect()
}
