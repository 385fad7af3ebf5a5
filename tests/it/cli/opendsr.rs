//! Requests of other privacy tools: `opendsr apply`, through the real program. What it answers is compared with files of
//! `golden/`; `LEAD_INTAKE_BLESS=1` writes them.

mod bad;
mod copies;
mod decisions;

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{House, lines};
use crate::support::{Backend, binary::Ran};

const REQUEST: &str = "a7551968-d5d6-44b2-9831-815ac9017798";

/// A request of this type with these identities.
fn request(kind: &str, identities: &Value) -> Value {
    json!({
        "regulation": "gdpr",
        "subject_request_id": REQUEST,
        "subject_request_type": kind,
        "submitted_time": "2026-01-31T12:00:00+01:00",
        "api_version": "2.0",
        "subject_identities": identities,
    })
}

fn identity(kind: &str, value: &str, format: &str) -> Value {
    json!({ "identity_type": kind, "identity_value": value, "identity_format": format })
}

fn email(value: &str) -> Value {
    identity("email", value, "raw")
}

/// The same with a telephone number, which stands in our extension.
fn with_phone(mut request: Value, number: &str) -> Value {
    let identities = json!([identity("phone", number, "raw")]);
    request["extensions"] = json!({
        "opendsr.example.com": { "anything": 1 },
        "lead-intake": { "identities": identities },
    });
    request
}

impl House {
    /// Applies a request with these flags.
    async fn apply(&self, request: &Value, flags: &[&str]) -> Ran {
        let apply = [&["opendsr", "apply", "-"], flags].concat();
        self.run_with(&[], &apply, &request.to_string()).await
    }

    /// The same of an erasure.
    async fn erase(&self, request: &Value, flags: &[&str]) -> Ran {
        self.apply(request, &[&["--yes"], flags].concat()).await
    }

    /// The CRM takes what there is, and says so.
    async fn acknowledge(&self) {
        let pulled = self.run(&["pull"]).await.with_code(0);
        let (_, cursor) = pulled.err.rsplit_once("next cursor: ").unwrap();
        let cursor = cursor.split_whitespace().next().unwrap();
        self.run(&["ack", cursor]).await.with_code(0);
    }

    /// How many entries of the ledger ask for an erasure.
    async fn erasures(&self) -> usize {
        let listed = self.run(&["ledger", "list", "--json"]).await.with_code(0);
        let entries = listed.json()["entries"].as_array().unwrap().clone();
        let asked = |entry: &&Value| entry["kind"] == "ENTRY_KIND_ERASURE_REQUESTED";
        entries.iter().filter(asked).count()
    }
}

/// What we say beyond the specification.
fn ours(ran: &Ran) -> Value {
    ran.json()["extensions"]["lead-intake"].clone()
}

/// The reasons why a request is open.
fn open(ran: &Ran) -> Vec<Value> {
    let ours = ours(ran);
    let open = ours["open"].as_array().unwrap().iter();
    open.map(|open| open["reason"].clone()).collect()
}

