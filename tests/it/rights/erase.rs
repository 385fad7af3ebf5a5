//! Art. 17: what stays, what asks back, and what a repeat may not change.

use pb::ErasureOutcome;

use super::*;

fn outcomes(done: &pb::EraseSubjectResponse) -> Vec<(&str, ErasureOutcome)> {
    let leads = done.leads.iter();
    leads.map(|lead| (&*lead.lead_id, lead.outcome())).collect()
}

fn with_ids(mut order: pb::EraseSubjectRequest, ids: &[&str]) -> pb::EraseSubjectRequest {
    let subject = order
        .request
        .as_mut()
        .and_then(|it| it.subject.as_mut())
        .unwrap();
    subject.lead_ids = ids.iter().map(|id| (*id).to_owned()).collect();
    order
}

on_both! {
    /// Art. 17(3)(e), 12(4): a lead under the controller's claim is RETAINED, and the person is told why,
    /// where to complain and that there are courts, in both languages; a lead restricted at their own wish
    /// asks back; the others are erased in the same call. Confirmed, the second goes too.
    async fn art_17_3_e_a_mixed_call(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(submit_mail(&replica, "kari@example.no").await);
            world.clock.advance_seconds(1);
        }
        pull_all(&mut replica.crm(), "", 0).await;
        restrict(&replica, &ids[1], RestrictionReason::ControllerLegalClaim).await;
        restrict(&replica, &ids[1], RestrictionReason::ObjectionPending).await;
        restrict(&replica, &ids[2], RestrictionReason::SubjectLegalClaim).await;
        let order = erasure("kari@example.no");
        let done = replica.privacy().erase_subject(order.clone()).await.unwrap().into_inner();
        let (erased, retained) = (ErasureOutcome::Erased, ErasureOutcome::Retained);
        let asked_back = ErasureOutcome::NeedsConfirmation;
        let expected =
            [(&*ids[0], erased), (&*ids[1], retained), (&*ids[2], asked_back), (&*ids[3], erased)];
        assert_eq!(outcomes(&done), expected);
        assert!(done.leads[0].refusal.is_none() && done.leads[3].refusal.is_none());
        let refusal = done.leads[1].refusal.as_ref().unwrap();
        assert!(refusal.reason.contains("artikkel 17 nr. 3 bokstav e"));
        assert!(refusal.complaint.contains("Datatilsynet, Postboks 458 Sentrum, 0105 Oslo"));
        assert!(refusal.judicial_remedy.contains("domstolene"));
        assert_ne!(done.leads[2].refusal.as_ref().unwrap().reason, refusal.reason);
        assert_eq!(theirs(&replica, "kari@example.no").await, [&*ids[1], &*ids[2]]);
        assert_eq!(replica.privacy().erase_subject(order).await.unwrap().into_inner(), done);

        let confirmed = pb::EraseSubjectRequest {
            confirm_supersedes_restriction: true,
            language: "en".into(),
            ..erasure("kari@example.no")
        };
        let done = replica.privacy().erase_subject(confirmed).await.unwrap().into_inner();
        assert_eq!(outcomes(&done), [(&*ids[1], retained), (&*ids[2], erased)]);
        let refusal = done.leads[0].refusal.as_ref().unwrap();
        assert!(refusal.reason.contains("Art. 17(3)(e)") && refusal.judicial_remedy.contains("Art. 79"));
        assert!(refusal.complaint.contains("Datatilsynet"));
        let claim = RestrictionReason::ControllerLegalClaim;
        assert!(!lift(&world, &replica, &ids[1], claim).await.erased);
        for id in [&ids[0], &ids[2], &ids[3]] {
            assert_eq!(story(&mut replica.crm(), id).await, [(ChangeKind::Erased, false)]);
        }
        verify(&replica).await;
        replica.stop().await;
    }

    /// A repeat answers what became of the leads that were named, and does not list them as untouched; one
    /// that names a lead the first call did not have, or gives another ground, is another request.
    async fn case_a_repeat_with_named_candidates(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let phone = |name: &str, email: &str| pb::SubmitLeadRequest {
            phone: "40605600".to_owned(),
            ..form(name, email)
        };
        let kari = submit(&replica, phone("Kari", "kari@example.no")).await;
        world.clock.advance_seconds(1);
        let claimed = submit(&replica, phone("Kari", "kari@work.example.no")).await;
        world.clock.advance_seconds(1);
        let ola = submit(&replica, phone("Ola", "ola@example.no")).await;
        restrict(&replica, &claimed, RestrictionReason::ControllerLegalClaim).await;
        let mut order = erasure("kari@example.no");
        order.request.as_mut().and_then(|it| it.subject.as_mut()).unwrap().phone = "40605600".into();
        let order = with_ids(order, &[&claimed]);
        let done = replica.privacy().erase_subject(order.clone()).await.unwrap().into_inner();
        let expected = [(&*kari, ErasureOutcome::Erased), (&*claimed, ErasureOutcome::Retained)];
        assert_eq!(outcomes(&done), expected);
        assert_eq!(done.unconfirmed.iter().map(|lead| &*lead.lead_id).collect::<Vec<_>>(), [&*ola]);
        assert_eq!(replica.privacy().erase_subject(order.clone()).await.unwrap().into_inner(), done);
        let more = with_ids(order.clone(), &[&claimed, &ola]);
        assert_refused!(replica.privacy().erase_subject(more), AlreadyExists, "REQUEST_ID_REUSED");
        let ground = pb::EraseSubjectRequest { ground: pb::ErasureGround::Objection.into(), ..order };
        assert_refused!(replica.privacy().erase_subject(ground), AlreadyExists, "REQUEST_ID_REUSED");
        assert_eq!(theirs(&replica, "ola@example.no").await, [&*ola]);
        replica.stop().await;
    }

    /// A submission repeated after each way for its lead to go is `LEAD_ERASED`, and stores nothing; the same
    /// person's next form is a new lead.
    async fn case_a_submission_repeated_after_each_erasure(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        for way in ["request", "withdrawal", "closing", "conversion", "lifting"] {
            let form = consent_form("kari@example.no");
            let id = submit(&replica, form.clone()).await;
            let mut crm = replica.crm();
            pull_all(&mut crm, "", 0).await;
            match way {
                "request" => drop(erase(&replica, "kari@example.no").await),
                "withdrawal" => drop(withdraw(&replica, &id).await),
                "closing" => drop(close(&mut crm, &id, pb::CloseOutcome::NotRelevant).await.unwrap()),
                "conversion" => drop(close(&mut crm, &id, pb::CloseOutcome::Converted).await.unwrap()),
                _ => {
                    restrict(&replica, &id, RestrictionReason::ObjectionPending).await;
                    withdraw(&replica, &id).await;
                    assert!(lift(&world, &replica, &id, RestrictionReason::ObjectionPending).await.erased);
                }
            }
            let before = ledger(&replica).await;
            assert_refused!(replica.intake().submit_lead(form.clone()), FailedPrecondition, "LEAD_ERASED");
            assert_eq!(ledger(&replica).await, before, "{way}");
            assert!(theirs(&replica, "kari@example.no").await.is_empty());
            let kind = if way == "conversion" { ChangeKind::HandedOver } else { ChangeKind::Erased };
            assert_eq!(story(&mut crm, &id).await, [(kind, false)], "{way}");
            let again = submit(&replica, consent_form("kari@example.no")).await;
            assert_ne!(again, id);
            erase(&replica, "kari@example.no").await;
        }
        verify(&replica).await;
        replica.stop().await;
    }
}
