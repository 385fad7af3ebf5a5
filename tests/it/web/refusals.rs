//! What is refused of HTTP, and who is.

use http::Method;
use lead_intake::{pb, rpc::auth::Access, token::Role};
use prost_reflect::DescriptorPool;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{PULL, STREAM, SUBMIT, form};
use crate::support::{plain::Http, *};

/// A request that is not one of JSON, protobuf or gRPC has its status and its reason, and none passes for one:
/// a form of another page could send text/plain without asking (Fetch, "CORS-safelisted request-header").
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_as_http_is_told_as_http() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let post = |path: &str| Http::post(replica.api, path).bearer(replica.token(Role::Intake));
    let as_json = |path: &str| post(path).header("content-type", "application/json; charset=utf-8");
    let good = form("Kari Nordmann", "kari@example.no").to_string();
    let refusal = |status, code: &str, reason: &str| (status, code.to_owned(), reason.to_owned());

    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/grpc",
        "",
    ] {
        let answer = post(SUBMIT)
            .header("content-type", kind)
            .send(good.clone())
            .await;
        let expected = refusal(415, "unimplemented", "MEDIA_TYPE_NOT_SUPPORTED");
        assert_eq!(answer.refusal(), expected, "{kind}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = Http::new(replica.api, method, SUBMIT).send("").await;
        assert_eq!(
            answer.refusal(),
            refusal(405, "unimplemented", "METHOD_NOT_POST")
        );
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    for path in [
        "/",
        "/favicon.ico",
        "/leadintake.v1.IntakeService/submitlead",
        "/leadintake.v1.IntakeService/SubmitLead/",
    ] {
        let answer = as_json(path).send(good.clone()).await;
        assert_eq!(
            answer.refusal(),
            refusal(404, "unimplemented", "UNKNOWN_METHOD"),
            "{path}"
        );
        assert_eq!(
            Http::new(replica.api, Method::GET, path)
                .send("")
                .await
                .status,
            404
        );
    }
    let zipped = as_json(SUBMIT)
        .header("content-encoding", "gzip")
        .send(good.clone())
        .await;
    assert_eq!(
        zipped.refusal(),
        refusal(415, "unimplemented", "ENCODING_NOT_SUPPORTED")
    );
    let newer = as_json(SUBMIT)
        .header("connect-protocol-version", "2")
        .send(good.clone())
        .await;
    assert_eq!(
        newer.refusal(),
        refusal(400, "invalid_argument", "MALFORMED_MESSAGE")
    );
    let large = format!("{good}{}", " ".repeat(64 * 1024));
    let answer = as_json(SUBMIT).send(large).await;
    assert_eq!(
        answer.refusal(),
        refusal(400, "out_of_range", "MESSAGE_TOO_LARGE")
    );
    let stream = Http::post(replica.api, STREAM)
        .bearer(replica.token(Role::Crm))
        .json(&json!({}))
        .await;
    assert_eq!(
        stream.refusal(),
        refusal(415, "unimplemented", "STREAM_NEEDS_GRPC")
    );

    let page = Http::post(replica.api, PULL)
        .bearer(replica.token(Role::Crm))
        .json(&json!({}))
        .await;
    assert_eq!(page.json()["changes"], json!([]), "something was stored");
    replica.stop().await;
}

/// R1, for JSON: each method answers the roles that the contract names for it, and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn each_method_answers_its_roles_as_json() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let contract = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
    let access = Access::from_descriptors(&contract).unwrap();
    for (path, allowed) in access.methods().filter(|(path, _)| *path != STREAM) {
        let stranger = Http::post(replica.api, path).json(&json!({})).await;
        assert_eq!(
            stranger.refusal(),
            (401, "unauthenticated".into(), "TOKEN_MISSING".into())
        );
        assert_eq!(stranger.header("www-authenticate"), Some("Bearer"));
        let two = Http::post(replica.api, path)
            .bearer(replica.token(allowed[0]))
            .bearer(replica.token(allowed[0]));
        assert_eq!(two.json(&json!({})).await.refusal().2, "TOKEN_INVALID");
        for role in Role::ALL {
            let answer = Http::post(replica.api, path)
                .bearer(replica.token(role))
                .json(&json!({}))
                .await;
            let refused = answer.status == 403;
            assert_eq!(
                refused,
                !allowed.contains(&role),
                "{path} for {role}: {answer:?}"
            );
            if refused {
                assert_eq!(answer.refusal().2, "ROLE_NOT_ALLOWED");
            }
        }
    }
    replica.stop().await;
}

/// Nothing that a stranger sends is read: one who waits to be asked for the message (RFC 9110, section 10.1.1) is
/// refused instead of asked.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_stranger_is_read() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let known = format!("authorization: Bearer {}\r\n", replica.token(Role::Intake));
    for (authorization, answer) in [("", b"HTTP/1.1 401"), (&*known, b"HTTP/1.1 100")] {
        let mut caller = TcpStream::connect(replica.api).await.unwrap();
        let head = format!(
            "POST {SUBMIT} HTTP/1.1\r\nhost: x\r\n{authorization}expect: 100-continue\r\n\
             content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
        );
        caller.write_all(head.as_bytes()).await.unwrap();
        let mut line = [0; 12];
        caller.read_exact(&mut line).await.unwrap();
        assert_eq!(line, *answer);
    }
    replica.stop().await;
}

/// Whoever is refused over HTTP/1.1 hears so, even while it still writes a message that nobody reads, and may go on
/// with the same connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_heard_by_one_who_is_still_writing() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let mut stranger = TcpStream::connect(replica.api).await.unwrap();
    let message = vec![b' '; 256 * 1024];
    let head = format!(
        "POST {SUBMIT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        message.len()
    );
    for _ in 0..2 {
        stranger.write_all(head.as_bytes()).await.unwrap();
        stranger.write_all(&message).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}]}") {
            let length = stranger.read_buf(&mut answer).await.unwrap();
            assert_ne!(length, 0, "closed: {}", String::from_utf8_lossy(&answer));
        }
        assert!(answer.starts_with(b"HTTP/1.1 401"));
    }
    replica.stop().await;
}
