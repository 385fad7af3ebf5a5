//! Restricted before anybody was given it (Art. 15(1)(c), 18, 19): such a lead is not there for a CRM, its end
//! included, until it is released; and what was disclosed then is recorded as disclosed then.

use lead_intake::pb::{self, ChangeKind};

use crate::{steps::*, support::*};

async fn restrict(replica: &Replica, lead_id: &str) {
    let request = pb::RestrictLeadRequest {
        request_id: new_id().to_string(),
        lead_id: lead_id.to_owned(),
        reason: pb::RestrictionReason::SubjectLegalClaim.into(),
        ..Default::default()
    };
    replica.privacy().restrict_lead(request).await.unwrap();
}

async fn lift(world: &World, replica: &Replica, lead_id: &str) {
    use lead_intake::clock::Clock as _;
    let now = lead_intake::rpc::convert::timestamp(world.clock.now());
    let request = pb::LiftRestrictionRequest {
        request_id: new_id().to_string(),
        lead_id: lead_id.to_owned(),
        reason: pb::RestrictionReason::SubjectLegalClaim.into(),
        subject_informed_at: Some(now),
    };
    replica.privacy().lift_restriction(request).await.unwrap();
}

/// How often the copy for this person names the CRM as a recipient.
async fn recipients(replica: &Replica, email: &str) -> usize {
    let request = pb::ExportSubjectRequest {
        request: subject(email),
        kind: pb::ExportKind::Access.into(),
        ..Default::default()
    };
    let copy = replica.privacy().export_subject(request).await.unwrap();
    let copy: serde_json::Value = serde_json::from_slice(&copy.into_inner().content).unwrap();
    copy["15_1_c_recipients"]["disclosures"]
        .as_array()
        .unwrap()
        .len()
}

async fn erase_confirmed(replica: &Replica, email: &str) {
    let mut request = erasure(email);
    request.confirm_supersedes_restriction = true;
    replica.privacy().erase_subject(request).await.unwrap();
}

on_both! {
    /// Neither the submission, nor the restriction, nor the tombstone of a lead that was restricted before
    /// the client came by; and no disclosure is claimed.
    async fn art_18_a_lead_restricted_before_it_was_given_is_not_heard_of(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let hidden = submit_mail(&replica, "kari@example.no").await;
        let seen = submit_mail(&replica, "ola@example.no").await;
        restrict(&replica, &hidden).await;
        for _ in 0..2 {
            let (changes, _) = pull_all(&mut replica.crm(), "", 1).await;
            let heard: Vec<_> = changes.iter().map(heard).collect();
            assert_eq!(heard, [(ChangeKind::Submitted, &*seen)]);
        }
        assert_eq!(recipients(&replica, "kari@example.no").await, 0);
        assert_eq!(recipients(&replica, "ola@example.no").await, 1);
        erase_confirmed(&replica, "kari@example.no").await;
        for page_size in [1, 100] {
            let (changes, _) = pull_all(&mut replica.crm(), "", page_size).await;
            assert!(changes.iter().all(|change| change.lead_id == seen));
        }
        replica.stop().await;
    }

    /// Released, the lead comes with its content; from then on the client has it, and hears its end.
    async fn art_19_a_released_lead_is_given_and_its_tombstone_follows(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        restrict(&replica, &id).await;
        let (_, cursor) = pull_all(&mut replica.crm(), "", 100).await;
        lift(&world, &replica, &id).await;
        assert_eq!(recipients(&replica, "kari@example.no").await, 0);
        let (changes, _) = pull_all(&mut replica.crm(), &cursor, 100).await;
        assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), [(ChangeKind::Released, &*id)]);
        assert_eq!(changes[0].lead.as_ref().unwrap().email, "kari@example.no");
        assert_eq!(recipients(&replica, "kari@example.no").await, 1);
        erase(&replica, "kari@example.no").await;
        let (changes, _) = pull_all(&mut replica.crm(), "", 100).await;
        assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), [(ChangeKind::Erased, &*id)]);
        replica.stop().await;
    }

    /// The same when the client goes back instead of on: what an old position shows now is a disclosure, and
    /// is recorded as one.
    async fn art_15_1_c_an_old_position_that_shows_more_than_before(backend: Backend) {
        // With a neighbour the page that passed the lead over was a delivery; without one it was none.
        for neighbours in [1, 0] {
            let world = World::new(backend).await;
            let replica = world.start().await;
            let id = submit_mail(&replica, "kari@example.no").await;
            for _ in 0..neighbours {
                submit_mail(&replica, "ola@example.no").await;
            }
            restrict(&replica, &id).await;
            pull_all(&mut replica.crm(), "", 100).await;
            lift(&world, &replica, &id).await;
            let page = pull(&mut replica.crm(), "", 1).await.unwrap();
            assert_eq!(heard(&page.changes[0]), (ChangeKind::Submitted, &*id));
            assert_eq!(page.changes[0].lead.as_ref().unwrap().email, "kari@example.no");
            assert_eq!(recipients(&replica, "kari@example.no").await, 1);
            erase(&replica, "kari@example.no").await;
            let (changes, _) = pull_all(&mut replica.crm(), &page.next_cursor, 100).await;
            let theirs: Vec<_> = changes.iter().filter(|change| change.lead_id == id).collect();
            assert_eq!(theirs.into_iter().map(heard).collect::<Vec<_>>(), [(ChangeKind::Erased, &*id)]);
            replica.stop().await;
        }
    }

    /// Whoever was given the lead before hears everything, without its content.
    async fn art_19_who_has_a_restricted_lead_hears_all_of_it(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let (_, cursor) = pull_all(&mut replica.crm(), "", 100).await;
        restrict(&replica, &id).await;
        let (changes, _) = pull_all(&mut replica.crm(), &cursor, 100).await;
        assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), [(ChangeKind::Restricted, &*id)]);
        assert_eq!(changes[0].lead, None);
        // By GetLead only: the same.
        let other = submit_mail(&replica, "ola@example.no").await;
        get_lead(&mut replica.crm(), &other).await.unwrap();
        restrict(&replica, &other).await;
        erase_confirmed(&replica, "kari@example.no").await;
        let (changes, _) = pull_all(&mut replica.crm(), &cursor, 100).await;
        let heard: Vec<_> = changes.iter().map(heard).collect();
        assert_eq!(heard, [
            (ChangeKind::Submitted, &*other),
            (ChangeKind::Restricted, &*other),
            (ChangeKind::Erased, &*id),
        ]);
        assert!(changes.iter().all(|change| change.lead.is_none()));
        replica.stop().await;
    }
}
