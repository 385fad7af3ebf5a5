//! Every call of the contract, made wrong in every way that needs no knowledge of it: so a new call is in it by itself.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use lead_intake::token::Role;
use prost_reflect::{
    DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, Value, prost::Message as _,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::yield_now,
    time::timeout,
};
use tonic::metadata::{AsciiMetadataValue, BinaryMetadataValue, MetadataMap};

use super::{
    EMAIL, NAME, NOTE,
    scenario::{Method, Scenario},
};
use crate::support::raw;

/// A message with this text wherever text fits, and something wherever something else does.
pub fn filled(of: &MessageDescriptor, text: &str) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    for field in of.fields() {
        let value = match field.kind() {
            Kind::String => Value::String(text.to_owned()),
            Kind::Bytes => Value::Bytes(text.to_owned().into()),
            Kind::Bool => Value::Bool(true),
            Kind::Int32 => Value::I32(1),
            Kind::Int64 => Value::I64(1),
            Kind::Enum(_) => Value::EnumNumber(1),
            Kind::Message(inner) => Value::Message(filled(&inner, text)),
            other => panic!("a kind of field that is not filled: {other:?}"),
        };
        let value = if field.is_list() {
            Value::List(vec![value])
        } else {
            value
        };
        message.set_field(&field, value);
    }
    assert_eq!(message.descriptor(), *of);
    message
}

/// What steers a terminal or breaks a line, around a value.
pub fn steering(text: &str) -> String {
    format!("{text}\r\n{{\"level\":\"ERROR\"}}\u{1b}[31m\u{0}\u{2028}\u{85}{text}")
}

pub async fn every_call_made_badly(scenario: &mut Scenario) {
    let methods: Vec<_> = scenario.methods().cloned().collect();
    for method in &methods {
        wrong_messages(scenario, method).await;
        wrong_headers(scenario, method).await;
        wrong_callers(scenario, method).await;
        cut_off(scenario, method).await;
    }
    wrong_paths(scenario).await;
}

async fn send(scenario: &mut Scenario, method: &Method, metadata: MetadataMap, message: Vec<u8>) {
    // Whatever it says is kept.
    let _ = scenario.send(method, metadata, message.into()).await;
}

fn caller(scenario: &Scenario, method: &Method) -> MetadataMap {
    raw::bearer(scenario.token(method.roles[0]))
}

async fn wrong_messages(scenario: &mut Scenario, method: &Method) {
    let message = |text: &str| filled(&method.request, text).encode_to_vec();
    let unknown = [message(""), raw::field(999, NOTE.as_bytes())].concat();
    let invalid = [&[0xff, 0xc3][..], NAME.as_bytes(), &[0xe6]].concat();
    for message in [
        message(EMAIL),
        message(&steering(NAME)),
        message(&NAME.repeat(20)),
        // More than any call takes.
        message(&NAME.repeat(8000)),
        unknown,
        NAME.as_bytes().to_vec(),
        raw::field(1, &invalid),
        (0..50).fold(EMAIL.as_bytes().to_vec(), |inner, _| raw::field(1, &inner)),
        raw::varint(1, u64::MAX),
    ] {
        send(scenario, method, caller(scenario, method), message).await;
    }
}

async fn wrong_headers(scenario: &mut Scenario, method: &Method) {
    let ascii = |text: &str| AsciiMetadataValue::try_from(text.as_bytes()).unwrap();
    for name in [
        "x-note",
        "x-request-id",
        "grpc-encoding",
        "grpc-timeout",
        "traceparent",
        "forwarded",
    ] {
        for value in [NOTE, EMAIL, NAME] {
            let mut metadata = caller(scenario, method);
            metadata.insert(name, ascii(value));
            send(scenario, method, metadata, Vec::new()).await;
        }
    }
    let mut metadata = caller(scenario, method);
    metadata.insert_bin(
        "note-bin",
        BinaryMetadataValue::from_bytes(steering(NAME).as_bytes()),
    );
    send(scenario, method, metadata, Vec::new()).await;
}

