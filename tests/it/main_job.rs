//! The main job, whole: a lead in, to the CRM, out again.

use lead_intake::pb;

use crate::support::*;

on_both! {
    /// A submitted lead reaches the CRM, and after its erasure nothing but its tombstone does.
    async fn a_lead_in_to_the_crm_and_out_again(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let form = form("Kari Nordmann", "kari@example.no");
        let stored = replica.intake().submit_lead(form.clone()).await.unwrap().into_inner();

        let page = replica.crm().pull_leads(pb::PullLeadsRequest::default()).await.unwrap();
        let page = page.into_inner();
        let [change] = &page.changes[..] else { panic!("one change, not {}", page.changes.len()) };
        assert_eq!(change.kind(), pb::ChangeKind::Submitted);
        assert_eq!(change.lead.as_ref().unwrap().email, "kari@example.no");

        let erase = pb::EraseSubjectRequest {
            request: subject("KARI@example.no"),
            ground: pb::ErasureGround::ConsentWithdrawn.into(),
            ..Default::default()
        };
        let erased = replica.privacy().erase_subject(erase).await.unwrap().into_inner();
        assert_eq!(erased.leads[0].lead_id, stored.lead_id);
        assert_eq!(erased.leads[0].outcome(), pb::ErasureOutcome::Erased);

        let again = pb::PullLeadsRequest::default();
        let page = replica.crm().pull_leads(again).await.unwrap().into_inner();
        let [tombstone] = &page.changes[..] else { panic!("one change") };
        assert_eq!(tombstone.kind(), pb::ChangeKind::Erased);
        assert!(tombstone.lead.is_none());

        let refused = replica.intake().submit_lead(form).await.unwrap_err();
        assert_eq!(reason(&refused), "LEAD_ERASED");
        let verified = replica.ledger().verify_ledger(pb::VerifyLedgerRequest {}).await.unwrap();
        assert!(verified.into_inner().intact);
        replica.stop().await;
    }

    /// A repeat gets the same answer when a newer notice is in force by now; a new form does not.
    async fn a_repeat_outlives_its_notice(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        // Back to the last day of version 1.0, 31 October.
        world.clock.advance_seconds(-23 * 86_400);
        let old = |form| pb::SubmitLeadRequest { notice_version: "1.0".to_owned(), ..form };
        let first = old(form("Kari Nordmann", "kari@example.no"));
        let stored = replica.intake().submit_lead(first.clone()).await.unwrap().into_inner();
        world.clock.advance_seconds(23 * 86_400);
        let again = replica.intake().submit_lead(first).await.unwrap().into_inner();
        assert!(again == stored);
        let new = old(form("Kari Nordmann", "kari@example.no"));
        let refused = replica.intake().submit_lead(new).await.unwrap_err();
        assert_eq!(reason(&refused), "NOTICE_SUPERSEDED");
        replica.stop().await;
    }
}
