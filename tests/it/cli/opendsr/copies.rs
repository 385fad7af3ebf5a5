//! Access and portability.

use std::fs;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{REQUEST, assert_golden, email, ours, request};
use crate::{
    cli::{House, mode},
    support::Backend,
};

on_both! {
    /// Art. 15, 20: each identity's copy is a file for its owner only, with the checksum that the answer gives; the answer
    /// itself shows nobody. A copy that is there is not replaced by accident.
    async fn art_15_20_an_opendsr_request_is_answered_by_a_copy(backend: Backend) {
        let house = House::new(backend).await;
        house.submit("berit@example.no").await;
        house.submit("berit.moe@example.no").await;
        house.submit("ola@example.no").await;
        let dir = house.dir.path().join("copies");
        fs::create_dir(&dir).unwrap();
        let out = ["--language", "en", "--out", dir.to_str().unwrap()];
        let file = request("access", &json!([email("berit@example.no"), email("berit.moe@example.no")]));
        let no_place = house.apply(&file, &[]).await.with_code(1);
        assert!(no_place.err.contains("--out") && no_place.out.is_empty(), "{}", no_place.err);
        let one_file = dir.join("one.json");
        let one_file = house.apply(&file, &["--out", one_file.to_str().unwrap()]).await.with_code(1);
        assert!(one_file.err.contains("must be a directory"), "{}", one_file.err);

        let done = house.apply(&file, &out).await.with_code(0);
        assert_golden("opendsr.access.json", &done, &[]);
        let texts = [format!("{REQUEST}.json"), format!("{REQUEST}-2.json")].map(|name| {
            assert_eq!(mode(&dir.join(&name)), 0o600);
            fs::read_to_string(dir.join(name)).unwrap()
        });
        for (place, text) in texts.iter().enumerate() {
            let told = ours(&done)["files"][place]["sha256"].clone();
            assert_eq!(told, HEXLOWER.encode(digest(&SHA256, text.as_bytes()).as_ref()));
            let copy: Value = serde_json::from_str(text).unwrap();
            assert!(copy.is_object() && !text.contains("ola@"));
        }
        assert!(texts[0].contains("berit@example.no") && texts[1].contains("berit.moe@example.no"));
        assert!(!done.out.contains("berit") && !done.err.contains("berit"));

        let there = house.apply(&file, &out).await.with_code(1);
        assert!(there.err.contains("--force"), "{}", there.err);
        house.apply(&file, &[&out[..], &["--force"]].concat()).await.with_code(0);

        let mut file = request("portability", &json!([email("berit@example.no")]));
        file["subject_request_id"] = json!("b7551968-d5d6-44b2-9831-815ac9017798");
        let portable = dir.join("portable.json");
        let done = house.apply(&file, &["--out", portable.to_str().unwrap()]).await.with_code(0);
        assert_eq!(ours(&done)["files"][0]["name"], "portable.json");
        let text = fs::read_to_string(&portable).unwrap();
        assert!(text.contains("berit@example.no") && text.len() < texts[0].len());
        let log = house.stop().await;
        assert!(!log.contains("berit"), "{log}");
    }
}
