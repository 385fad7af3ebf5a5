//! `backup`: what a copy holds, what it does not, and what is refused.

use std::{fs, path::Path};

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use super::{House, mode};
use crate::{
    clean_up::SEALED,
    scan::Needles,
    support::{
        Backend,
        binary::{Binary, run},
        files,
    },
};

async fn column(database: &Path, sql: &'static str) -> Vec<Vec<u8>> {
    let mut raw = SqliteConnectOptions::new()
        .filename(database)
        .connect()
        .await
        .unwrap();
    let found: Vec<Option<Vec<u8>>> = sqlx::query_scalar(sql).fetch_all(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    found.into_iter().flatten().collect()
}

/// E6: a backup that is taken while the service runs is a whole database, for its owner only. It holds nothing of a
/// person in the clear, no key, nothing of who was erased before, and everybody else; and it ends with the ledger's
/// head that was printed. It is there whole or not at all, and replaces nothing.
#[tokio::test(flavor = "multi_thread")]
async fn e6_a_backup_is_whole_and_sealed() {
    let house = House::new(Backend::Sqlite).await;
    let data = house.data();
    for number in 0..30 {
        house.submit(&format!("kanari-{number}@example.no")).await;
    }
    let database = data.join("lead-intake.db");
    let all = column(&database, SEALED).await;
    // The log is held, so the erased one is still in the files that are copied.
    let mut reader = SqliteConnectOptions::new()
        .filename(&database)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN; SELECT COUNT(*) FROM lead")
        .execute(&mut reader)
        .await
        .unwrap();
    let erase = [
        "erase",
        "--yes",
        "--ground",
        "objection",
        "--email",
        "kanari-0@example.no",
    ];
    house.run(&erase).await.with_code(0);
    let backups = house.dir.path().join("backups");
    fs::create_dir(&backups).unwrap();
    let file = backups.join("first.db");
    let backup = ["backup", file.to_str().unwrap()];
    let made = house
        .run(&[&backup[..], &["--json"]].concat())
        .await
        .with_code(0);
    let facts = made.json();
    assert!(made.err.contains("keys.toml) is not in it"), "{}", made.err);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(
        files(&backups),
        [file.clone()],
        "nothing else is left there"
    );
    let listed = house
        .run(&["ledger", "verify", "--json"])
        .await
        .with_code(0)
        .json();
    assert_eq!(
        facts["head_sequence"].to_string(),
        listed["headSequence"].as_str().unwrap()
    );
    assert_eq!(facts["head_hash"], listed["headHash"]);

    let kept = column(&database, SEALED).await;
    let gone: Vec<_> = all
        .iter()
        .filter(|bytes| !kept.contains(bytes))
        .cloned()
        .collect();
    assert_eq!((kept.len(), gone.len()), (29 * 3, 3));
    let gone = Needles::of_bytes(&gone);
    assert!(!gone.found_below(&data).is_empty(), "the look is blind");
    assert_eq!(gone.found_below(&backups), Vec::<String>::new());
    assert_eq!(Needles::of_bytes(&kept).found_below(&backups).len(), 29 * 3);
    let ring = fs::read_to_string(data.join("keys.toml")).unwrap();
    let keys: Vec<_> = ring.split('"').filter(|word| word.len() == 44).collect();
    assert_eq!(keys.len(), 2);
    let mut secrets = vec!["Berit Moe", "kanari-0@example.no", "kanari-1@example.no"];
    secrets.extend(&keys);
    assert_eq!(
        Needles::of_values(&secrets).found_below(&backups),
        Vec::<String>::new()
    );

    let again = house.run(&backup).await.with_code(1);
    assert!(again.err.contains("never replaces a file"), "{}", again.err);
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    reader.close().await.unwrap();
    let second = backups.join("second.db");
    let made = house
        .run(&["backup", second.to_str().unwrap()])
        .await
        .with_code(0);
    assert!(made.out.contains("ledger head: "), "{}", made.out);

    // In the place of the database it is the database.
    let House { dir, server, .. } = house;
    let (status, log) = server.signal("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    let while_stopped = backups.join("third.db");
    let data = dir.path().join("data");
    let dir_args = ["--data-dir", data.to_str().unwrap()];
    run(
        &[],
        &[&["backup", while_stopped.to_str().unwrap()], &dir_args[..]].concat(),
        "",
    )
    .await
    .with_code(0);
    for file in files(&data) {
        if file
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("lead-intake.db")
        {
            fs::remove_file(file).unwrap();
        }
    }
    fs::copy(&while_stopped, data.join("lead-intake.db")).unwrap();
    let server = Binary::serve(&data, &[]).await;
    let url = server.url();
    let envs = [
        ("LEAD_INTAKE_URL", &*url),
        ("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap()),
    ];
    let found = run(
        &envs,
        &["find", "--email", "kanari-7@example.no", "--ids"],
        "",
    )
    .await;
    assert_eq!(found.with_code(0).out.lines().count(), 1);
    run(&envs, &["ledger", "verify"], "").await.with_code(0);
}

/// A backup goes neither into the ledger's mirror, nor over a file or a link, nor to a place that is not there; one
/// that fails leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_does_no_harm() {
    let house = House::new(Backend::Sqlite).await;
    let data = house.data();
    let mirror = data.join("ledger");
    fs::create_dir_all(&mirror).unwrap();
    let before = files(&mirror);
    let link = house.dir.path().join("link");
    std::os::unix::fs::symlink(house.dir.path().join("nowhere"), &link).unwrap();
    let around = house
        .dir
        .path()
        .join("backups")
        .join("..")
        .join("data/ledger/a.db");
    fs::create_dir(house.dir.path().join("backups")).unwrap();
    for (file, says) in [
        (mirror.join("a.db"), "the ledger's mirror"),
        (around, "the ledger's mirror"),
        (data.join("lead-intake.db"), "never replaces"),
        (link, "never replaces"),
        (
            house.dir.path().join("missing/a.db"),
            "there is no directory",
        ),
    ] {
        let refused = house
            .run(&["backup", file.to_str().unwrap()])
            .await
            .with_code(1);
        assert!(refused.err.contains(says), "{}", refused.err);
    }
    assert_eq!(files(&mirror), before);
    let beside = data.join("a.db");
    let warned = house
        .run(&["backup", beside.to_str().unwrap()])
        .await
        .with_code(0);
    assert!(warned.err.contains("beside the key ring"), "{}", warned.err);

    // A head that is not the ledger's end is no backup to rely on.
    let database = data.join("lead-intake.db");
    let mut raw = SqliteConnectOptions::new()
        .filename(database)
        .connect()
        .await
        .unwrap();
    let tamper = "UPDATE ledger_head SET sequence = sequence + 1";
    sqlx::raw_sql(tamper).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let file = house.dir.path().join("backups/a.db");
    let refused = house
        .run(&["backup", file.to_str().unwrap()])
        .await
        .with_code(1);
    assert!(refused.err.contains("not whole"), "{}", refused.err);
    assert_eq!(
        files(&house.dir.path().join("backups")),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(
        fs::read_dir(house.dir.path().join("backups"))
            .unwrap()
            .count(),
        0
    );
}

/// Where PostgreSQL keeps the leads, the command says what to do instead, and does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_has_its_own_backups() {
    let house = House::new(Backend::Postgres).await;
    let file = house.dir.path().join("a.db");
    let refused = house
        .run(&["backup", file.to_str().unwrap()])
        .await
        .with_code(1);
    assert!(refused.err.contains("pg_dump") && refused.err.contains("operations.md"));
    assert!(!file.exists());
}
