//! What is read and written for a call: the token, the request, the answer. Messages go through the service's own codec
//! and tonic's framing, from and to the frames of HTTP/2.

use std::pin::pin;

use divan::{Bencher, black_box};
use futures_util::{FutureExt as _, StreamExt as _, future, stream};
use http_body_util::{BodyExt as _, Full};
use lead_intake::{
    pb,
    rpc::codec::StrictCodec,
    token::{Role, Token},
};
use prost::{Message as _, bytes::Bytes};
use tonic::codec::{Codec as _, EncodeBody, SingleMessageCompressionOverride, Streaming};

use super::form::form;

type SubmitCodec = StrictCodec<pb::SubmitLeadResponse, pb::SubmitLeadRequest>;

#[divan::bench]
fn token_parse(bencher: Bencher<'_, '_>) {
    let token = Token::generate(Role::Intake).unwrap();
    bencher.bench(|| Token::parse(black_box(token.expose())));
}

/// With unknown fields looked for.
#[divan::bench]
fn request_decode(bencher: Bencher<'_, '_>) {
    let message = form().encode_to_vec();
    // Not compressed, and how long it is.
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    let frame = Bytes::from(frame);
    bencher.bench(|| {
        let body = Full::new(black_box(&frame).clone());
        let decoder = SubmitCodec::default().decoder();
        let mut messages = Streaming::new_request(decoder, body, None, None);
        // All of it is there.
        messages.next().now_or_never().unwrap().unwrap().unwrap()
    });
}

#[divan::bench]
fn response_encode(bencher: Bencher<'_, '_>) {
    let response = pb::SubmitLeadResponse {
        lead_id: "01234567-89ab-7def-8123-456789abcdef".to_owned(),
        submitted_at: Some(prost_types::Timestamp::default()),
        erase_by: Some(prost_types::Timestamp::default()),
        lawful_basis: pb::LawfulBasis::PreContract.into(),
        consent_receipt: String::new(),
    };
    let make = || response.clone();
    bencher.with_inputs(make).bench_values(|response| {
        let mut body = pin!(EncodeBody::new_server(
            SubmitCodec::default().encoder(),
            stream::once(future::ready(Ok(response))),
            None,
            SingleMessageCompressionOverride::default(),
            None,
        ));
        body.frame().now_or_never().unwrap().unwrap().unwrap()
    });
}
