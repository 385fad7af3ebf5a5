//! The rights of a person by the commands of privacy tooling.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use super::{House, lines, mode};
use crate::support::{Backend, new_id};

/// A time at which a person was told; long past.
const TOLD: &str = "2026-01-02T03:04:05Z";

on_both! {
    /// Art. 17: an erasure asks first or is told to, erases for good, and leaves a ledger that holds.
    async fn art_17_found_and_erased(backend: Backend) {
        let house = House::new(backend).await;
        let lead = house.submit("berit@example.no").await;
        let person = r#"{"email": "BERIT@example.no"}"#;
        let find = ["find", "--subject-file", "-", "--json"];
        let found = house.run_with(&[], &find, person).await.with_code(0).json();
        assert_eq!(found["leads"][0]["leadId"], lead.as_str());
        let ids = ["find", "--subject-file", "-", "--ids"];
        let ids = house.run_with(&[], &ids, person).await.with_code(0);
        assert_eq!(ids.out, format!("{lead}\n"));

        let erase = ["erase", "--email", "berit@example.no", "--ground", "consent-withdrawn"];
        let with = |flags: &[&'static str]| [&erase[..], flags].concat();
        let dry = house.run(&with(&["--dry-run"])).await.with_code(0);
        assert!(dry.out.contains("would be"), "{}", dry.out);
        let alone = house.run(&erase).await.with_code(1);
        assert!(alone.err.contains("--yes"), "{}", alone.err);
        let erased = house.run(&with(&["--yes"])).await.with_code(0);
        let is_told = erased.out.contains(&lead) && erased.out.contains("receipt");
        assert!(is_told, "{}", erased.out);
        let gone = house.run(&["get", &lead]).await.with_code(1);
        assert!(gone.err.contains("LEAD_NOT_FOUND"), "{}", gone.err);
        let again = house.run(&with(&["--yes", "--json"])).await.with_code(0);
        assert_eq!(again.json()["leads"], Value::Array(Vec::new()));

        let verified = house.run(&["ledger", "verify"]).await.with_code(0);
        assert!(verified.out.contains("intact") && verified.out.contains("cannot see"));
        let verified = house.run(&["ledger", "verify", "--json"]).await.with_code(0);
        assert_eq!(verified.json()["intact"], true);
        let list = ["ledger", "list", "--lead-id", &lead, "--json"];
        let listed = house.run(&list).await.with_code(0).json();
        assert_eq!(listed["entries"][0]["kind"], "ENTRY_KIND_SUBMITTED");
        let log = house.stop().await;
        assert!(!log.to_lowercase().contains("berit"), "{log}");
    }

    /// Art. 16 and 18: a contested lead is out of the CRM's sight, is corrected at the revision that was seen, and
    /// comes back corrected after the person was told. The correct value is never shown.
    async fn art_16_18_restricted_corrected_lifted(backend: Backend) {
        let house = House::new(backend).await;
        let lead = house.submit("berit@example.no").await;
        let restrict = ["restrict", &lead, "--reason", "accuracy-contested"];
        let restricted = house.run(&restrict).await.with_code(0).out;
        assert!(restricted.starts_with("restricted: accuracy-contested\nto be answered by 20"));
        let hidden = house.run(&["get", &lead]).await.with_code(1);
        assert!(hidden.err.contains("lead-intake find"), "{}", hidden.err);

        let fields = r#"{"email": "berit.moe@example.no", "company": ""}"#;
        let rectify = |revision| {
            ["rectify", &*lead, "--fields-file", "-", "--expected-revision", revision]
        };
        let moved = house.run_with(&[], &rectify("1"), fields).await.with_code(1);
        assert!(moved.err.contains("REVISION_MISMATCH") && moved.err.contains("begins at 1"));
        let corrected = house.run_with(&[], &rectify("2"), fields).await.with_code(0);
        assert!(corrected.out.starts_with("corrected: now at revision 3"), "{}", corrected.out);
        for ran in [&moved, &corrected] {
            assert!(!ran.out.contains("berit") && !ran.err.contains("berit"));
        }

        let lift = |at| {
            ["lift", &*lead, "--reason", "accuracy-contested", "--informed-at", at]
        };
        let early = house.run(&lift("2199-01-01T00:00:00Z")).await.with_code(1);
        assert!(early.err.contains("SUBJECT_NOT_INFORMED"), "{}", early.err);
        let lifted = house.run(&lift(TOLD)).await.with_code(0);
        assert_eq!(lifted.out, "lifted: the lead is no longer restricted\n");
        let again = house.run(&lift(TOLD)).await.with_code(1);
        assert!(again.err.contains("ledger list"), "{}", again.err);
        let got = house.run(&["get", &lead, "--json"]).await.with_code(0).json();
        assert_eq!(got["lead"]["email"], "berit.moe@example.no");
        let clear = ["rectify", &lead, "--expected-revision", "4", "--company", "Moe AS"];
        let clear = [&clear[..], &["--clear", "name", "--json"]].concat();
        assert_eq!(house.run(&clear).await.with_code(0).json()["revision"], "5");
        let got = house.run(&["get", &lead, "--json"]).await.with_code(0).json();
        assert_eq!((&got["lead"]["name"], &got["lead"]["company"]), (&"".into(), &"Moe AS".into()));
        let log = house.stop().await;
        assert!(!log.to_lowercase().contains("berit"), "{log}");
    }

    /// Art. 7(3): one call, by whoever took the consent as well, and an outcome in words. Of what is not there
    /// it says no more than that.
    async fn art_7_3_withdrawn_in_one_call(backend: Backend) {
        let house = House::new(backend).await;
        let stays = house.submit_with("a@example.no", &["--basis", "pre-contract", "--consent"]).await;
        let goes = house.submit_with("b@example.no", &["--basis", "consent", "--consent"]).await;
        let kept = house.run(&["withdraw", &stays]).await.with_code(0).out;
        assert!(kept.contains("stays") && kept.contains("to erasure (Art. 17)"), "{kept}");
        house.run(&["get", &stays]).await.with_code(0);
        let website = house.data().join("tokens/intake");
        let withdraw = ["withdraw", &goes, "--token-file", website.to_str().unwrap(), "--json"];
        let gone = house.run(&withdraw).await.with_code(0).json();
        assert_eq!(gone["outcome"], "WITHDRAWAL_OUTCOME_ERASED");
        house.run(&["get", &goes]).await.with_code(1);
        let unknown = new_id().to_string();
        let nothing = house.run(&["withdraw", &unknown]).await.with_code(0);
        assert_eq!(nothing.out, "nothing is held under this identifier\n");
    }

    /// Art. 21: an objection says what the person must be told; to the processing as such, it restricts first.
    async fn art_21_objections(backend: Backend) {
        let house = House::new(backend).await;
        let lead = house.submit("berit@example.no").await;
        house.run(&["pull"]).await.with_code(0);
        let object = |kind| {
            ["object", "--kind", kind, "--language", "en", "--email", "berit@example.no"]
        };
        let marketing = house.run(&object("direct-marketing")).await.with_code(0).out;
        let is_told = marketing.contains(&lead) && marketing.contains("holds without conditions");
        assert!(is_told, "{marketing}");
        house.run(&["get", &lead]).await.with_code(0);
        house.run(&object("general")).await.with_code(0);
        house.run(&["get", &lead]).await.with_code(1);
        let nobody = ["object", "--kind", "general", "--email", "nobody@example.no"];
        let nobody = house.run(&nobody).await.with_code(0).out;
        assert!(nobody.starts_with("nothing is held of this person"), "{nobody}");
        let pulled = house.run(&["pull", "--json"]).await.with_code(0);
        let kinds: Vec<_> = lines(&pulled).iter().map(|change| change["kind"].clone()).collect();
        assert_eq!(kinds[1..], ["CHANGE_KIND_OBJECTED", "CHANGE_KIND_RESTRICTED"]);
    }

    /// Art. 12(4), 17(3)(e): a lead that stays is exit code 3; one that the person wanted kept says what to do.
    async fn art_12_4_an_erasure_that_left_a_lead_is_a_no(backend: Backend) {
        let house = House::new(backend).await;
        let lead = house.submit("berit@example.no").await;
        let erase = ["erase", "--yes", "--ground", "objection", "--email", "berit@example.no"];
        let restrict = ["restrict", &lead, "--reason", "subject-legal-claim"];
        house.run(&restrict).await.with_code(0);
        let asked = house.run(&erase).await.with_code(3).out;
        assert!(asked.contains("repeat with --confirm-supersedes-restriction"), "{asked}");
        let restrict = ["restrict", &lead, "--reason", "controller-legal-claim"];
        house.run(&restrict).await.with_code(0);
        let confirmed = [&erase[..], &["--confirm-supersedes-restriction"]].concat();
        let kept = house.run(&confirmed).await.with_code(3).out;
        let is_told = kept.contains("to be told to the person") && kept.contains("Datatilsynet");
        assert!(kept.contains("retained") && is_told, "{kept}");
    }
}

/// An export is for its owner only, and never lands on a file that is there by accident.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_written_for_its_owner() {
    let house = House::new(Backend::Sqlite).await;
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
