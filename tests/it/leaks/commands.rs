//! Every command, for people and for programs, and some that are refused.

use super::{COMPANY, EMAIL, NAME, PHONE, scenario::Scenario};
use crate::support::new_id;

const SUBJECT: [&str; 2] = ["--subject-file", "-"];
const JSON: [&str; 1] = ["--json"];

pub async fn every_command(scenario: &mut Scenario) {
    leads(scenario).await;
    rights(scenario).await;
    erasure(scenario).await;
    opendsr(scenario).await;
    operator(scenario).await;
}

/// Runs a command that does its work.
async fn done(scenario: &mut Scenario, args: &[&str]) {
    scenario.command(args, "", 0).await;
}

/// Runs it for people, then for programs.
async fn both(scenario: &mut Scenario, args: &[&str], stdin: &str) {
    scenario.command(args, stdin, 0).await;
    let json = [args, &JSON].concat();
    scenario.command(&json, stdin, 0).await;
}

/// Hands a lead over; gives its identifier.
async fn submit(scenario: &mut Scenario, basis: &[&str]) -> String {
    let name = ["--name", NAME, "--company", COMPANY];
    let reach = ["--email", EMAIL, "--phone", PHONE];
    let submit = [
        &["submit", "--json"],
        &name[..],
        &reach,
        &["--basis"],
        basis,
    ]
    .concat();
    let stored = scenario.command(&submit, "", 0).await.json();
    stored["leadId"].as_str().unwrap().to_owned()
}

