//! How each client stands, as the gauges of feed and tokens show it.

use lead_intake::{clock::Clock as _, pb::RestrictionReason, store::Standing, token::Role};

use crate::{rights, steps::*, support::*};

/// How the client of this role stands now.
async fn standing(world: &World, replica: &Replica, role: Role) -> Standing {
    let standings = replica.store.standings(world.clock.now()).await.unwrap();
    standings
        .into_iter()
        .find(|standing| standing.role == role)
        .unwrap()
}

on_both! {
    /// A CRM is behind by what it has not acknowledged, since the oldest lead of it that may still be read; one that
    /// acknowledged everything, and one whose tokens are gone, waits for nothing.
    async fn a_crm_is_behind_by_what_it_has_not_acknowledged(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let feed = async || standing(&world, &replica, Role::Crm).await.feed.unwrap();
        let base = feed().await.behind;
        assert_eq!(feed().await.waiting_since, None);

        let first_at = world.clock.now();
        let first = submit_mail(&replica, "kari@example.no").await;
        world.clock.advance_seconds(60);
        let second_at = world.clock.now();
        submit_mail(&replica, "ola@example.no").await;
        assert_eq!(feed().await.behind, base + 2);
        assert_eq!(feed().await.waiting_since, Some(first_at));

        rights::restrict(&replica, &first, RestrictionReason::AccuracyContested).await;
        assert_eq!(feed().await.waiting_since, Some(second_at), "a restricted lead waits for nobody");

        let (_, cursor) = pull_all(&mut replica.crm(), "", 0).await;
        assert_eq!(feed().await.waiting_since, Some(second_at), "given is not acknowledged");
        acknowledge(&mut replica.crm(), &cursor).await.unwrap();
        assert_eq!(feed().await.waiting_since, None);

        let intake = standing(&world, &replica, Role::Intake).await;
        assert!(intake.feed.is_none());
        assert!(intake.token_until.unwrap() > world.clock.now());
        replica.store.revoke("crm", world.clock.now()).await.unwrap();
        let crm = standing(&world, &replica, Role::Crm).await;
        assert!(crm.feed.is_none() && crm.token_until.is_none());
        replica.stop().await;
    }
}
