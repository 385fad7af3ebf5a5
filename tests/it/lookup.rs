//! Leads are found whether or not they are in the blind indexes yet, and leave nothing there.

use std::{
    env, fs,
    io::{Read as _, Seek as _, SeekFrom},
    time::Duration,
};

use lead_intake::{pb, server::Parts, store::all_statements};

use crate::{raw::Raw, rights::correction, steps::*, support::*};

/// A server that puts nothing into the indexes by itself.
async fn start(world: &World) -> Replica {
    let index_every = Duration::from_hours(24);
    world
        .start_with(|parts| Parts {
            index_every,
            ..parts
        })
        .await
}

async fn found(replica: &Replica, email: &str) -> usize {
    let request = pb::FindSubjectRequest {
        request: subject(email),
    };
    let found = replica.privacy().find_subject(request).await.unwrap();
    found.into_inner().leads.len()
}

/// Entries of whoever is gone, or has other values, or is still in the tail.
const STRAY: &str = "SELECT COUNT(*) FROM blind_index WHERE NOT EXISTS (\
    SELECT 1 FROM ledger JOIN lead ON lead.id = ledger.lead_id \
    WHERE ledger.sequence = blind_index.sequence AND ledger.kind = 1 \
    AND ledger.sequence <= (SELECT sequence FROM blind_index_head) \
    AND blind_index.value IN (lead.email_index, lead.phone_index))";
/// Values that have no entry and should.
const MISSING: &str = "SELECT COUNT(*) FROM ledger JOIN lead ON lead.id = ledger.lead_id \
    JOIN (SELECT 1 AS field UNION SELECT 2) \
    WHERE ledger.kind = 1 AND ledger.sequence <= (SELECT sequence FROM blind_index_head) \
    AND CASE field WHEN 1 THEN lead.email_index ELSE lead.phone_index END IS NOT NULL \
    AND NOT EXISTS (SELECT 1 FROM blind_index WHERE blind_index.sequence = ledger.sequence \
    AND blind_index.value = CASE field WHEN 1 THEN lead.email_index ELSE lead.phone_index END)";

/// How many entries the index lacks, or has of nobody, or has too many: only SQLite's is a table.
pub async fn faults(raw: &mut Raw) -> Vec<i64> {
    if matches!(raw, Raw::Postgres(_)) {
        return vec![0, 0];
    }
    [raw.numbers(STRAY).await, raw.numbers(MISSING).await].concat()
}

on_both! {
    /// A look-up finds who is in the indexes, who is not yet, and who is under a corrected address, before and after
    /// each was put in; an erasure takes everything along, wherever it was.
    async fn a_lead_is_found_in_the_indexes_and_before(backend: Backend) {
        let world = World::new(backend).await;
        let replica = start(&world).await;
        let mut raw = Raw::open(&world).await;
        for round in 0..2 {
            let indexed = submit_mail(&replica, "kari@example.no").await;
            replica.store.index().await.unwrap();
            let waiting = submit_mail(&replica, "kari@example.no").await;
            assert_eq!(found(&replica, "kari@example.no").await, 2);
            for (id, email) in [(&indexed, "a@example.no"), (&waiting, "b@example.no")] {
                let correction = correction(id, 1, "email", email);
                replica.privacy().rectify_lead(correction).await.unwrap();
                assert_eq!(found(&replica, email).await, 1);
            }
            assert_eq!(found(&replica, "kari@example.no").await, 0);
            assert_eq!(faults(&mut raw).await, [0, 0]);
            if round == 1 {
                replica.store.index().await.unwrap();
                assert_eq!(faults(&mut raw).await, [0, 0]);
            }
            for email in ["a@example.no", "b@example.no"] {
                assert_eq!(erase(&replica, email).await.leads.len(), 1, "{email}");
                assert_eq!(found(&replica, email).await, 0);
            }
            replica.store.index().await.unwrap();
            assert_eq!(faults(&mut raw).await, [0, 0]);
        }
        if backend == Backend::Sqlite {
            assert_eq!(raw.numbers("SELECT COUNT(*) FROM blind_index").await, [0]);
        }
        raw.close().await;
        replica.stop().await;
    }

    /// Nobody waits for long: the service puts leads into the indexes by itself.
    async fn a_lead_is_put_into_the_indexes_soon(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        eventually(async || (replica.store.unindexed().unwrap_or(0) == 0).then_some(())).await;
        let mut raw = Raw::open(&world).await;
        assert_eq!(faults(&mut raw).await, [0, 0]);
        if backend == Backend::Sqlite {
            assert_eq!(raw.numbers("SELECT COUNT(*) FROM blind_index").await, [1]);
        }
        raw.close().await;
        replica.stop().await;
    }

    /// A submission does not make the tail longer than it may be: it waits until the leads before it are in.
    async fn the_tail_is_bounded(backend: Backend) {
        let mut world = World::new(backend).await;
        world.tail_max = 4;
        let replica = start(&world).await;
        let mut raw = Raw::open(&world).await;
        for number in 0..12 {
            submit_mail(&replica, &format!("{number}@example.no")).await;
            assert!(replica.store.unindexed().unwrap_or(0) <= 5);
        }
        if backend == Backend::Sqlite {
            let entries = raw.numbers("SELECT COUNT(*) FROM blind_index").await;
            assert!(entries[0] >= 7, "{entries:?}");
        }
        for number in 0..12 {
            assert_eq!(found(&replica, &format!("{number}@example.no")).await, 1);
        }
        assert_eq!(faults(&mut raw).await, [0, 0]);
        raw.close().await;
        replica.stop().await;
    }

    /// A database of the schema before has its leads in the indexes when it is brought up to date.
    async fn leads_of_the_schema_before_are_found(backend: Backend) {
        let world = World::new(backend).await;
        let replica = start(&world).await;
        for number in 0..3 {
            submit_mail(&replica, &format!("{number}@example.no")).await;
        }
        replica.stop().await;
        let mut raw = Raw::open(&world).await;
        if backend == Backend::Sqlite {
            raw.execute("DROP TRIGGER lead_deleted; DROP TRIGGER lead_reindexed; \
                         DROP VIEW lead_by_value; DROP TABLE blind_index; DROP TABLE blind_index_head; \
                         CREATE INDEX lead_email ON lead (email_index); \
                         CREATE INDEX lead_phone ON lead (phone_index)").await;
        } else {
            raw.execute("DROP VIEW lead_by_value").await;
        }
        raw.execute("DELETE FROM _sqlx_migrations WHERE version >= 9").await;
        let replica = start(&world).await;
        assert_eq!(faults(&mut raw).await, [0, 0]);
        for number in 0..3 {
            assert_eq!(erase(&replica, &format!("{number}@example.no")).await.leads.len(), 1);
        }
        assert_eq!(faults(&mut raw).await, [0, 0]);
        raw.close().await;
        replica.stop().await;
    }
}

