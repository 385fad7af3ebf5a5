//! grpc-web, and pages of other origins.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::Method;
use lead_intake::{pb, server::Parts, token::Role};
use prost::Message;

use super::{STREAMS, SUBMIT};
use crate::support::{
    plain::{Answer, Http},
    *,
};

/// A page of the company's own, and one of somebody else's.
const OURS: &str = "https://console.example.no";
const THEIRS: &str = "https://evil.example";

fn frame(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(&message);
    frame.freeze()
}

/// The frames of an answer: whether it is the trailers, and what it has.
fn frames(mut body: Bytes) -> Vec<(bool, Bytes)> {
    use bytes::Buf as _;
    let mut frames = Vec::new();
    while body.has_remaining() {
        let kind = body.get_u8();
        let length = body.get_u32() as usize;
        frames.push((kind == 0x80, body.split_to(length)));
    }
    frames
}

async fn submit(
    replica: &Replica,
    token: &str,
    kind: &str,
    form: &pb::SubmitLeadRequest,
) -> Answer {
    Http::post(replica.api, SUBMIT)
        .bearer(token)
        .header("content-type", kind)
        .header("x-grpc-web", "1")
        .send(frame(form))
        .await
}

on_both! {
    /// A grpc-web client submits a lead, hears how it ended in the last frame, and is refused by the same rules.
    async fn grpc_web_is_spoken(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let form = form("Kari Nordmann", "kari@example.no");
        let token = replica.token(Role::Intake);
        for kind in ["application/grpc-web", "application/grpc-web+proto"] {
            let answer = submit(&replica, token, kind, &form).await;
            assert_eq!(answer.status, 200);
            let frames = frames(answer.body);
            assert_eq!(frames.len(), 2, "{frames:?}");
            let lead = pb::SubmitLeadResponse::decode(frames[0].1.clone()).unwrap();
            assert_eq!(lead.lead_id.len(), 36);
            assert!(frames[1].0);
            assert!(frames[1].1.starts_with(b"grpc-status:0"), "{frames:?}");
        }
        let refused = submit(&replica, replica.token(Role::Crm), "application/grpc-web+proto", &form).await;
        assert_eq!(refused.header("grpc-status"), Some("7"));
        let page = replica.crm().pull_leads(pb::PullLeadsRequest::default()).await.unwrap();
        assert_eq!(page.into_inner().changes.len(), 1);
        replica.stop().await;
    }
}

/// A browser hears how a verification goes, message by message, and its result in the last one.
#[tokio::test(flavor = "multi_thread")]
async fn a_verification_is_told_by_grpc_web() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let (path, role) = STREAMS[1];
    let answer = Http::post(replica.api, path)
        .bearer(replica.token(role))
        .header("content-type", "application/grpc-web+proto")
        .send(frame(&pb::StreamVerifyLedgerRequest {}))
        .await;
    assert_eq!(answer.status, 200);
    let mut frames = frames(answer.body);
    let (is_end, end) = frames.pop().unwrap();
    assert!(is_end && end.starts_with(b"grpc-status:0"), "{end:?}");
    let last = frames.pop().unwrap().1;
    let last = pb::StreamVerifyLedgerResponse::decode(last).unwrap();
    assert!(last.result.unwrap().intact);
    replica.stop().await;
}

fn preflight(replica: &Replica, origin: &str) -> Http {
    Http::new(replica.api, Method::OPTIONS, SUBMIT)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        )
}

/// No page may call, of whatever origin, unless the operator named it: then that one may, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn pages_call_only_from_origins_that_were_named() {
    const ALLOWED: &str = "access-control-allow-origin";
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let answer = preflight(&replica, OURS).send("").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header(ALLOWED), None);
    replica.stop().await;

    let named = |parts| Parts {
        cors_origins: vec![OURS.parse().unwrap()],
        ..parts
    };
    let replica = world.start_with(named).await;
    let answer = preflight(&replica, OURS).send("").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header(ALLOWED)),
        (200, Some(OURS))
    );
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(
        preflight(&replica, THEIRS).send("").await.header(ALLOWED),
        None
    );
    for (origin, allowed) in [(OURS, Some(OURS)), (THEIRS, None)] {
        let form = super::form("Kari Nordmann", "kari@example.no");
        let request = Http::post(replica.api, SUBMIT).header("origin", origin);
        let answer = request
            .bearer(replica.token(Role::Intake))
            .json(&form)
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header(ALLOWED)),
            (200, allowed)
        );
    }
    replica.stop().await;
}
