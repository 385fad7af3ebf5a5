//! Tombstones: who hears of an erasure, and who must not.

use lead_intake::{pb::ChangeKind, token::Role};

use crate::{steps::*, support::*};

async fn crm(world: &World, replica: &Replica, name: &str) -> Crm {
    let token = world.new_token(&replica.store, name, Role::Crm).await;
    replica.crm_as(token.expose())
}

on_both! {
    /// A client hears nothing of a lead that it was never given: neither the erased submission nor its
    /// tombstone, whatever the page size, and also when its position passed over the erased submission
    /// before it reached the tombstone. Whoever was given the lead, by the feed or by `GetLead`, hears the
    /// tombstone, at every position.
    async fn only_who_was_given_a_lead_hears_its_tombstone(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let early = submit_mail(&replica, "early@example.no").await;
        let gone = submit_mail(&replica, "gone@example.no").await;
        let mut puller = crm(&world, &replica, "puller").await;
        let mut reader = crm(&world, &replica, "reader").await;
        let (given, _) = pull_all(&mut puller, "", 1).await;
        assert_eq!(given.len(), 2);
        assert_eq!(get_lead(&mut reader, &gone).await.unwrap().email, "gone@example.no");
        let between = submit_mail(&replica, "between@example.no").await;
        erase(&replica, "gone@example.no").await;
        let late = submit_mail(&replica, "late@example.no").await;

        let submitted = ChangeKind::Submitted;
        let without = [(submitted, &*early), (submitted, &*between), (submitted, &*late)];
        let with = [without[0], without[1], (ChangeKind::Erased, &*gone), without[2]];
        for (place, page_size) in [1, 2, 3, 100].into_iter().enumerate() {
            let mut stranger = crm(&world, &replica, &format!("stranger-{place}")).await;
            let (changes, _) = pull_all(&mut stranger, "", page_size).await;
            assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), without);
            // Nor later, when its deliveries are behind it.
            let (again, _) = pull_all(&mut stranger, "", page_size).await;
            assert_eq!(again, changes);
        }
        for client in [&mut puller, &mut reader] {
            for page_size in [1, 2, 100] {
                let (changes, _) = pull_all(client, "", page_size).await;
                assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), with);
                assert!(changes[2].lead.is_none());
            }
        }
        replica.stop().await;
    }

    /// The same for a lead that is erased while a client is in the middle of the feed: it hears the
    /// tombstone if and only if the page with the submission had gone out.
    async fn a_page_boundary_between_submission_and_tombstone(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let first = submit_mail(&replica, "first@example.no").await;
        let second = submit_mail(&replica, "second@example.no").await;
        let third = submit_mail(&replica, "third@example.no").await;
        let mut client = crm(&world, &replica, "client").await;
        let page = pull(&mut client, "", 1).await.unwrap();
        assert_eq!(page.changes[0].lead_id, first);
        erase(&replica, "first@example.no").await;
        erase(&replica, "second@example.no").await;
        let (rest, _) = pull_all(&mut client, &page.next_cursor, 1).await;
        let expected = [(ChangeKind::Submitted, &*third), (ChangeKind::Erased, &*first)];
        assert_eq!(rest.iter().map(heard).collect::<Vec<_>>(), expected);
        assert!(!rest.iter().any(|change| change.lead_id == second));
        replica.stop().await;
    }

    /// F4: the tombstone is the last change of its lead, for every client and at every position, and after
    /// it the lead's submission is not heard again.
    async fn f4_the_tombstone_is_the_last_change(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut ids = Vec::new();
        for number in 0..6 {
            ids.push(submit_mail(&replica, &format!("f4-{number}@example.no")).await);
        }
        let mut client = replica.crm();
        let (before, _) = pull_all(&mut client, "", 0).await;
        for number in [4, 0, 2] {
            erase(&replica, &format!("f4-{number}@example.no")).await;
        }
        let mut expected: Vec<_> =
            [1, 3, 5].iter().map(|n| (ChangeKind::Submitted, &*ids[*n])).collect();
        expected.extend([4, 0, 2].iter().map(|n| (ChangeKind::Erased, &*ids[*n])));
        let (changes, _) = pull_all(&mut client, "", 2).await;
        assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), expected);
        for change in &before {
            let (suffix, _) = pull_all(&mut client, &change.cursor, 1).await;
            assert_eq!(suffix, changes[changes.len() - suffix.len()..]);
            assert!(suffix.len() >= 3, "every position before them hears all tombstones");
        }
        replica.stop().await;
    }
}
