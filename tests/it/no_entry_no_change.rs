//! A1: without its entry in the ledger nothing happens and nothing is answered.

use lead_intake::pb;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{raw::Raw, rights::correction, steps::*, support::*};

/// Makes every entry of the ledger fail.
pub async fn break_ledger(world: &World) {
    let mut raw = Raw::open(world).await;
    raw.execute(match world.backend {
        Backend::Sqlite => {
            "CREATE TRIGGER no_entry BEFORE INSERT ON ledger \
             BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
        Backend::Postgres => {
            "CREATE OR REPLACE FUNCTION no_entry() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
             CREATE TRIGGER no_entry BEFORE INSERT ON ledger \
             FOR EACH ROW EXECUTE FUNCTION no_entry()"
        }
    })
    .await;
    raw.close().await;
}

pub async fn mend_ledger(world: &World) {
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
    let rows = "SELECT revision * 1000 + restrictions * 10 FROM lead ORDER BY id";
    state.extend(raw.numbers(rows).await);
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

/// Every act on one lead: on the first an act that leaves it, on the second, which is restricted, its lifting,
/// on the others an act that ends it.
async fn every_act(replica: &Replica, ids: &[String; 4]) -> Vec<(&'static str, Option<Status>)> {
    let (mut privacy, mut intake) = (replica.privacy(), replica.intake());
    let request_id = || new_id().to_string();
    let right = correction(&ids[0], 1, "name", "Kari Hansen");
    let object = |kind: pb::ObjectionKind| pb::ObjectToProcessingRequest {
        request: subject("acts-0@example.no"),
        kind: kind.into(),
        ..Default::default()
    };
    let restriction = pb::RestrictLeadRequest {
        request_id: request_id(),
        lead_id: ids[0].clone(),
        reason: pb::RestrictionReason::SubjectLegalClaim.into(),
        ..Default::default()
    };
    let lifting = pb::LiftRestrictionRequest {
        request_id: request_id(),
        lead_id: ids[1].clone(),
        reason: pb::RestrictionReason::AccuracyContested.into(),
        subject_informed_at: Some(lead_intake::rpc::convert::timestamp(START.parse().unwrap())),
    };
    let flag = pb::WithdrawConsentRequest {
        lead_id: ids[0].clone(),
    };
    let consent = pb::WithdrawConsentRequest {
        lead_id: ids[2].clone(),
    };
    let closing = pb::CloseLeadRequest {
        lead_id: ids[3].clone(),
        outcome: pb::CloseOutcome::Answered.into(),
    };
    let general = object(pb::ObjectionKind::General);
    let marketing = object(pb::ObjectionKind::DirectMarketing);
    vec![
        ("RectifyLead", privacy.rectify_lead(right).await.err()),
        (
            "a flag withdrawn",
            intake.withdraw_consent(flag).await.err(),
        ),
        (
            "RestrictLead",
            privacy.restrict_lead(restriction).await.err(),
        ),
        (
            "LiftRestriction",
            privacy.lift_restriction(lifting).await.err(),
        ),
        (
            "an objection",
            privacy.object_to_processing(general).await.err(),
        ),
        (
            "an objection to marketing",
            privacy.object_to_processing(marketing).await.err(),
        ),
        (
            "a consent withdrawn",
            intake.withdraw_consent(consent).await.err(),
        ),
        ("CloseLead", replica.crm().close_lead(closing).await.err()),
    ]
}

/// Every other call that must leave an entry, and what each answers.
async fn every_call(replica: &Replica, lead_id: &str) -> Vec<(&'static str, Option<Status>)> {
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
        ("EraseSubject", privacy.erase_subject(order).await.err()),
    ]
}

/// Leads of people of their own, as [`every_act`] wants them.
async fn leads_to_act_on(replica: &Replica) -> [String; 4] {
    let consenting = |email: &str, basis: pb::LawfulBasis| pb::SubmitLeadRequest {
        consent: true,
        lawful_basis: basis.into(),
        ..form("Kari Nordmann", email)
    };
    let flagged = consenting("acts-0@example.no", pb::LawfulBasis::PreContract);
    let consented = consenting("acts-2@example.no", pb::LawfulBasis::Consent);
    let ids = [
        submit(replica, flagged).await,
        submit_mail(replica, "acts-1@example.no").await,
        submit(replica, consented).await,
        submit_mail(replica, "acts-3@example.no").await,
    ];
    let restriction = pb::RestrictLeadRequest {
        request_id: new_id().to_string(),
        lead_id: ids[1].clone(),
        reason: pb::RestrictionReason::AccuracyContested.into(),
        ..Default::default()
    };
    replica.privacy().restrict_lead(restriction).await.unwrap();
    ids
}

on_both! {
    /// A1: with a ledger that cannot be written every call that must leave an entry fails, changes nothing
    /// and returns nothing; when it can be written again, they all work.
    async fn a1_no_entry_no_change(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let ids = leads_to_act_on(&replica).await;
        let before = state(&world).await;
        break_ledger(&world).await;
        let mut answers = every_call(&replica, &id).await;
        answers.extend(every_act(&replica, &ids).await);
        for (name, answer) in answers {
            let refused = answer.unwrap_or_else(|| panic!("{name} answered"));
            assert_eq!(refused.code(), Code::Unavailable, "{name}");
            assert_eq!(reason(&refused), "STORE_UNAVAILABLE", "{name}");
            assert!(!format!("{refused:?}").contains("example.no"), "{name}");
        }
        assert_eq!(state(&world).await, before);
        mend_ledger(&world).await;
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap().email, "kari@example.no");
        let mut answers = every_act(&replica, &ids).await;
        answers.extend(every_call(&replica, &id).await);
        for (name, answer) in answers {
            assert!(answer.is_none(), "{name}: {answer:?}");
        }
        verify(&replica).await;
        replica.stop().await;
    }

    /// A1: the same with a mirror that cannot be written: no act that ends or limits processing happens, the service
    /// says that it is not ready, and it goes on by itself when the mirror can be written again.
    async fn a1_no_mirror_no_change(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        let ids = leads_to_act_on(&replica).await;
        let is_serving = async |expected| (replica.health().await == expected).then_some(());
        eventually(async || is_serving(ServingStatus::Serving).await).await;
        let before = state(&world).await;
        let blocks = block_mirror(&world);
        let mut answers = every_act(&replica, &ids).await;
        let erased = replica.privacy().erase_subject(erasure("kari@example.no")).await;
        answers.push(("EraseSubject", erased.err()));
        for (name, answer) in answers {
            let refused = answer.unwrap_or_else(|| panic!("{name} answered"));
            assert_eq!((refused.code(), &*reason(&refused)), (Code::Unavailable, "MIRROR_UNAVAILABLE"), "{name}");
        }
        assert_eq!(state(&world).await, before);
        eventually(async || is_serving(ServingStatus::NotServing).await).await;
        // What has no part in it goes on.
        submit_mail(&replica, "ola@example.no").await;
        for block in blocks {
            std::fs::remove_dir(block).unwrap();
        }
        eventually(async || is_serving(ServingStatus::Serving).await).await;
        for (name, answer) in every_act(&replica, &ids).await {
            assert!(answer.is_none(), "{name}: {answer:?}");
        }
        erase(&replica, "kari@example.no").await;
        verify(&replica).await;
        replica.stop().await;
        // Nothing of what was refused is waiting to happen.
        let entries = state(&world).await[0];
        let replica = world.start().await;
        assert_eq!(state(&world).await[0], entries);
        replica.stop().await;
    }
}

/// Puts something in the way of each file that the mirror is about to begin.
fn block_mirror(world: &World) -> Vec<std::path::PathBuf> {
    let begun = |path: &std::path::Path| path.exists();
    let paths = (1..500).map(|number| world.mirror(1).join(format!("ahead-{number:010}.jsonl")));
    let blocks: Vec<_> = paths.filter(|path| !begun(path)).collect();
    for block in &blocks {
        std::fs::create_dir(block).unwrap();
    }
    // And one that is begun already is gone.
    let _ = std::fs::remove_file(world.mirror(1).join("ahead-0000000001.jsonl"));
    blocks
}