/// F5: whatever ANALYZE saw, a look-up and the job of the indexes never go through all leads: that cost a second where
/// there were a million, from the first restart on.
#[tokio::test(flavor = "multi_thread")]
async fn no_look_up_goes_through_all_leads() {
    let world = World::new(Backend::Sqlite).await;
    let replica = start(&world).await;
    submit_mail(&replica, "kari@example.no").await;
    replica.stop().await;
    let mut raw = Raw::open(&world).await;
    // A ledger of ten million entries whose leads are nearly all erased.
    raw.execute("ANALYZE; DELETE FROM sqlite_stat1").await;
    raw.execute("INSERT INTO sqlite_stat1 VALUES ('lead', 'lead', '1000 1')")
        .await;
    raw.execute("INSERT INTO sqlite_stat1 VALUES ('ledger', NULL, '10000000')")
        .await;
    raw.execute("INSERT INTO sqlite_stat1 VALUES ('ledger', 'ledger_lead', '10000000 100 1')")
        .await;
    raw.close().await;
    let Raw::Sqlite(mut raw) = Raw::open(&world).await else {
        panic!("a SQLite world")
    };
    let mut seen = 0;
    for sql in all_statements(false) {
        if !sql.contains("lead_by_value") && !sql.contains("INTO blind_index ") {
            continue;
        }
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(explain).fetch_all(&mut raw).await.unwrap();
        for (.., step) in &plan {
            let goes_through = step.starts_with("SCAN lead") && step != "SCAN lead_by_value";
            assert!(!goes_through && !step.starts_with("BLOOM"), "{plan:#?}");
        }
        seen += 1;
    }
    assert_eq!(seen, 2);
}

/// On PostgreSQL no statement of a person's request waits for parallel workers, however long it looks to the planner: from
/// some millions of leads on each look-up did, for seven milliseconds.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_waits_for_parallel_workers() {
    let world = World::new(Backend::Postgres).await;
    let mut raw = Raw::open(&world).await;
    let database = raw.texts("SELECT current_database()::text").await.remove(0);
    // Workers cost nothing, and every plan is in the log; no other test has any there.
    for setting in [
        "parallel_setup_cost = 0",
        "parallel_tuple_cost = 0",
        "min_parallel_table_scan_size = 0",
        "min_parallel_index_scan_size = 0",
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
    ] {
        let sql = format!("ALTER DATABASE {database} SET {setting}");
        raw.execute(&sql).await;
    }
    raw.close().await;
    let mut log = fs::File::open(env::var_os("LEAD_INTAKE_TEST_POSTGRES_LOG").unwrap()).unwrap();
    log.seek(SeekFrom::End(0)).unwrap();

    let replica = start(&world).await;
    submit_mail(&replica, "kari@example.no").await;
    assert_eq!(found(&replica, "kari@example.no").await, 1);
    assert_eq!(erase(&replica, "kari@example.no").await.leads.len(), 1);
    replica.stop().await;

    let mut plans = Vec::new();
    log.read_to_end(&mut plans).unwrap();
    let plans = String::from_utf8_lossy(&plans);
    let look_up = |line: &str| line.contains("Query Text:") && line.contains("lead_by_value");
    assert!(plans.lines().any(look_up), "no plan of a look-up");
    let shared: Vec<_> = plans
        .lines()
        .filter(|line| line.contains("Gather"))
        .collect();
    assert!(shared.is_empty(), "{shared:?}");
}
