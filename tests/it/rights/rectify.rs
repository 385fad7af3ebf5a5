//! Art. 16: corrections.

use super::*;
use crate::{clean_up::settle, raw::Raw, scan::Needles};

on_both! {
    /// A correction takes the caller's revision, is told as RECTIFIED with the lead as it is now, and moves
    /// the lead to its new mailbox for every later look-up. A repeat gets the first answer, other content
    /// under the same key is refused, also in what the ledger alone can tell once the lead moved on.
    async fn art_16_a_correction_once_and_again(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        pull_all(&mut replica.crm(), "", 0).await;
        let right = correction(&id, 1, "email", "Kari.N@example.no");
        let first = rectify(&replica, &right).await;
        assert_eq!(first.revision, 2);
        assert_eq!(rectify(&replica, &right).await, first);
        assert!(theirs(&replica, "kari@example.no").await.is_empty());
        assert_eq!(theirs(&replica, "kari.n@example.no").await, [&*id]);
        let told = [(ChangeKind::Submitted, true), (ChangeKind::Rectified, true)];
        assert_eq!(story(&mut replica.crm(), &id).await, told);
        let lead = get_lead(&mut replica.crm(), &id).await.unwrap();
        assert_eq!((&*lead.email, &*lead.name, lead.revision), ("Kari.N@example.no", "Kari Nordmann", 2));

        let mut other = right.clone();
        other.fields.as_mut().unwrap().email = "x@example.no".into();
        let mut wider = right.clone();
        wider.field_mask.as_mut().unwrap().paths.push("phone".into());
        let mut later = right.clone();
        later.expected_revision = 2;
        let elsewhere = submit_mail(&replica, "ola@example.no").await;
        let elsewhere = pb::RectifyLeadRequest { lead_id: elsewhere, ..right.clone() };
        let as_restriction = pb::RestrictLeadRequest {
            request_id: right.request_id.clone(),
            ..restriction(&id, RestrictionReason::AccuracyContested)
        };
        let before = ledger(&replica).await;
        for reused in [&other, &wider, &later, &elsewhere] {
            assert_refused!(replica.privacy().rectify_lead(reused.clone()), AlreadyExists, "REQUEST_ID_REUSED");
        }
        assert_refused!(replica.privacy().restrict_lead(as_restriction), AlreadyExists, "REQUEST_ID_REUSED");
        assert_eq!(ledger(&replica).await, before);
        // The lead moves on, and goes: the first answer stands.
        rectify(&replica, &correction(&id, 2, "name", "Kari Hansen")).await;
        assert_eq!(rectify(&replica, &right).await, first);
        assert_refused!(replica.privacy().rectify_lead(later.clone()), AlreadyExists, "REQUEST_ID_REUSED");
        erase(&replica, "kari.n@example.no").await;
        assert_eq!(rectify(&replica, &right).await, first);
        assert_refused!(replica.privacy().rectify_lead(later), AlreadyExists, "REQUEST_ID_REUSED");
        verify(&replica).await;
        replica.stop().await;
    }

    /// A stale revision is refused, and so is a lead that is gone or never was; nothing is changed. The
    /// greatest number there is is a stale revision like any other.
    async fn art_16_a_stale_revision_changes_nothing(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        rectify(&replica, &correction(&id, 1, "name", "Kari Hansen")).await;
        let before = ledger(&replica).await;
        for revision in [1, 3, i64::MAX] {
            let stale = correction(&id, revision, "name", "Kari Olsen");
            assert_refused!(replica.privacy().rectify_lead(stale), Aborted, "REVISION_MISMATCH");
        }
        let unknown = correction(&new_id().to_string(), 1, "name", "Kari Olsen");
        assert_refused!(replica.privacy().rectify_lead(unknown), NotFound, "LEAD_NOT_FOUND");
        assert_eq!(ledger(&replica).await, before);
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap().name, "Kari Hansen");
        replica.stop().await;
    }

    /// Blocked while restricted, except while only the accuracy is contested: then the correction is what
    /// the restriction is for, and the lead stays hidden until that is lifted.
    async fn art_16_blocked_while_restricted_except_contested(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        for reason in [
            RestrictionReason::UnlawfulErasureOpposed,
            RestrictionReason::SubjectLegalClaim,
            RestrictionReason::ObjectionPending,
            RestrictionReason::ControllerLegalClaim,
        ] {
            let id = submit_mail(&replica, "kari@example.no").await;
            // The CRM has it before it is hidden.
            pull_all(&mut replica.crm(), "", 0).await;
            restrict(&replica, &id, reason).await;
            let right = correction(&id, 2, "name", "Kari Hansen");
            assert_refused!(replica.privacy().rectify_lead(right), FailedPrecondition, "LEAD_RESTRICTED");
            restrict(&replica, &id, RestrictionReason::AccuracyContested).await;
            let right = correction(&id, 3, "name", "Kari Hansen");
            assert_refused!(replica.privacy().rectify_lead(right), FailedPrecondition, "LEAD_RESTRICTED");
            lift(&world, &replica, &id, reason).await;
            let right = correction(&id, 4, "name", "Kari Hansen");
            assert_eq!(rectify(&replica, &right).await.revision, 5);
            assert!(get_lead(&mut replica.crm(), &id).await.is_err());
            assert!(story(&mut replica.crm(), &id).await.contains(&(ChangeKind::Rectified, false)));
            lift(&world, &replica, &id, RestrictionReason::AccuracyContested).await;
            let lead = get_lead(&mut replica.crm(), &id).await.unwrap();
            assert_eq!((&*lead.name, lead.revision), ("Kari Hansen", 6));
        }
        replica.stop().await;
    }

    /// Every bad input at once; and what only the stored lead can tell: somebody must be left to answer.
    async fn art_16_every_bad_input_at_once(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let before = ledger(&replica).await;
        let wrong = pb::RectifyLeadRequest {
            request_id: "1".into(),
            lead_id: "2".into(),
            field_mask: Some(prost_types::FieldMask { paths: vec!["email".into(), "title".into()] }),
            fields: Some(pb::LeadFields {
                name: "Kari".into(),
                company: "x".repeat(201),
                phone: "12".into(),
                email: "no".into(),
            }),
            expected_revision: 0,
            received_at: Some(seconds_on(&world, 1)),
            verification: 9,
        };
        let found = violations(&replica.privacy().rectify_lead(wrong).await.unwrap_err());
        let found: Vec<_> = found.iter().map(|(field, fault)| (&**field, &**fault)).collect();
        assert_eq!(found, [
            ("expected_revision", "OUT_OF_RANGE"),
            ("field_mask", "UNKNOWN_VALUE"),
            ("fields.company", "NOT_IN_MASK"),
            ("fields.email", "EMAIL_INVALID"),
            ("fields.name", "NOT_IN_MASK"),
            ("fields.phone", "NOT_IN_MASK"),
            ("lead_id", "UUID_INVALID"),
            ("received_at", "TIME_IN_FUTURE"),
            ("request_id", "UUID_INVALID"),
            ("verification", "UNKNOWN_VALUE"),
        ]);
        let mut nothing = correction(&id, 1, "name", "");
        nothing.field_mask = None;
        for (request, field, fault) in [
            (nothing, "field_mask", "REQUIRED"),
            (correction(&id, 1, "name", ""), "fields.name", "NAME_OR_COMPANY_REQUIRED"),
            (correction(&id, 1, "email", ""), "fields.email", "PHONE_OR_EMAIL_REQUIRED"),
        ] {
            let refused = replica.privacy().rectify_lead(request).await.unwrap_err();
            assert_eq!(violations(&refused), [(field.to_owned(), fault.to_owned())]);
        }
        assert_eq!(ledger(&replica).await, before);
        // One goes when the other is there; then the person is found by the phone, and no more by the mailbox.
        rectify(&replica, &correction(&id, 1, "phone", "406 05 600")).await;
        rectify(&replica, &correction(&id, 2, "email", "")).await;
        let lead = get_lead(&mut replica.crm(), &id).await.unwrap();
        assert_eq!((&*lead.phone, &*lead.email), ("+4740605600", ""));
        assert!(theirs(&replica, "kari@example.no").await.is_empty());
        let mut request = subject("").unwrap();
        request.subject.as_mut().unwrap().phone = "40605600".into();
        let request = pb::FindSubjectRequest { request: Some(request) };
        let found = replica.privacy().find_subject(request).await.unwrap().into_inner();
        assert_eq!(found.leads[0].lead_id, id);
        replica.stop().await;
    }

    /// A submission that is repeated after its lead was corrected is still the same submission.
    async fn case_a_submission_repeated_after_a_correction(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let form = form("Kari Nordmann", "kari@example.no");
        let id = submit(&replica, form.clone()).await;
        rectify(&replica, &correction(&id, 1, "email", "kari.n@example.no")).await;
        assert_eq!(submit(&replica, form).await, id);
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap().email, "kari.n@example.no");
        replica.stop().await;
    }
}

