//! The wire types, generated from `proto/`. Used by `rpc`, `server` and `cli`, and nowhere else.
#![expect(
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated; the comments stand in proto/, where the callers read them"
)]

// The rules for embedded messages call it by its short name.
use validator::Validate as _;

tonic::include_proto!("leadintake.v1");

/// The descriptors of every file of the contract: for reflection, and for the access rules in it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// The fields of each message, so that unknown ones can be refused.
pub mod shape {
    use crate::rpc::codec::{Shape, Shaped};

    include!(concat!(env!("OUT_DIR"), "/shapes.rs"));
}
