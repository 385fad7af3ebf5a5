//! A1: without its entry in the ledger nothing happens and nothing is answered.

use lead_intake::pb::{self, RestrictionReason};
use tonic::{Code, Status};

use crate::{
    raw::Raw,
    rights::{correction, lifting, restriction},
    steps::*,
    support::*,
};

/// Makes every entry of the ledger fail.
async fn break_ledger(world: &World) {
    let mut raw = Raw::open(world).await;
    raw.execute(match world.backend {
        Backend::Sqlite => {
            "CREATE TRIGGER no_entry BEFORE INSERT ON ledger \
             BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
        Backend::Postgres => {
            "CREATE FUNCTION no_entry() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
             CREATE TRIGGER no_entry BEFORE INSERT ON ledger \
             FOR EACH ROW EXECUTE FUNCTION no_entry()"
        }
    })
    .await;
    raw.close().await;
}

async fn mend_ledger(world: &World) {
    let mut raw = Raw::open(world).await;
    raw.execute(match world.backend {
        Backend::Sqlite => "DROP TRIGGER no_entry",
        Backend::Postgres => "DROP TRIGGER no_entry ON ledger",
    })
    .await;
    raw.close().await;
}

/// What each table holds, as counts, and where the head is.
async fn state(world: &World) -> Vec<i64> {
    let mut raw = Raw::open(world).await;
    let mut state = raw.numbers("SELECT sequence FROM ledger_head").await;
    for table in ["lead", "ledger", "rights_request", "delivery", "withheld"] {
        let count = format!("SELECT COUNT(*) FROM {table}");
        state.extend(raw.numbers(&count).await);
    }
    raw.close().await;
    state
}

fn call(request: Option<pb::SubjectRequest>) -> pb::ExportSubjectRequest {
    pb::ExportSubjectRequest {
        request,
        kind: pb::ExportKind::Access.into(),
        ..Default::default()
    }
}

/// Every call that must leave an entry, and what each answers.
async fn every_call(
    world: &World,
    replica: &Replica,
    lead_id: &str,
) -> Vec<(&'static str, Option<Status>)> {
    let request = || subject("kari@example.no");
    let mut privacy = replica.privacy();
    let find = pb::FindSubjectRequest { request: request() };
    let order = erasure("kari@example.no");
    let dry = pb::EraseSubjectRequest {
        dry_run: true,
        ..order.clone()
    };
    let new = form("Ola", "ola@example.no");
    vec![
        ("SubmitLead", replica.intake().submit_lead(new).await.err()),
        ("GetLead", get_lead(&mut replica.crm(), lead_id).await.err()),
        ("FindSubject", privacy.find_subject(find).await.err()),
        (
            "ExportSubject",
            privacy.export_subject(call(request())).await.err(),
        ),
        ("a dry EraseSubject", privacy.erase_subject(dry).await.err()),
    ]
    .into_iter()
    .chain(acts(world, replica, lead_id).await)
    .chain([("EraseSubject", privacy.erase_subject(order).await.err())])
    .collect()
}

/// The acts on one lead, in an order in which each of them works.
async fn acts(
    world: &World,
    replica: &Replica,
    lead_id: &str,
) -> Vec<(&'static str, Option<Status>)> {
    let mut privacy = replica.privacy();
    let reason = RestrictionReason::AccuracyContested;
    let object = pb::ObjectToProcessingRequest {
        request: subject("kari@example.no"),
        kind: pb::ObjectionKind::DirectMarketing.into(),
        ..Default::default()
    };
    let withdraw = pb::WithdrawConsentRequest {
        lead_id: lead_id.to_owned(),
    };
    let close = pb::CloseLeadRequest {
        lead_id: lead_id.to_owned(),
        outcome: pb::CloseOutcome::Answered.into(),
    };
    let right = correction(lead_id, 1, "name", "Kari Hansen");
    let restrict = restriction(lead_id, reason);
    let lift = lifting(world, lead_id, reason);
    vec![
        ("RectifyLead", privacy.rectify_lead(right).await.err()),
        ("RestrictLead", privacy.restrict_lead(restrict).await.err()),
        (
            "LiftRestriction",
            privacy.lift_restriction(lift).await.err(),
        ),
        (
            "ObjectToProcessing",
            privacy.object_to_processing(object).await.err(),
        ),
        (
            "WithdrawConsent",
            replica.intake().withdraw_consent(withdraw).await.err(),
        ),
        ("CloseLead", replica.crm().close_lead(close).await.err()),
    ]
}

on_both! {
    /// A1: with a ledger that cannot be written every call that must leave an entry fails, changes nothing
    /// and returns nothing; when it can be written again, they all work.
    async fn a1_no_entry_no_change(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let consenting = pb::SubmitLeadRequest { consent: true, ..form("Kari Nordmann", "kari@example.no") };
        let id = submit(&replica, consenting).await;
        let before = state(&world).await;
        break_ledger(&world).await;
        for (name, answer) in every_call(&world, &replica, &id).await {
            let refused = answer.unwrap_or_else(|| panic!("{name} answered"));
            // Lifting what could not be restricted has nothing to record.
            if name == "LiftRestriction" {
                assert_eq!(reason(&refused), "REASON_NOT_IN_FORCE");
                continue;
            }
            assert_eq!(refused.code(), Code::Unavailable, "{name}");
            assert_eq!(reason(&refused), "STORE_UNAVAILABLE", "{name}");
            assert!(!format!("{refused:?}").contains("example.no"), "{name}");
        }
        assert_eq!(state(&world).await, before);
        mend_ledger(&world).await;
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap().email, "kari@example.no");
        for (name, answer) in every_call(&world, &replica, &id).await {
            assert!(answer.is_none(), "{name}: {answer:?}");
        }
        verify(&replica).await;
        replica.stop().await;
    }
}
