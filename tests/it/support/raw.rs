//! Calls and messages made by hand: what no generated client would send.

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use prost::encoding::{WireType, encode_key, encode_varint};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::{AsciiMetadataValue, MetadataMap},
    transport::Channel,
};

/// Calls any path with any bytes; gives every message of the answer. A unary answer is a stream of one.
pub async fn call(
    channel: &Channel,
    path: &str,
    metadata: MetadataMap,
    message: Bytes,
) -> Result<Vec<Bytes>, Status> {
    let mut request = Request::new(message);
    *request.metadata_mut() = metadata;
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(64 * 1024 * 1024);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::try_from(path).unwrap();
    let mut stream = grpc
        .server_streaming(request, path, BytesCodec)
        .await?
        .into_inner();
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
    Ok(messages)
}

/// The header of a caller with this token.
pub fn bearer(token: &str) -> MetadataMap {
    authorization(&format!("Bearer {token}"))
}

/// This `authorization` header.
pub fn authorization(value: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    let value = AsciiMetadataValue::try_from(value.as_bytes()).unwrap();
    metadata.insert("authorization", value);
    metadata
}

/// Everything of an error that reaches the caller: its text, its details, and every other header.
pub fn everything(status: &Status) -> Vec<u8> {
    use tonic::metadata::KeyAndValueRef;
    let mut bytes = status.message().as_bytes().to_vec();
    bytes.extend_from_slice(status.details());
    for entry in status.metadata().iter() {
        match entry {
            KeyAndValueRef::Ascii(key, value) => {
                bytes.extend_from_slice(key.as_str().as_bytes());
                bytes.extend_from_slice(value.as_encoded_bytes());
            }
            KeyAndValueRef::Binary(key, value) => {
                bytes.extend_from_slice(key.as_str().as_bytes());
                bytes.extend_from_slice(&value.to_bytes().unwrap());
            }
        }
    }
    bytes
}

/// Whether `needle` stands anywhere in `bytes`.
pub fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// A length-delimited field.
pub fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut bytes);
    encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// A varint field.
pub fn varint(number: u32, value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, WireType::Varint, &mut bytes);
    encode_varint(value, &mut bytes);
    bytes
}

/// Passes bytes through, as they are.
#[derive(Clone, Copy, Default)]
pub struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
