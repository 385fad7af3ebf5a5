//! No statement goes through all of a table that grows: it would hold its caller, or the ledger's head, for longer with each
//! lead, and on PostgreSQL in the end for longer than a statement may take.

use std::collections::BTreeSet;

use lead_intake::store::all_statements;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row as _, SqliteConnection};

use crate::{raw::Raw, support::*};

/// Tables that grow with the leads, or with what is asked for.
const GROWING: [&str; 5] = [
    "lead",
    "ledger",
    "rights_request",
    "delivery",
    "acknowledgement",
];
/// Indexes that have few rows: of the restricted, of the closed, and of tombstones.
const FEW: [&str; 3] = ["lead_restricted", "lead_closed", "ledger_tombstone"];

/// Statements that may: what each begins with, and why.
const EXCEPTIONS: [(&str, &str); 3] = [
    (
        "SELECT id FROM lead ORDER BY id LIMIT 1",
        "the first row is all it takes",
    ),
    (
        "SELECT COUNT(*) FROM rights_request WHERE completed_at - received_at >",
        "a row for each request of a person, asked for by GetStatistics",
    ),
    (
        "SELECT received_at, completed_at FROM rights_request WHERE completed_at - received_at >",
        "the same",
    ),
];

/// Whether a statement may go through all.
fn is_excepted(sql: &str) -> bool {
    EXCEPTIONS.iter().any(|(begins, _)| sql.starts_with(begins))
}

/// What goes through all rows of a table or an index, in a plan of PostgreSQL.
fn walks(plan: &Value, found: &mut Vec<String>) {
    let text = |key: &str| plan[key].as_str().unwrap_or_default();
    let relation = text("Relation Name");
    let has_condition = ["Index Cond", "Recheck Cond", "TID Cond"]
        .iter()
        .any(|key| plan.get(*key).is_some());
    if GROWING.contains(&relation)
        && text("Node Type") != "ModifyTable"
        && !has_condition
        && !FEW.contains(&text("Index Name"))
    {
        found.push(format!(
            "{} {} of {relation}",
            text("Node Type"),
            text("Index Name")
        ));
    }
    for part in plan["Plans"].as_array().into_iter().flatten() {
        walks(part, found);
    }
}

async fn on_postgres(raw: &mut PgConnection, sql: &str) -> Vec<String> {
    let prepare = format!("PREPARE statement AS {sql}");
    sqlx::raw_sql(AssertSqlSafe(prepare))
        .execute(&mut *raw)
        .await
        .unwrap();
    let count: i32 = sqlx::query_scalar(
        "SELECT COALESCE(array_length(parameter_types, 1), 0) FROM pg_prepared_statements \
         WHERE name = 'statement'",
    )
    .fetch_one(&mut *raw)
    .await
    .unwrap();
    let values = vec!["NULL"; usize::try_from(count).unwrap()].join(", ");
    let values = if count == 0 {
        values
    } else {
        format!("({values})")
    };
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE statement{values}");
    let row = sqlx::raw_sql(AssertSqlSafe(explain))
        .fetch_one(&mut *raw)
        .await
        .unwrap();
    let plans: Value = serde_json::from_str(row.get_unchecked(0)).unwrap();
    sqlx::raw_sql("DEALLOCATE statement")
        .execute(&mut *raw)
        .await
        .unwrap();
    let mut found = Vec::new();
    walks(&plans[0]["Plan"], &mut found);
    found
}

async fn on_sqlite(raw: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(raw).await.unwrap();
    let steps = plan.into_iter().map(|(.., step)| step);
    steps
        .filter(|step| {
            let Some(rest) = step.strip_prefix("SCAN ") else {
                return false;
            };
            // By its alias, if it has one.
            let name = rest.split(' ').next().unwrap_or_default();
            let is_growing =
                |table: &&str| *table == name || sql.contains(&format!("{table} AS {name}"));
            GROWING.iter().any(is_growing) && !FEW.iter().any(|index| rest.contains(index))
        })
        .collect()
}

/// Every statement. SQLite plans by the schema alone (decision 0025). PostgreSQL plans here as it does for any values, and
/// takes an index where it can, as it does when there are many rows.
#[tokio::test(flavor = "multi_thread")]
async fn no_statement_goes_through_all() {
    let mut found = BTreeSet::new();
    let mut check = |backend: Backend, sql: &str, walks: Vec<String>| {
        if !walks.is_empty() && !is_excepted(sql) {
            let sql: String = sql.chars().take(300).collect();
            found.insert(format!("{backend:?}: {walks:?}: {sql}"));
        }
    };
    let world = World::new(Backend::Sqlite).await;
    let Raw::Sqlite(mut raw) = Raw::open(&world).await else {
        panic!("a SQLite world")
    };
    for sql in all_statements(false) {
        check(Backend::Sqlite, sql, on_sqlite(&mut raw, sql).await);
    }
    let world = World::new(Backend::Postgres).await;
    let mut raw = Raw::open(&world).await;
    raw.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
        .await;
    let Raw::Postgres(mut raw) = raw else {
        panic!("a PostgreSQL world")
    };
    for sql in all_statements(true) {
        check(Backend::Postgres, sql, on_postgres(&mut raw, sql).await);
    }
    let found: Vec<_> = found.into_iter().collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
