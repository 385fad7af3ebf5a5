//! B.5: what an attacker sends frame by frame. Each attack must end its own connection, or cost nothing that others notice.

#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::time::Duration;

use lead_intake::token::Role;

use crate::support::{
    h2_frames::{self as h2, Connection, frame, request},
    plain::Http,
    *,
};

const SUBMIT: &str = "/leadintake.v1.IntakeService/SubmitLead";
const NOTICE: &str = "/leadintake.v1.IntakeService/GetPrivacyNotice";
/// More than anybody may do before the connection is ended.
const MANY: u32 = 200_000;

/// HTTP/2's own names of errors.
const PROTOCOL_ERROR: u32 = 1;
const STREAM_CLOSED: u32 = 5;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Codes of gRPC, as they stand in headers.
const OUT_OF_RANGE: &str = "11";
const UNIMPLEMENTED: &str = "12";
const UNAUTHENTICATED: &str = "16";

async fn others_are_served(replica: &Replica) {
    let form = form("Kari Nordmann", "kari@example.no");
    let mut intake = replica.intake();
    let answered = tokio::time::timeout(Duration::from_secs(30), intake.submit_lead(form)).await;
    answered.expect("others wait").unwrap();
}

/// Sends rounds of frames until the server ends the connection; gives the rounds it took and the error it gave.
async fn flood(
    connection: &mut Connection,
    rounds: u32,
    mut round: impl FnMut(u32) -> Vec<u8>,
) -> (u32, Option<u32>) {
    let mut sent = 0;
    while sent < rounds {
        // Many at once, as an attacker would.
        let mut bytes = Vec::new();
        for _ in 0..50 {
            bytes.extend(round(sent));
            sent += 1;
        }
        if !connection.send_all(&bytes).await {
            break;
        }
    }
    assert!(sent < rounds, "it is never ended");
    (sent, connection.end().await)
}

fn stream(round: u32) -> u32 {
    2 * round + 1
}

fn headers(round: u32) -> Vec<u8> {
    frame(
        h2::HEADERS,
        h2::END_HEADERS,
        stream(round),
        &request(SUBMIT, &[]),
    )
}

/// B.5, rapid reset: calls that are begun and taken back end the connection.
#[tokio::test(flavor = "multi_thread")]
async fn b5_rapid_reset_ends_the_connection() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let mut attacker = Connection::open(replica.api).await;
    let (_, error) = flood(&mut attacker, MANY, |round| {
        let reset = frame(h2::RST_STREAM, 0, stream(round), &8_u32.to_be_bytes());
        [headers(round), reset].concat()
    })
    .await;
    assert!(error.is_none_or(|it| it == ENHANCE_YOUR_CALM), "{error:?}");
    others_are_served(&replica).await;
    replica.stop().await;
}

/// B.5, `MadeYouReset`: whatever a peer does to have the server reset calls ends the connection.
#[tokio::test(flavor = "multi_thread")]
async fn b5_made_you_reset_ends_the_connection() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let update = |round, by: u32| frame(h2::WINDOW_UPDATE, 0, stream(round), &by.to_be_bytes());
    // A window that moves by nothing; one that overflows; a message after the message's end.
    let nothing = |round| [headers(round), update(round, 0)].concat();
    let overflow = |round| [headers(round), update(round, 0x7fff_ffff)].concat();
    let after_the_end = |round| {
        let end = frame(h2::DATA, h2::END_STREAM, stream(round), &[]);
        [headers(round), end.clone(), end].concat()
    };
    let ways: [&dyn Fn(u32) -> Vec<u8>; 3] = [&nothing, &overflow, &after_the_end];
    for way in ways {
        let mut attacker = Connection::open(replica.api).await;
        let (_, error) = flood(&mut attacker, MANY, way).await;
        assert!(
            error.is_none_or(|it| [PROTOCOL_ERROR, STREAM_CLOSED, ENHANCE_YOUR_CALM].contains(&it)),
            "{error:?}"
        );
        others_are_served(&replica).await;
    }
    replica.stop().await;
}

/// B.5: a header block without an end, and messages of empty pieces, end the connection.
#[tokio::test(flavor = "multi_thread")]
async fn b5_endless_headers_and_empty_data_end_the_connection() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let mut attacker = Connection::open(replica.api).await;
    let begun = frame(h2::HEADERS, 0, 1, &request(SUBMIT, &[]));
    assert!(attacker.send_all(&begun).await);
    let more = frame(h2::CONTINUATION, 0, 1, &h2::field("a", &"b".repeat(1000)));
    flood(&mut attacker, MANY, |_| more.clone()).await;
    others_are_served(&replica).await;

    let mut attacker = Connection::open(replica.api).await;
    assert!(
        attacker
            .call(1, SUBMIT, replica.token(Role::Intake), false)
            .await
    );
    let empty = frame(h2::DATA, 0, 1, &[]);
    flood(&mut attacker, MANY, |_| empty.clone()).await;
    others_are_served(&replica).await;
    replica.stop().await;
}

