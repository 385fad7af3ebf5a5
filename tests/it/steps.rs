//! Steps that several tests take: submit, pull, erase, read the ledger.

use std::time::Duration;

use lead_intake::pb::{
    self, crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
    ledger_service_client::LedgerServiceClient,
};
use tonic::Status;

use crate::support::*;

/// A client of `CrmService`.
pub type Crm = CrmServiceClient<Caller>;
/// A client of `LedgerService`.
pub type Auditor = LedgerServiceClient<Caller>;

/// Submits a form that must be accepted; gives the lead's identifier.
pub async fn submit(replica: &Replica, form: pb::SubmitLeadRequest) -> String {
    let stored = replica.intake().submit_lead(form).await.unwrap();
    stored.into_inner().lead_id
}

/// Submits a lead of this mailbox.
pub async fn submit_mail(replica: &Replica, email: &str) -> String {
    submit(replica, form("Kari Nordmann", email)).await
}

/// Submits under one key until it is stored, as a client should; each error goes to `refused`, which fails the test if it
/// is none that may be tried again. Gives the lead's identifier.
pub async fn submit_until_stored(
    intake: &mut IntakeServiceClient<Caller>,
    form: &pb::SubmitLeadRequest,
    mut refused: impl FnMut(&Status),
) -> String {
    let submitting = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            match intake.submit_lead(form.clone()).await {
                Ok(stored) => return stored.into_inner().lead_id,
                Err(status) => refused(&status),
            }
        }
    };
    let stored = tokio::time::timeout(binary::PATIENCE, submitting).await;
    stored.expect("never stored")
}

/// One page of the feed.
pub async fn pull(
    crm: &mut Crm,
    cursor: &str,
    page_size: i32,
) -> Result<pb::PullLeadsResponse, Status> {
    let request = pb::PullLeadsRequest {
        cursor: cursor.to_owned(),
        page_size,
    };
    Ok(crm.pull_leads(request).await?.into_inner())
}

/// Everything after a cursor, and the cursor at the end.
pub async fn pull_all(
    crm: &mut Crm,
    cursor: &str,
    page_size: i32,
) -> (Vec<pb::LeadChange>, String) {
    let mut cursor = cursor.to_owned();
    let mut changes = Vec::new();
    loop {
        let page = pull(crm, &cursor, page_size).await.unwrap();
        changes.extend(page.changes);
        cursor = page.next_cursor;
        if !page.has_more {
            return (changes, cursor);
        }
    }
}

/// Acknowledges a position.
pub async fn acknowledge(
    crm: &mut Crm,
    cursor: &str,
) -> Result<pb::AcknowledgeLeadsResponse, Status> {
    let request = pb::AcknowledgeLeadsRequest {
        cursor: cursor.to_owned(),
    };
    Ok(crm.acknowledge_leads(request).await?.into_inner())
}

/// One lead by its identifier.
pub async fn get_lead(crm: &mut Crm, lead_id: &str) -> Result<pb::Lead, Status> {
    let request = pb::GetLeadRequest {
        lead_id: lead_id.to_owned(),
    };
    Ok(crm.get_lead(request).await?.into_inner().lead.unwrap())
}

/// A request to erase the person behind a mailbox, under a new key.
pub fn erasure(email: &str) -> pb::EraseSubjectRequest {
    pb::EraseSubjectRequest {
        request: subject(email),
        ground: pb::ErasureGround::ConsentWithdrawn.into(),
        ..Default::default()
    }
}

/// Erases the person behind a mailbox.
pub async fn erase(replica: &Replica, email: &str) -> pb::EraseSubjectResponse {
    let erased = replica.privacy().erase_subject(erasure(email)).await;
    erased.unwrap().into_inner()
}

/// Everything that has happened.
pub async fn ledger(replica: &Replica) -> Vec<pb::LedgerEntry> {
    ledger_after(&mut replica.ledger(), 0).await.unwrap()
}

/// Everything that has happened after an entry.
pub async fn ledger_after(
    auditor: &mut Auditor,
    after: i64,
) -> Result<Vec<pb::LedgerEntry>, Status> {
    let mut entries: Vec<pb::LedgerEntry> = Vec::new();
    loop {
        let request = pb::ListEntriesRequest {
            after_sequence: entries.last().map_or(after, |entry| entry.sequence),
            page_size: 1000,
            ..Default::default()
        };
        let page = auditor.list_entries(request).await?.into_inner();
        entries.extend(page.entries);
        if !page.has_more {
            return Ok(entries);
        }
    }
}

/// Fails unless the chain holds and its numbers are dense.
pub async fn verify(replica: &Replica) {
    verify_by(&mut replica.ledger()).await;
}

/// The same, asked by this caller.
pub async fn verify_by(auditor: &mut Auditor) {
    let request = pb::VerifyLedgerRequest {};
    let verified = auditor.verify_ledger(request).await.unwrap();
    let verified = verified.into_inner();
    assert!(verified.intact, "{verified:?}");
    assert_eq!(verified.entries_checked, verified.head_sequence);
}

/// What stands out in a change.
pub fn heard(change: &pb::LeadChange) -> (pb::ChangeKind, &str) {
    (change.kind(), &change.lead_id)
}
