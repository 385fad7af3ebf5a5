//! The sweep's rounds: one replica each, whatever the clock does, however many leads.

use std::collections::HashSet;

use lead_intake::{
    domain::sweep::ClockJudgement::{Doubted, First, Trusted},
    pb::{self, EntryKind},
    store::{Claimed, SharedStore, Turn},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{rounds::*, steps::*, support::*};

const DAY: i64 = 24 * 3600;

/// Submits this many leads, many at a time; gives their identifiers.
async fn submit_many(replica: &Replica, leads: usize) -> Vec<String> {
    let mut submitting = JoinSet::new();
    for caller in 0..50 {
        let mut intake = replica.intake();
        submitting.spawn(async move {
            let mut ids = Vec::new();
            for number in (caller..leads).step_by(50) {
                let form = form("Kari", &format!("p{number}@example.no"));
                ids.push(intake.submit_lead(form).await.unwrap().into_inner().lead_id);
            }
            ids
        });
    }
    submitting.join_all().await.concat()
}

fn restriction(id: &str) -> pb::RestrictLeadRequest {
    pb::RestrictLeadRequest {
        request_id: new_id().to_string(),
        lead_id: id.to_owned(),
        reason: pb::RestrictionReason::AccuracyContested.into(),
        ..Default::default()
    }
}

/// The leads with a tombstone; fails if one has two.
async fn tombstones(replica: &Replica) -> HashSet<String> {
    let entries = ledger(replica).await.into_iter();
    let ends =
        |entry: &pb::LedgerEntry| matches!(entry.kind(), EntryKind::Erased | EntryKind::HandedOver);
    let ids: Vec<String> = entries.filter(ends).map(|entry| entry.lead_id).collect();
    let unique: HashSet<String> = ids.iter().cloned().collect();
    assert_eq!(unique.len(), ids.len(), "a lead with two tombstones");
    unique
}

/// Stops the server and gives a store over the same database: rounds are then the test's alone.
async fn alone(world: &World, replica: Replica) -> SharedStore {
    replica.stop().await;
    world.open().await
}

on_both! {
    /// Art. 5(1)(e), 18: thousands of leads go in one round, in batches, each with one tombstone, and none
    /// that is restricted; the ledger holds.
    async fn art_5_1_e_thousands_of_leads_in_one_round(backend: Backend) {
        let world = World::new(backend).await;
        let replica = start_settled(&world).await;
        let ids = submit_many(&replica, 5000).await;
        let restricted: HashSet<String> = ids.iter().step_by(250).cloned().collect();
        for id in &restricted {
            replica.privacy().restrict_lead(restriction(id)).await.unwrap();
        }
        world.clock.advance_seconds(180 * DAY);
        assert_eq!(sweep(&world, &replica).await, 4980);
        let gone = tombstones(&replica).await;
        assert_eq!(gone.len(), 4980);
        assert!(gone.is_disjoint(&restricted));
        assert!(ids.iter().all(|id| gone.contains(id) != restricted.contains(id)));
        assert_eq!(sweep(&world, &replica).await, 0);
        verify(&replica).await;
        replica.stop().await;
    }

    /// Art. 18: a restriction that comes while a round runs either finds the lead gone or keeps it: a lead
    /// whose restriction was answered is never erased by that round.
    async fn art_18_a_restriction_during_a_round_keeps_the_lead(backend: Backend) {
        let world = World::new(backend).await;
        let replica = start_settled(&world).await;
        let ids = submit_many(&replica, 600).await;
        world.clock.advance_seconds(180 * DAY);
        // The round that doubts the clock, so that the next one erases.
        next_round(&world, &replica.store).await;
        let mut restricting = JoinSet::new();
        for id in ids.iter().rev().step_by(6).cloned() {
            let mut privacy = replica.privacy();
            restricting.spawn(async move {
                let done = privacy.restrict_lead(restriction(&id)).await;
                done.is_ok().then_some(id)
            });
        }
        // A batch that loses to restrictions three times in a row leaves the rest to the next round.
        while sweeper(&world, &replica.store)
            .round(Turn::After(run_number(&world, &replica.store).await), &CancellationToken::new())
            .await
            .is_err()
        {}
        let restricted: HashSet<String> = restricting.join_all().await.into_iter().flatten().collect();
        let gone = tombstones(&replica).await;
        assert!(gone.is_disjoint(&restricted), "a restricted lead was erased");
        assert_eq!(gone.len() + restricted.len(), ids.len());
        verify(&replica).await;
        replica.stop().await;
    }

    /// D9: the first round on a database erases nothing, nor does one after a long time without the service:
    /// the next one does, a full wait later, and not a restart before that.
    async fn d9_a_doubt_is_settled_by_a_full_wait_only(backend: Backend) {
        let world = World::new(backend).await;
        let store = world.open().await;
        let first = round(&world, &store, Turn::Start).await;
        assert_eq!(first.claim.claimed, Claimed::Round(First));
        let again = round(&world, &store, Turn::Start).await;
        assert_eq!((again.claim.claimed, again.claim.run), (Claimed::NotDue, first.claim.run));
        assert_eq!(next_round(&world, &store).await, (Claimed::Round(Trusted), 0));
        store.close().await;

        let replica = start_settled(&world).await;
        submit_mail(&replica, "kari@example.no").await;
        let store = alone(&world, replica).await;
        world.clock.advance_seconds(200 * DAY);
        let late = round(&world, &store, Turn::Start).await;
        assert_eq!((late.claim.claimed, late.erased), (Claimed::Round(Doubted), 0));
        for restart in 0..3 {
            world.clock.advance_seconds(restart * 3600);
            let round = round(&world, &store, Turn::Start).await;
            assert_eq!((round.claim.claimed, round.erased), (Claimed::NotDue, 0));
        }
        assert_eq!(next_round(&world, &store).await, (Claimed::Round(Trusted), 1));
        store.close().await;
    }

    /// D9: a clock that jumps 400 days forward and back, between two rounds or for one, erases nothing; nor
    /// does one that goes back by 30 days. Each doubt costs a round.
    async fn d9_a_jump_of_400_days_and_back_erases_nothing(backend: Backend) {
        let world = World::new(backend).await;
        let replica = start_settled(&world).await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let store = alone(&world, replica).await;
        let trusted = (Claimed::Round(Trusted), 0);
        let doubted = (Claimed::Round(Doubted), 0);
        assert_eq!(next_round(&world, &store).await, trusted);
        // Between two rounds.
        world.clock.advance_seconds(400 * DAY);
        world.clock.advance_seconds(-400 * DAY + 600);
        assert_eq!(next_round(&world, &store).await, trusted);
        // For one round.
        world.clock.advance_seconds(400 * DAY);
        assert_eq!(next_round(&world, &store).await, doubted);
        world.clock.advance_seconds(-400 * DAY + 600);
        assert_eq!(next_round(&world, &store).await, doubted);
        assert_eq!(next_round(&world, &store).await, trusted);
        // Back and forth again.
        world.clock.advance_seconds(-30 * DAY);
        assert_eq!(next_round(&world, &store).await, doubted);
        assert_eq!(next_round(&world, &store).await, trusted);
        world.clock.advance_seconds(30 * DAY);
        assert_eq!(next_round(&world, &store).await, doubted);
        assert_eq!(next_round(&world, &store).await, trusted);
        store.close().await;
        let replica = world.start().await;
        assert!(get_lead(&mut replica.crm(), &id).await.is_ok());
        assert!(tombstones(&replica).await.is_empty());
        replica.stop().await;
    }

    /// A round that is stopped is not lost: its replica may be gone, and the next round, whoever runs it,
    /// erases what is left.
    async fn a_round_that_is_cut_short_is_finished_by_the_next(backend: Backend) {
        let world = World::new(backend).await;
        let replica = start_settled(&world).await;
        submit_many(&replica, 20).await;
        world.clock.advance_seconds(180 * DAY);
        next_round(&world, &replica.store).await;
        let run = run_number(&world, &replica.store).await;
        let stopped = CancellationToken::new();
        stopped.cancel();
        let cut = sweeper(&world, &replica.store).round(Turn::After(run), &stopped).await.unwrap();
        assert_eq!((cut.claim.claimed, cut.erased), (Claimed::Round(Trusted), 0));
        let other = world.open().await;
        // The other replica knew the number from before that round: it waits once more.
        assert_eq!(round(&world, &other, Turn::After(run)).await.claim.claimed, Claimed::NotDue);
        assert_eq!(next_round(&world, &other).await, (Claimed::Round(Trusted), 20));
        other.close().await;
        verify(&replica).await;
        replica.stop().await;
    }
}

/// Two replicas try the same round at the same time, again and again: one of them does all the work, and
/// each lead gets one tombstone.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_rounds() {
    let mut world = World::new(Backend::Postgres).await;
    world.settings.retention.max_age_days = 30;
    let replicas = [start_settled(&world).await, world.start().await];
    let mut expected = HashSet::new();
    for _ in 0..5 {
        expected.extend(submit_many(&replicas[0], 200).await);
        world.clock.advance_seconds(30 * DAY);
        assert_eq!(
            next_round(&world, &replicas[0].store).await.0,
            Claimed::Round(Doubted)
        );
        let run = run_number(&world, &replicas[0].store).await;
        let never = CancellationToken::new();
        let sweepers = replicas
            .each_ref()
            .map(|replica| sweeper(&world, &replica.store));
        let turn = Turn::After(run);
        let (one, other) = tokio::join!(
            sweepers[0].round(turn, &never),
            sweepers[1].round(turn, &never)
        );
        let mut erased = [one.unwrap(), other.unwrap()]
            .map(|round| (round.claim.claimed != Claimed::NotDue, round.erased));
        erased.sort_unstable();
        assert_eq!(erased, [(false, 0), (true, 200)]);
    }
    assert_eq!(tombstones(&replicas[1]).await, expected);
    verify(&replicas[1]).await;
    let [one, other] = replicas;
    one.stop().await;
    other.stop().await;
}
