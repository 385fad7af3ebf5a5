//! The real program from the outside: commands, exit codes, files.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};

use crate::support::{
    binary::{Binary, Ran, next_line, run, start},
    eventually, files, new_id, new_postgres_database,
};

/// A data directory, a server over it, and the environment of the commands.
struct House {
    dir: TempDir,
    server: Binary,
    url: String,
    database: Option<String>,
}

impl House {
    async fn new(database: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let server = Binary::serve(&data, &database_env(database.as_deref())).await;
        let url = server.url();
        Self {
            dir,
            server,
            url,
            database,
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A command with the server and the data directory of this house.
    async fn run(&self, args: &[&str]) -> Ran {
        self.run_with(&[], args, "").await
    }

    async fn run_with(&self, envs: &[(&str, &str)], args: &[&str], stdin: &str) -> Ran {
        let data = self.data();
        let mut all = database_env(self.database.as_deref());
        all.push(("LEAD_INTAKE_URL", &self.url));
        all.push(("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap()));
        all.extend(envs);
        run(&all, args, stdin).await
    }

    /// Hands over a lead; gives its identifier.
    async fn submit(&self, email: &str) -> String {
        let args = ["submit", "--name", "Berit Moe", "--email", email];
        let args = [&args[..], &["--basis", "pre-contract", "--json"]].concat();
        let answer = self.run(&args).await.with_code(0).json();
        answer["leadId"].as_str().unwrap().to_owned()
    }
}

fn database_env(database: Option<&str>) -> Vec<(&str, &str)> {
    database
        .map(|url| ("LEAD_INTAKE_DATABASE_URL", url))
        .into_iter()
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn lines(ran: &Ran) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("a line of JSON");
    ran.out.lines().map(parse).collect()
}

/// A lead goes in and out by the commands alone, with the tokens that the first run made.
async fn a_lead_in_and_out(database: Option<String>) {
    let house = House::new(database).await;
    let lead = house.submit("berit@example.no").await;

    let pulled = house.run(&["pull", "--json"]).await.with_code(0);
    let [change] = &lines(&pulled)[..] else {
        panic!("one change: {}", pulled.out)
    };
    assert_eq!(change["kind"], "CHANGE_KIND_SUBMITTED");
    assert_eq!(change["lead"]["email"], "berit@example.no");
    let cursor = change["cursor"].as_str().unwrap();
    assert!(
        pulled.err.contains(&format!("next cursor: {cursor}")),
        "{}",
        pulled.err
    );
    let table = house.run(&["pull"]).await.with_code(0).out;
    assert!(
        table.contains(&lead) && table.contains("Berit Moe"),
        "{table}"
    );
    let acknowledged = house
        .run(&["ack", cursor, "--json"])
        .await
        .with_code(0)
        .json();
    assert_eq!(acknowledged["acknowledgedCursor"], cursor);
    let got = house
        .run(&["get", &lead, "--json"])
        .await
        .with_code(0)
        .json();
    assert_eq!(got["lead"]["leadId"], lead.as_str());

    let person = r#"{"email": "BERIT@example.no"}"#;
    let find = ["find", "--subject-file", "-", "--json"];
    let found = house.run_with(&[], &find, person).await.with_code(0).json();
    assert_eq!(found["leads"][0]["leadId"], lead.as_str());

    let erase = [
        "erase",
        "--email",
        "berit@example.no",
        "--ground",
        "consent-withdrawn",
    ];
    let dry = house
        .run(&[&erase[..], &["--dry-run"]].concat())
        .await
        .with_code(0);
    assert!(dry.out.contains("would be"), "{}", dry.out);
    let alone = house.run(&erase).await.with_code(1);
    assert!(alone.err.contains("--yes"), "{}", alone.err);
    let erased = house
        .run(&[&erase[..], &["--yes"]].concat())
        .await
        .with_code(0);
    assert!(
        erased.out.contains(&lead) && erased.out.contains("receipt"),
        "{}",
        erased.out
    );
    let gone = house.run(&["get", &lead]).await.with_code(1);
    assert!(gone.err.contains("LEAD_NOT_FOUND"), "{}", gone.err);
    let again = house
        .run(&[&erase[..], &["--yes", "--json"]].concat())
        .await
        .with_code(0)
        .json();
    assert_eq!(again["leads"], Value::Array(Vec::new()));

    let verified = house.run(&["ledger", "verify"]).await.with_code(0);
    assert!(verified.out.contains("intact") && verified.out.contains("cannot see"));
    let verified = house
        .run(&["ledger", "verify", "--json"])
        .await
        .with_code(0)
        .json();
    assert_eq!(verified["intact"], true);
    let list = ["ledger", "list", "--lead-id", &lead, "--json"];
    let listed = house.run(&list).await.with_code(0).json();
    assert_eq!(listed["entries"][0]["kind"], "ENTRY_KIND_SUBMITTED");
    let (status, log) = house.server.signal("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.to_lowercase().contains("berit"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_in_and_out_by_the_commands_sqlite() {
    a_lead_in_and_out(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_in_and_out_by_the_commands_postgres() {
    a_lead_in_and_out(Some(new_postgres_database().await)).await;
}

/// An export is for its owner only, and never lands on a file that is there by accident.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_written_for_its_owner() {
    let house = House::new(None).await;
    house.submit("kari@example.no").await;
    let file = house.dir.path().join("export.json");
    let export = ["export", "--kind", "access", "--email", "kari@example.no"];
    let printed = house.run(&export).await.with_code(0);
    assert!(printed.json().is_object() && printed.out.contains("Berit Moe"));
    let to_file = [&export[..], &["--output", file.to_str().unwrap()]].concat();
    house.run(&to_file).await.with_code(0);
    assert_eq!(mode(&file), 0o600);
    let refused = house.run(&to_file).await.with_code(1);
    assert!(refused.err.contains("--force"), "{}", refused.err);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    house
        .run(&[&to_file[..], &["--force"]].concat())
        .await
        .with_code(0);
    assert_eq!(mode(&file), 0o600);
    let portable = [
        "export",
        "--kind",
        "portability",
        "--email",
        "kari@example.no",
    ];
    assert!(
        house
            .run(&portable)
            .await
            .with_code(0)
            .out
            .contains("kari@example.no")
    );
}

/// A refusal says what is wrong and what to do, and repeats neither a token nor what was submitted.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_can_be_acted_on() {
    let house = House::new(None).await;
    let submit = [
        "submit",
        "--name",
        "Kari",
        "--email",
        "kari at example",
        "--basis",
        "consent",
    ];
    let refused = house.run(&submit).await.with_code(1).err;
    assert!(
        refused.contains("\n  email: is not an e-mail address"),
        "{refused}"
    );
    assert!(refused.contains("\n  consent: must be true"), "{refused}");
    assert!(
        refused.contains("SEVERAL_VIOLATIONS") && !refused.contains("kari at"),
        "{refused}"
    );

    let stranger = house.data().join("tokens/crm");
    let find = ["find", "--email", "a@b.no", "--token-file"];
    let find = [&find[..], &[stranger.to_str().unwrap()]].concat();
    let refused = house.run(&find).await.with_code(1).err;
    assert!(
        refused.contains("ROLE_NOT_ALLOWED") && refused.contains("tokens/crm"),
        "{refused}"
    );
    let wrong = [("LEAD_INTAKE_TOKEN", "li_crm_wrongwrongwrong")];
    let refused = house.run_with(&wrong, &["pull"], "").await.with_code(1).err;
    assert!(refused.contains("TOKEN_INVALID") && refused.contains("LEAD_INTAKE_TOKEN"));
    assert!(!refused.contains("wrongwrong"), "{refused}");
    let missing = house
        .run(&["pull", "--token-file", "/nowhere/token"])
        .await
        .with_code(1)
        .err;
    assert!(missing.contains("client add"), "{missing}");
    let unreachable = house
        .run(&["pull", "--url", "http://127.0.0.1:1"])
        .await
        .with_code(1)
        .err;
    assert!(unreachable.contains("lead-intake serve"), "{unreachable}");
    let secret = r#"{"email": "kari@example.no", "ssn": "01017012345"}"#;
    let find = ["find", "--subject-file", "-"];
    let malformed = house.run_with(&[], &find, secret).await.with_code(1).err;
    assert!(
        malformed.contains("line 1") && !malformed.contains("0101"),
        "{malformed}"
    );
    house
        .run(&["submit", "--basis", "marketing"])
        .await
        .with_code(2);
}

/// The same request id gives the same lead, whoever repeats it.
#[tokio::test(flavor = "multi_thread")]
async fn a_submission_can_be_repeated() {
    let house = House::new(None).await;
    let submit = ["submit", "--name", "Kari", "--email", "kari@example.no"];
    let submit = [&submit[..], &["--basis", "consent", "--consent"]].concat();
    let first = house.run(&submit).await.with_code(0);
    let id = first.err.split_whitespace().nth(2).expect("request id: ID");
    let second = house
        .run(&[&submit[..], &["--request-id", id]].concat())
        .await
        .with_code(0);
    assert_eq!(first.out, second.out);
}

/// The notice is there to be shown, as text and as facts.
#[tokio::test(flavor = "multi_thread")]
async fn the_notice_can_be_read() {
    let house = House::new(None).await;
    let facts = house
        .run(&["notice", "--json", "--language", "en"])
        .await
        .with_code(0)
        .json();
    assert_eq!(facts["language"], "en");
    let text = house.run(&["notice"]).await.with_code(0);
    assert!(text.out.len() > 500 && text.err.contains(facts["version"].as_str().unwrap()));
    let unknown = house
        .run(&["notice", "--version", "0.0"])
        .await
        .with_code(1);
    assert!(unknown.err.contains("NOTICE_UNKNOWN"), "{}", unknown.err);
}

/// A client is added while the server runs, and called with at once.
#[tokio::test(flavor = "multi_thread")]
async fn clients_come_and_go() {
    let house = House::new(None).await;
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

/// What the first run makes is for its owner only.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_makes_private_files() {
    let house = House::new(None).await;
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

/// Keys that others can read, or that are missing beside what they sealed, stop the start; none are made in
/// their place.
async fn wrong_keys_stop_the_start(database: Option<String>) {
    let House { dir, server, .. } = House::new(database.clone()).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_stop_the_start_sqlite() {
    wrong_keys_stop_the_start(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_stop_the_start_postgres() {
    wrong_keys_stop_the_start(Some(new_postgres_database().await)).await;
}

/// The command that the first run prints works as printed.
#[tokio::test(flavor = "multi_thread")]
async fn the_printed_command_works() {
    let house = House::new(None).await;
    let next = || async {
        house
            .server
            .log()
            .split_once("next: lead-intake ")
            .map(|(_, l)| l.to_owned())
    };
    let rest = eventually(next).await;
    let line = format!(
        "'{}' {}",
        env!("CARGO_BIN_EXE_lead-intake"),
        rest.lines().next().unwrap()
    );
    let ran = tokio::process::Command::new("sh")
        .args(["-c", &line])
        .output();
    let ran = timeout(Duration::from_mins(1), ran)
        .await
        .expect("it hangs")
        .unwrap();
    assert!(ran.status.success(), "{line}");
    let pulled = house.run(&["pull", "--json"]).await.with_code(0);
    assert_eq!(lines(&pulled)[0]["lead"]["name"], "Kari Nordmann");
}

/// Flags that contradict each other are wrong usage, and nothing is called.
#[tokio::test(flavor = "multi_thread")]
async fn contradictions_are_usage_errors() {
    let id = new_id().to_string();
    let both = ["pull", "--follow", "--all"];
    run(&[], &both, "").await.with_code(2);
    let both = [
        "erase",
        "--ground",
        "objection",
        "--yes",
        "--dry-run",
        "--request-id",
        &id,
    ];
    run(&[], &both, "").await.with_code(2);
    let both = ["find", "--subject-file", "-", "--email", "a@b.no"];
    run(&[], &both, "").await.with_code(2);
}

/// `pull --follow` delivers what happens after it began, goes on when the server comes back, and ends with
/// its reader.
#[tokio::test(flavor = "multi_thread")]
async fn following_outlives_a_restart() {
    let mut house = House::new(None).await;
    let data = house.data();
    let envs = [
        ("LEAD_INTAKE_URL", &*house.url),
        ("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap()),
    ];
    let mut follower = start(&envs, &["pull", "--follow", "--json"]);
    let mut changes = BufReader::new(follower.stdout.take().unwrap()).lines();
    let first = house.submit("kari@example.no").await;
    assert!(next_line(&mut changes).await.contains(&first));

    let api = house.server.api.to_string();
    let (status, log) = house.server.signal("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    house.server = Binary::serve_at(&api, &data, &[]).await;
    let second = house.submit("ola@example.no").await;
    let line = next_line(&mut changes).await;
    assert!(line.contains(&second) && !line.contains(&first), "{line}");

    drop(changes);
    house.submit("per@example.no").await;
    let ended = timeout(Duration::from_mins(1), follower.wait()).await;
    assert_eq!(ended.expect("it goes on").unwrap().code(), Some(0));
}

/// A ledger that was tampered with is exit code 3, for `ledger verify` as for `check`.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_not_intact_is_a_no() {
    let house = House::new(None).await;
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
