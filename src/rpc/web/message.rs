//! A request's message on its way in: read as HTTP brings it, handed on as the one frame of a gRPC request.
//!
//! It is read when the handler asks for it, hence after the caller was found to be allowed; whoever is not sends
//! us nothing that we read.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, LengthLimitError, Limited, StreamBody};
use prost_reflect::MessageDescriptor;
use tokio::time::timeout;
use tonic::{Status, body::Body};

use super::super::{json, status::Refusal};

/// Within which time a message must have arrived: a form of 4 KiB takes a slow telephone a second.
const ARRIVE_WITHIN: Duration = Duration::from_secs(10);
/// What stands before a message in gRPC: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Proto,
}

/// A gRPC body with the message of this one, which may be `max` bytes long.
pub(super) fn framed(body: Body, format: Format, message: MessageDescriptor, max: usize) -> Body {
    let frame = async move {
        let sent = timeout(ARRIVE_WITHIN, collected(body, max))
            .await
            .map_err(|_| Refusal::MessageTooSlow)??;
        frame(&sent, format, &message).map(Frame::data)
    };
    Body::new(StreamBody::new(stream::once(frame)))
}

async fn collected(body: Body, max: usize) -> Result<Bytes, Status> {
    match Limited::new(body, max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::MessageTooLarge.into()),
        // The caller went away, or broke off.
        Err(_) => Err(Refusal::MalformedMessage.into()),
    }
}

fn frame(sent: &[u8], format: Format, message: &MessageDescriptor) -> Result<Bytes, Status> {
    let mut frame = BytesMut::with_capacity(PREFIX + sent.len());
    frame.put_bytes(0, PREFIX);
    match format {
        Format::Json => json::read(message, sent, &mut frame)?,
        Format::Proto => frame.put_slice(sent),
    }
    // At most as long as `max`, or as its JSON.
    let length = u32::try_from(frame.len() - PREFIX).map_err(|_| Refusal::MessageTooLarge)?;
    frame[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tonic::Code;

    use super::*;

    /// A message that does not come, or comes in drops, ends the call after a bounded time.
    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_come_is_not_waited_for() {
        let drops = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b" "))),
                (),
            ))
        });
        let contract = json::CONTRACT.as_ref().unwrap();
        let message = contract.get_message_by_name("leadintake.v1.PullLeadsRequest");
        let body = Body::new(StreamBody::new(Box::pin(drops)));
        let body = framed(body, Format::Json, message.unwrap(), 1024);
        let started = tokio::time::Instant::now();
        let refused = body.collect().await.expect_err("it never ends");
        assert_eq!(refused.code(), Code::DeadlineExceeded);
        assert_eq!(started.elapsed(), ARRIVE_WITHIN);
    }
}
