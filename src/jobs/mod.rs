//! What runs beside the calls: a file for each task.
//!
//! A task ends soon after its token is cancelled, and never ends for an error: it says so in the log, once, and
//! tries again. To add one: a file, and a line in [`crate::server::Server::run`], which starts and awaits them.

mod clean_up;
mod duties;
mod health;
mod index;
mod keys;
mod mirror;
mod reseal;
mod sweep;

pub use self::{
    clean_up::clean_up,
    duties::{show_duties, show_standings, tell_duties},
    health::watch_health,
    index::{INDEX_EVERY, index},
    keys::{ASKED_EVERY, follow_key_ring},
    mirror::Follower,
    reseal::{Progress, Resealed, Unopened, count, reseal},
    sweep::{Round, Sweeper},
};
