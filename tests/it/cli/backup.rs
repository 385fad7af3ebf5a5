//! `backup`: what a copy holds, what it does not, and what is refused.

use std::{fs, path::Path};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{House, mode};
use crate::{
    clean_up::{hold_the_log, sealed, stranger},
    scan::Needles,
    support::{
        Backend,
        binary::{Binary, run},
        files,
    },
};

async fn opened(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(database);
    options.connect().await.unwrap()
}

/// E6: a backup that is taken while the service runs is for its owner only. It holds nothing of a person in the clear,
/// no key, nothing of who was erased before, and everybody else; and it ends with the ledger's head that was printed.
#[tokio::test(flavor = "multi_thread")]
async fn e6_a_backup_is_whole_and_sealed() {
    let house = House::new(Backend::Sqlite).await;
    let data = house.data();
    for number in 0..30 {
        house.submit(&format!("kanari-{number}@example.no")).await;
    }
    let mut reader = stranger(&data).await;
    let all = sealed(&mut reader).await;
    // The log is held, so the erased one is still in the files that are copied.
    hold_the_log(&mut reader).await;
    let erase = ["erase", "--yes", "--ground", "objection", "--email"];
    let erase = [&erase[..], &["kanari-0@example.no"]].concat();
    house.run(&erase).await.with_code(0);
    let backups = house.dir.path().join("backups");
    fs::create_dir(&backups).unwrap();
    let file = backups.join("first.db");
    let backup = ["backup", file.to_str().unwrap(), "--json"];
    let made = house.run(&backup).await.with_code(0);
    assert!(made.err.contains("keys.toml) is not in it"), "{}", made.err);
    assert_eq!(mode(&file), 0o600);
    let there = files(&backups);
    assert!(there == [file], "nothing else is left there: {there:?}");
    let facts = made.json();
    let ledger = ["ledger", "verify", "--json"];
    let ledger = house.run(&ledger).await.with_code(0).json();
    let head = facts["head_sequence"].to_string();
    assert_eq!(head, ledger["headSequence"].as_str().unwrap());
    assert_eq!(facts["head_hash"], ledger["headHash"]);

    let mut other = stranger(&data).await;
    let kept = sealed(&mut other).await;
    other.close().await.unwrap();
    let gone: Vec<_> = all
        .into_iter()
        .filter(|bytes| !kept.contains(bytes))
        .collect();
    assert_eq!((kept.len(), gone.len()), (29 * 3, 3));
    let gone = Needles::of_bytes(&gone);
    assert!(!gone.found_below(&data).is_empty(), "the look is blind");
    reader.close().await.unwrap();
    assert_eq!(gone.found_below(&backups), Vec::<String>::new());
    let kept = Needles::of_bytes(&kept);
    assert_eq!(kept.found_below(&backups).len(), 29 * 3);
    let ring = fs::read_to_string(data.join("keys.toml")).unwrap();
    let keys: Vec<_> = ring.split('"').filter(|word| word.len() == 44).collect();
    assert_eq!(keys.len(), 2);
    let mut secrets = vec!["Berit Moe", "kanari-0@example.no", "kanari-1@example.no"];
    secrets.extend(&keys);
    let secrets = Needles::of_values(&secrets);
    assert_eq!(secrets.found_below(&backups), Vec::<String>::new());
}

/// E6: in the place of the database a backup is the database, whether the service ran when it was taken or not.
#[tokio::test(flavor = "multi_thread")]
async fn e6_a_backup_is_a_database() {
    let house = House::new(Backend::Sqlite).await;
    house.submit("kari@example.no").await;
    let backups = house.dir.path().join("backups");
    fs::create_dir(&backups).unwrap();
    let [running, stopped] = ["running.db", "stopped.db"].map(|name| backups.join(name));
    let made = house
        .run(&["backup", running.to_str().unwrap()])
        .await
        .with_code(0);
    assert!(made.out.contains("ledger head: "), "{}", made.out);
    let data = house.data();
    let House {
        dir: _dir, server, ..
    } = house;
    let (status, log) = server.signal("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    let data_dir = data.to_str().unwrap();
    let backup = ["backup", stopped.to_str().unwrap(), "--data-dir", data_dir];
    run(&[], &backup, "").await.with_code(0);
    for backup in [running, stopped] {
        for file in files(&data) {
            let name = file.file_name().unwrap().to_str().unwrap();
            if name.starts_with("lead-intake.db") {
                fs::remove_file(file).unwrap();
            }
        }
        fs::copy(&backup, data.join("lead-intake.db")).unwrap();
        let server = Binary::serve(&data, &[]).await;
        let url = server.url();
        let envs = [
            ("LEAD_INTAKE_URL", &*url),
            ("LEAD_INTAKE_DATA_DIR", data_dir),
        ];
        let find = ["find", "--email", "kari@example.no", "--ids"];
        let found = run(&envs, &find, "").await.with_code(0);
        assert_eq!(found.out.lines().count(), 1);
        run(&envs, &["ledger", "verify"], "").await.with_code(0);
        let (status, log) = server.signal("TERM").await;
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

/// A backup goes neither into the ledger's mirror, nor over a file or a link, nor to a place that is not there; one
/// that fails leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_does_no_harm() {
    let house = House::new(Backend::Sqlite).await;
    let data = house.data();
    let (mirror, backups) = (data.join("ledger"), house.dir.path().join("backups"));
    fs::create_dir_all(&mirror).unwrap();
    fs::create_dir(&backups).unwrap();
    let link = house.dir.path().join("link");
    std::os::unix::fs::symlink(house.dir.path().join("nowhere"), &link).unwrap();
    for (file, says) in [
        (mirror.join("a.db"), "the ledger's mirror"),
        (backups.join("../data/ledger/a.db"), "the ledger's mirror"),
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
    assert!(!mirror.join("a.db").exists());
    let beside = data.join("a.db");
    let warned = house
        .run(&["backup", beside.to_str().unwrap()])
        .await
        .with_code(0);
    assert!(warned.err.contains("beside the key ring"), "{}", warned.err);

    // A head that is not the ledger's end is nothing to rely on.
    let mut raw = opened(&data.join("lead-intake.db")).await;
    let tamper = "UPDATE ledger_head SET sequence = sequence + 1";
    sqlx::raw_sql(tamper).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let file = backups.join("a.db");
    let refused = house
        .run(&["backup", file.to_str().unwrap()])
        .await
        .with_code(1);
    assert!(refused.err.contains("not whole"), "{}", refused.err);
    assert_eq!(fs::read_dir(&backups).unwrap().count(), 0);
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
    let says = |what| refused.err.contains(what);
    assert!(says("pg_dump") && says("operations.md"), "{}", refused.err);
    assert!(!file.exists());
}
