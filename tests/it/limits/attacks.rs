//! B.5, what reaches a handler: messages and headers that no client sends. Each gets an answer of our own, in constant
//! words, and the server goes on. What the frames of HTTP/2 can do is tested with the front door.

use bytes::Bytes;
use lead_intake::{pb, rpc::auth::Access, token::Role};
use prost::encoding::{WireType, encode_key};
use prost_reflect::DescriptorPool;
use serde_json::json;
use tonic::{Code, Status};

use super::{NOTICE, SUBMIT, notice};
use crate::support::{
    plain::{Http, framed},
    *,
};

/// How deep a message is nested: deeper than any stack that a parser should use.
const DEPTH: usize = 5000;
/// The texts of refusals of messages: all of them, whatever was sent.
const TEXTS: [&str; 4] = [
    "the message is not well-formed protobuf of this contract",
    "the message has a field that this contract does not have; nothing was stored",
    "the message is larger than this method takes",
    "send the message uncompressed, in a form that this method takes",
];

/// Fails unless this is a refusal of ours in constant words.
fn assert_ours(status: &Status, expected: (Code, &str)) {
    assert_eq!((status.code(), &*reason(status)), expected, "{status:?}");
    assert!(TEXTS.contains(&status.message()), "{status:?}");
}

fn methods() -> Vec<(String, Role)> {
    let contract = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
    let access = Access::from_descriptors(&contract).unwrap();
    let methods = access.methods();
    methods
        .map(|(path, roles)| (path.to_owned(), roles[0]))
        .collect()
}

async fn assert_serves(replica: &Replica) {
    notice(&mut replica.intake()).await.unwrap();
}

/// B.5: a message that is nested 5,000 deep, in whatever way protobuf and JSON have for it, is refused by every method
/// with a text that names no field and no depth.
#[tokio::test(flavor = "multi_thread")]
async fn b5_a_deep_message_is_refused_in_constant_words() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let messages = (0..DEPTH).fold(b"\xff".to_vec(), |inner, _| raw::field(1, &inner));
    let mut groups = Vec::new();
    for kind in [WireType::StartGroup, WireType::EndGroup] {
        (0..DEPTH).for_each(|_| encode_key(1, kind, &mut groups));
    }
    let open_groups = groups[..DEPTH].to_vec();
    for (path, role) in methods() {
        for message in [&messages, &groups, &open_groups] {
            let metadata = raw::bearer(replica.token(role));
            let message = Bytes::from(message.clone());
            let status = raw::call(&replica.channel(), &path, metadata, message).await;
            let status = status.expect_err(&path);
            // Some methods have no field at all.
            let unknown = reason(&status) == "UNKNOWN_FIELD";
            let expected = if unknown {
                "UNKNOWN_FIELD"
            } else {
                "MALFORMED_MESSAGE"
            };
            assert_ours(&status, (Code::InvalidArgument, expected));
        }
        if path.contains("/Stream") {
            continue;
        }
        for text in ["[".repeat(DEPTH), r#"{"a":"#.repeat(DEPTH)] {
            let request = Http::post(replica.api, &path).bearer(replica.token(role));
            let request = request.header("content-type", "application/json");
            let (status, code, reason) = request.send(text).await.refusal();
            assert_eq!((status, &*code), (400, "invalid_argument"), "{path}");
            let reasons = ["MALFORMED_JSON", "UNKNOWN_FIELD"];
            assert!(reasons.contains(&&*reason), "{path}: {reason}");
        }
    }
    assert_serves(&replica).await;
    replica.stop().await;
}