fn person() -> String {
    format!(r#"{{"email": "{EMAIL}", "name": "{NAME}", "phone": "{PHONE}"}}"#)
}

async fn leads(scenario: &mut Scenario) {
    let words = ["submit", "--name", NAME, "--email", EMAIL, "--basis"];
    done(scenario, &[&words[..], &["pre-contract"]].concat()).await;
    let wrong = ["--phone", EMAIL, "--company", "\u{7}"];
    let wrong = [&words[..], &["consent"], &wrong].concat();
    scenario.command(&wrong, "", 1).await;
    let lead = submit(scenario, &["pre-contract"]).await;
    let all = ["pull", "--all", "--json"];
    let pulled = scenario.command(&all, "", 0).await;
    let (_, cursor) = pulled.err.rsplit_once("next cursor: ").unwrap();
    let cursor = cursor.split_whitespace().next().unwrap().to_owned();
    done(scenario, &["pull"]).await;
    both(scenario, &["ack", &cursor], "").await;
    both(scenario, &["get", &lead], "").await;
    both(scenario, &["notice"], "").await;
    both(scenario, &["close", &lead, "--outcome", "answered"], "").await;
    let lead = submit(scenario, &["consent", "--consent"]).await;
    both(scenario, &["withdraw", &lead], "").await;
    scenario.command(&["get", EMAIL], "", 1).await;
}

async fn rights(scenario: &mut Scenario) {
    let lead = submit(scenario, &["pre-contract"]).await;
    let person = person();
    both(scenario, &[&["find"], &SUBJECT[..]].concat(), &person).await;
    let object = ["object", "--kind", "direct-marketing"];
    both(scenario, &[&object[..], &SUBJECT].concat(), &person).await;
    for json in [&[][..], &JSON] {
        let reason = ["--reason", "accuracy-contested"];
        done(
            scenario,
            &[&["restrict", &lead], &reason[..], json].concat(),
        )
        .await;
        let told = ["--informed-at", "2026-01-02T03:04:05Z"];
        done(
            scenario,
            &[&["lift", &lead], &reason[..], &told, json].concat(),
        )
        .await;
    }
    // Restricted and lifted twice: at its fifth revision.
    let fields = format!(r#"{{"name": "{NAME}", "email": "{EMAIL}"}}"#);
    for (revision, code, json) in [("1", 1, &[][..]), ("5", 0, &[]), ("6", 0, &JSON)] {
        let rectify = [
            "rectify",
            &lead,
            "--fields-file",
            "-",
            "--expected-revision",
        ];
        let rectify = [&rectify[..], &[revision], json].concat();
        scenario.command(&rectify, &fields, code).await;
    }
    let broken = person.replace(':', "");
    let find = [&["find"], &SUBJECT[..]].concat();
    scenario.command(&find, &broken, 1).await;
    for kind in ["access", "portability"] {
        let export = [&["export", "--kind", kind], &SUBJECT[..]].concat();
        scenario.command(&export, &person, 0).await;
    }
}

async fn erasure(scenario: &mut Scenario) {
    let lead = submit(scenario, &["pre-contract"]).await;
    let id = new_id().to_string();
    let erase = [
        "erase",
        "--yes",
        "--ground",
        "objection",
        "--request-id",
        &id,
    ];
    both(scenario, &[&erase[..], &SUBJECT].concat(), &person()).await;
    for json in [&[][..], &JSON] {
        // A CRM has still to acknowledge.
        let receipt = [&["receipt", &id], json].concat();
        scenario.command(&receipt, "", 3).await;
    }
    let (kept, key) = (
        scenario.house.dir.path().join("receipt.json"),
        scenario.house.data().join("checkpoint.pub"),
    );
    let (kept, key) = (kept.to_str().unwrap(), key.to_str().unwrap());
    scenario
        .command(&["receipt", &id, "--output", kept], "", 3)
        .await;
    both(
        scenario,
        &["receipt", "verify", kept, "--public-key", key],
        "",
    )
    .await;
    both(scenario, &["ledger", "checkpoint"], "").await;
    both(scenario, &["ledger", "list", "--lead-id", &lead], "").await;
    both(scenario, &["ledger", "verify"], "").await;
    both(scenario, &["stats"], "").await;
    both(scenario, &["record"], "").await;
}

/// Requests of another tool: carried out, asked for again, refused.
async fn opendsr(scenario: &mut Scenario) {
    submit(scenario, &["pre-contract"]).await;
    done(scenario, &["pull"]).await;
    let identity = |kind: &str, value: &str, format: &str| serde_json::json!({ "identity_type": kind, "identity_value": value, "identity_format": format });
    let identities = [
        identity("email", EMAIL, "raw"),
        identity("phone", PHONE, "raw"),
    ];
    let file = |kind: &str, time: &str| {
        serde_json::json!({
            "regulation": "gdpr",
            "subject_request_id": uuid::Builder::from_random_bytes(new_id().into_bytes()).into_uuid().to_string(),
            "subject_request_type": kind,
            "submitted_time": time,
            "subject_identities": identities,
        })
        .to_string()
    };
    // Where it was asked for a person's data may lie: not below the house, which is scanned.
    let copies = tempfile::tempdir().unwrap();
    let access = [
        "opendsr",
        "apply",
        "-",
        "--out",
        copies.path().to_str().unwrap(),
    ];
    let asked = file("access", "2026-01-02T03:04:05Z");
    scenario.command(&access, &asked, 0).await;
    let erase = ["opendsr", "apply", "-", "--yes"];
    let asked = file("erasure", "2026-01-02T03:04:05Z");
    for _ in 0..2 {
        // A CRM has still to acknowledge.
        scenario.command(&erase, &asked, 3).await;
    }
    scenario.command(&erase, &file("erasure", EMAIL), 1).await;
    scenario.command(&erase, &asked[1..], 1).await;
}

/// A whole rotation, and a step before its time.
async fn keys(scenario: &mut Scenario) {
    both(scenario, &["keys", "list"], "").await;
    scenario
        .command(&["keys", "retire", "--forget"], "", 1)
        .await;
    done(scenario, &["keys", "rotate"]).await;
    done(scenario, &["keys", "promote"]).await;
    done(scenario, &["keys", "reseal"]).await;
    done(scenario, &["keys", "retire", "--forget"]).await;
    both(scenario, &["keys", "list"], "").await;
}

async fn operator(scenario: &mut Scenario) {
    let url = scenario.house.url.clone();
    done(scenario, &["healthcheck", "--url", &url]).await;
    done(scenario, &["migrate"]).await;
    done(scenario, &["check"]).await;
    done(scenario, &["client", "add", "crm-2", "--role", "crm"]).await;
    both(scenario, &["client", "list"], "").await;
    done(scenario, &["client", "revoke", "crm-2"]).await;
    both(scenario, &["retention", "preview"], "").await;
    done(scenario, &["completions", "bash"]).await;
    done(scenario, &["man"]).await;
    keys(scenario).await;
    done(scenario, &["mirror", "status"]).await;
    // There is one, and the service writes it.
    scenario.command(&["mirror", "init"], "", 1).await;
    scenario.command(&["mirror", "apply"], "", 1).await;
    let backup = scenario.house.dir.path().join("backup.db");
    let backup = ["backup", backup.to_str().unwrap()];
    let is_sqlite = matches!(
        scenario.house.database_url(),
        lead_intake::store::StoreUrl::Sqlite(_)
    );
    scenario.command(&backup, "", i32::from(!is_sqlite)).await;
    scenario.command(&backup, "", 1).await;
}
