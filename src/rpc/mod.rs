//! The API: one file for each service, and what they share.
//!
//! Every service file has the same order: struct, new, checks, trait impl, stream, conversions. The rules:
//! a handler checks, asks the store once, and answers; every error is made in [`status`], every conversion in
//! [`convert`]; who may call what stands in the contract and is enforced by [`auth`] before a handler runs. To
//! add a method, write it in `proto/` with its `allowed_roles`, its rules in `build.rs`, and its handler here.

pub mod auth;
pub mod codec;
pub mod convert;
pub mod crm;
pub mod cursor;
pub mod intake;
pub mod json;
pub mod ledger;
pub mod limits;
pub mod observe;
pub mod privacy;
pub mod proof;
mod refusals;
pub mod rules;
pub mod status;
pub mod told;
pub mod web;
