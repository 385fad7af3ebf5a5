//! What is refused of HTTP, and who is.

use http::Method;
use lead_intake::{pb, rpc::auth::Access, token::Role};
use prost_reflect::DescriptorPool;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{PULL, STREAMS, SUBMIT, form};
use crate::support::{plain::Http, *};

/// What an error that is refused as HTTP says: status, code, reason.
fn refusal(status: u16, code: &str, reason: &str) -> (u16, String, String) {
    (status, code.to_owned(), reason.to_owned())
}

/// A good form, sent as JSON by a website, but for what the test makes of it.
fn good(replica: &Replica, path: &str) -> (Http, String) {
    let request = Http::post(replica.api, path).bearer(replica.token(Role::Intake));
    (
        request,
        form("Kari Nordmann", "kari@example.no").to_string(),
    )
}

async fn assert_nothing_is_stored(replica: &Replica) {
    let pull = Http::post(replica.api, PULL).bearer(replica.token(Role::Crm));
    let page = pull.json(&json!({})).await.json();
    assert_eq!(page["changes"], json!([]), "something was stored");
}

/// What is not JSON, protobuf or gRPC does not pass for it: a form of another page could send text/plain without
/// asking (Fetch, "CORS-safelisted request-header").
#[tokio::test(flavor = "multi_thread")]
async fn other_media_types_and_encodings_are_refused() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/grpc",
        "",
    ] {
        let (request, form) = good(&replica, SUBMIT);
        let answer = request.header("content-type", kind).send(form).await;
        let expected = refusal(415, "unimplemented", "MEDIA_TYPE_NOT_SUPPORTED");
        assert_eq!(answer.refusal(), expected, "{kind}");
    }
    for (name, value, expected) in [
        (
            "content-encoding",
            "gzip",
            refusal(415, "unimplemented", "ENCODING_NOT_SUPPORTED"),
        ),
        (
            "connect-protocol-version",
            "2",
            refusal(400, "invalid_argument", "MALFORMED_MESSAGE"),
        ),
    ] {
        let (request, form) = good(&replica, SUBMIT);
        let request = request.header("content-type", "application/json; charset=utf-8");
        assert_eq!(
            request.header(name, value).send(form).await.refusal(),
            expected
        );
    }
    assert_nothing_is_stored(&replica).await;
    replica.stop().await;
}

/// A method is called by POST and by its exact path; whatever else is asked for is not there.
#[tokio::test(flavor = "multi_thread")]
async fn other_methods_and_paths_are_refused() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
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
        let (request, form) = good(&replica, path);
        let answer = request
            .header("content-type", "application/json")
            .send(form)
            .await;
        assert_eq!(
            answer.refusal(),
            refusal(404, "unimplemented", "UNKNOWN_METHOD"),
            "{path}"
        );
        let answer = Http::new(replica.api, Method::GET, path).send("").await;
        assert_eq!(answer.status, 404);
    }
    assert_nothing_is_stored(&replica).await;
    replica.stop().await;
}

/// A message that is too large is refused, and a stream does not come as one message.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_for_one_message_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let (request, form) = good(&replica, SUBMIT);
    let large = format!("{form}{}", " ".repeat(64 * 1024));
    let answer = request
        .header("content-type", "application/json")
        .send(large)
        .await;
    assert_eq!(
        answer.refusal(),
        refusal(400, "out_of_range", "MESSAGE_TOO_LARGE")
    );
    for (path, role) in STREAMS {
        let stream = Http::post(replica.api, path).bearer(replica.token(role));
        let answer = stream.json(&json!({})).await;
        assert_eq!(
            answer.refusal(),
            refusal(415, "unimplemented", "STREAM_NEEDS_GRPC"),
            "{path}"
        );
    }
    assert_nothing_is_stored(&replica).await;
    replica.stop().await;
}

/// R1, for JSON: each method answers the roles that the contract names for it, and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn each_method_answers_its_roles_as_json() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let contract = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
    let access = Access::from_descriptors(&contract).unwrap();
    let is_stream = |path| STREAMS.iter().any(|(stream, _)| *stream == path);
    for (path, allowed) in access.methods().filter(|(path, _)| !is_stream(*path)) {
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
