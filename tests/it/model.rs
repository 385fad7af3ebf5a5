//! The service against a model of it: random steps, and after each the answer must be the model's.
//!
//! The model in [`state`], [`people`], [`acts`] and [`feed`] over [`rules`] is written from the contract, not from the program: where the
//! two differ, one of them is wrong. A world is a run of steps from one seed, at a real server; the same seeds run on
//! both databases. A failure names its seed and step. To run more, or to run one again:
//!
//! ```text
//! ./.ci/soak      # 100,000 on each database: some minutes
//! LEAD_INTAKE_MODEL_SEED=7 LEAD_INTAKE_MODEL_STEPS=1000 ./scripts/test --test it model::
//! ```
//!
//! To add a call, add it to [`op::Op`], draw it in [`draw`], and say in the model what it answers.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

mod acts;
mod draw;
mod end;
mod feed;
mod op;
mod people;
mod rules;
mod run;
mod state;

use std::env;

use tokio::task::JoinSet;

use crate::support::*;

/// Steps in one world.
const STEPS_IN_WORLD: usize = 1000;
/// Steps on each database, if `LEAD_INTAKE_MODEL_STEPS` does not say.
const STEPS: usize = 5_000;
/// What the default run must have met, or it proves little: kinds of answers, and of entries with their detail.
const MET: [&str; 40] = [
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
];
/// Worlds at the same time.
const AT_ONCE: usize = 4;

fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

on_both! {
    /// Whatever is asked, in whatever order, each answer is the one that the contract and the law give;
    /// at the end each lead that is gone has one tombstone, its last entry, which every client that was given the
    /// lead hears, and no other; what is restricted or erased is nowhere; and the chain holds.
    async fn every_answer_is_the_models(backend: Backend) {
        let steps = setting("LEAD_INTAKE_MODEL_STEPS").map_or(STEPS, |it| usize::try_from(it).unwrap());
        let first = setting("LEAD_INTAKE_MODEL_SEED").unwrap_or(1);
        let mut seeds = first..first + u64::try_from(steps.div_ceil(STEPS_IN_WORLD)).unwrap();
        let mut worlds = JoinSet::new();
        let mut left = steps;
        let mut tally = run::Tally::new();
        loop {
            while worlds.len() < AT_ONCE && let Some(seed) = seeds.next() {
                let steps = left.min(STEPS_IN_WORLD);
                left -= steps;
                worlds.spawn(run::world(backend, seed, steps));
            }
            match worlds.join_next().await {
                Some(world) => {
                    for (answer, count) in world.unwrap() {
                        *tally.entry(answer).or_default() += count;
                    }
                }
                None => break,
            }
        }
        println!("{backend:?}: {tally:#?}");
        let missed: Vec<_> = MET.iter().filter(|it| !tally.contains_key(**it)).collect();
        assert!(steps < STEPS || missed.is_empty(), "never met: {missed:?}");
    }
}