/// B.5: pings, settings and frames that nobody uses end the connection when they are far more than any client sends;
/// a client that measures its line may go on.
#[tokio::test(flavor = "multi_thread")]
async fn b5_pings_and_settings_end_the_connection() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    for frame in [
        frame(h2::PING, 0, 0, &[0; 8]),
        frame(h2::SETTINGS, 0, 0, &[]),
        frame(h2::PRIORITY, 0, 3, &[0; 5]),
        frame(0xee, 0, 0, b"nobody knows"),
    ] {
        let attacker = Connection::open(replica.api).await;
        // Its answers are not waited for: an attacker has better to do, and they fit the buffers.
        let (mut read, mut write) = attacker.0.into_split();
        let reading =
            tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
        let flooding = async {
            let many = frame.repeat(50);
            for _ in 0..MANY / 50 {
                if tokio::io::AsyncWriteExt::write_all(&mut write, &many)
                    .await
                    .is_err()
                {
                    break;
                }
            }
            // What is still in the kernel's buffers is enough.
            let _ = reading.await.unwrap();
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), flooding).await;
        assert!(
            ended.is_ok(),
            "frames of type {} are taken for ever",
            frame[3]
        );
        others_are_served(&replica).await;
    }
    let mut client = Connection::open(replica.api).await;
    for _ in 0..1000 {
        assert!(client.send(h2::PING, 0, 0, &[0; 8]).await);
        assert!(client.next_of(h2::PING).await.is_some());
    }
    replica.stop().await;
}

/// B.5: of a hundred thousand calls that are begun on one connection, no more than a hundred are taken in; the others are
/// refused one by one, or the connection is ended.
#[tokio::test(flavor = "multi_thread")]
async fn b5_a_hundred_thousand_calls_are_a_hundred() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let attacker = Connection::open(replica.api).await;
    let (mut read, mut write) = attacker.0.into_split();
    let counting = tokio::spawn(async move {
        let mut refused = std::collections::HashSet::new();
        while let Some(frame) = h2::next(&mut read).await {
            if frame.kind == h2::RST_STREAM {
                assert_eq!(frame.error(), REFUSED_STREAM);
                refused.insert(frame.stream);
            }
        }
        refused.len()
    });
    let mut begun = 0;
    for round in 0..100_000 {
        // Valid callers, whose messages do not come.
        let block = request(
            SUBMIT,
            &[(
                "authorization",
                &format!("Bearer {}", replica.token(Role::Intake)),
            )],
        );
        let call = frame(h2::HEADERS, h2::END_HEADERS, stream(round), &block);
        if tokio::io::AsyncWriteExt::write_all(&mut write, &call)
            .await
            .is_err()
        {
            break;
        }
        begun += 1;
        if round == 1000 {
            others_are_served(&replica).await;
        }
    }
    drop(write);
    others_are_served(&replica).await;
    replica.stop().await;
    let refused = counting.await.unwrap();
    // The last ones may have been on their way when it was ended.
    assert!(
        begun < 100_000 || begun - refused <= 100,
        "{begun} begun, {refused} refused"
    );
    println!("of 100000 calls {begun} were begun, {refused} refused");
}

/// B.5: lengths that are not there, messages that are compressed, and two tokens are refused before anything is made room
/// for or unpacked.
#[tokio::test(flavor = "multi_thread")]
async fn b5_lying_messages_are_refused() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let token = replica.token(Role::Intake);
    let bomb = [&[1, 0, 0, 0, 100][..], &[0x1f, 0x8b, 8], &[0; 97]].concat();
    let call = || {
        let call = Http::post(replica.api, SUBMIT).http2().bearer(token);
        call.header("content-type", "application/grpc")
            .header("te", "trailers")
    };
    let huge = call().send(&b"\0\xff\xff\xff\xff"[..]).await;
    assert_eq!(huge.header("grpc-status"), Some(OUT_OF_RANGE));
    for encoding in ["gzip", "zstd", "deflate", "nothing-known"] {
        let answer = call()
            .header("grpc-encoding", encoding)
            .send(bomb.clone())
            .await;
        assert_eq!(
            answer.header("grpc-status"),
            Some(UNIMPLEMENTED),
            "{encoding}"
        );
    }
    let unsaid = call().send(bomb).await;
    assert_ne!(unsaid.header("grpc-status"), Some("0"));
    let twice = call().bearer(token).send(&b"\0\0\0\0\0"[..]).await;
    assert_eq!(twice.header("grpc-status"), Some(UNAUTHENTICATED));
    others_are_served(&replica).await;
    replica.stop().await;
}

/// B.5: more headers than the limit get no handler, over either version of HTTP, and the server goes on.
#[tokio::test(flavor = "multi_thread")]
async fn b5_huge_headers_are_refused() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let mut attacker = Connection::open(replica.api).await;
    let long = "b".repeat(4000);
    let token = format!("Bearer {}", replica.token(Role::Intake));
    // A call that would be answered, but for these.
    let fields = [
        ("authorization", token.as_str()),
        ("a", &long),
        ("b", &long),
        ("c", &long),
    ];
    let block = request(NOTICE, &fields);
    assert!(attacker.send(h2::HEADERS, h2::END_HEADERS, 1, &block).await);
    let empty = [0; 5];
    assert!(attacker.send(h2::DATA, h2::END_STREAM, 1, &empty).await);
    // An answer of its own (431), or a reset: not a call's answer, which has data or goes on.
    let ended = loop {
        let Some(frame) = attacker.next().await else {
            break true;
        };
        match frame.kind {
            h2::HEADERS => break frame.flags & h2::END_STREAM != 0,
            h2::RST_STREAM | h2::GOAWAY => break true,
            _ => {}
        }
    };
    assert!(ended);
    drop(attacker);
    let longer = "b".repeat(20_000);
    let refused = Http::post(replica.api, SUBMIT)
        .header("a", &longer)
        .bearer(replica.token(Role::Intake))
        .json(&serde_json::json!({}))
        .await;
    assert_eq!(
        refused.status,
        http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
    others_are_served(&replica).await;
    replica.stop().await;
}
