//! What an operator meets: the first run, keys, clients, a ledger that was tampered with.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use lead_intake::ledger::notary::{SigningKey, VerifierKey};

use super::{House, database_env, mode};
use crate::support::{Backend, binary::run, files};

/// What the first run makes is for its owner only.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_makes_private_files() {
    let house = House::new(Backend::Sqlite).await;
    house.submit("kari@example.no").await;
    let data = house.data();
    for dir in [data.clone(), data.join("tokens")] {
        assert_eq!(mode(&dir), 0o700, "{}", dir.display());
    }
    for role in ["intake", "crm", "privacy", "auditor"] {
        assert!(data.join("tokens").join(role).is_file(), "{role}");
    }
    for file in files(&data) {
        if file.file_name().is_none_or(|name| name != "lock") {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
    let second = run(&[], &["serve", "--data-dir", data.to_str().unwrap()], "")
        .await
        .with_code(1);
    assert!(second.err.contains("another lead-intake"), "{}", second.err);
}

on_both! {
    /// Keys that others can read, or that are missing beside what they sealed, stop the start; none are made in
    /// their place.
    async fn wrong_keys_stop_the_start(backend: Backend) {
        let House { dir, server, database, .. } = House::new(backend).await;
        let (status, _) = server.signal("TERM").await;
        assert_eq!(status.code(), Some(0));
        let envs = database_env(database.as_deref());
        let data = dir.path().join("data");
        let keys = data.join("keys.toml");
        let serve = [
            "serve",
            "--data-dir",
            data.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
        ];
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = run(&envs, &serve, "").await.with_code(1);
        assert!(refused.err.contains("chmod 600"), "{}", refused.err);
        fs::remove_file(&keys).unwrap();
        let refused = run(&envs, &serve, "").await.with_code(1);
        assert!(
            refused.err.contains("put the key ring back"),
            "{}",
            refused.err
        );
        assert!(!keys.exists(), "a new key ring would hide the loss");
    }
}

on_both! {
    /// A signing key that is missing, damaged, readable by others or another than the recorded one stops the start: the
    /// ledger would be signed by somebody whom no auditor knows. None is made in its place; the right one, put back,
    /// is taken, and its public half is written again.
    async fn wrong_signing_keys_stop_the_start(backend: Backend) {
        let House { dir, server, database, .. } = House::new(backend).await;
        let made = server.log();
        assert!(made.contains("checkpoint.key, which signs checkpoints"), "{made}");
        server.signal("TERM").await;
        let envs = database_env(database.as_deref());
        let data = dir.path().join("data");
        let (path, public) = (data.join("checkpoint.key"), data.join("checkpoint.pub"));
        let good = fs::read_to_string(&path).unwrap();
        let verifier: VerifierKey = fs::read_to_string(&public).unwrap().trim_end().parse().unwrap();
        let data = data.to_str().unwrap();
        let refused = async |why: &str| {
            for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["check"]] {
                let ran = run(&envs, &[command, &["--data-dir", data]].concat(), "").await;
                let ran = ran.with_code(1);
                assert!(ran.err.contains(why), "{why}: {}", ran.err);
                let secret = good.trim_end().splitn(5, '+').nth(4).unwrap();
                assert!(!ran.err.contains(secret), "{}", ran.err);
            }
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        refused("chmod 600").await;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, good.replace('A', "B")).unwrap();
        refused("not a signing key").await;
        for (origin, why) in [
            (verifier.name(), "every replica needs the same one"),
            ("lead-intake/another", "belongs to another store"),
        ] {
            fs::remove_file(&path).unwrap();
            SigningKey::generate(origin).unwrap().create(&path).unwrap();
            refused(why).await;
        }
        fs::remove_file(&path).unwrap();
        refused("put it back").await;
        assert!(!path.exists(), "a new key would hide the loss");

        fs::write(&path, good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(&public).unwrap();
        let checked = run(&envs, &["check", "--data-dir", data], "").await.with_code(0);
        assert!(checked.err.contains("signing key: ok"), "{}", checked.err);
        assert_eq!(fs::read_to_string(&public).unwrap(), format!("{verifier}\n"));
    }
}

/// A client is added while the server runs, and called with at once.
#[tokio::test(flavor = "multi_thread")]
async fn clients_come_and_go() {
    let house = House::new(Backend::Sqlite).await;
    let added = house
        .run(&["client", "add", "crm-2", "--role", "crm"])
        .await
        .with_code(0);
    let token = [("LEAD_INTAKE_TOKEN", added.out.trim())];
    house.run_with(&token, &["pull"], "").await.with_code(0);
    let listed = house
        .run(&["client", "list", "--json"])
        .await
        .with_code(0)
        .json();
    let live = |name: &str, listed: &Value| {
        let clients = listed.as_array().unwrap();
        clients
            .iter()
            .any(|row| row["client"] == name && row["state"] == "live")
    };
    assert!(
        live("crm-2", &listed) && live("website", &listed),
        "{listed}"
    );
    house.run(&["client", "revoke", "crm-2"]).await.with_code(0);
    let listed = house
        .run(&["client", "list", "--json"])
        .await
        .with_code(0)
        .json();
    assert!(!live("crm-2", &listed), "{listed}");
    house
        .run(&["client", "revoke", "nobody"])
        .await
        .with_code(1);

    let health = house.run(&["healthcheck"]).await.with_code(0);
    assert_eq!(health.out.trim(), "serving");
    house
        .run(&["healthcheck", "--url", "http://127.0.0.1:1"])
        .await
        .with_code(1);
    for probe in ["/livez", "/readyz"] {
        assert!(house.server.probe(probe).await.contains("200"), "{probe}");
    }
    let checked = house.run(&["check"]).await.with_code(0);
    assert!(checked.err.contains("ledger: intact"), "{}", checked.err);
}

/// A ledger that was tampered with is exit code 3, for `ledger verify` as for `check`.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_not_intact_is_a_no() {
    let house = House::new(Backend::Sqlite).await;
    let database = house.data().join("lead-intake.db");
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection = options.connect().await.unwrap();
    let tamper = "UPDATE ledger SET detail = detail + 1 WHERE sequence = 3";
    sqlx::raw_sql(tamper)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let found = house.run(&["ledger", "verify"]).await.with_code(3);
    assert!(
        found.out.contains("NOT INTACT: hash-mismatch at entry 3"),
        "{}",
        found.out
    );
    let found = house
        .run(&["ledger", "verify", "--json"])
        .await
        .with_code(3)
        .json();
    assert_eq!(found["fault"], "LEDGER_FAULT_HASH_MISMATCH");
    house.run(&["check"]).await.with_code(3);
}

