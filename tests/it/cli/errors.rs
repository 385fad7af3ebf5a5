//! What users do wrong: each error says what to do next, in a few lines, and quotes neither a secret nor another program.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::House;
use crate::support::{Backend, binary::run};

/// What no error has: a system's number, a library's chain, a password.
const NEVER: [&str; 6] = [
    "os error 11",
    "transport error",
    "h2 ",
    "hemmelig",
    "panicked",
    "RUST_BACKTRACE",
];

/// Checks an error: it has these words, few lines, and nothing of [`NEVER`].
fn assert_reads(of: &str, error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "{of}: no {word:?} in: {error}");
    }
    for word in NEVER {
        assert!(!error.contains(word), "{of}: {word:?} in: {error}");
    }
    let own = error
        .lines()
        .skip_while(|line| !line.starts_with("lead-intake: "));
    assert!((1..=4).contains(&own.count()), "{of}: {error}");
}

/// Of client commands: nothing there, something else there, a token that will not do, a position that is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_what_to_do_next() {
    let house = House::new(Backend::Sqlite).await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = format!("http://{}", other.local_addr().unwrap());
    let _answering = tokio::spawn(async move {
        while let Ok((mut stream, _)) = other.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhemmelig").await;
        }
    });
    let admin = format!("http://{}", house.server.admin);
    let intake = house.data().join("tokens/intake");
    let intake = intake.to_str().unwrap();
    for (args, words) in [
        (
            &["pull", "--url", "http://127.0.0.1:1"][..],
            &["nothing answers", "lead-intake serve", "--url"][..],
        ),
        (&["pull", "--url", &web], &["not the API", "--url"]),
        (
            &["pull", "--url", &admin],
            &["not the API", "metrics", "--url"],
        ),
        (
            &["pull", "--url", "127.0.0.1:50051"],
            &["not a URL such as http://"],
        ),
        (
            &["healthcheck", "--url", "http://127.0.0.1:1"],
            &["nothing answers", "--url"],
        ),
        (
            &["pull", "--token-file", intake],
            &["ROLE_NOT_ALLOWED", "client add NAME --role crm"],
        ),
        (
            &["pull", "--token-file", "/nowhere"],
            &["no token", "client add NAME --role crm"],
        ),
        (&["ack", "nothing"], &["CURSOR_INVALID", "lead-intake pull"]),
        (
            &["mirror", "status", "--data-dir", "/nowhere"],
            &["mirror is missing"],
        ),
        (
            &["client", "list", "--data-dir", "/nowhere"],
            &["is not there", "lead-intake serve"],
        ),
    ] {
        let ran = house.run(args).await.with_code(1);
        assert_reads(&args.join(" "), &ran.err, words);
    }
    let token = [("LEAD_INTAKE_TOKEN", "hemmelig")];
    let refused = house.run_with(&token, &["pull"], "").await.with_code(1);
    assert_reads(
        "a token",
        &refused.err,
        &["TOKEN_INVALID", "client add NAME --role crm"],
    );
    for (args, words) in [
        (["withdraw", "kari"], "not a UUID such as"),
        (["receipt", "kari"], "not a UUID such as"),
    ] {
        let ran = house.run(&args).await.with_code(2);
        assert!(ran.err.contains(words), "{}", ran.err);
    }
}

/// Of a start: the directory, its keys, the configuration, the address, the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_says_what_to_do_next() {
    let house = House::new(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let taken = house.server.api.to_string();
    let own = house.data();
    let bad = path("bad.toml");
    fs::write(&bad, "data_dir = 'x'\n[log]\nformat = 'loud'\n").unwrap();
    fs::write(path("file"), "").unwrap();
    let broken = path("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(
        format!("{broken}/lead-intake.db"),
        "no database at all, but long enough to be looked at",
    )
    .unwrap();
    let open = path("open");
    fs::create_dir(&open).unwrap();
    fs::write(format!("{open}/keys.toml"), "").unwrap();
    fs::set_permissions(
        format!("{open}/keys.toml"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let fresh = path("fresh");
    for (args, words) in [
        (
            &["--data-dir", own.to_str().unwrap()][..],
            &["another lead-intake uses", "--data-dir"][..],
        ),
        (
            &["--data-dir", &fresh, "--listen", &taken],
            &["cannot listen", "runs already", "--listen"],
        ),
        (
            &["--config", "/nowhere.toml"],
            &["cannot read the configuration", "/nowhere.toml"],
        ),
        (
            &["--config", &bad],
            &["line 3", "expected", "lead-intake.example.toml"],
        ),
        (&["--data-dir", &path("file")], &["is no directory"]),
        (&["--data-dir", &broken], &["no SQLite database", "Restore"]),
        (&["--data-dir", &open], &["readable by others", "chmod 600"]),
    ] {
        let all = [&["serve", "--admin-listen", "127.0.0.1:0"], args].concat();
        let listen = if args.contains(&"--listen") {
            ""
        } else {
            "127.0.0.1:0"
        };
        let envs = [("LEAD_INTAKE_LISTEN", listen)];
        let envs = if listen.is_empty() { &[][..] } else { &envs };
        let ran = run(envs, &all, "").await.with_code(1);
        assert_reads(&args.join(" "), &ran.err, words);
    }
}

/// Of PostgreSQL: not there, the wrong password, a database that is none. No part of the URL is in the error.
#[tokio::test(flavor = "multi_thread")]
async fn postgresql_that_cannot_be_used_is_told() {
    let good = std::env::var(crate::support::POSTGRES_URL).unwrap();
    let (user, rest) = good
        .strip_prefix("postgres://")
        .unwrap()
        .split_once(':')
        .unwrap();
    let (_, place) = rest.split_once('@').unwrap();
    let (server, _) = good.rsplit_once('/').unwrap();
    for (url, words) in [
        (
            "postgres://kari:hemmelig@127.0.0.1:1/leads".to_owned(),
            "does PostgreSQL run",
        ),
        (
            format!("postgres://{user}:hemmelig@{place}"),
            "the user or the password",
        ),
        (format!("{server}/hemmelig"), "createdb"),
        (
            "mysql://kari:hemmelig@127.0.0.1/leads".to_owned(),
            "sqlite: or postgres://",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ];
        let envs = [
            ("LEAD_INTAKE_DATABASE_URL", &*url),
            ("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap()),
        ];
        let ran = run(&envs, &args, "").await.with_code(1);
        assert_reads("PostgreSQL", &ran.err, &[words]);
        assert!(!ran.err.contains("kari"), "{}", ran.err);
    }
}
