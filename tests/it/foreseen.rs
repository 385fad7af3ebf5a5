//! Batches in one statement, chained to a head that was foreseen (docs/decisions/0023): PostgreSQL only, where connections
//! are kept.

use lead_intake::pb;
use tonic::Code;

use tokio::task::JoinHandle;

use crate::{limits::Held, raw::Raw, steps::*, support::*};

/// Notes each statement that foresaw the head, and whether it was there.
const WATCH: &str = "
    CREATE TABLE foreseen (came_true BOOLEAN NOT NULL);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_query() LIKE 'WITH moved AS%' THEN
            INSERT INTO foreseen VALUES (NEW.hash <> OLD.hash);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER UPDATE ON ledger_head FOR EACH ROW EXECUTE FUNCTION note()";

async fn watched() -> (World, Raw) {
    let world = World::new(Backend::Postgres).await;
    let mut raw = Raw::open(&world).await;
    raw.execute(WATCH).await;
    (world, raw)
}

/// How many batches foresaw the head, and were right; or were not.
async fn foreseen(raw: &mut Raw, came_true: bool) -> i64 {
    let count = format!("SELECT count(*) FROM foreseen WHERE came_true = {came_true}");
    raw.numbers(&count).await[0]
}

async fn submit(replica: &Replica, email: &str) -> String {
    let stored = replica.intake().submit_lead(form("Kari", email)).await;
    stored.unwrap().into_inner().lead_id
}

/// A submission that is under way.
fn under_way(replica: &Replica, email: &str) -> JoinHandle<Result<(), tonic::Status>> {
    let (mut intake, request) = (replica.intake(), form("Ola", email));
    tokio::spawn(async move { intake.submit_lead(request).await.map(drop) })
}

/// Submits until one was written where the head was foreseen: a connection is kept for a second, which may be over. The next
/// one will be too, if it comes soon.
async fn until_foreseen(replica: &Replica, raw: &mut Raw) {
    let before = foreseen(raw, true).await;
    eventually(async || {
        submit(replica, "warm@example.no").await;
        (foreseen(raw, true).await > before).then_some(())
    })
    .await;
}

/// One after the other, a replica's batches take one statement each, and the chain is that of any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_foresees_its_own_head() {
    let (world, mut raw) = watched().await;
    let replica = world.start().await;
    until_foreseen(&replica, &mut raw).await;
    assert_eq!(foreseen(&mut raw, false).await, 0, "nobody came between");
    verify(&replica).await;
    replica.stop().await;
}

/// What another replica wrote meanwhile, or an act, is never written over: the batch asks where the head is after all.
#[tokio::test(flavor = "multi_thread")]
async fn who_came_between_is_not_written_over() {
    let (world, mut raw) = watched().await;
    let (one, other) = (world.start().await, world.start().await);
    eventually(async || {
        until_foreseen(&one, &mut raw).await;
        // Behind its back: a replica hears of another's batches within milliseconds, and then does not try.
        let held = Held::hold(&world).await;
        let between = under_way(&other, "between@example.no");
        waiting(&world, 1).await;
        let after = under_way(&one, "after@example.no");
        waiting(&world, 2).await;
        held.release().await;
        between.await.unwrap().unwrap();
        after.await.unwrap().unwrap();
        (foreseen(&mut raw, false).await > 0).then_some(())
    })
    .await;
    verify(&one).await;
    let mut crm = one.crm();
    let (changes, _) = pull_all(&mut crm, "", 1000).await;
    let entries = raw
        .numbers("SELECT count(*) FROM ledger WHERE kind = 1")
        .await;
    assert_eq!(i64::try_from(changes.len()).unwrap(), entries[0]);
    one.stop().await;
    other.stop().await;
}

/// Waits until so many sessions wait for a lock.
async fn waiting(world: &World, count: i64) {
    let mut raw = Raw::open(world).await;
    eventually(async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (raw.numbers(waiting).await[0] >= count).then_some(())
    })
    .await;
    raw.close().await;
}

/// P5: a session that ends with such a statement under way costs its callers nothing: the batch is written by another, and once.
#[tokio::test(flavor = "multi_thread")]
async fn p5_a_session_that_ends_under_way_is_no_error() {
    let (world, mut raw) = watched().await;
    let replica = world.start().await;
    eventually(async || {
        until_foreseen(&replica, &mut raw).await;
        let held = Held::hold(&world).await;
        let submitted = under_way(&replica, "p5@example.no");
        waiting(&world, 1).await;
        let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                     WHERE datname = current_database() AND query LIKE 'WITH moved AS%' AND wait_event_type = 'Lock'";
        let ended = raw.numbers(ended).await[0];
        held.release().await;
        submitted.await.unwrap().unwrap();
        (ended > 0).then_some(())
    })
    .await;
    verify(&replica).await;
    replica.stop().await;
}

/// A batch sealed with a key ring that is too old is refused here too.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_ring_is_refused() {
    let (world, mut raw) = watched().await;
    let replica = world.start().await;
    eventually(async || {
        until_foreseen(&replica, &mut raw).await;
        raw.execute("UPDATE ledger_head SET ring_min = ring_min + 1000")
            .await;
        let refused = replica
            .intake()
            .submit_lead(form("Kari", "stale@example.no"))
            .await;
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.code(), &*reason(&refused)),
            (Code::Unavailable, "KEY_RING_STALE")
        );
        raw.execute("UPDATE ledger_head SET ring_min = ring_min - 1000")
            .await;
        (foreseen(&mut raw, false).await > 0).then_some(())
    })
    .await;
    replica.stop().await;
}

/// A call that comes again meets its first one within a batch that was foreseen too.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_as_ever() {
    let (world, mut raw) = watched().await;
    let replica = world.start().await;
    until_foreseen(&replica, &mut raw).await;
    let request = form("Kari", "again@example.no");
    let submit = async |request: &pb::SubmitLeadRequest| {
        let answer = replica.intake().submit_lead(request.clone()).await;
        answer.map(tonic::Response::into_inner)
    };
    let first = submit(&request).await.unwrap();
    until_foreseen(&replica, &mut raw).await;
    assert_eq!(submit(&request).await.unwrap(), first);
    until_foreseen(&replica, &mut raw).await;
    let other = pb::SubmitLeadRequest {
        name: "Ola".to_owned(),
        ..request
    };
    assert_eq!(
        submit(&other).await.unwrap_err().code(),
        Code::AlreadyExists
    );
    verify(&replica).await;
    replica.stop().await;
}
