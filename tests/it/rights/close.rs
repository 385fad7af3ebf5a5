//! An enquiry that is over.

use lead_intake::domain::retention::GraceDays;
use pb::CloseOutcome;

use super::*;

const DAY: i64 = 86_400;

on_both! {
    /// Without a grace the lead goes with its closing: handed over if it became a customer, erased if not.
    /// The client that closed it gets the same answer again, another one `NOT_FOUND`, as for an unknown lead.
    async fn case_closing_without_a_grace(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut mine = replica.crm();
        let mut other = crm(&world, &replica, "other").await;
        for (outcome, tombstone) in [
            (CloseOutcome::Answered, ChangeKind::Erased),
            (CloseOutcome::NotRelevant, ChangeKind::Erased),
            (CloseOutcome::Converted, ChangeKind::HandedOver),
        ] {
            let id = submit_mail(&replica, "kari@example.no").await;
            pull_all(&mut mine, "", 0).await;
            world.clock.advance_seconds(60);
            let first = close(&mut mine, &id, outcome).await.unwrap();
            assert_eq!((first.outcome(), first.erase_by), (outcome, Some(seconds_on(&world, 0))));
            assert!(theirs(&replica, "kari@example.no").await.is_empty());
            world.clock.advance_seconds(60);
            assert_eq!(close(&mut mine, &id, outcome).await.unwrap(), first);
            assert_eq!(close(&mut mine, &id, CloseOutcome::Answered).await.unwrap(), first);
            for (client, id) in [(&mut other, id.clone()), (&mut mine, new_id().to_string())] {
                let refused = close(client, &id, outcome).await.unwrap_err();
                assert_eq!((refused.code(), &*reason(&refused)), (Code::NotFound, "LEAD_NOT_FOUND"));
            }
            assert_eq!(story(&mut mine, &id).await, [(tombstone, false)]);
            assert_eq!(story(&mut other, &id).await, []);
            let number = i32::from(outcome);
            let kind = if tombstone == ChangeKind::Erased { pb::EntryKind::Erased } else { pb::EntryKind::HandedOver };
            assert_eq!(entries(&replica, &id).await[1..], [(pb::EntryKind::Closed, number), (kind, 3)]);
        }
        verify(&replica).await;
        replica.stop().await;
    }

    /// With a grace the lead stays, closed and readable, and the first closing stands, whoever closes it
    /// again and however.
    async fn case_closing_with_a_grace(backend: Backend) {
        let mut world = World::new(backend).await;
        world.settings.retention.grace = GraceDays { answered: 30, not_relevant: 0, converted: 10 };
        let replica = world.start().await;
        let mut mine = replica.crm();
        let mut other = crm(&world, &replica, "other").await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let first = close(&mut mine, &id, CloseOutcome::Answered).await.unwrap();
        assert_eq!(first.erase_by, Some(seconds_on(&world, 30 * DAY)));
        world.clock.advance_seconds(DAY);
        for outcome in [CloseOutcome::Answered, CloseOutcome::NotRelevant, CloseOutcome::Converted] {
            assert_eq!(close(&mut mine, &id, outcome).await.unwrap(), first);
            assert_eq!(close(&mut other, &id, outcome).await.unwrap(), first);
        }
        assert_eq!(find(&replica, "kari@example.no").await.leads[0].state(), pb::LeadState::Closed);
        let lead = get_lead(&mut mine, &id).await.unwrap();
        assert_eq!((lead.erase_by, lead.revision), (first.erase_by, 2));
        // Art. 18 shields it: restricted over the end of its grace, it goes when that is lifted.
        restrict(&replica, &id, RestrictionReason::SubjectLegalClaim).await;
        assert_eq!(close(&mut mine, &id, CloseOutcome::Answered).await.unwrap_err().code(), Code::NotFound);
        world.clock.advance_seconds(40 * DAY);
        assert!(lift(&world, &replica, &id, RestrictionReason::SubjectLegalClaim).await.erased);
        assert_eq!(close(&mut mine, &id, CloseOutcome::Converted).await.unwrap().outcome(), CloseOutcome::Answered);
        replica.stop().await;
    }

    /// A customer is handed over at the end of the grace, but erased if they ask for that before; never
    /// later than the lead's longest time.
    async fn case_a_customer_may_still_be_forgotten(backend: Backend) {
        let mut world = World::new(backend).await;
        world.settings.retention.grace.converted = 400;
        let replica = world.start().await;
        let mut crm = replica.crm();
        let submitted = seconds_on(&world, 0).seconds;
        let mut ids = Vec::new();
        for email in ["kari@example.no", "ola@example.no"] {
            let id = submit_mail(&replica, email).await;
            let closed = close(&mut crm, &id, CloseOutcome::Converted).await.unwrap();
            assert_eq!(closed.erase_by.unwrap().seconds, submitted + 180 * DAY);
            ids.push(id);
        }
        pull_all(&mut crm, "", 0).await;
        erase(&replica, "kari@example.no").await;
        restrict(&replica, &ids[1], RestrictionReason::SubjectLegalClaim).await;
        world.clock.advance_seconds(181 * DAY);
        lift(&world, &replica, &ids[1], RestrictionReason::SubjectLegalClaim).await;
        assert_eq!(story(&mut crm, &ids[0]).await, [(ChangeKind::Erased, false)]);
        assert_eq!(story(&mut crm, &ids[1]).await, [(ChangeKind::HandedOver, false)]);
        replica.stop().await;
    }
}
