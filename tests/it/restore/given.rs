//! What CRM clients were given since a backup, which does not know of it, and where they go on (Art. 15(1)(c), 19; F9).

use lead_intake::pb::{ChangeKind, RestrictionReason};

use crate::{rights, steps::*, support::*};

on_both! {
    /// What a restore lost in who was given what counts as given: each CRM hears of every end, and a copy for a
    /// person rather names one recipient too many.
    async fn art_15_1_c_and_19_what_may_have_been_given_counts_as_given(backend: Backend) {
        let mut world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        replica.stop().await;
        let backup = world.back_up().await;
        let replica = world.start().await;
        pull_all(&mut replica.crm(), "", 0).await;
        replica.stop().await;
        world.restore(&backup).await;
        let replica = world.start().await;
        // Another replica's start, or anything else that makes it forget, is not needed: one act is.
        let later = submit_mail(&replica, "later@example.no").await;
        replica.stop().await;
        // The mirror knows of the later one, the backup does not: now it is a restore.
        world.restore(&backup).await;
        let replica = world.start().await;
        erase(&replica, "kari@example.no").await;
        let (changes, _) = pull_all(&mut replica.crm(), "", 0).await;
        let ends = changes.iter().map(heard).collect::<Vec<_>>();
        assert!(ends.contains(&(ChangeKind::Erased, &id)), "{ends:?}");
        assert!(ends.contains(&(ChangeKind::Erased, &later)), "{ends:?}");
        replica.stop().await;
    }

    /// What a page passed over while it was restricted, and gave after its release, counts as given when a backup from
    /// in between comes back: whoever has it hears of its end.
    async fn art_19_what_was_released_since_the_backup_counts_as_given(backend: Backend) {
        let mut world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        rights::restrict(&replica, &id, RestrictionReason::AccuracyContested).await;
        let (changes, _) = pull_all(&mut replica.crm(), "", 0).await;
        assert!(changes.is_empty());
        replica.stop().await;
        let backup = world.back_up().await;
        let replica = world.start().await;
        let lifting = rights::lifting(&world, &id, RestrictionReason::AccuracyContested);
        replica.privacy().lift_restriction(lifting).await.unwrap();
        let (changes, _) = pull_all(&mut replica.crm(), "", 0).await;
        assert!(changes.iter().any(|change| change.lead.is_some()));
        replica.stop().await;
        world.restore(&backup).await;
        let replica = world.start().await;
        erase(&replica, "kari@example.no").await;
        let (changes, _) = pull_all(&mut replica.crm(), "", 0).await;
        let ends = changes.iter().map(heard).collect::<Vec<_>>();
        assert_eq!(ends, [(ChangeKind::Erased, &*id)]);
        replica.stop().await;
    }

    /// A backup that comes back a second time brings no epoch back: a cursor from after the first time has expired.
    async fn f9_no_epoch_comes_twice(backend: Backend) {
        let mut world = World::new(backend).await;
        world.start().await.stop().await;
        let backup = world.back_up().await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        let (_, mut cursor) = pull_all(&mut replica.crm(), "", 0).await;
        replica.stop().await;
        for _ in 0..3 {
            world.restore(&backup).await;
            let replica = world.start().await;
            let expired = pull(&mut replica.crm(), &cursor, 0).await.unwrap_err();
            assert_eq!(reason(&expired), "CURSOR_EXPIRED");
            (_, cursor) = pull_all(&mut replica.crm(), "", 0).await;
            replica.stop().await;
        }
    }
}
