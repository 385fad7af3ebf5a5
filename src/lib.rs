//! The contact-form backend that can prove it forgot you.
//!
//! The map of the house, and the one direction in which its parts know each other:
//!
//! ```text
//! main → cli, server → door, rpc, jobs → ledger, store, seal, export → domain
//! ```
//!
//! - [`domain`]: the rules, as plain types. No database, no wire, no clock.
//! - [`seal`]: keys, sealing, look-up values. [`token`]: bearer tokens.
//! - [`ledger`]: what an entry is, and how its hash follows.
//! - [`store`]: the only part that knows SQL; a trait for each capability, one generic body.
//! - [`export`]: documents for people.
//! - [`rpc`]: a file for each service; conversions, errors, access.
//! - [`door`]: connections, from the accept to the last byte. Knows nothing of calls.
//! - [`server`]: wiring, listeners, health, shutdown. [`jobs`]: what runs beside the calls.
//! - [`config`], [`clock`], [`telemetry`]: what comes from outside. [`process`]: what gets out of memory: nothing.
//!   [`durable`]: files that a power loss leaves as they were.
//! - [`cli`]: the commands. `fuzzing`, behind a feature: all that reads bytes of others, for `fuzz/`.
//!
//! `docs/architecture.md` walks one lead in and one out.

pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod door;
mod durable;
pub mod export;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod jobs;
pub mod ledger;
pub mod pb;
pub mod process;
pub mod rpc;
pub mod seal;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod token;
