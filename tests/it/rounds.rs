//! Rounds of the sweep, one at a time: a test does not wait ten minutes for the service's own.

use lead_intake::{
    domain::sweep::ClockJudgement,
    jobs::{Round, Sweeper},
    rpc::limits::Limits,
    server::Parts,
    store::{Claimed, SharedStore, Turn},
};
use tokio_util::sync::CancellationToken;

use crate::support::*;

/// A server whose own first round is over; the next would be in ten minutes. It takes thousands of leads at once.
pub async fn start_settled(world: &World) -> Replica {
    use lead_intake::clock::Clock as _;
    let replica = world
        .start_with(|parts| Parts {
            limits: Limits::none(),
            ..parts
        })
        .await;
    eventually(async || {
        let policy = world.settings.retention;
        let preview = replica.store.preview_sweep(&policy, world.clock.now());
        (preview.await.unwrap().clock != ClockJudgement::First).then_some(())
    })
    .await;
    replica
}

pub fn sweeper(world: &World, store: &SharedStore) -> Sweeper {
    Sweeper {
        store: store.clone(),
        clock: world.clock.clone(),
        policy: world.settings.retention,
    }
}

/// One round, as if this many rounds had been known for a full wait.
pub async fn round(world: &World, store: &SharedStore, turn: Turn) -> Round {
    let never = CancellationToken::new();
    sweeper(world, store).round(turn, &never).await.unwrap()
}

/// The number of rounds so far.
pub async fn run_number(world: &World, store: &SharedStore) -> i64 {
    // Nobody's turn: it is told the number and gets no round.
    round(world, store, Turn::After(-1)).await.claim.run
}

/// The next round: what it made of the clock, and how many leads it erased.
pub async fn next_round(world: &World, store: &SharedStore) -> (Claimed, u64) {
    let run = run_number(world, store).await;
    let round = round(world, store, Turn::After(run)).await;
    (round.claim.claimed, round.erased)
}

/// Rounds until one trusts the clock; gives how many leads that one erased.
pub async fn sweep(world: &World, replica: &Replica) -> u64 {
    for _ in 0..2 {
        let (claimed, erased) = next_round(world, &replica.store).await;
        if claimed == Claimed::Round(ClockJudgement::Trusted) {
            return erased;
        }
    }
    panic!("two rounds agree on the time");
}