/// B.5: a frame that promises 4 GiB, or more than a method takes, is refused by its first five bytes; one that is cut
/// off, marked in a way that gRPC does not have, or missing, is no message.
#[tokio::test(flavor = "multi_thread")]
async fn b5_a_frame_that_lies_is_refused_in_constant_words() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let post = |path: &str| Http::post(replica.api, path).bearer(replica.token(Role::Intake));
    let large = (Code::OutOfRange, "MESSAGE_TOO_LARGE");
    let malformed = (Code::InvalidArgument, "MALFORMED_MESSAGE");
    let framed_as = |flag: u8, length: u32, rest: &[u8]| -> Vec<u8> {
        [&[flag], &length.to_be_bytes()[..], rest].concat()
    };
    for (body, expected) in [
        (framed_as(0, u32::MAX, b""), large),
        (framed_as(0, u32::MAX, &[0; 1000]), large),
        (framed_as(0, 64 * 1024 + 1, &vec![0; 64 * 1024 + 1]), large),
        (framed_as(0, 1000, b"cut off"), malformed),
        (framed_as(0, 0, b"")[..3].to_vec(), malformed),
        (Vec::new(), malformed),
        // Marked as compressed, without a word of how; marked as nothing that there is.
        (framed_as(1, 4, b"\x1f\x8b\x08\x00"), malformed),
        (framed_as(2, 0, b""), malformed),
        (framed_as(0xff, 0, b""), malformed),
    ] {
        for path in [SUBMIT, NOTICE] {
            assert_ours(&post(path).grpc(body.clone()).await, expected);
        }
    }
    assert_serves(&replica).await;
    replica.stop().await;
}

/// B.5: a compressed message is refused and never opened, whatever it would have grown to.
#[tokio::test(flavor = "multi_thread")]
async fn b5_a_compressed_message_is_not_opened() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    for encoding in [
        "gzip",
        "deflate",
        "zstd",
        "br",
        "snappy",
        "x",
        "gzip, gzip",
        "Identity",
    ] {
        let request = Http::post(replica.api, SUBMIT).bearer(replica.token(Role::Intake));
        let mut body = framed(&vec![0x28; 60 * 1024]).to_vec();
        body[0] = 1;
        let status = request.header("grpc-encoding", encoding).grpc(body).await;
        assert_ours(&status, (Code::Unimplemented, "ENCODING_NOT_SUPPORTED"));
    }
    assert_serves(&replica).await;
    replica.stop().await;
}

/// B.5: binary headers that are no base64, or that name what only a server says, change nothing: neither who calls nor
/// what is answered.
#[tokio::test(flavor = "multi_thread")]
async fn b5_binary_headers_change_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let token = replica.token(Role::Intake);
    let junk = [
        ("authorization-bin", "!!! no base64 !!!"),
        ("authorization-bin", token),
        ("grpc-status-details-bin", "%%%"),
        ("grpc-trace-bin", "="),
        ("grpc-tags-bin", "AAAA,,,!"),
        ("grpc-status", "0"),
        ("grpc-message", "%0d%0a%ff%"),
        ("x-bin", ""),
        ("-bin", "AA=="),
    ];
    for (name, value) in junk {
        let call = || Http::post(replica.api, NOTICE).header(name, value);
        let status = call().bearer(token).grpc(framed(b"")).await;
        assert_eq!(status.code(), Code::Ok, "{name}");
        let status = call().grpc(framed(b"")).await;
        let expected = (Code::Unauthenticated, "TOKEN_MISSING".to_owned());
        assert_eq!((status.code(), reason(&status)), expected, "{name}");
        let answer = call().json(&json!({})).await;
        assert_eq!(answer.refusal().2, "TOKEN_MISSING");
    }
    replica.stop().await;
}

/// B.5: what a caller says twice is not taken once: two tokens are none, in whatever protocol and order.
#[tokio::test(flavor = "multi_thread")]
async fn b5_two_tokens_are_none() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let token = replica.token(Role::Intake);
    for (first, second) in [
        (format!("Bearer {token}"), format!("Bearer {token}")),
        (format!("Bearer {token}"), "Basic eDp4".to_owned()),
        (String::new(), format!("Bearer {token}")),
        (format!("Bearer {token}"), String::new()),
    ] {
        let call = || {
            let call = Http::post(replica.api, NOTICE).header("authorization", &first);
            call.header("authorization", &second)
        };
        let status = call().grpc(framed(b"")).await;
        let expected = (Code::Unauthenticated, "TOKEN_INVALID".to_owned());
        assert_eq!((status.code(), reason(&status)), expected);
        let answer = call().json(&json!({})).await;
        assert_eq!(
            answer.refusal(),
            (401, "unauthenticated".into(), "TOKEN_INVALID".into())
        );
    }
    replica.stop().await;
}