/// Who is not the controller itself gets no token, unless the notice in force names processors; and a client
/// that a notice no longer allows stops the start, until it is revoked.
#[tokio::test(flavor = "multi_thread")]
async fn art_13_1_e_no_recipient_that_the_notice_does_not_name() {
    let house = House::new(Backend::Sqlite).await;
    for relation in ["third-party", "processor"] {
        let add = [
            "client",
            "add",
            "other",
            "--role",
            "crm",
            "--relation",
            relation,
        ];
        let refused = house.run(&add).await.with_code(1);
        assert!(refused.err.contains("does not allow"), "{}", refused.err);
    }
    let clients = house.run(&["client", "list"]).await.with_code(0);
    assert!(!clients.out.contains("other"));

    let (status, _) = house.server.signal("TERM").await;
    assert_eq!(status.code(), Some(0));
    let data = house.dir.path().join("data");
    let options = SqliteConnectOptions::new().filename(data.join("lead-intake.db"));
    let mut raw = options.connect().await.unwrap();
    let processor = "UPDATE client SET relation = 2 WHERE name = 'crm'";
    sqlx::query(processor).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let data = data.to_str().unwrap();
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["check"]] {
        let refused = run(&[], &[command, &["--data-dir", data]].concat(), "").await;
        let refused = refused.with_code(1);
        assert!(refused.err.contains("client revoke crm"), "{}", refused.err);
    }
    let revoke = ["client", "--data-dir", data, "revoke", "crm"];
    run(&[], &revoke, "").await.with_code(0);
    let checked = run(&[], &["check", "--data-dir", data], "")
        .await
        .with_code(0);
    // The first notice left things out; the one in force does not.
    assert!(
        checked.out.contains("notice 1.0: Art. 13(2)(c)"),
        "{}",
        checked.out
    );
    assert!(!checked.out.contains("notice 1.1"), "{}", checked.out);
}
