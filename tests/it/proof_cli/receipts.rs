//! Receipts that are kept, and verified offline.

use std::{path::Path, time::Duration};

use lead_intake::ledger::notary::SigningKey;
use tokio::{process::Command, time::timeout};

use super::*;

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
    let guide = include_str!("../../../docs/operations.md");
    let (_, section) = guide
        .split_once("\n## What an auditor does with a receipt\n")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks: Vec<_> = section.split("```sh\n").skip(1).collect();
    assert_eq!(blocks.len(), 5);
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
