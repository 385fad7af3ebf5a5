//! O1: refusals cost something too, so whoever is refused without end is read from later.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::*;

/// Calls of one connection; so many are in flight at once.
const CALLS: u32 = 2_000;
const IN_FLIGHT: u32 = 50;
/// What the door refuses at once (`door/pace.rs`), with calls that were read already; and how long each takes after that.
const AT_ONCE: u32 = 250 + 2 * IN_FLIGHT;
const EACH: Duration = Duration::from_micros(200);

/// Calls without end on one connection; `check` looks at each refusal.
async fn flood(intake: Intake, check: fn(&Status)) {
    let mut callers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let mut intake = intake.clone();
        callers.spawn(async move {
            for _ in 0..CALLS / IN_FLIGHT {
                check(&notice(&mut intake).await.unwrap_err());
            }
        });
    }
    callers.join_all().await;
}

/// A client that goes on calling a service that has no room has each of its calls answered, and no faster than the service
/// refuses. A lower bound: a slow machine only makes it longer.
#[tokio::test(flavor = "multi_thread")]
async fn o1_a_flood_of_refusals_is_slowed_and_answered() {
    let world = World::new(Backend::Sqlite).await;
    let limits = Limits {
        calls_max: 0,
        calls_reserved: 0,
        ..Limits::default()
    };
    let replica = start(&world, limits).await;
    let begun = Instant::now();
    flood(replica.intake(), |refused| {
        assert_eq!(reason(refused), "OVERLOADED", "{refused:?}");
    })
    .await;
    let at_least = EACH * (CALLS - AT_ONCE);
    assert!(begun.elapsed() >= at_least, "{:?}", begun.elapsed());
    replica.stop().await;
}

/// Whoever is refused before its message was read, again and again, keeps its connection, and what else is under way there.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_cost_no_connection() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    flood(intake_as(&replica, "li_intake_nobody"), |refused| {
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
    })
    .await;
    replica.stop().await;
}
