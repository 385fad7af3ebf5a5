//! `retention preview`: what an operator is told before a sweep.

use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::support::{
    binary::{Binary, Ran, run},
    eventually, new_postgres_database,
};

async fn preview(envs: &[(&str, &str)], args: &[&str]) -> Ran {
    run(envs, &[&["retention", "preview"][..], args].concat(), "")
        .await
        .with_code(0)
}

async fn execute(data: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(data.join("lead-intake.db"));
    let mut raw = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
}

/// Before the first sweep a preview says so, and it counts nothing that is not there, on both databases.
#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_a_new_database() {
    for database in [None, Some(new_postgres_database().await)] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut envs = vec![("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap())];
        envs.extend(
            database
                .as_deref()
                .map(|url| ("LEAD_INTAKE_DATABASE_URL", url)),
        );
        run(&envs, &["migrate"], "").await.with_code(0);
        assert_eq!(
            preview(&envs, &["--json"]).await.json(),
            serde_json::json!({
                "too_old": 0,
                "grace_over": { "answered": 0, "not_relevant": 0, "converted": 0 },
                "kept_restricted": 0,
                "oldest_month": null,
                "swept_at": null,
                "clock": "first",
            })
        );
        let table = preview(&envs, &[]).await.out;
        for told in [
            "180 days",
            "oldest to erase: none",
            "last sweep: never",
            "not compared",
        ] {
            assert!(table.contains(told), "{told} in {table}");
        }
    }
}

/// A preview counts, tells the month of the oldest and what becomes of a clock that jumped, changes nothing, and
/// names nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_preview_counts_and_names_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Binary::serve(&data, &[]).await;
    let url = server.url();
    let envs = [
        ("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap()),
        ("LEAD_INTAKE_URL", &url),
    ];
    let submit = ["submit", "--name", "Berit Moe", "--basis", "pre-contract"];
    let submit = [&submit[..], &["--email", "berit@example.no"]].concat();
    run(&envs, &submit, "").await.with_code(0);
    // The service notes the time soon after its start.
    eventually(async || {
        let json = preview(&envs, &["--json"]).await.json();
        (json["clock"] == "trusted").then_some(())
    })
    .await;
    server.signal("TERM").await;
    execute(&data, "UPDATE lead SET closed_at = 1, closed_outcome = 1").await;
    let json = preview(&envs, &["--json"]).await.json();
    assert_eq!(
        (&json["grace_over"]["answered"], &json["too_old"]),
        (&1.into(), &0.into())
    );
    assert_eq!(
        json["oldest_month"].as_str().unwrap().len(),
        "2026-11".len()
    );
    execute(&data, "UPDATE sweep SET seen_at = 1, swept_at = 0").await;
    let shown = preview(&envs, &[]).await;
    assert!(shown.out.contains("NOT TRUSTED") && shown.out.contains("1970-01-01T00:00:00Z"));
    assert_eq!(preview(&envs, &["--json"]).await.json()["clock"], "doubted");
    for text in [&shown.out, &shown.err] {
        assert!(!text.to_lowercase().contains("berit"), "{text}");
    }
    // It was looked at four times and is still there.
    let json = preview(&envs, &["--json"]).await.json();
    assert_eq!(json["grace_over"]["answered"], 1);
}
