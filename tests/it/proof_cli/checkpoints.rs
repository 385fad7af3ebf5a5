//! Checkpoints that are kept, and what is tied to them.

use lead_intake::ledger::notary::{Notary, SigningKey};

use super::*;

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

    let receipt = fs::read_to_string(office.path("receipt.json")).unwrap();
    let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
    let note = receipt["proof"]["note"].as_str().unwrap();
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    for size in [2, size - 1, size, size + 1] {
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
