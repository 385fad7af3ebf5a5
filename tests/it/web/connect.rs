//! The Connect protocol's unary form.

use lead_intake::{pb, token::Role};
use prost::Message as _;
use serde_json::{Value, json};

use super::{PULL, SUBMIT, form};
use crate::{
    raw::Raw,
    support::{plain::Http, *},
};

on_both! {
    /// A lead that comes as JSON, over HTTP/1.1 or HTTP/2, is the lead that gRPC would have brought: the CRM gets it,
    /// and a repeat in any protocol gets the same answer.
    async fn a_lead_comes_as_json(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let post = |path| Http::post(replica.api, path);
        let token = replica.token(Role::Intake);
        // As people write in Japan, and as a form may send it.
        let form = form("山田 太郎", "taro@example.jp");
        let first = post(SUBMIT).bearer(token).json(&form).await;
        assert_eq!(first.status, 200, "{first:?}");
        assert_eq!(first.header("content-type"), Some("application/json"));
        assert_eq!(first.header("cache-control"), Some("no-store"));
        assert_eq!(first.header("x-request-id").map(str::len), Some(16));
        let lead = first.json();
        assert_eq!(lead["submittedAt"], "2026-11-23T12:00:00Z");
        assert_eq!(lead["lawfulBasis"], "LAWFUL_BASIS_PRE_CONTRACT");

        let again = post(SUBMIT).http2().bearer(token).json(&form).await;
        assert_eq!(again.json(), lead);
        let text = |name: &str| form[name].as_str().unwrap().to_owned();
        let over_grpc = pb::SubmitLeadRequest {
            request_id: text("requestId"),
            ..crate::support::form("山田 太郎", "taro@example.jp")
        };
        let again = replica.intake().submit_lead(over_grpc.clone()).await.unwrap();
        assert_eq!(again.into_inner().lead_id, lead["leadId"]);
        let as_protobuf = post(SUBMIT)
            .bearer(token)
            .header("content-type", "application/proto")
            .header("connect-protocol-version", "1")
            .send(over_grpc.encode_to_vec())
            .await;
        assert_eq!(as_protobuf.header("content-type"), Some("application/proto"));
        let again = pb::SubmitLeadResponse::decode(as_protobuf.body).unwrap();
        assert_eq!(again.lead_id, lead["leadId"]);

        let page = post(PULL).bearer(replica.token(Role::Crm)).json(&json!({})).await.json();
        assert_eq!(page["changes"].as_array().unwrap().len(), 1);
        assert_eq!(page["changes"][0]["lead"]["name"], "山田 太郎");
        assert_eq!(page["hasMore"], false);
        replica.stop().await;
    }

    /// Whoever sends JSON hears of every violation at once, beside its field, in words that a program can read and
    /// that repeat nothing of what was sent.
    async fn every_violation_is_told_as_json(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let post = || Http::post(replica.api, SUBMIT).bearer(replica.token(Role::Intake));
        let answer = post()
            .json(&json!({"email": "kari.example.no", "phone": "12 kari", "noticeVersion": "1.1"}))
            .await;
        assert_eq!(answer.refusal(), (400, "invalid_argument".into(), "SEVERAL_VIOLATIONS".into()));
        let detail = answer.detail("BadRequest");
        let found: Vec<_> = detail["fieldViolations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (it["field"].as_str().unwrap(), it["reason"].as_str().unwrap()))
            .collect();
        let expected = [
            ("lawful_basis", "REQUIRED"), ("request_id", "REQUIRED"), ("name", "NAME_OR_COMPANY_REQUIRED"),
            ("phone", "PHONE_INVALID"), ("email", "EMAIL_INVALID"),
        ];
        for one in expected {
            assert!(found.contains(&one), "{one:?} is not in {found:?}");
        }
        assert_eq!(found.len(), expected.len());
        assert!(!String::from_utf8_lossy(&answer.body).contains("kari"));

        let mut with_more = form("Kari Nordmann", "kari@example.no");
        with_more["birthDate"] = json!("1970-01-01");
        let answer = post().json(&with_more).await;
        assert_eq!(answer.refusal(), (400, "invalid_argument".into(), "UNKNOWN_FIELD".into()));
        let answer = post().json(&json!({"name": 7, "consent": "true"})).await;
        assert_eq!(answer.detail("ErrorInfo")["metadata"], json!({"name": "WRONG_KIND", "consent": "WRONG_KIND"}));

        let page = Http::post(replica.api, PULL).bearer(replica.token(Role::Crm)).json(&json!({})).await;
        assert_eq!(page.json()["changes"], Value::Array(Vec::new()), "something was stored");
        replica.stop().await;
    }

    /// A caller's deadline holds for JSON too: before anything is begun, and while it is waited for. What was asked
    /// for may have been done, so the repeat is safe.
    async fn a_deadline_in_milliseconds_holds(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let post = |path, role| Http::post(replica.api, path).bearer(replica.token(role));
        let refusal = |reason: &str| (504, "deadline_exceeded".to_owned(), reason.to_owned());
        let answer = post(PULL, Role::Crm).header("connect-timeout-ms", "0").json(&json!({})).await;
        assert_eq!(answer.refusal(), refusal("DEADLINE_PASSED"));

        let mut raw = Raw::open(&world).await;
        raw.execute(match backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN; SELECT * FROM ledger_head FOR UPDATE",
        })
        .await;
        let form = form("Kari Nordmann", "kari@example.no");
        let submit = || post(SUBMIT, Role::Intake);
        let answer = submit().header("connect-timeout-ms", "50").json(&form).await;
        assert_eq!(answer.refusal(), refusal("DEADLINE_EXCEEDED"));
        raw.execute("ROLLBACK").await;
        let answer = submit().header("connect-timeout-ms", "60000").json(&form).await;
        assert_eq!(answer.status, 200);
        let page = post(PULL, Role::Crm).json(&json!({})).await;
        assert_eq!(page.json()["changes"].as_array().unwrap().len(), 1);
        replica.stop().await;
    }
}

/// What stops only for now says when to try again, in HTTP's words too.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_tried_again_says_when() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    replica.store.close().await;
    let answer = Http::post(replica.api, SUBMIT)
        .bearer(replica.token(Role::Intake))
        .json(&form("Kari Nordmann", "kari@example.no"))
        .await;
    let (status, code, _) = answer.refusal();
    assert_eq!((status, code.as_str()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let delay = answer.detail("RetryInfo")["retryDelay"].clone();
    assert!(
        delay.as_str().is_some_and(|it| it.ends_with('s')),
        "{delay}"
    );
    replica.stop().await;
}
