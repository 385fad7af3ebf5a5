//! What reaches its time is erased, and not before (Art. 5(1)(e), 17), unless a restriction keeps it (Art. 18).

use lead_intake::{
    clock::Clock as _,
    domain::{lead::CloseOutcome, retention::GraceDays},
    pb::{self, ChangeKind, EntryKind},
    rpc::convert::timestamp,
    store::Preview,
};
use tonic::Code;

use crate::{rounds::*, steps::*, support::*};

const DAY: i64 = 24 * 3600;
const MAX_AGE: i64 = 180 * DAY;

fn restriction(id: &str) -> pb::RestrictLeadRequest {
    pb::RestrictLeadRequest {
        request_id: new_id().to_string(),
        lead_id: id.to_owned(),
        reason: pb::RestrictionReason::SubjectLegalClaim.into(),
        ..Default::default()
    }
}

async fn restrict(replica: &Replica, id: &str) {
    let done = replica.privacy().restrict_lead(restriction(id)).await;
    done.unwrap();
}

async fn close(replica: &Replica, id: &str, outcome: pb::CloseOutcome) -> pb::CloseLeadResponse {
    let request = pb::CloseLeadRequest {
        lead_id: id.to_owned(),
        outcome: outcome.into(),
    };
    replica
        .crm()
        .close_lead(request)
        .await
        .unwrap()
        .into_inner()
}

/// A copy for the person (Art. 15).
async fn copy(replica: &Replica, email: &str) -> serde_json::Value {
    let request = pb::ExportSubjectRequest {
        request: subject(email),
        kind: pb::ExportKind::Access.into(),
        ..Default::default()
    };
    let made = replica.privacy().export_subject(request).await.unwrap();
    serde_json::from_slice(&made.into_inner().content).unwrap()
}

async fn preview(world: &World, replica: &Replica) -> Preview {
    let policy = world.settings.retention;
    let preview = replica.store.preview_sweep(&policy, world.clock.now());
    preview.await.unwrap()
}

/// The last entry about a lead: its kind, its detail and who caused it.
async fn last_entry(replica: &Replica, id: &str) -> (EntryKind, i32, String) {
    let entries = ledger(replica).await;
    let of_lead = entries.into_iter().rfind(|entry| entry.lead_id == id);
    let entry = of_lead.unwrap();
    (entry.kind(), entry.detail, entry.client)
}

