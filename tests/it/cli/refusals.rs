//! What goes wrong reads so that it can be acted on.

use super::House;
use crate::support::{Backend, binary::run, new_id};

/// A refusal says what is wrong and what to do, and repeats neither a token nor what was submitted.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_can_be_acted_on() {
    let house = House::new(Backend::Sqlite).await;
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
    let both = ["find", "--email", "a@b.no", "--ids", "--json"];
    run(&[], &both, "").await.with_code(2);
    let rectify = ["rectify", &id, "--expected-revision", "1"];
    run(&[], &rectify, "").await.with_code(2);
    let both = ["--fields-file", "-", "--clear", "name"];
    let both = [&rectify[..], &both].concat();
    run(&[], &both, "").await.with_code(2);
    let untold = ["lift", &id, "--reason", "objection-pending"];
    run(&[], &untold, "").await.with_code(2);
}
