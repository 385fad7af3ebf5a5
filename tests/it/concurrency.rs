//! Many writers at once, on several replicas: the feed loses nothing, and the test would see it if it did.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::{collections::HashSet, sync::Arc};

use lead_intake::pb::{self, ChangeKind};
use sqlx::PgPool;
use tokio::{sync::watch, task::JoinSet};
use tonic::{Code, Status};

use crate::{raw::Raw, steps::*, support::*};

const WRITERS: usize = 16;
const LEADS_EACH: usize = 25;

/// Submits with retries; gives the identifiers of all acknowledged leads.
async fn write(mut intake: Intake, writer: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..LEADS_EACH {
        let form = form("Kari", &format!("w{writer}-{number}@example.no"));
        ids.push(submit_until_stored(&mut intake, &form, may_be_tried_again).await);
    }
    ids
}

type Intake = pb::intake_service_client::IntakeServiceClient<Caller>;

/// Fails the test on an error that may not be tried again.
fn may_be_tried_again(status: &Status) {
    let codes = [Code::Unavailable, Code::ResourceExhausted];
    assert!(codes.contains(&status.code()), "{status:?}");
}

/// Pulls until the feed's end lies behind the writers' end, going on from every cursor it was given; gives
/// what it was told, in order.
async fn follow(mut crm: Crm, mut written: watch::Receiver<bool>) -> Vec<pb::LeadChange> {
    let mut changes: Vec<pb::LeadChange> = Vec::new();
    let mut cursor = String::new();
    loop {
        // Read before the page: a page asked for afterwards has everything.
        let done = *written.borrow_and_update();
        let page = pull(&mut crm, &cursor, 7).await.unwrap();
        changes.extend(page.changes);
        cursor = page.next_cursor;
        if done && !page.has_more {
            return changes;
        }
    }
}

/// 16 writers spread over the replicas, a puller on each.
async fn storm(world: &World, replicas: &[Replica]) {
    let (written, watch) = watch::channel(false);
    let mut pullers = JoinSet::new();
    let mut clients = Vec::new();
    for (place, replica) in replicas.iter().enumerate() {
        let name = format!("puller-{place}");
        let role = lead_intake::token::Role::Crm;
        let token = world.new_token(&replica.store, &name, role).await;
        clients.push(replica.crm_as(token.expose()));
        pullers.spawn(follow(replica.crm_as(token.expose()), watch.clone()));
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(replicas[writer % replicas.len()].intake(), writer));
    }
    let acknowledged: Vec<String> = writers.join_all().await.concat();
    written.send(true).unwrap();
    let told = pullers.join_all().await;
    for changes in &told {
        let ids: HashSet<&str> = changes.iter().map(|change| &*change.lead_id).collect();
        assert_eq!(ids.len(), changes.len(), "no lead twice");
        assert!(changes.iter().all(|c| c.kind() == ChangeKind::Submitted));
        assert!(
            acknowledged.iter().all(|id| ids.contains(&**id)),
            "a lead is missing"
        );
        assert_eq!(ids.len(), WRITERS * LEADS_EACH);
    }
    assert!(
        told.iter().all(|changes| *changes == told[0]),
        "one order for all"
    );
    for client in &mut clients {
        for (place, change) in told[0].iter().enumerate().step_by(17) {
            let (suffix, _) = pull_all(client, &change.cursor, 1000).await;
            assert_eq!(suffix, told[0][place + 1..]);
        }
    }
    for replica in replicas {
        verify(replica).await;
    }
}

/// F1, F2: 16 writers on one server.
#[tokio::test(flavor = "multi_thread")]
async fn f1_no_gap_and_no_duplicate_on_sqlite() {
    let world = World::new(Backend::Sqlite).await;
    let replicas = [world.start().await];
    storm(&world, &replicas).await;
    let [replica] = replicas;
    replica.stop().await;
}