async fn wrong_callers(scenario: &mut Scenario, method: &Method) {
    for role in Role::ALL {
        let token = scenario.token(role).to_owned();
        let message = || filled(&method.request, EMAIL).encode_to_vec();
        send(scenario, method, raw::bearer(&token), message()).await;
        for wrong in [
            format!("Bearer {token}x"),
            format!("Basic {token}"),
            token.to_uppercase(),
            format!("Bearer {}{}", &token[..token.len() - 8], &NOTE[..8]),
            format!("Bearer {EMAIL}"),
            NAME.to_owned(),
            String::new(),
        ] {
            send(scenario, method, raw::authorization(&wrong), message()).await;
        }
        let mut twice = raw::bearer(&token);
        twice.append("authorization", AsciiMetadataValue::try_from(NOTE).unwrap());
        send(scenario, method, twice, message()).await;
    }
    send(
        scenario,
        method,
        MetadataMap::new(),
        filled(&method.request, NAME).encode_to_vec(),
    )
    .await;
}

/// Calls that run out of time, and calls whose caller goes away.
async fn cut_off(scenario: &mut Scenario, method: &Method) {
    let message = Bytes::from(filled(&method.request, EMAIL).encode_to_vec());
    for time in ["0n", "1n", "50u", "1m"] {
        let mut metadata = caller(scenario, method);
        metadata.insert("grpc-timeout", time.parse().unwrap());
        send(scenario, method, metadata, message.to_vec()).await;
    }
    for turns in [1, 3, 10, 30] {
        let call = raw::call(
            &scenario.channel,
            &method.path,
            caller(scenario, method),
            message.clone(),
        );
        let patience = async {
            for _ in 0..turns {
                yield_now().await;
            }
        };
        tokio::select! { biased; _ = call => {}, () = patience => {} }
    }
}

/// Methods that are none, and header values that no library would send.
async fn wrong_paths(scenario: &mut Scenario) {
    for path in [
        format!("/leadintake.v1.IntakeService/{NOTE}"),
        format!("/{NOTE}/SubmitLead"),
        format!("/leadintake.v1.IntakeService/SubmitLead/{NOTE}%0d%0a%1b"),
        format!("/grpc.health.v1.Health/{NOTE}"),
    ] {
        let metadata = raw::bearer(scenario.token(Role::Intake));
        let answer = raw::call(&scenario.channel, &path, metadata, NAME.into()).await;
        scenario.keep_refusal("no method", &answer.unwrap_err());
    }
    let api = scenario.house.server.api;
    for value in [steering(NAME), steering(EMAIL), NAME.repeat(2000)] {
        let answer = raw_headers(api, &[(b"x-note", value.as_bytes())]).await;
        scenario.keep("an answer to raw frames", answer);
        let path = format!("/leadintake.v1.IntakeService/{value}");
        let answer = raw_headers(api, &[(b":path", path.as_bytes())]).await;
        scenario.keep("an answer to raw frames", answer);
    }
}

/// A call of HTTP/2 frames made by hand, with these headers beside what a call needs; gives what comes back within a
/// moment, which may be nothing.
async fn raw_headers(api: SocketAddr, headers: &[(&[u8], &[u8])]) -> Vec<u8> {
    let usual: [(&[u8], &[u8]); 5] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/leadintake.v1.IntakeService/SubmitLead"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ];
    let own = |name: &[u8]| headers.iter().any(|(own, _)| *own == name);
    let mut block = Vec::new();
    for (name, value) in usual.iter().filter(|(name, _)| !own(name)).chain(headers) {
        // A literal that is not indexed, its name and its value as they are.
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend_from_slice(text);
        }
    }
    block.truncate(16_000);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(4, 0, 0, &[], &mut bytes);
    // The end of the headers, and of the call.
    frame(1, 5, 1, &block, &mut bytes);
    let mut stream = TcpStream::connect(api).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    // The server keeps the connection if it took offence at the call only.
    let _ = timeout(Duration::from_millis(100), stream.read_to_end(&mut answer)).await;
    answer
}

/// The length of a text in a header block (RFC 7541, 5.1): seven bits, then more.
fn length(length: usize, block: &mut Vec<u8>) {
    if let Ok(short @ ..127) = u8::try_from(length) {
        block.push(short);
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}
