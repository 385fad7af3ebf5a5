//! Z3: what a stranger sends cannot make a line in the log, nor steer the terminal of who reads it.

use lead_intake::token::Role;
use prost_reflect::prost::Message as _;
use serde_json::Value;

use super::{
    NAME,
    hostile::{filled, steering},
    scenario::Scenario,
};
use crate::support::{Backend, plain::Http, raw};

/// What the start says to people, before the log begins.
const SAID: [&str; 5] = [
    "made ",
    "stores leads in ",
    "listening on ",
    "next: ",
    "mirror",
];

/// Fails unless each line of the log is one event, whole and in plain text.
pub fn assert_whole(log: &str) {
    for line in log.lines() {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        if SAID.iter().any(|said| line.starts_with(said)) {
            continue;
        }
        let event: Value = serde_json::from_str(line).expect(line);
        let event = event.as_object().unwrap();
        for field in ["timestamp", "level", "target", "message"] {
            assert!(event.contains_key(field), "{line}");
        }
    }
}

/// Z3: control characters, line and paragraph separators, escape sequences, what is no UTF-8, and 100 kB, in every field of
/// every call and in headers, in gRPC and in JSON: each call is one line of the log.
#[tokio::test(flavor = "multi_thread")]
async fn z3_one_call_is_one_line() {
    let mut scenario = Scenario::start(Backend::Sqlite).await;
    let methods: Vec<_> = scenario.methods().cloned().collect();
    let mut calls = 0;
    for method in &methods {
        for text in [
            steering(NAME),
            "\u{1b}]0;x\u{7}".repeat(20),
            "\r\n".repeat(50_000),
        ] {
            for role in [method.roles[0], Role::Crm] {
                let mut metadata = raw::bearer(scenario.token(role));
                // Of the controls a header may have a tab; what is not ASCII it may have.
                metadata.insert(
                    "x-note",
                    "a\tb\u{85}\u{2028}".as_bytes().try_into().unwrap(),
                );
                let message = filled(&method.request, &text).encode_to_vec();
                let _ = scenario.send(method, metadata, message.into()).await;
                calls += 1;
            }
        }
        for field in method.request.fields() {
            let invalid = [&[0xff, 0xc3][..], steering(NAME).as_bytes(), &[0xe2, 0x80]].concat();
            let metadata = raw::bearer(scenario.token(method.roles[0]));
            let message = raw::field(field.number(), &invalid);
            let _ = scenario.send(method, metadata, message.into()).await;
            calls += 1;
        }
        if method.name.starts_with("Stream") {
            continue;
        }
        for name in ["x-note", "user-agent", "x-forwarded-for", "grpc-timeout"] {
            let mut message = filled(&method.request, &steering(NAME));
            // In JSON a path of it is a name in another spelling: no text at all.
            message.clear_field_by_name("field_mask");
            let request = Http::post(scenario.house.server.api, &method.path);
            let request = request.bearer(scenario.token(method.roles[0]));
            let request = request.header(name, "a\tb\u{85}\u{2028}\u{9b}31m");
            let answer = request.json(&serde_json::to_value(&message).unwrap()).await;
            scenario.keep("an answer as JSON", answer.body.to_vec());
            calls += 1;
        }
    }
    let (log, _) = scenario.stop().await;
    assert_whole(&log);
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ended =
        events.filter(|event| event["message"] == "call" || event["message"] == "call failed");
    assert_eq!(ended.count(), calls);
}
