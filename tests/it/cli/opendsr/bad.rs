//! Files that are not carried out: everything that is wrong, where, and never what.

use serde_json::json;

use super::{assert_golden, email, identity, request, with_phone};
use crate::{
    cli::House,
    support::{Backend, binary::Ran},
};

/// Values that stand in the bad files.
const VALUES: [&str; 6] = [
    "Hemmelig", "hemmelig", "EA7583CD", "tolvte", "Oslo", "5eb63bbb",
];

/// Asserts that an answer repeats nothing of the file.
fn assert_silent(ran: &Ran) {
    for value in VALUES {
        assert!(
            !ran.out.contains(value) && !ran.err.contains(value),
            "{value}: {}{}",
            ran.out,
            ran.err
        );
    }
}

/// Every violation is told at once, with its path in the file and never its value, and nothing is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_opendsr_file_is_refused_with_every_violation() {
    let house = House::new(Backend::Sqlite).await;
    let lead = house.submit("berit@example.no").await;
    let file = json!({
        "subject_request_id": "{A7551968-D5D6-44B2-9831-815AC9017798}",
        "subject_request_type": "Hemmelig",
        "submitted_time": "den tolvte",
        "regulation": "ccpa",
        "api_version": "0.1",
        "status_callback_urls": "hemmelig",
        "hemmelig@example.no": 1,
        "subject_identities": [
            email("berit@example.no"),
            email("Hemmelig"),
            { "identity_type": "email", "identity_value": 5, "identity_format": "raw", "Hemmelig": 1 },
            { "identity_type": "Hemmelig", "identity_value": "Hemmelig", "identity_format": "raw" },
            { "identity_type": "email", "identity_value": "Hemmelig", "identity_format": "Oslo" },
            "Hemmelig",
        ],
        "extensions": { "lead-intake": { "identities": { "Hemmelig": "Oslo" }, "Hemmelig": true } },
    });
    let refused = house.erase(&file, &[]).await.with_code(1);
    assert_golden("opendsr.bad.json", &refused, &[]);
    assert_silent(&refused);
    assert!(
        refused
            .err
            .contains("subject_identities[1].identity_value is not an e-mail"),
        "{}",
        refused.err
    );

    let empty = house.erase(&json!({}), &[]).await.with_code(1);
    assert_golden("opendsr.empty.json", &empty, &[]);
    let list = house.erase(&json!([1]), &[]).await.with_code(1);
    assert!(
        list.out.contains("WRONG_KIND") && list.out.contains("REQUIRED"),
        "{}",
        list.out
    );
    house.run(&["get", &lead]).await.with_code(0);
}

/// What can be searched in no way is no request that was answered: it is refused, and each reason is told.
#[tokio::test(flavor = "multi_thread")]
async fn an_opendsr_file_with_nothing_to_search_is_refused() {
    let house = House::new(Backend::Sqlite).await;
    let hash = identity("email", "5eb63bbbe01eeed093cb22bb8f5acdc3", "md5");
    let device = identity("android_id", "EA7583CD", "raw");
    let refused = house
        .erase(&request("erasure", &json!([hash, device])), &[])
        .await
        .with_code(1);
    assert_golden("opendsr.nothing.json", &refused, &[]);
    assert_silent(&refused);
}

/// A name that stands twice, and what is no JSON at all, are refused by line and column.
#[tokio::test(flavor = "multi_thread")]
async fn an_opendsr_file_that_is_ambiguous_is_refused() {
    let house = House::new(Backend::Sqlite).await;
    let twice =
        r#"{"subject_identities": ["Hemmelig"], "regulation": "gdpr", "subject_identities": []}"#;
    for text in [twice, "{\"Hemmelig\": hemmelig}", ""] {
        let apply = ["opendsr", "apply", "-", "--yes"];
        let refused = house.run_with(&[], &apply, text).await.with_code(1);
        let detail = refused.json()["error"]["errors"][0].clone();
        assert_eq!(detail["reason"], "MALFORMED_JSON");
        assert!(
            detail["message"]
                .as_str()
                .unwrap()
                .contains("line 1, column"),
            "{detail}"
        );
        assert_silent(&refused);
    }
    let ahead = &mut request("erasure", &json!([email("berit@example.no")]));
    ahead["submitted_time"] = json!("2199-01-01T00:00:00Z");
    let refused = house.erase(ahead, &[]).await.with_code(1);
    assert_eq!(
        refused.json()["error"]["errors"][0]["reason"],
        "TIME_IN_FUTURE"
    );
}

on_both! {
    /// What only the service can judge stops the whole request before anything is done, and is told by the file's path.
    async fn case_a_bad_number_in_an_opendsr_file_erases_nobody(backend: Backend) {
        let house = House::new(backend).await;
        let lead = house.submit("berit@example.no").await;
        let file = request("erasure", &json!([email("berit@example.no")]));
        let refused = house.erase(&with_phone(file, "Hemmelig"), &[]).await.with_code(1);
        let error = refused.json()["error"].clone();
        assert_eq!(error["code"], 400);
        assert_eq!(error["errors"][0]["path"], "extensions.lead-intake.identities[0].identity_value");
        assert_eq!(error["errors"][0]["reason"], "PHONE_INVALID");
        assert_silent(&refused);
        house.run(&["get", &lead]).await.with_code(0);
        assert_eq!(house.erasures().await, 0);
    }
}

/// A program that cannot reach the service, or may not call it, gets an error document too.
#[tokio::test(flavor = "multi_thread")]
async fn an_opendsr_request_that_is_refused_by_the_service() {
    let house = House::new(Backend::Sqlite).await;
    let file = request("erasure", &json!([email("hemmelig@example.no")]));
    let away = house
        .erase(&file, &["--url", "http://127.0.0.1:1"])
        .await
        .with_code(1);
    assert_eq!(away.json()["error"]["code"], 503);
    let crm = house.data().join("tokens/crm");
    let stranger = house
        .erase(&file, &["--token-file", crm.to_str().unwrap()])
        .await
        .with_code(1);
    assert_eq!(stranger.json()["error"]["code"], 403);
    assert_eq!(
        stranger.json()["error"]["errors"][0]["reason"],
        "ROLE_NOT_ALLOWED"
    );
    for ran in [&away, &stranger] {
        assert_silent(ran);
    }
}
