//! `StreamVerifyLedger`: a verification that tells how far it is, and ends when nobody waits for it any more.
//!
//! A verification is held by the mirror that it reads ([`SlowMirror`]), so that nothing here depends on how fast one is.

use std::{net::SocketAddr, time::Duration};

use lead_intake::{
    pb::{
        StreamVerifyLedgerRequest, StreamVerifyLedgerResponse, VerifyLedgerRequest,
        VerifyLedgerResponse, ledger_service_client::LedgerServiceClient,
    },
    rpc::limits::Limits,
    server::Parts,
    token::Role,
};
use tonic::{Code, Request, Status, Streaming};

use crate::{
    cli::House,
    steps::submit_mail,
    support::{
        binary::{PATIENCE, send_signal},
        h2_frames::{self as h2, Connection},
        slow_mirror::SlowMirror,
        *,
    },
};

const PATH: &str = "/leadintake.v1.LedgerService/StreamVerifyLedger";

type Auditor = LedgerServiceClient<Caller>;
type Messages = Streaming<StreamVerifyLedgerResponse>;

async fn open(auditor: &mut Auditor) -> Result<Messages, Status> {
    let request = StreamVerifyLedgerRequest {};
    Ok(auditor.stream_verify_ledger(request).await?.into_inner())
}

async fn verified(auditor: &mut Auditor) -> VerifyLedgerResponse {
    let answer = auditor.verify_ledger(VerifyLedgerRequest {}).await;
    answer.unwrap().into_inner()
}

/// The same, once the mirror has every entry and a checkpoint signs it.
async fn settled(auditor: &mut Auditor) -> VerifyLedgerResponse {
    eventually(async || {
        let found = verified(auditor).await;
        let length = found.head_sequence;
        let is_whole = (found.entries_mirrored, found.entries_signed) == (length, length);
        is_whole.then_some(found)
    })
    .await
}

async fn next(messages: &mut Messages) -> Result<Option<StreamVerifyLedgerResponse>, Status> {
    let next = tokio::time::timeout(PATIENCE, messages.message()).await;
    next.expect("nothing is told")
}

/// Reads a stream to its end, which is a refusal.
async fn end_of(mut messages: Messages) -> (Code, String) {
    let reading = async {
        loop {
            match messages.message().await {
                Ok(message) => assert!(message.expect("a good end").result.is_none()),
                Err(status) => return (status.code(), reason(&status)),
            }
        }
    };
    let end = tokio::time::timeout(PATIENCE, reading).await;
    end.expect("it goes on")
}

/// Reads a stream to its end, which is a result.
async fn result_of(messages: &mut Messages) -> VerifyLedgerResponse {
    loop {
        let message = next(messages).await.unwrap();
        if let Some(result) = message.expect("no result").result {
            return result;
        }
    }
}

/// A server with some leads and a mirror that is read as slowly as the test likes.
async fn held(world: &World, limits: Limits) -> (Replica, SlowMirror, VerifyLedgerResponse) {
    let replica = world.start_with(|parts| Parts { limits, ..parts }).await;
    for number in 0..4 {
        submit_mail(&replica, &format!("{number}@example.no")).await;
    }
    let found = settled(&mut replica.ledger()).await;
    assert!(found.intact);
    (replica, SlowMirror::of(&world.mirror(1)), found)
}

/// The same, of the real program.
async fn house_held(backend: Backend) -> (House, Auditor, SlowMirror) {
    let house = House::new(backend).await;
    let mut auditor = Auditor::new(house.server.caller(&house.data(), "auditor"));
    settled(&mut auditor).await;
    let slow = SlowMirror::of(&house.data().join("ledger"));
    (house, auditor, slow)
}

/// Reads the messages that come before anything more is given.
async fn told(messages: &mut Messages, checked: i64) -> StreamVerifyLedgerResponse {
    let mut before = 0;
    loop {
        let message = next(messages).await.unwrap().expect("it has not ended");
        let now = message.entries_checked;
        assert!((before..=checked).contains(&now), "{now} after {before}");
        assert!(message.result.is_none());
        if now == checked {
            return message;
        }
        before = now;
    }
}