/// Compares an answer with a file, but for what is different each time.
fn assert_golden(name: &str, ran: &Ran, leads: &[&str]) {
    let mut answer = ran.json();
    settle(&mut answer);
    let mut text = serde_json::to_string_pretty(&answer).unwrap() + "\n";
    for (place, id) in leads.iter().enumerate() {
        text = text.replace(id, &format!("lead-{}", place + 1));
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let path = golden.join(name);
    if std::env::var_os("LEAD_INTAKE_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    assert!(text == golden, "{name} is not as it was:\n{text}");
}

/// Puts a word in the place of times and hashes, and of what the databases do differently.
fn settle(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(fields) => {
            for (name, value) in fields {
                let varies = [
                    "erasedAt",
                    "acknowledgedAt",
                    "hash",
                    "sequence",
                    "sha256",
                    "submittedMonth",
                    "oldestOpenSeconds",
                    "cleanUp",
                ];
                if varies.contains(&name.as_str()) {
                    *value = "…".into();
                }
                settle(value);
            }
        }
        _ => {}
    }
}

on_both! {
    /// Art. 17, 19: an erasure is completed when every CRM that had a lead has acknowledged its tombstone, and not before.
    /// The same file again is the same request: nothing is done twice, and the answer shows where it stands.
    async fn art_17_19_an_opendsr_erasure_is_completed_when_every_crm_says_so(backend: Backend) {
        let house = House::new(backend).await;
        let first = house.submit("berit@example.no").await;
        let second = house.submit("Berit@Example.no").await;
        let other = house.submit("ola@example.no").await;
        house.run(&["pull"]).await.with_code(0);
        let device = identity("ios_advertising_id", "EA7583CD-A667-48BC-B806-42ECB2B48606", "raw");
        let mut file = request("erasure", &json!([email("BERIT@example.no"), device]));
        file["status_callback_urls"] = json!(["https://controller.example.com/callbacks"]);

        let alone = house.apply(&file, &[]).await.with_code(1);
        assert!(alone.out.is_empty() && alone.err.contains("--yes"), "{}", alone.err);
        let would = house.apply(&file, &["--dry-run"]).await.with_code(3);
        assert_eq!(would.json()["request_status"], "pending");
        assert_eq!(would.json()["results_count"], 2);
        house.run(&["get", &first]).await.with_code(0);

        let erased = house.erase(&file, &[]).await.with_code(3);
        assert_golden("opendsr.erasure.open.json", &erased, &[&first, &second]);
        house.run(&["get", &first]).await.with_code(1);
        house.run(&["get", &other]).await.with_code(0);
        let again = house.erase(&file, &[]).await.with_code(3);
        assert_golden("opendsr.erasure.open.json", &again, &[&first, &second]);
        assert_eq!(house.erasures().await, 1);

        house.acknowledge().await;
        let done = house.erase(&file, &[]).await.with_code(0);
        assert_golden("opendsr.erasure.completed.json", &done, &[&first, &second]);
        // The receipt can be kept, and proven without the service, like any other.
        let kept = house.dir.path().join("receipt.json");
        let kept = kept.to_str().unwrap();
        house.run(&["receipt", REQUEST, "--output", kept]).await.with_code(0);
        let log = house.stop().await;
        for text in [&erased.out, &erased.err, &done.out, &done.err, &log] {
            assert!(!text.to_lowercase().contains("berit"), "{text}");
            assert!(!text.contains("EA7583CD") && !text.contains("controller.example"), "{text}");
        }
    }

    /// Nothing held is an answer like any other, and completed.
    async fn art_17_an_opendsr_erasure_of_somebody_unknown(backend: Backend) {
        let house = House::new(backend).await;
        let file = request("erasure", &json!([email("nobody@example.no")]));
        let done = house.erase(&file, &[]).await.with_code(0);
        assert_eq!(done.json()["request_status"], "completed");
        assert_eq!(done.json()["results_count"], 0);
        // 31 January, and a month: Art. 12(3).
        assert_eq!(done.json()["expected_completion_time"], "2026-02-28T11:00:00Z");
    }

    /// An enquiry that is newer than the request is none of its business: a file that comes again, or that is about
    /// somebody else, erases nothing, and nobody is told that it did.
    async fn case_an_opendsr_erasure_again_after_a_newer_enquiry(backend: Backend) {
        let house = House::new(backend).await;
        house.submit("berit@example.no").await;
        let file = request("erasure", &json!([email("berit@example.no")]));
        house.erase(&file, &[]).await.with_code(0);
        let newer = house.submit("berit@example.no").await;
        let refused = house.erase(&file, &[]).await.with_code(1);
        assert_golden("opendsr.reused.json", &refused, &[]);
        house.run(&["get", &newer]).await.with_code(0);
        let kinds = lines(&house.run(&["pull", "--json"]).await);
        assert_eq!(kinds.last().unwrap()["kind"], "CHANGE_KIND_SUBMITTED");
    }
}
