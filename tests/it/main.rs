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
#![expect(unreachable_pub, reason = "a test program has no readers from outside")]

#[macro_use]
mod support;

mod access;
mod accountability;
mod accountability_counts;
mod acts;
mod clean_up;
mod cli;
mod concurrency;
mod crash;
mod crash_points;
mod door;
mod erasure;
mod exactly_once;
mod export;
mod export_receipts;
mod failed_flush;
mod failover;
mod feed;
mod foreseen;
mod full_disk;
mod keys;
mod leaks;
mod limits;
mod little_memory;
mod lookup;
mod main_job;
mod matching;
mod metrics_shown;
mod mirror;
mod model;
mod no_entry_no_change;
mod notify;
mod plans;
mod postgres;
mod power_loss;
mod proof;
mod proof_cli;
mod raw;
mod read_race;
mod replicas;
mod restore;
mod retention;
mod retention_cli;
mod rights;
mod rights_list;
mod rounds;
mod scan;
mod schema;
mod slow_disk;
mod standings;
mod steps;
mod streams;
mod submit;
mod sweep;
mod tampering;
mod timing;
mod tombstones;
mod traces;
mod upgrades;
mod verification;
mod web;
mod withheld;
