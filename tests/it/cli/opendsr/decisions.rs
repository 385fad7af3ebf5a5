//! What a human decides: candidates, restrictions, what cannot be searched.

use serde_json::json;

use super::{email, identity, open, ours, request, with_phone};
use crate::{
    cli::House,
    support::{Backend, new_id},
};

impl House {
    /// A lead with a telephone number.
    async fn submit_phone(&self, args: &[&str]) -> String {
        let submit = [
            "submit",
            "--json",
            "--name",
            "Berit Moe",
            "--basis",
            "pre-contract",
        ];
        let submit = [&submit[..], &["--phone", "406 05 600"], args].concat();
        let answer = self.run(&submit).await.with_code(0).json();
        answer["leadId"].as_str().unwrap().to_owned()
    }
}

on_both! {
    /// Art. 12(6): who may be somebody else is not touched, and keeps the request open until a human has decided. The
    /// decision is an act of its own, which a file that comes again finds by itself.
    async fn art_12_6_an_opendsr_candidate_is_decided_by_a_human(backend: Backend) {
        let house = House::new(backend).await;
        let theirs = house.submit_phone(&["--email", "berit@example.no"]).await;
        let by_phone = house.submit_phone(&[]).await;
        let old_address = house.submit_phone(&["--email", "berit@old.example.no"]).await;
        let colleague = house.submit_phone(&["--email", "ola@example.no"]).await;
        let file = request("erasure", &json!([email("berit@example.no")]));
        let file = with_phone(file, "+47 40605600");

        let erased = house.erase(&file, &[]).await.with_code(3);
        assert_eq!(open(&erased), ["CANDIDATE", "CANDIDATE"]);
        let touched = ours(&erased)["leads"].clone();
        assert_eq!([&touched[0]["leadId"], &touched[1]["leadId"]], [&theirs, &by_phone]);
        let asked = ours(&erased)["candidates"].clone();
        assert_eq!([&asked[0]["leadId"], &asked[1]["leadId"]], [&old_address, &colleague]);
        house.run(&["get", &colleague]).await.with_code(0);

        let nobody = new_id().to_string();
        let stranger = house.erase(&file, &["--lead-id", &nobody]).await.with_code(1);
        assert_eq!(stranger.json()["error"]["errors"][0]["reason"], "NOT_A_CANDIDATE");
        let decided = ["--lead-id", &*old_address, "--not-theirs", &*colleague];
        let done = house.erase(&file, &decided).await.with_code(0);
        assert_eq!(done.json()["results_count"], 3);
        let again = house.erase(&file, &decided).await.with_code(0);
        assert_eq!(ours(&again)["receipts"], ours(&done)["receipts"]);
        assert_eq!(house.erasures().await, 3);
        // The erasure is found without being told again; who is no candidate is not known here.
        let later = house.erase(&file, &[]).await.with_code(3);
        assert_eq!(ours(&later)["receipts"].as_array().unwrap().len(), 3);
        assert_eq!(ours(&later)["candidates"][0]["leadId"], colleague);
        house.run(&["get", &old_address]).await.with_code(1);
        house.run(&["get", &colleague]).await.with_code(0);
    }

    /// Art. 17(3)(e), 18: what stays keeps the request open; what the person wanted kept goes when they say so.
    async fn art_18_what_stays_keeps_an_opendsr_erasure_open(backend: Backend) {
        let house = House::new(backend).await;
        let wanted = house.submit("berit@example.no").await;
        let claimed = house.submit("berit@example.no").await;
        for (lead, reason) in [(&wanted, "subject-legal-claim"), (&claimed, "controller-legal-claim")] {
            house.run(&["restrict", lead, "--reason", reason]).await.with_code(0);
        }
        let file = request("erasure", &json!([email("berit@example.no")]));
        let kept = house.erase(&file, &["--language", "en"]).await.with_code(3);
        assert_eq!(open(&kept), ["CONFIRMATION_NEEDED", "LEAD_RETAINED"]);
        let refusal = ours(&kept)["leads"][1]["refusal"].clone();
        assert!(refusal["complaint"].as_str().unwrap().contains("Datatilsynet"), "{refusal}");
        let confirmed = ["--confirm-supersedes-restriction"];
        let left = house.erase(&file, &confirmed).await.with_code(3);
        assert_eq!(open(&left), ["LEAD_RETAINED"]);
        let left = house.erase(&file, &confirmed).await.with_code(3);
        assert_eq!(open(&left), ["LEAD_RETAINED"]);
        assert_eq!(house.erasures().await, 2);
        // The claim has ended: the lead is free, and erased by hand.
        let free = ["lift", &claimed, "--reason", "controller-legal-claim"];
        let free = [&free[..], &["--informed-at", "2026-01-02T03:04:05Z"]].concat();
        house.run(&free).await.with_code(0);
        let erase = ["erase", "--yes", "--ground", "no-longer-necessary", "--email"];
        house.run(&[&erase[..], &["berit@example.no"]].concat()).await.with_code(0);
        house.erase(&file, &[]).await.with_code(0);
    }

    /// A hash that is not one of an address in the request keeps it open: something may be held under it. One that is
    /// says nothing new, in whatever way it was made.
    async fn case_an_opendsr_hash_is_told_never_passed_over(backend: Backend) {
        let house = House::new(backend).await;
        house.submit("berit@example.no").await;
        let made = ["sha256", "sha1", "md5"].map(|format| {
            let hash = hashed(format, "berit@example.no");
            identity("email", &hash.to_uppercase(), format)
        });
        let mut identities = made.to_vec();
        identities.push(email("BERIT@example.no"));
        let file = request("erasure", &json!(identities));
        let done = house.erase(&file, &[]).await.with_code(0);
        for place in 0..3 {
            let told = ours(&done)["identities"][place].clone();
            assert_eq!(told["same_as"], "subject_identities[3]", "{told}");
        }
        let mut other = request("access", &json!([identities[3], identity("email", &"0".repeat(64), "sha256")]));
        other["subject_request_id"] = json!("b7551968-d5d6-44b2-9831-815ac9017798");
        let out = house.dir.path().join("copy.json");
        let told = house.apply(&other, &["--out", out.to_str().unwrap()]).await.with_code(3);
        assert_eq!(open(&told), ["HASH_NOT_SEARCHABLE"]);
        assert_eq!(ours(&told)["open"][0]["about"], "subject_identities[1]");
    }
}

/// A hash by an implementation that is not the program's.
fn hashed(format: &str, text: &str) -> String {
    let run = std::process::Command::new("sh")
        .args(["-c", &format!("printf %s \"$1\" | {format}sum"), "sh", text])
        .output()
        .unwrap();
    assert!(run.status.success());
    let out = String::from_utf8(run.stdout).unwrap();
    out.split_whitespace().next().unwrap().to_owned()
}
