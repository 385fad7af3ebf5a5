//! What callers send.

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use prost::Message;
use tonic::Status;

use super::{choice, untold};
use crate::{
    cli::opendsr,
    domain::contact::{Email, Line, Phone, Region},
    pb,
    rpc::{
        codec::{self, Shaped},
        convert, cursor as cursors, json as contract,
        status::Violations,
    },
    token::{Token, checksum},
};

/// A time after which nothing in a corpus lies: 2030.
const NOW: Timestamp = Timestamp::constant(1_893_456_000, 0);

/// A request's message: its name in the contract, what it does with protobuf, and whether its codec takes some.
pub(super) struct Request {
    pub(super) name: &'static str,
    run: fn(&[u8]),
    is_read: fn(Bytes) -> bool,
}

macro_rules! requests {
    ($($message:ident $(, $meaning:expr)?;)*) => {
        pub(super) const REQUESTS: &[Request] = &[$(Request {
            name: concat!("leadintake.v1.", stringify!($message)),
            run: |bytes| {
                request::<pb::$message>(bytes, |_| None);
                $(request::<pb::$message>(bytes, $meaning);)?
            },
            is_read: |bytes| codec::decode::<pb::$message>(bytes).is_ok(),
        }),*];
    };
}

requests! {
    SubmitLeadRequest, |request| convert::new_lead(request, Region::default()).err();
    SubjectRequest, |request| {
        let violations = Violations::default();
        convert::subject_call(Some(request), NOW, Region::default(), violations).err()
    };
    WithdrawConsentRequest;
    GetPrivacyNoticeRequest;
    PullLeadsRequest;
    StreamLeadsRequest;
    AcknowledgeLeadsRequest;
    GetLeadRequest;
    CloseLeadRequest;
    FindSubjectRequest;
    ExportSubjectRequest;
    EraseSubjectRequest;
    GetErasureReceiptRequest;
    RectifyLeadRequest;
    RestrictLeadRequest;
    LiftRestrictionRequest;
    ObjectToProcessingRequest;
    ListEntriesRequest;
    VerifyLedgerRequest;
    GetCheckpointRequest;
    GetProcessingRecordRequest;
    GetStatisticsRequest;
    StreamVerifyLedgerRequest;
}

/// A message of the contract, chosen by the first byte, as protobuf.
pub(super) fn protobuf(bytes: &[u8]) {
    let (first, bytes) = choice(bytes);
    (chosen(first).run)(bytes);
}

/// The message that a byte stands for: `A` for the first.
pub(super) fn chosen(byte: u8) -> &'static Request {
    &REQUESTS[usize::from(byte.wrapping_sub(b'A')) % REQUESTS.len()]
}

fn request<M>(bytes: &[u8], meaning: fn(&M) -> Option<Status>)
where
    M: Message + Shaped + Default + PartialEq,
{
    let read = |bytes: &[u8]| codec::decode::<M>(Bytes::copy_from_slice(bytes));
    untold(bytes, |bytes| match read(bytes) {
        Ok(message) => meaning(&message).as_ref().map(told),
        Err(status) => Some(told(&status)),
    });
    if let Ok(message) = read(bytes) {
        let again = read(&message.encode_to_vec());
        assert!(again.is_ok_and(|again| again == message));
    }
}

/// All that a caller hears of a refusal.
fn told(status: &Status) -> Vec<u8> {
    [status.message().as_bytes(), status.details()].concat()
}

/// A message of the contract, chosen by the first byte, as JSON.
pub(super) fn json(bytes: &[u8]) {
    let (first, bytes) = choice(bytes);
    let request = chosen(first);
    let contract = contract::CONTRACT.as_ref();
    let Some(message) = contract.and_then(|it| it.get_message_by_name(request.name)) else {
        panic!("{} is not in the contract", request.name);
    };
    let read = |bytes: &[u8]| {
        let mut encoded = BytesMut::new();
        contract::read(&message, bytes, &mut encoded).map(|()| encoded.freeze())
    };
    untold(bytes, |bytes| read(bytes).err().as_ref().map(told));
    let Ok(encoded) = read(bytes) else {
        return;
    };
    assert!((request.is_read)(encoded.clone()), "no protobuf came of it");
    (request.run)(&encoded);
    // Some field masks can be read and have no JSON; an answer has none.
    if let Ok(again) = contract::write(&message, &encoded) {
        assert!(read(&again).is_ok_and(|again| again == encoded));
    }
}

/// A cursor, or the 16 bytes that one is made of.
pub(super) fn cursor(bytes: &[u8]) {
    const EPOCH: i64 = 3;
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(Some(position)) = cursors::decode(text, EPOCH)
    {
        assert_eq!(cursors::encode(EPOCH, position), text.to_ascii_lowercase());
    }
    if let Some((epoch, rest)) = bytes.split_first_chunk::<8>()
        && let Some(position) = rest.first_chunk::<8>()
    {
        let (epoch, position) = (i64::from_be_bytes(*epoch), i64::from_be_bytes(*position));
        let read = cursors::decode(&cursors::encode(epoch, position), epoch);
        assert_eq!(read.ok(), (position >= 0).then_some(Some(position)));
    }
}

/// A bearer token, or one without its checksum.
pub(super) fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for text in [
        text.to_owned(),
        format!("{text}_{}", String::from_iter(checksum(text))),
    ] {
        let Some(token) = Token::parse(&text) else {
            continue;
        };
        assert_eq!(token.expose(), text);
        assert!(token.matches(&token.secret_hash()));
        let secret = text.rsplit('_').nth(1).unwrap_or_default();
        assert!(!format!("{token:?}").contains(secret));
    }
}

/// What people type: each form that comes out is its own.
pub(super) fn contact(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    untold(bytes, |bytes| {
        let text = std::str::from_utf8(bytes).ok()?;
        let errors = [
            Phone::parse(text, Region::default())
                .err()
                .map(|it| format!("{it} {it:?}")),
            Email::parse(text).err().map(|it| format!("{it} {it:?}")),
            Line::parse(text).err().map(|it| format!("{it} {it:?}")),
        ];
        Some(
            errors
                .into_iter()
                .flatten()
                .collect::<String>()
                .into_bytes(),
        )
    });
    if let Ok(Some(phone)) = Phone::parse(text, Region::default()) {
        let again = Phone::parse(phone.as_e164(), Region::default());
        assert!(again.is_ok_and(|again| again.as_ref() == Some(&phone)));
        assert!(Phone::from_e164(phone.as_e164()).as_ref() == Some(&phone));
    }
    if let Ok(Some(email)) = Email::parse(text) {
        let again = Email::parse(email.as_given());
        assert!(again.is_ok_and(|again| again.as_ref() == Some(&email)));
        let found = Email::parse(email.lookup()).ok().flatten();
        assert!(found.is_some_and(|found| found.lookup() == email.lookup()));
    }
    if let Ok(Some(line)) = Line::parse(text) {
        let again = Line::parse(line.as_str());
        assert!(again.is_ok_and(|again| again.as_ref() == Some(&line)));
    }
}

/// A request that another tool wrote.
pub(super) fn opendsr(bytes: &[u8]) {
    untold(bytes, |bytes| {
        let text = std::str::from_utf8(bytes).ok()?;
        opendsr::refusal(text, NOW).map(String::into_bytes)
    });
}