on_both! {
    /// Art. 5(1)(e): the time told at submission is the one in the feed, in the lead and in the person's copy,
    /// and it is kept: half an hour before it a sweep leaves the lead alone, and by that time it is gone, with
    /// a tombstone for the CRM that had it, which names nobody as the one who asked.
    async fn art_5_1_e_the_time_that_is_told_is_kept(backend: Backend) {
        let world = World::new(backend).await;
        let replica = start_settled(&world).await;
        let form = form("Kari Nordmann", "kari@example.no");
        let stored = replica.intake().submit_lead(form.clone()).await.unwrap().into_inner();
        let id = stored.lead_id;
        let told = Some(timestamp(world.settings.retention.erase_new_by(world.clock.now())));
        assert_eq!(stored.erase_by, told);
        let (changes, cursor) = pull_all(&mut replica.crm(), "", 0).await;
        assert_eq!(changes[0].lead.as_ref().unwrap().erase_by, told);
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap().erase_by, told);
        let in_copy = copy(&replica, "kari@example.no").await["data"][0]["eraseBy"].clone();
        let in_copy: jiff::Timestamp = in_copy.as_str().unwrap().parse().unwrap();
        assert_eq!(Some(timestamp(in_copy)), told);

        world.clock.advance_seconds(MAX_AGE - 1800);
        assert_eq!(sweep(&world, &replica).await, 0);
        assert!(get_lead(&mut replica.crm(), &id).await.is_ok());
        world.clock.advance_seconds(1800);
        let mut residue = replica.store.residue();
        assert_eq!(residue.is_some(), backend == Backend::Sqlite);
        if let Some(residue) = &mut residue {
            residue.mark_unchanged();
        }
        assert_eq!(sweep(&world, &replica).await, 1);
        // What it leaves in the database's log is removed as after any other erasure.
        assert!(residue.is_none_or(|residue| residue.has_changed().unwrap()));
        let gone = get_lead(&mut replica.crm(), &id).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
        let (changes, _) = pull_all(&mut replica.crm(), &cursor, 0).await;
        assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), [(ChangeKind::Erased, &*id)]);
        let time_ended = (EntryKind::Erased, 4, String::new());
        assert_eq!(last_entry(&replica, &id).await, time_ended);
        let refused = replica.intake().submit_lead(form).await.unwrap_err();
        assert_eq!(reason(&refused), "LEAD_ERASED");
        assert_eq!(sweep(&world, &replica).await, 0);
        verify(&replica).await;
        replica.stop().await;
    }

    /// Art. 5(1)(e): what ends before the next round but one goes with this one, so that one round that is
    /// missed makes nobody's lead late.
    async fn art_5_1_e_a_missed_round_makes_no_lead_late(backend: Backend) {
        let world = World::new(backend).await;
        let replica = start_settled(&world).await;
        submit_mail(&replica, "kari@example.no").await;
        world.clock.advance_seconds(MAX_AGE - 20 * 60 - 1);
        assert_eq!(sweep(&world, &replica).await, 0);
        world.clock.advance_seconds(1);
        assert_eq!(sweep(&world, &replica).await, 1);
        replica.stop().await;
    }

    /// Art. 5(1)(e), 17: a closed lead stays for the grace of its outcome, told when it is closed, and no
    /// longer. A customer's lead is handed over: the CRM keeps its own record. A CRM that never had a lead
    /// hears of neither.
    async fn art_17_closed_leads_go_when_their_grace_is_over(backend: Backend) {
        let mut world = World::new(backend).await;
        world.settings.retention.grace = GraceDays { answered: 5, not_relevant: 3, converted: 7 };
        let replica = start_settled(&world).await;
        let mut ids = Vec::new();
        for (outcome, days) in [
            (pb::CloseOutcome::NotRelevant, 3),
            (pb::CloseOutcome::Answered, 5),
            (pb::CloseOutcome::Converted, 7),
        ] {
            let id = submit_mail(&replica, "kari@example.no").await;
            let closed = close(&replica, &id, outcome).await;
            let end = world.clock.now() + jiff::SignedDuration::from_hours(24 * days);
            assert_eq!(closed.erase_by, Some(timestamp(end)));
            ids.push(id);
        }
        let open = submit_mail(&replica, "kari@example.no").await;
        let (_, cursor) = pull_all(&mut replica.crm(), "", 0).await;
        let late = world.new_token(&replica.store, "late-crm", lead_intake::token::Role::Crm).await;
        world.clock.advance_seconds(3 * DAY - 1800);
        assert_eq!(sweep(&world, &replica).await, 0);
        world.clock.advance_seconds(1800);
        for (place, over) in [[0, 1, 0], [1, 0, 0], [0, 0, 1]].into_iter().enumerate() {
            assert_eq!(preview(&world, &replica).await.grace_over, over);
            assert_eq!(sweep(&world, &replica).await, 1);
            assert!(get_lead(&mut replica.crm(), &ids[place]).await.is_err());
            world.clock.advance_seconds(2 * DAY);
        }
        assert!(get_lead(&mut replica.crm(), &open).await.is_ok());
        let (changes, _) = pull_all(&mut replica.crm(), &cursor, 0).await;
        assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), [
            (ChangeKind::Erased, &*ids[0]),
            (ChangeKind::Erased, &*ids[1]),
            (ChangeKind::HandedOver, &*ids[2]),
        ]);
        let grace_over = (EntryKind::HandedOver, 3, String::new());
        assert_eq!(last_entry(&replica, &ids[2]).await, grace_over);
        let (changes, _) = pull_all(&mut replica.crm_as(late.expose()), "", 0).await;
        assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), [(ChangeKind::Submitted, &*open)]);
        verify(&replica).await;
        replica.stop().await;
    }

    /// Art. 18: the retention of a restricted lead is reached. It is kept, counted, hidden from the CRM and
    /// copied for the person; with its last restriction it goes, and is never available in between.
    async fn case_retention_reached_while_restricted(backend: Backend) {
        let world = World::new(backend).await;
        let replica = start_settled(&world).await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let other = submit_mail(&replica, "ola@example.no").await;
        let (_, cursor) = pull_all(&mut replica.crm(), "", 0).await;
        restrict(&replica, &id).await;
        world.clock.advance_seconds(MAX_AGE + DAY);
        let before = preview(&world, &replica).await;
        assert_eq!((before.too_old, before.kept_restricted), (1, 1));
        assert_eq!(sweep(&world, &replica).await, 1);
        let after = preview(&world, &replica).await;
        assert_eq!((after.too_old, after.kept_restricted, after.oldest), (0, 1, None));
        assert!(get_lead(&mut replica.crm(), &id).await.is_err());
        let kept = copy(&replica, "kari@example.no").await;
        assert_eq!(kept["data"][0]["subject"]["schema:email"], "kari@example.no");

        let lift = pb::LiftRestrictionRequest {
            request_id: new_id().to_string(),
            lead_id: id.clone(),
            reason: pb::RestrictionReason::SubjectLegalClaim.into(),
            subject_informed_at: Some(timestamp(world.clock.now())),
        };
        let lifted = replica.privacy().lift_restriction(lift).await.unwrap().into_inner();
        assert_eq!((lifted.erased, lifted.reasons.len()), (true, 0));
        assert_eq!(copy(&replica, "kari@example.no").await["data"], serde_json::json!([]));
        assert_eq!(preview(&world, &replica).await.kept_restricted, 0);
        let (changes, _) = pull_all(&mut replica.crm(), &cursor, 0).await;
        assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), [
            (ChangeKind::Erased, &*other),
            (ChangeKind::Erased, &*id),
        ]);
        assert_eq!(sweep(&world, &replica).await, 0);
        verify(&replica).await;
        replica.stop().await;
    }

    /// What a preview counts is what a sweep then erases, each lead once, also one that is both closed and
    /// too old; and a preview changes nothing.
    async fn a_preview_tells_what_a_sweep_does(backend: Backend) {
        let mut world = World::new(backend).await;
        world.settings.retention.grace = GraceDays { answered: 5, not_relevant: 3, converted: 7 };
        let replica = start_settled(&world).await;
        let mut ids = Vec::new();
        for _ in 0..9 {
            ids.push(submit_mail(&replica, "kari@example.no").await);
        }
        for id in &ids[..3] {
            close(&replica, id, pb::CloseOutcome::Converted).await;
        }
        close(&replica, &ids[3], pb::CloseOutcome::Answered).await;
        close(&replica, &ids[4], pb::CloseOutcome::Answered).await;
        restrict(&replica, &ids[4]).await;
        restrict(&replica, &ids[5]).await;
        world.clock.advance_seconds(MAX_AGE);
        submit_mail(&replica, "kari@example.no").await;
        let before = ledger(&replica).await;
        let expected = preview(&world, &replica).await;
        assert_eq!(expected.grace_over, [1, 0, 3]);
        assert_eq!(CloseOutcome::ALL[2], CloseOutcome::Converted);
        assert_eq!((expected.too_old, expected.kept_restricted), (3, 2));
        assert_eq!(expected.oldest, Some(START.parse().unwrap()));
        assert_eq!(preview(&world, &replica).await, expected);
        assert_eq!(ledger(&replica).await, before);

        assert_eq!(sweep(&world, &replica).await, 7);
        let handed_over = ledger(&replica).await.into_iter();
        let handed_over = handed_over.filter(|entry| entry.kind() == EntryKind::HandedOver);
        assert_eq!(handed_over.count(), 3);
        let after = preview(&world, &replica).await;
        assert_eq!((after.too_old, after.grace_over, after.kept_restricted), (0, [0; 3], 2));
        assert_eq!(after.swept_at, Some(world.clock.now()));
        replica.stop().await;
    }

    /// The service itself sweeps: nobody has to call for it.
    async fn art_5_1_e_the_service_sweeps_by_itself(backend: Backend) {
        let mut world = World::new(backend).await;
        world.sweep_every = std::time::Duration::from_millis(10);
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        world.clock.advance_seconds(MAX_AGE);
        let mut crm = replica.crm();
        let gone = eventually(async || get_lead(&mut crm, &id).await.err()).await;
        assert_eq!(gone.code(), Code::NotFound);
        verify(&replica).await;
        replica.stop().await;
    }
}