/// Art. 16, 17(1): what a correction replaced is gone from the files as if it were erased: the sealed
/// bytes and the look-up value of the old mailbox, while those of other people stay.
#[tokio::test(flavor = "multi_thread")]
async fn art_16_old_values_are_gone_from_every_file() {
    const REPLACED: &str = "SELECT sealed FROM lead UNION ALL SELECT email_index FROM lead";
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let mut ids = Vec::new();
    for number in 0..60 {
        ids.push(submit_mail(&replica, &format!("old-{number}@example.no")).await);
    }
    // The clean-up of the start must not be what removes them.
    settle(&replica).await;
    let mut raw = Raw::open(&world).await;
    let all = raw.bytes(REPLACED).await;
    for (number, id) in ids.iter().enumerate().step_by(3) {
        let new = correction(id, 1, "email", &format!("new-{number}@example.no"));
        rectify(&replica, &new).await;
    }
    let kept = raw.bytes(REPLACED).await;
    let gone: Vec<_> = all
        .iter()
        .filter(|bytes| !kept.contains(bytes))
        .cloned()
        .collect();
    assert_eq!(gone.len(), 40);
    let (gone, kept) = (Needles::of_bytes(&gone), Needles::of_bytes(&kept));
    eventually(async || gone.found_below(world.dir.path()).is_empty().then_some(())).await;
    assert!(!kept.found_below(world.dir.path()).is_empty());
    raw.close().await;
    replica.stop().await;
}
