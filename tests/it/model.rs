//! The service against a model of it: random steps, and after each the answer must be the model's.
//!
//! The model in [`state`], [`people`], [`acts`] and [`feed`] over [`rules`] is written from the contract, not from the program: where the
//! two differ, one of them is wrong. A world is a run of steps from one seed, at replicas that are processes of their
//! own ([`process`], [`house`]): two on PostgreSQL, one on SQLite. Some of the steps are [`troubles`]: replicas are stopped, and
//! killed with calls under way; the database ends every session; the ledger or a mirror takes nothing; calls meet; a
//! backup comes back ([`backup`], [`restored`]). What became of calls that were never answered is looked up ([`settle`]). After each trouble, and
//! at the end, the invariants are looked at on every replica ([`end`]) and in the CRM clients' own copies ([`copies`]).
//!
//! The same seeds run on both databases. A failure tells its seed, its step and the last steps, in which everybody is made
//! up. A seed takes the same steps again up to the first kill that cuts its calls off elsewhere. To run more, or to run
//! one again:
//!
//! ```text
//! ./.ci/soak      # 20 seeds of 100,000 steps on each database: hours, on a machine that does nothing else
//! LEAD_INTAKE_MODEL_SEED=7 LEAD_INTAKE_MODEL_STEPS=1000 ./scripts/test --test it model::
//! ```
//!
//! To add a call, add it to [`op::Op`], draw it in [`draw`], and say in the model what it answers. To add a trouble, see
//! [`troubles`].
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

mod acts;
mod backup;
mod callers;
mod copies;
mod draw;
mod end;
mod feed;
mod house;
mod op;
mod people;
mod process;
mod restored;
mod rules;
mod run;
mod settle;
mod state;
mod troubles;
mod twist;

use std::env;

use tokio::task::JoinSet;

use crate::support::*;

/// Steps in one world.
const STEPS_IN_WORLD: usize = 1000;
/// Steps on each database, if `LEAD_INTAKE_MODEL_STEPS` does not say.
const STEPS: usize = 5_000;
/// Of a thousand steps so many are troubles, if `LEAD_INTAKE_MODEL_TROUBLES` does not say.
const TROUBLES: usize = 4;
/// What the default run must have met, or it proves little: kinds of answers, and of entries with their detail.
const MET: [&str; 44] = [
    "submit done",
    "submit LEAD_ERASED",
    "submit REQUEST_ID_REUSED",
    "withdraw done",
    "pull CURSOR_NOT_DELIVERED",
    "acknowledge CURSOR_NOT_DELIVERED",
    "get LEAD_NOT_FOUND",
    "close LEAD_NOT_FOUND",
    "find REQUEST_ID_REUSED",
    "find NOT_A_CANDIDATE",
    "export REQUEST_ID_REUSED",
    "erase REQUEST_ID_REUSED",
    "erase NOT_A_CANDIDATE",
    "object REQUEST_ID_REUSED",
    "rectify REQUEST_ID_REUSED",
    "rectify LEAD_NOT_FOUND",
    "rectify REVISION_MISMATCH",
    "rectify LEAD_RESTRICTED",
    "rectify NAME_OR_COMPANY_REQUIRED",
    "rectify PHONE_OR_EMAIL_REQUIRED",
    "restrict REQUEST_ID_REUSED",
    "restrict LEAD_NOT_FOUND",
    "lift REQUEST_ID_REUSED",
    "lift LEAD_NOT_FOUND",
    "lift SUBJECT_NOT_INFORMED",
    "lift REASON_NOT_IN_FORCE",
    "sweep swept",
    "ConsentWithdrawn 0",
    "Released 4",
    "ReasonLifted 4",
    "Objected 0",
    "Closed 3",
    "Erased 1",
    "Erased 2",
    "Erased 3",
    "Erased 4",
    "Erased 5",
    "ErasureRefused 2",
    "ErasureRefused 3",
    "HandedOver 3",
    "Erased 6",
    "Kill",
    "BackUp",
    "Restore",
];
/// Worlds at the same time.
const AT_ONCE: usize = 4;

fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

on_both! {
    /// Whatever is asked, in whatever order, each answer is the one that the contract and the law give;
    /// D1, E4, A1, F1 to F4, F7, F8, Art. 17, 18, 19: so also after a restart, after a kill, after faults, and after a
    /// backup came back, on every replica; and
    /// at the end each lead that is gone has one tombstone, its last entry, which every client that was given the
    /// lead hears, and no other; what is restricted or erased is nowhere; and the chain holds.
    async fn every_answer_is_the_models(backend: Backend) {
        let steps = setting("LEAD_INTAKE_MODEL_STEPS").map_or(STEPS, |it| usize::try_from(it).unwrap());
        let first = setting("LEAD_INTAKE_MODEL_SEED").unwrap_or(1);
        let troubles = setting("LEAD_INTAKE_MODEL_TROUBLES");
        let troubles = troubles.map_or(TROUBLES, |it| usize::try_from(it).unwrap());
        let mut seeds = first..first + u64::try_from(steps.div_ceil(STEPS_IN_WORLD)).unwrap();
        let mut worlds = JoinSet::new();
        let mut left = steps;
        let mut failed = 0;
        let mut tally = run::Tally::new();
        loop {
            while worlds.len() < AT_ONCE && let Some(seed) = seeds.next() {
                let steps = left.min(STEPS_IN_WORLD);
                left -= steps;
                // On a thread of its own: the model computes.
                worlds.spawn_blocking(move || {
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = runtime.enable_all().build().unwrap();
                    let world = runtime.block_on(run::world(backend, seed, steps, troubles));
                    println!("{backend:?}: seed {seed} holds");
                    world
                });
            }
            match worlds.join_next().await {
                Some(Ok(world)) => {
                    for (answer, count) in world {
                        *tally.entry(answer).or_default() += count;
                    }
                }
                // It has told its story. The others go on.
                Some(Err(_)) => failed += 1,
                None => break,
            }
        }
        println!("{backend:?}: {tally:#?}");
        assert_eq!(failed, 0, "worlds that failed");
        let missed: Vec<_> = MET.iter().filter(|it| !tally.contains_key(**it)).collect();
        assert!(steps < STEPS || missed.is_empty(), "never met: {missed:?}");
    }
}
