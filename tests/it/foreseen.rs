//! Batches in one go, chained to a head that was foreseen (docs/decisions/0023).

use lead_intake::{pb, token::Role};
use tonic::Code;

use tokio::task::JoinHandle;

use crate::{limits::Held, raw::Raw, steps::*, support::*};

/// Notes each batch that foresaw the head and was right: there the head moves first.
const WATCH_SQLITE: &str = "
    CREATE TABLE foreseen (came_true INTEGER NOT NULL);
    CREATE TRIGGER note AFTER INSERT ON lead
    WHEN (SELECT sequence FROM ledger_head) > (SELECT MAX(sequence) FROM ledger) BEGIN
        INSERT INTO foreseen VALUES (TRUE);
    END";
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

async fn watched(backend: Backend) -> (World, Raw) {
    let world = World::new(backend).await;
    let mut raw = Raw::open(&world).await;
    raw.execute(match backend {
        Backend::Sqlite => WATCH_SQLITE,
        Backend::Postgres => WATCH,
    })
    .await;
    (world, raw)
}

/// How many batches foresaw the head, and were right; or were not, of which SQLite keeps no trace.
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

/// Submits until one was written where the head was foreseen. The next one will be too, if it comes soon.
async fn until_foreseen(replica: &Replica, raw: &mut Raw) {
    let before = foreseen(raw, true).await;
    eventually(async || {
        submit(replica, "warm@example.no").await;
        (foreseen(raw, true).await > before).then_some(())
    })
    .await;
}

/// On SQLite a batch is written where its head is foreseen as long as nobody comes between; and after a command did, which is
/// not written over, the next one again.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_came_between_is_not_written_over() {
    let (world, mut raw) = watched(Backend::Sqlite).await;
    let replica = world.start().await;
    until_foreseen(&replica, &mut raw).await;
    let mut expected = foreseen(&mut raw, true).await;
    let mut leads = Vec::new();
    for round in 0..5 {
        leads.push(submit(&replica, &format!("kari{round}@example.no")).await);
        expected += 1;
        assert_eq!(foreseen(&mut raw, true).await, expected);
        let store = world.open().await;
        let name = format!("crm-{round}");
        world.new_token(&store, &name, Role::Crm).await;
        store.close().await;
        leads.push(submit(&replica, &format!("ola{round}@example.no")).await);
        assert_eq!(foreseen(&mut raw, true).await, expected);
    }
    let (changes, _) = pull_all(&mut replica.crm(), "", 1000).await;
    let told: Vec<_> = changes.into_iter().map(|change| change.lead_id).collect();
    assert!(told.ends_with(&leads), "{told:?} {leads:?}");
    verify(&replica).await;
    raw.close().await;
    replica.stop().await;
}

/// What fails half-way leaves nothing behind on SQLite: no transaction, which would keep everybody else from writing, and no lead
/// of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_half_way_leaves_nothing_open() {
    let (world, mut raw) = watched(Backend::Sqlite).await;
    let replica = world.start().await;
    until_foreseen(&replica, &mut raw).await;
    // Unlike a constraint, this ends no transaction by itself.
    let fails =
        "CREATE TRIGGER fails BEFORE INSERT ON ledger BEGIN SELECT RAISE(FAIL, 'it fails'); END";
    raw.execute(fails).await;
    let form = form("Kari", "half@example.no");
    let refused = replica.intake().submit_lead(form.clone()).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    let leads = "SELECT count(*) FROM lead";
    let before = raw.numbers(leads).await;
    raw.execute("DROP TRIGGER fails").await;
    replica.intake().submit_lead(form).await.unwrap();
    assert_eq!(raw.numbers(leads).await, [before[0] + 1]);
    verify(&replica).await;
    raw.close().await;
    replica.stop().await;
}

/// What another replica wrote meanwhile, or an act, is never written over: the batch asks where the head is after all.
#[tokio::test(flavor = "multi_thread")]
async fn who_came_between_is_not_written_over() {
    let (world, mut raw) = watched(Backend::Postgres).await;
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
    let (world, mut raw) = watched(Backend::Postgres).await;
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

on_both! {
    /// One after the other, a replica's batches are written in one go each, and the chain is that of any other.
    async fn a_replica_foresees_its_own_head(backend: Backend) {
        let (world, mut raw) = watched(backend).await;
        let replica = world.start().await;
        until_foreseen(&replica, &mut raw).await;
        assert_eq!(foreseen(&mut raw, false).await, 0, "nobody came between");
        verify(&replica).await;
        raw.close().await;
        replica.stop().await;
    }

    /// A batch sealed with a key ring that is too old is refused here too.
    async fn a_stale_ring_is_refused(backend: Backend) {
        let (world, mut raw) = watched(backend).await;
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
            let is_seen = backend == Backend::Sqlite || foreseen(&mut raw, false).await > 0;
            is_seen.then_some(())
        })
        .await;
        raw.close().await;
        replica.stop().await;
    }

    /// A call that comes again meets its first one within a batch that was foreseen too.
    async fn a_repeat_is_answered_as_ever(backend: Backend) {
        let (world, mut raw) = watched(backend).await;
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
        raw.close().await;
        replica.stop().await;
    }
}
