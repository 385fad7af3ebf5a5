//! Art. 18: stored, and nothing else; Art. 18(3), 19: who is told.

use super::*;

on_both! {
    /// A restricted lead is absent at once from `PullLeads`, `GetLead` and a stream that was open before,
    /// may not be closed, and stays in the person's own copy. Released, it is in the feed again.
    async fn art_18_hidden_at_once_and_released(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let request = pb::StreamLeadsRequest { cursor: String::new(), follow: true };
        let mut stream = replica.crm().stream_leads(request).await.unwrap().into_inner();
        let told = stream.message().await.unwrap().unwrap().changes;
        assert_eq!((told.len(), told[0].lead.is_some()), (1, true));

        let reason = RestrictionReason::AccuracyContested;
        assert_eq!(restrict(&replica, &id, reason).await, [i32::from(reason)]);
        let told = stream.message().await.unwrap().unwrap().changes;
        assert_eq!(told.iter().map(heard).collect::<Vec<_>>(), [(ChangeKind::Restricted, &*id)]);
        assert!(told[0].lead.is_none());
        let hidden = [(ChangeKind::Submitted, false), (ChangeKind::Restricted, false)];
        assert_eq!(story(&mut replica.crm(), &id).await, hidden);
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap_err().code(), Code::NotFound);
        let refused = close(&mut replica.crm(), &id, pb::CloseOutcome::Answered).await.unwrap_err();
        assert_eq!((refused.code(), &*crate::support::reason(&refused)), (Code::NotFound, "LEAD_NOT_FOUND"));
        let found = find(&replica, "kari@example.no").await;
        assert_eq!(found.leads[0].state(), pb::LeadState::Restricted);
        for kind in [pb::ExportKind::Access, pb::ExportKind::Portability] {
            let copy = export(&replica, "kari@example.no", kind).await;
            assert!(String::from_utf8(copy.content).unwrap().contains("kari@example.no"));
        }

        let lifted = lift(&world, &replica, &id, reason).await;
        assert_eq!((lifted.reasons, lifted.erased), (vec![], false));
        let told = stream.message().await.unwrap().unwrap().changes;
        assert_eq!(told.iter().map(heard).collect::<Vec<_>>(), [(ChangeKind::Released, &*id)]);
        assert_eq!(told[0].lead.as_ref().unwrap().email, "kari@example.no");
        let again = [
            (ChangeKind::Submitted, true), (ChangeKind::Restricted, true), (ChangeKind::Released, true),
        ];
        assert_eq!(story(&mut replica.crm(), &id).await, again);
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap().revision, 3);
        drop(stream);
        replica.stop().await;
    }

    /// Art. 18(3): without the person having been told, nothing is lifted; nor is a reason that does not
    /// hold. With one reason lifted of two the lead stays hidden.
    async fn art_18_3_the_person_is_told_first(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let (contested, claim) = (RestrictionReason::AccuracyContested, RestrictionReason::SubjectLegalClaim);
        let early = lifting(&world, &id, contested);
        assert_refused!(replica.privacy().lift_restriction(early), FailedPrecondition, "REASON_NOT_IN_FORCE");
        restrict(&replica, &id, contested).await;
        assert_eq!(restrict(&replica, &id, claim).await, [i32::from(contested), i32::from(claim)]);
        let before = ledger(&replica).await;
        let mut order = lifting(&world, &id, contested);
        for informed_at in [None, Some(seconds_on(&world, 1))] {
            order.subject_informed_at = informed_at;
            let mut privacy = replica.privacy();
            let refused = privacy.lift_restriction(order.clone());
            assert_refused!(refused, FailedPrecondition, "SUBJECT_NOT_INFORMED");
        }
        let other = lifting(&world, &id, RestrictionReason::ObjectionPending);
        assert_refused!(replica.privacy().lift_restriction(other), FailedPrecondition, "REASON_NOT_IN_FORCE");
        let unknown = lifting(&world, &new_id().to_string(), contested);
        assert_refused!(replica.privacy().lift_restriction(unknown), NotFound, "LEAD_NOT_FOUND");
        assert_eq!(ledger(&replica).await, before);
        // The keys of what was refused are free.
        order.subject_informed_at = Some(seconds_on(&world, -60));
        let one = replica.privacy().lift_restriction(order.clone()).await.unwrap().into_inner();
        assert_eq!((&one.reasons, one.erased), (&vec![i32::from(claim)], false));
        assert!(get_lead(&mut replica.crm(), &id).await.is_err());
        let two = lift(&world, &replica, &id, claim).await;
        assert_eq!((two.reasons, two.erased), (vec![], false));
        assert!(get_lead(&mut replica.crm(), &id).await.is_ok());
        // The repeat says what held then, and lifts nothing of a newer restriction.
        restrict(&replica, &id, contested).await;
        assert_eq!(replica.privacy().lift_restriction(order).await.unwrap().into_inner(), one);
        assert!(get_lead(&mut replica.crm(), &id).await.is_err());
        verify(&replica).await;
        replica.stop().await;
    }

    /// A repeated restriction gets the first answer and restricts nothing that was released since; its key
    /// is for that reason and that lead only.
    async fn art_18_a_repeat_gets_the_first_answer(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let other = submit_mail(&replica, "ola@example.no").await;
        let order = pb::RestrictLeadRequest {
            received_at: Some(seconds_on(&world, -86_400)),
            ..restriction(&id, RestrictionReason::SubjectLegalClaim)
        };
        let first = replica.privacy().restrict_lead(order.clone()).await.unwrap().into_inner();
        restrict(&replica, &id, RestrictionReason::ObjectionPending).await;
        lift(&world, &replica, &id, RestrictionReason::ObjectionPending).await;
        lift(&world, &replica, &id, RestrictionReason::SubjectLegalClaim).await;
        world.clock.advance_seconds(60);
        let again = pb::RestrictLeadRequest { received_at: None, ..order.clone() };
        let before = ledger(&replica).await;
        assert_eq!(replica.privacy().restrict_lead(again).await.unwrap().into_inner(), first);
        assert!(get_lead(&mut replica.crm(), &id).await.is_ok());
        let mut reason = order.clone();
        reason.reason = RestrictionReason::ObjectionPending.into();
        let lead = pb::RestrictLeadRequest { lead_id: other, ..order.clone() };
        for reused in [reason, lead] {
            assert_refused!(replica.privacy().restrict_lead(reused), AlreadyExists, "REQUEST_ID_REUSED");
        }
        let mut lifting = lifting(&world, &id, RestrictionReason::SubjectLegalClaim);
        lifting.request_id.clone_from(&order.request_id);
        assert_refused!(replica.privacy().lift_restriction(lifting), AlreadyExists, "REQUEST_ID_REUSED");
        let erasing = pb::EraseSubjectRequest {
            request: subject("kari@example.no").map(|request| pb::SubjectRequest {
                request_id: order.request_id.clone(),
                ..request
            }),
            ..erasure("")
        };
        assert_refused!(replica.privacy().erase_subject(erasing), AlreadyExists, "REQUEST_ID_REUSED");
        let entries = ledger(&replica).await.len();
        // `GetLead` left one.
        assert_eq!(entries, before.len() + 1);
        erase(&replica, "kari@example.no").await;
        assert_eq!(replica.privacy().restrict_lead(order).await.unwrap().into_inner(), first);
        replica.stop().await;
    }

    /// Retention reached while restricted: the lead stays until the restriction is lifted, and goes then.
    async fn case_retention_reached_while_restricted(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        pull_all(&mut replica.crm(), "", 0).await;
        restrict(&replica, &id, RestrictionReason::SubjectLegalClaim).await;
        world.clock.advance_seconds(181 * 86_400);
        assert_eq!(theirs(&replica, "kari@example.no").await, [&*id]);
        let done = lift(&world, &replica, &id, RestrictionReason::SubjectLegalClaim).await;
        assert_eq!((done.reasons, done.erased), (vec![], true));
        assert_eq!(story(&mut replica.crm(), &id).await, [(ChangeKind::Erased, false)]);
        replica.stop().await;
    }

    /// Art. 19: each change reaches each CRM that had the lead, by the feed or by `GetLead`; one that had it
    /// not hears nothing of it once it is gone.
    async fn art_19_every_change_reaches_who_had_the_lead(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut form = consent_form("kari@example.no");
        form.lawful_basis = pb::LawfulBasis::PreContract.into();
        let id = submit(&replica, form).await;
        let mut puller = crm(&world, &replica, "puller").await;
        let mut reader = crm(&world, &replica, "reader").await;
        let mut stranger = crm(&world, &replica, "stranger").await;
        let (_, start) = pull_all(&mut puller, "", 1).await;
        get_lead(&mut reader, &id).await.unwrap();
        rectify(&replica, &correction(&id, 1, "name", "Kari Hansen")).await;
        withdraw(&replica, &id).await;
        restrict(&replica, &id, RestrictionReason::AccuracyContested).await;
        lift(&world, &replica, &id, RestrictionReason::AccuracyContested).await;
        let marketing = pb::ObjectToProcessingRequest {
            request: subject("kari@example.no"),
            kind: pb::ObjectionKind::DirectMarketing.into(),
            ..Default::default()
        };
        replica.privacy().object_to_processing(marketing).await.unwrap();
        let (changes, _) = pull_all(&mut puller, &start, 2).await;
        let kinds: Vec<_> = changes.iter().map(pb::LeadChange::kind).collect();
        assert_eq!(kinds, [
            ChangeKind::Rectified, ChangeKind::ConsentWithdrawn, ChangeKind::Restricted,
            ChangeKind::Released, ChangeKind::Objected,
        ]);
        erase(&replica, "kari@example.no").await;
        let tombstone = [(ChangeKind::Erased, false)];
        assert_eq!(story(&mut puller, &id).await, tombstone);
        assert_eq!(story(&mut reader, &id).await, tombstone);
        assert_eq!(story(&mut stranger, &id).await, []);
        replica.stop().await;
    }
}
