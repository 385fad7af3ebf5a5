//! Receipts and checkpoints by the command line: kept in files, and verified without a server (A3, Art. 5(2)).

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use lead_intake::{
    ledger::notary::{Notary, SigningKey},
    pb,
    token::Role,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use crate::{
    steps::*,
    support::{binary::Ran, *},
};

mod tampered;

/// A server with an erasure, and a directory for what an auditor keeps.
struct Office {
    world: World,
    replica: Replica,
    request_id: String,
    erased: Vec<String>,
    kept: TempDir,
}

impl Office {
    /// One person's three leads, of which one must stay, and their erasure.
    async fn new() -> Self {
        let world = World::new(Backend::Sqlite).await;
        let replica = world.start().await;
        let mut leads = Vec::new();
        for _ in 0..3 {
            leads.push(submit_mail(&replica, "kari@example.no").await);
            world.clock.advance_seconds(1);
        }
        pull_all(&mut replica.crm(), "", 0).await;
        let claim = pb::RestrictLeadRequest {
            request_id: new_id().to_string(),
            lead_id: leads.remove(1),
            reason: pb::RestrictionReason::ControllerLegalClaim.into(),
            ..Default::default()
        };
        replica.privacy().restrict_lead(claim).await.unwrap();
        Self {
            request_id: String::new(),
            erased: leads,
            kept: TempDir::new().unwrap(),
            world,
            replica,
        }
    }

    async fn erase(&mut self) {
        let erased = erase(&self.replica, "kari@example.no").await;
        self.request_id = erased.receipt.unwrap().request_id;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.kept.path().join(name)
    }

    /// A command with the server and the token of a role. Names of files are replaced by their paths.
    async fn run(&self, role: Role, args: &[&str]) -> Ran {
        let url = format!("http://{}", self.replica.api);
        let token = self.replica.token(role);
        let envs = [("LEAD_INTAKE_URL", &*url), ("LEAD_INTAKE_TOKEN", token)];
        self.run_with(&envs, args).await
    }

    /// A command with nothing but the files.
    async fn offline(&self, args: &[&str]) -> Ran {
        self.run_with(&[("LEAD_INTAKE_URL", "http://127.0.0.1:1")], args)
            .await
    }

    async fn run_with(&self, envs: &[(&str, &str)], args: &[&str]) -> Ran {
        let path = |arg: &&str| match arg.strip_prefix('@') {
            Some(name) => self.path(name).to_str().unwrap().to_owned(),
            None => (*arg).to_owned(),
        };
        let args: Vec<String> = args.iter().map(path).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        binary::run(envs, &args, "").await
    }

    /// Keeps the receipt in a file, and the public key in another.
    async fn keep(&self, more: &[&str]) {
        let id = &*self.request_id;
        let args = [&["receipt", id, "--output", "@receipt.json"], more].concat();
        // A client that had the leads has not acknowledged: that is a no, and the receipt is kept all the same.
        self.run(Role::Privacy, &args).await.with_code(3);
        let key = self.world.signer.verifier();
        fs::write(self.path("checkpoint.pub"), format!("{key}\n")).unwrap();
    }

    async fn keep_checkpoint(&self, name: &str) -> String {
        let ran = self
            .run(Role::Auditor, &["ledger", "checkpoint"])
            .await
            .with_code(0);
        fs::write(self.path(name), &ran.out).unwrap();
        ran.out
    }
}

const VERIFY: [&str; 5] = [
    "receipt",
    "verify",
    "@receipt.json",
    "--public-key",
    "@checkpoint.pub",
];

/// Art. 5(2): a receipt that was kept is proven with nothing but the public key, without a server, and says in words
/// what is proven and what is not.
#[tokio::test(flavor = "multi_thread")]
async fn art_5_2_a_kept_receipt_is_proven_offline() {
    let mut office = Office::new().await;
    office.erase().await;
    office.keep(&[]).await;
    let key = office.world.signer.verifier().to_string();
    office.replica.stop.cancel();

    let ran = office.offline(&VERIFY).await.with_code(0);
    assert!(
        ran.out.starts_with(&format!(
            "PROVEN: request {} of 2026-11-23T12:00:03Z",
            office.request_id
        )),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("2 lead(s) erased, 1 not"), "{}", ran.out);
    for lead in &office.erased {
        let row = ran.out.lines().find(|line| line.contains(&**lead)).unwrap();
        assert!(row.contains("erased"), "{row}");
    }
    assert!(
        ran.out.contains("retained") && ran.out.contains(&key),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("not covered: recipients"), "{}", ran.out);
    assert!(ran.err.is_empty() && !ran.out.contains("@example.no"));
    let by_text = [
        "receipt",
        "verify",
        "@receipt.json",
        "--public-key",
        &key,
        "--json",
    ];
    let proven = office.offline(&by_text).await.with_code(0).json();
    assert_eq!(proven["proven"], true);
    assert_eq!(proven["leads"].as_array().unwrap().len(), 3);
    assert_eq!(proven["requestId"], *office.request_id);

    // Another key, also one of the same name, proves nothing.
    let other = SigningKey::generate(office.world.signer.verifier().name()).unwrap();
    let other = other.verifier().to_string();
    let by_other = ["receipt", "verify", "@receipt.json", "--public-key", &other];
    let refused = office.offline(&by_other).await.with_code(3);
    assert!(
        refused
            .out
            .starts_with("NOT PROVEN: it names another public key"),
        "{}",
        refused.out
    );
    // What cannot be read is no verdict.
    for (file, content) in [
        ("receipt.json", "{}x"),
        ("receipt.json", r#"{"more":1}"#),
        ("checkpoint.pub", "no key"),
    ] {
        let path = office.path(file);
        let good = fs::read_to_string(&path).unwrap();
        fs::write(&path, content).unwrap();
        office.offline(&VERIFY).await.with_code(1);
        fs::write(&path, good).unwrap();
    }
    fs::write(office.path("receipt.json"), "{}").unwrap();
    office.offline(&VERIFY).await.with_code(3);
}

/// A3: a checkpoint that an auditor kept, older or newer than the receipt's, is tied in; one of another ledger, or one
/// that nothing ties, is not.
#[tokio::test(flavor = "multi_thread")]
async fn a3_a_kept_checkpoint_ties_a_receipt_in() {
    let mut office = Office::new().await;
    office.keep_checkpoint("older").await;
    office.erase().await;
    office.keep(&["--since", "@older"]).await;
    let told = office.offline(&VERIFY).await.with_code(0);
    assert!(
        told.out.contains("not covered: consistency"),
        "{}",
        told.out
    );
    let verify = |kept: &'static str| [&VERIFY[..], &["--checkpoint", kept]].concat();
    let tied = office.offline(&verify("@older")).await.with_code(0);
    assert!(
        tied.out.contains("one is the beginning of the other"),
        "{}",
        tied.out
    );
    assert!(!tied.out.contains("consistency"), "{}", tied.out);

    // The same size: the receipt's own checkpoint.
    office.keep_checkpoint("same").await;
    office.offline(&verify("@same")).await.with_code(0);
    submit_mail(&office.replica, "ola@example.no").await;
    office.keep_checkpoint("newer").await;
    let untied = office.offline(&verify("@newer")).await.with_code(3);
    assert!(
        untied.out.contains("nothing at hand proves"),
        "{}",
        untied.out
    );
    let newer = ["ledger", "checkpoint", "--since", "@receipt.json", "--json"];
    let newer = office.run(Role::Auditor, &newer).await.with_code(0);
    fs::write(office.path("newer.json"), &newer.out).unwrap();
    office.offline(&verify("@newer.json")).await.with_code(0);
    let both = [&verify("@older")[..], &["--checkpoint", "@newer.json"]].concat();
    office.offline(&both).await.with_code(0);

    for size in [2, 9, 13] {
        let name = format!("forged{size}");
        fs::write(office.path(&name), forged(&office, size)).unwrap();
        let forged = format!("@{name}");
        let refused = [&VERIFY[..], &["--checkpoint", &forged]].concat();
        let refused = office.offline(&refused).await.with_code(3);
        assert!(refused.out.starts_with("NOT PROVEN"), "{}", refused.out);
    }
}

/// A checkpoint of other entries, with a signature that fits: what a ledger would have to show that was rewritten.
fn forged(office: &Office, size: u64) -> String {
    let dir = TempDir::new().unwrap();
    let mut notary = Notary::open(dir.path(), office.world.signer.clone()).unwrap();
    notary.append((0..size).map(u64::to_be_bytes)).unwrap();
    notary.sign(size).unwrap().note.clone()
}

/// A3: a new checkpoint is checked against the one that was kept: it continues it, or it is a no.
#[tokio::test(flavor = "multi_thread")]
async fn a3_a_checkpoint_must_continue_the_kept_one() {
    let office = Office::new().await;
    let key = office.world.signer.verifier().to_string();
    let first = office.keep_checkpoint("first").await;
    submit_mail(&office.replica, "ola@example.no").await;
    let since = ["ledger", "checkpoint", "--since", "@first"];
    let second = office.run(Role::Auditor, &since).await.with_code(0);
    assert!(
        second
            .err
            .contains("of the earlier checkpoint are their beginning"),
        "{}",
        second.err
    );
    assert_ne!(second.out, first);
    let known = [
        "ledger",
        "checkpoint",
        "--since",
        "@first",
        "--public-key",
        &key,
    ];
    office.run(Role::Auditor, &known).await.with_code(0);

    let other = SigningKey::generate(office.world.signer.verifier().name()).unwrap();
    let other = other.verifier().to_string();
    let known = ["ledger", "checkpoint", "--public-key", &other];
    let refused = office.run(Role::Auditor, &known).await.with_code(3);
    assert!(
        refused.err.contains("NOT PROVEN") && refused.out.is_empty(),
        "{}",
        refused.err
    );
    fs::write(office.path("first"), forged(&office, 5)).unwrap();
    let refused = office.run(Role::Auditor, &since).await.with_code(3);
    assert!(
        refused.err.contains("is not the beginning of"),
        "{}",
        refused.err
    );
    // More than the ledger has: entries were lost, or it is another one.
    fs::write(office.path("first"), forged(&office, 5000)).unwrap();
    let refused = office.run(Role::Auditor, &since).await.with_code(1);
    assert!(refused.err.contains("SIZE_NOT_REACHED"), "{}", refused.err);
}

/// Art. 5(2): what the operations guide prints for auditors runs as printed.
#[tokio::test(flavor = "multi_thread")]
async fn art_5_2_what_an_auditor_does_runs_as_printed() {
    let mut office = Office::new().await;
    office.erase().await;
    let key = office.world.signer.verifier();
    fs::write(office.path("checkpoint.pub"), format!("{key}\n")).unwrap();
    let tokens = office.path("data/tokens");
    fs::create_dir_all(&tokens).unwrap();
    for role in [Role::Privacy, Role::Auditor] {
        fs::write(tokens.join(role.name()), office.replica.token(role)).unwrap();
    }
    let guide = include_str!("../../docs/operations.md");
    let (_, section) = guide
        .split_once("\n## What an auditor does with a receipt\n")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks: Vec<_> = section.split("```sh\n").skip(1).collect();
    assert_eq!(blocks.len(), 4);
    let program = Path::new(env!("CARGO_BIN_EXE_lead-intake"));
    for block in blocks {
        let (script, _) = block.split_once("```").unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-eu", "-c", script])
            .current_dir(office.kept.path());
        command
            .env_clear()
            .kill_on_drop(true)
            .env("request", &office.request_id);
        command.env(
            "PATH",
            format!("{}:/usr/bin:/bin", program.parent().unwrap().display()),
        );
        command.env("LEAD_INTAKE_URL", format!("http://{}", office.replica.api));
        let ran = timeout(Duration::from_mins(1), command.output()).await;
        let ran = ran.expect("the script hangs").unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        assert!(ran.status.success(), "{script}\n{out}\n{err}");
        assert!(
            !out.contains("@example.no") && !err.contains("@example.no"),
            "{out}\n{err}"
        );
    }
}

/// What a receipt has no proof of yet is not kept as if it had one.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_without_a_proof_is_not_written() {
    let mut office = Office::new().await;
    office.replica.prover.sign().await;
    let signs = &office.replica.prover.signs;
    signs.store(false, std::sync::atomic::Ordering::Relaxed);
    office.erase().await;
    let args = ["receipt", &*office.request_id, "--output", "@receipt.json"];
    let refused = office.run(Role::Privacy, &args).await.with_code(1);
    assert!(
        refused.err.contains("nothing written: no proof yet"),
        "{}",
        refused.err
    );
    assert!(!office.path("receipt.json").exists());
    let shown = office.run(Role::Privacy, &args[..2]).await.with_code(3);
    assert!(shown.out.contains("no proof yet"), "{}", shown.out);
}