/// F1, F2: 16 writers on two replicas.
#[tokio::test(flavor = "multi_thread")]
async fn f1_no_gap_and_no_duplicate_on_two_replicas() {
    let world = World::new(Backend::Postgres).await;
    let replicas = [world.start().await, world.start().await];
    storm(&world, &replicas).await;
    let [one, other] = replicas;
    one.stop().await;
    other.stop().await;
}

/// F11, the negative control: the same load on a plain sequence, with a reader that remembers the last
/// number it saw, loses rows. So the tests above are not blind.
#[tokio::test(flavor = "multi_thread")]
async fn f11_a_plain_sequence_loses_rows() {
    let world = World::new(Backend::Postgres).await;
    let mut raw = Raw::open(&world).await;
    raw.execute("CREATE TABLE plain (number BIGSERIAL PRIMARY KEY)")
        .await;
    raw.close().await;
    let pool = Arc::new(pool(&world).await);
    let (written, mut watch) = watch::channel(false);
    let reading = pool.clone();
    let reader = tokio::spawn(async move {
        let (mut seen, mut last) = (0, 0_i64);
        loop {
            let done = *watch.borrow_and_update();
            let page: Vec<i64> =
                sqlx::query_scalar("SELECT number FROM plain WHERE number > $1 ORDER BY number")
                    .bind(last)
                    .fetch_all(&*reading)
                    .await
                    .unwrap();
            seen += page.len();
            last = page.last().copied().unwrap_or(last);
            if done {
                return seen;
            }
        }
    });
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let pool = pool.clone();
        writers.spawn(async move {
            for _ in 0..LEADS_EACH {
                let mut tx = pool.begin().await.unwrap();
                for statement in [
                    "INSERT INTO plain DEFAULT VALUES",
                    "SELECT pg_sleep(random() * 0.002)",
                ] {
                    sqlx::query(statement).execute(&mut *tx).await.unwrap();
                }
                tx.commit().await.unwrap();
            }
        });
    }
    writers.join_all().await;
    written.send(true).unwrap();
    let seen = reader.await.unwrap();
    println!(
        "a plain sequence: {seen} of {} rows seen",
        WRITERS * LEADS_EACH
    );
    assert!(seen < WRITERS * LEADS_EACH, "the control must lose rows");
}

async fn pool(world: &World) -> PgPool {
    use secrecy::ExposeSecret as _;
    let lead_intake::store::StoreUrl::Postgres(url) = &world.url else {
        unreachable!("a world on PostgreSQL")
    };
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(20);
    options.connect(url.expose_secret()).await.unwrap()
}

/// F10: a writer that stalls with the head locked, and is rolled back, costs nothing: the others' calls
/// succeed when repeated, the numbers are dense, and nothing is doubled.
#[tokio::test(flavor = "multi_thread")]
async fn f10_a_writer_that_stalls_with_the_head_locked() {
    let world = World::new(Backend::Postgres).await;
    let replicas = [world.start().await, world.start().await];
    let mut stalled = Raw::open(&world).await;
    // As every connection of the service has it, but shorter.
    stalled
        .execute("SET idle_in_transaction_session_timeout = '1s'")
        .await;
    stalled.execute("BEGIN").await;
    stalled
        .execute("UPDATE ledger_head SET sequence = sequence + 1 WHERE id = 1")
        .await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut intake = replicas[writer % 2].intake();
        let form = form("Kari", &format!("f10-{writer}@example.no"));
        writers.spawn(
            async move { submit_until_stored(&mut intake, &form, may_be_tried_again).await },
        );
    }
    let stored: HashSet<String> = writers.join_all().await.into_iter().collect();
    assert_eq!(stored.len(), WRITERS);
    let (changes, _) = pull_all(&mut replicas[0].crm(), "", 0).await;
    let told: HashSet<String> = changes
        .iter()
        .map(|change| change.lead_id.clone())
        .collect();
    assert_eq!((changes.len(), told), (WRITERS, stored));
    verify(&replicas[1]).await;
    let [one, other] = replicas;
    one.stop().await;
    other.stop().await;
}
