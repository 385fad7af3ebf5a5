//! The contract's own JSON, made from its descriptors: canonical proto JSON, with lowerCamelCase names, names of
//! enum values, RFC 3339 times and 64-bit numbers as text. Nothing is typed twice: a new message has its JSON.
//!
//! Answers show values that are empty, zero or false too, so that a program need not know the defaults.
//! Requests take either form of a name; what the contract does not have is refused, as in protobuf.

mod explain;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use bytes::{BufMut as _, BytesMut};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};
use tonic::Status;

use super::status::Refusal;
use crate::pb;

/// The contract's descriptors. None only if the build broke them, which a test excludes.
pub static CONTRACT: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(pb::DESCRIPTORS).ok());

/// How requests are read: a field that the contract does not have is an error.
const READ: DeserializeOptions = DeserializeOptions::new().deny_unknown_fields(true);
/// How answers are written.
pub const WRITE: SerializeOptions = SerializeOptions::new().skip_default_fields(false);

/// Appends a message, given as JSON, to `encoded` as protobuf.
///
/// Errors: every field with a value of the wrong kind at once; else `UNKNOWN_FIELD` or `MALFORMED_JSON` with
/// the place, as line and column. Never anything of the text.
pub(crate) fn read(
    message: &MessageDescriptor,
    json: &[u8],
    encoded: &mut BytesMut,
) -> Result<(), Status> {
    let mut source = serde_json::Deserializer::from_slice(json);
    let read = DynamicMessage::deserialize_with_options(message.clone(), &mut source, &READ)
        .and_then(|read| source.end().map(|()| read));
    match read {
        Ok(read) => read.encode(encoded).map_err(|_| Refusal::Internal.into()),
        Err(error) => Err(explain::explain(message, json, &error)),
    }
}

/// A message, given as protobuf, as JSON.
pub(crate) fn write(message: &MessageDescriptor, encoded: &[u8]) -> Result<BytesMut, Status> {
    let broken = || Status::from(Refusal::Internal);
    let decoded = DynamicMessage::decode(message.clone(), encoded).map_err(|_| broken())?;
    let mut json = BytesMut::with_capacity(encoded.len() * 2).writer();
    let mut target = serde_json::Serializer::new(&mut json);
    decoded
        .serialize_with_options(&mut target, &WRITE)
        .map_err(|_| broken())?;
    Ok(json.into_inner())
}
