//! Tests through the real server, on both databases.
//!
//! Each test is a function of a [`support::Backend`], run once for each database by `on_both!`; its doc comment
//! states the promise it keeps. PostgreSQL must be there: `scripts/test` starts one. Time stands still unless a
//! test moves it, and nothing sleeps to wait: `support::eventually` polls for what must become true.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "a test program has no readers from outside"
)]

#[macro_use]
mod support;

mod access;
mod main_job;
mod schema;
mod submit;
