//! Art. 7(3): withdrawing is as easy as consenting.

use super::*;

/// What may still be asked for a lead that stays.
const RIGHTS: [&str; 6] = [
    "eu-gdpr:A15",
    "eu-gdpr:A16",
    "eu-gdpr:A17",
    "eu-gdpr:A18",
    "eu-gdpr:A20",
    "eu-gdpr:A77",
];

on_both! {
    /// A lead that rests on consent is erased at once by its withdrawal, from the website as from privacy
    /// tooling. A repeat answers as for a lead that never was: nobody learns what is held.
    async fn art_7_3_a_consent_lead_is_erased(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let form = consent_form("kari@example.no");
        let id = submit(&replica, form.clone()).await;
        let other = submit(&replica, consent_form("ola@example.no")).await;
        pull_all(&mut replica.crm(), "", 0).await;
        assert_eq!(withdraw(&replica, &id).await, WithdrawalOutcome::Erased);
        let before = ledger(&replica).await;
        let request = pb::WithdrawConsentRequest { lead_id: id.clone() };
        let unknown = pb::WithdrawConsentRequest { lead_id: new_id().to_string() };
        let mut answers = Vec::new();
        for request in [request.clone(), request, unknown] {
            answers.push(replica.intake().withdraw_consent(request).await.unwrap().into_inner());
        }
        assert_eq!(answers[0].outcome(), WithdrawalOutcome::NothingHeld);
        assert!(answers[0].applicable_rights.is_empty());
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(ledger(&replica).await, before);
        let submitted = (pb::EntryKind::Submitted, 0);
        assert_eq!(entries(&replica, &id).await, [submitted, (pb::EntryKind::Erased, 2)]);
        assert_eq!(story(&mut replica.crm(), &id).await, [(ChangeKind::Erased, false)]);
        assert!(theirs(&replica, "kari@example.no").await.is_empty());
        assert_refused!(replica.intake().submit_lead(form), FailedPrecondition, "LEAD_ERASED");
        // Privacy tooling may withdraw for somebody who calls.
        let request = pb::WithdrawConsentRequest { lead_id: other };
        let caller = replica.caller(replica.token(Role::Privacy));
        let mut intake = pb::intake_service_client::IntakeServiceClient::new(caller);
        let done = intake.withdraw_consent(request).await.unwrap().into_inner();
        assert_eq!(done.outcome(), WithdrawalOutcome::Erased);
        verify(&replica).await;
        replica.stop().await;
    }

    /// A lead before a contract stays without its consent; the answer says which rights remain, a repeat
    /// says the same and records nothing.
    async fn art_7_3_a_lead_before_a_contract_stays(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut form = consent_form("kari@example.no");
        form.lawful_basis = pb::LawfulBasis::PreContract.into();
        let id = submit(&replica, form).await;
        let request = pb::WithdrawConsentRequest { lead_id: id.clone() };
        let first = replica.intake().withdraw_consent(request.clone()).await.unwrap().into_inner();
        assert_eq!(first.outcome(), WithdrawalOutcome::FlagWithdrawn);
        assert_eq!(first.applicable_rights, RIGHTS);
        let before = ledger(&replica).await;
        assert_eq!(replica.intake().withdraw_consent(request).await.unwrap().into_inner(), first);
        assert_eq!(ledger(&replica).await, before);
        let lead = get_lead(&mut replica.crm(), &id).await.unwrap();
        assert_eq!((lead.consent, lead.revision, lead.lawful_basis()), (false, 2, pb::LawfulBasis::PreContract));
        let told = [(ChangeKind::Submitted, true), (ChangeKind::ConsentWithdrawn, true)];
        assert_eq!(story(&mut replica.crm(), &id).await, told);
        replica.stop().await;
    }

    /// A restricted lead that rests on consent stays hidden for good: it is exported to the person as
    /// withdrawn, and erased when its last restriction is lifted, never available in between.
    async fn art_7_3_a_restricted_lead_is_never_available_again(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit(&replica, consent_form("kari@example.no")).await;
        pull_all(&mut replica.crm(), "", 0).await;
        restrict(&replica, &id, RestrictionReason::SubjectLegalClaim).await;
        restrict(&replica, &id, RestrictionReason::ObjectionPending).await;
        for _ in 0..2 {
            assert_eq!(withdraw(&replica, &id).await, WithdrawalOutcome::ErasedWhenLifted);
        }
        let copy = export(&replica, "kari@example.no", pb::ExportKind::Access).await;
        let copy: serde_json::Value = serde_json::from_slice(&copy.content).unwrap();
        assert_eq!(copy["data"][0]["consent"], false);
        assert_eq!(copy["data"][0]["restricted"], true);
        let one = lift(&world, &replica, &id, RestrictionReason::ObjectionPending).await;
        assert_eq!((one.reasons, one.erased), (vec![RestrictionReason::SubjectLegalClaim.into()], false));
        assert!(get_lead(&mut replica.crm(), &id).await.is_err());
        let order = lifting(&world, &id, RestrictionReason::SubjectLegalClaim);
        for _ in 0..2 {
            let last = replica.privacy().lift_restriction(order.clone()).await.unwrap().into_inner();
            assert_eq!((last.reasons, last.erased), (vec![], true));
        }
        assert_eq!(story(&mut replica.crm(), &id).await, [(ChangeKind::Erased, false)]);
        assert_eq!(entries(&replica, &id).await, [
            (pb::EntryKind::Submitted, 0),
            (pb::EntryKind::Restricted, 3),
            (pb::EntryKind::Restricted, 4),
            (pb::EntryKind::ConsentWithdrawn, 0),
            (pb::EntryKind::LeadExported, 0),
            (pb::EntryKind::ReasonLifted, 4),
            (pb::EntryKind::ReasonLifted, 3),
            (pb::EntryKind::Erased, 5),
        ]);
        assert_eq!(withdraw(&replica, &id).await, WithdrawalOutcome::NothingHeld);
        verify(&replica).await;
        replica.stop().await;
    }
}
