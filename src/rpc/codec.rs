//! The codec of all our calls: protobuf, with unknown fields refused.
//!
//! prost drops a field it does not know. For a form that would hide that a website sends more than
//! the notice names (Art. 5(1)(c)); for an erasure, that a newer client asked for something else. So a
//! request's tags are walked before it is decoded, against tables that the build derives from the
//! contract. Answers are not checked: an old client may talk to a newer server.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use prost::{
    Message,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::status::Refusal;

/// The fields of one message: number, and the shape of an embedded message.
#[derive(Debug)]
pub struct Shape {
    pub(crate) fields: &'static [(u32, Option<&'static Shape>)],
}

/// A message whose fields are known to the codec.
pub trait Shaped {
    /// Its fields.
    const SHAPE: &'static Shape;
    /// Whether unknown fields are refused: so for requests.
    const STRICT: bool;
}

/// How deep messages may lie in one another: the contract needs four levels.
const DEPTH_MAX: u32 = 8;

/// What a call's two buffers have to begin with, in bytes: most messages are smaller than that, and a larger one gets what it
/// needs at once. With tonic's 8 KiB, the calls under way went through all of the processor's cache.
const BUFFER: usize = 512;
/// From how much on the messages of a stream are sent instead of put together, in bytes: tonic's own.
const SEND_FROM: usize = 32 * 1024;

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER, SEND_FROM)
}

/// Protobuf with unknown fields of requests refused.
#[derive(Debug)]
pub struct StrictCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for StrictCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for StrictCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Shaped + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = SizedEncoder<T>;
    type Decoder = StrictDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        SizedEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        StrictDecoder(PhantomData)
    }
}

/// The sending half of [`StrictCodec`]: asks for a message's room once, instead of as it grows.
#[derive(Debug)]
pub struct SizedEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for SizedEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(message.encoded_len());
        message.encode(buf).map_err(|_| Refusal::Internal.into())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// The receiving half of [`StrictCodec`].
#[derive(Debug)]
pub struct StrictDecoder<U>(PhantomData<U>);

impl<U: Message + Shaped + Default> Decoder for StrictDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // The message is complete and small (the server caps it at 64 KiB), so this copy, if it is
        // one, is bounded; it lets the tags be walked without consuming the message.
        decode(source.copy_to_bytes(source.remaining())).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// A whole message; of a request with its unknown fields refused.
pub(crate) fn decode<U: Message + Shaped + Default>(message: Bytes) -> Result<U, Status> {
    if U::STRICT {
        walk(&mut message.clone(), U::SHAPE, DEPTH_MAX)?;
    }
    // prost's text names the path of the fault; ours is constant.
    U::decode(message).map_err(|_| Refusal::MalformedMessage.into())
}

/// Refuses the first field that `shape` does not know.
fn walk(buf: &mut Bytes, shape: &Shape, depth: u32) -> Result<(), Status> {
    if depth == 0 {
        return Err(Refusal::MalformedMessage.into());
    }
    while buf.has_remaining() {
        let (tag, wire_type) = decode_key(buf).map_err(|_| Refusal::MalformedMessage)?;
        let Some((_, inner)) = shape.fields.iter().find(|(number, _)| *number == tag) else {
            return Err(Refusal::UnknownField.into());
        };
        match (inner, wire_type) {
            (Some(inner), WireType::LengthDelimited) => {
                let length = decode_varint(buf).map_err(|_| Refusal::MalformedMessage)?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > buf.remaining() {
                    return Err(Refusal::MalformedMessage.into());
                }
                walk(&mut buf.split_to(length), inner, depth - 1)?;
            }
            _ => skip_field(wire_type, tag, buf, DecodeContext::default())
                .map_err(|_| Refusal::MalformedMessage)?,
        }
    }
    Ok(())
}