on_both! {
    /// A verification tells how far it is: never less than before, of the entries that there were when it began, and also
    /// while it is no further. At its end it gives the same result as `VerifyLedger`, once.
    async fn a_verification_tells_how_far_it_is(backend: Backend) {
        let world = World::new(backend).await;
        let (replica, mut slow, expected) = held(&world, Limits::default()).await;
        let total = expected.head_sequence;
        let mut messages = open(&mut replica.ledger()).await.unwrap();
        slow.is_read().await;
        for (given, checked) in [(0, 0), (2, 2), (3, 5), (0, 5), (0, 5)] {
            slow.give(given);
            assert_eq!(told(&mut messages, checked).await.entries_total, total);
        }
        slow.give_all();
        let mut before = 5;
        let last = loop {
            let message = next(&mut messages).await.unwrap().expect("no result");
            assert!((before..=total).contains(&message.entries_checked));
            assert_eq!(message.entries_total, total);
            before = message.entries_checked;
            if let Some(result) = message.result {
                break result;
            }
        };
        assert_eq!((before, last), (total, expected));
        assert!(next(&mut messages).await.unwrap().is_none());
        slow.restore();
        replica.stop().await;
    }

    /// A client that goes away ends the work of its verification, in the database and in the mirror, and nothing stays
    /// lent: after more of them than there are connections the next one has what it needs.
    async fn a_client_that_goes_away_ends_the_work(backend: Backend) {
        let (house, mut auditor, mut slow) = house_held(backend).await;
        let open_streams = async || {
            let text = house.server.get("/metrics").await;
            let line = text.lines().find_map(|line| line.strip_prefix("lead_intake_streams_open "));
            line.unwrap().to_owned()
        };
        let mut messages = open(&mut auditor).await.unwrap();
        slow.is_read().await;
        told(&mut messages, 0).await;
        assert_eq!(open_streams().await, "1");
        drop(messages);
        eventually(async || (open_streams().await == "0").then_some(())).await;
        slow.is_left().await;
        slow.restore();
        for _ in 0..25 {
            // Its place is free once the one before it is gone.
            drop(eventually(async || open(&mut auditor).await.ok()).await);
        }
        assert!(verified(&mut auditor).await.intact);
        house.server.signal("TERM").await;
    }

    /// A stop ends a verification, with a word of why, and is not held by what the verification reads.
    async fn a_stop_ends_a_verification_in_order(backend: Backend) {
        let (mut house, mut auditor, mut slow) = house_held(backend).await;
        let mut messages = open(&mut auditor).await.unwrap();
        slow.is_read().await;
        told(&mut messages, 0).await;
        assert!(send_signal(house.server.child.id().unwrap(), "TERM").await);
        assert_eq!(end_of(messages).await, (Code::Unavailable, "STOPPING".to_owned()));
        slow.is_left().await;
        assert_eq!(house.server.end().await, Some(0), "{}", house.server.log());
    }

    /// A verification has the time of `VerifyLedger`, or what its caller gives it if that is less; then it ends, and its
    /// work with it.
    async fn a_verification_has_its_time(backend: Backend) {
        let world = World::new(backend).await;
        let short = Duration::from_millis(300);
        let expected = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned());
        for verify_max in [short, Limits::default().verify_max] {
            let limits = Limits { verify_max, ..Limits::default() };
            let (replica, mut slow, _) = held(&world, limits).await;
            let mut request = Request::new(StreamVerifyLedgerRequest {});
            if verify_max > short {
                request.set_timeout(short);
            }
            let messages = replica.ledger().stream_verify_ledger(request).await.unwrap();
            slow.is_read().await;
            assert_eq!(end_of(messages.into_inner()).await, expected);
            slow.is_left().await;
            slow.restore();
            replica.stop().await;
        }
    }

    /// A reader that takes nothing is cut off, and the work ends with it: what it does not take is no more than a message.
    async fn a_reader_that_takes_nothing_ends_the_work(backend: Backend) {
        let world = World::new(backend).await;
        let limits = Limits { stall_max: Duration::from_millis(300), ..Limits::default() };
        let (replica, mut slow, _) = held(&world, limits).await;
        let closed = without_window(replica.api, replica.token(Role::Auditor)).await;
        slow.is_read().await;
        slow.is_left().await;
        slow.restore();
        drop(closed);
        replica.stop().await;
    }

    /// Verifications are counted as streams are: a client has so many, and the next one may begin when one has ended.
    async fn a_verification_takes_the_place_of_a_stream(backend: Backend) {
        let world = World::new(backend).await;
        let limits = Limits { client_streams_max: 1, ..Limits::default() };
        let (replica, mut slow, expected) = held(&world, limits).await;
        let mut auditor = replica.ledger();
        let messages = open(&mut auditor).await.unwrap();
        slow.is_read().await;
        let refused = open(&mut auditor).await.unwrap_err();
        assert_eq!(reason(&refused), "CLIENT_STREAMS_MAX");
        drop(messages);
        slow.is_left().await;
        slow.restore();
        let mut messages = eventually(async || open(&mut auditor).await.ok()).await;
        assert_eq!(result_of(&mut messages).await, expected);
        replica.stop().await;
    }

    /// One verification at a time: the next one waits for it, says meanwhile that it is at the beginning, and begins then.
    async fn a_verification_waits_for_the_one_before(backend: Backend) {
        let world = World::new(backend).await;
        let (replica, mut slow, expected) = held(&world, Limits::default()).await;
        let mut auditor = replica.ledger();
        let mut first = open(&mut auditor).await.unwrap();
        slow.is_read().await;
        let mut second = open(&mut auditor).await.unwrap();
        slow.give(2);
        assert_eq!(told(&mut first, 2).await.entries_total, expected.head_sequence);
        assert_eq!(told(&mut second, 0).await.entries_total, expected.head_sequence);
        slow.give_all();
        assert_eq!(result_of(&mut first).await, expected);
        slow.begin_again();
        slow.is_read().await;
        told(&mut second, 0).await;
        slow.give_all();
        assert_eq!(result_of(&mut second).await, expected);
        slow.restore();
        replica.stop().await;
    }

    /// R3: who revokes a client ends its verification too.
    async fn r3_a_revocation_ends_a_verification(backend: Backend) {
        let world = World::new(backend).await;
        let store = world.open().await;
        let token = world.new_token(&store, "leaving", Role::Auditor).await;
        let (replica, mut slow, _) = held(&world, Limits::default()).await;
        let mut leaving = Auditor::new(replica.caller(token.expose()));
        let mut messages = open(&mut leaving).await.unwrap();
        slow.is_read().await;
        told(&mut messages, 0).await;
        let now = lead_intake::clock::Clock::now(&*world.clock);
        assert_eq!(store.revoke("leaving", now).await.unwrap(), Some(1));
        let ended = end_of(messages).await;
        assert_eq!(ended, (Code::Unauthenticated, "TOKEN_REVOKED".to_owned()));
        slow.is_left().await;
        slow.restore();
        store.close().await;
        replica.stop().await;
    }
}

/// A call over a connection whose reader has no window: nothing of the answer but its head gets through.
async fn without_window(api: SocketAddr, token: &str) -> Connection {
    let mut closed = Connection::open(api).await;
    assert!(closed.send(h2::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await);
    assert!(closed.call(1, PATH, token, false).await);
    assert!(closed.send(h2::DATA, h2::END_STREAM, 1, &[0; 5]).await);
    closed.next_of(h2::HEADERS).await.expect("it begins");
    closed
}
