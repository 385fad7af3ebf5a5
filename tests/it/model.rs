//! The service against a model of it: random steps, and after each the answer must be the model's.
//!
//! The model in [`state`] and [`acts`] over [`rules`] is written from the contract, not from the program: where the
//! two differ, one of them is wrong. A world is a run of steps from one seed, at a real server; the same seeds run on
//! both databases. A failure names its seed and step. To run more, or to run one again:
//!
//! ```text
//! LEAD_INTAKE_MODEL_STEPS=100000 ./scripts/test --release --test it model::      # so many steps on each database
//! LEAD_INTAKE_MODEL_SEED=7 LEAD_INTAKE_MODEL_STEPS=1000 ./scripts/test --test it model::
//! ```
//!
//! To add a call, add it to [`op::Op`], draw it in [`draw`], and say in the model what it answers.

mod acts;
mod draw;
mod end;
mod op;
mod rules;
mod run;
mod state;

use std::env;

use tokio::task::JoinSet;

use crate::support::*;

/// Steps in one world.
const STEPS_IN_WORLD: usize = 1000;
/// Steps on each database, if `LEAD_INTAKE_MODEL_STEPS` does not say.
const STEPS: usize = 10_000;
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
        loop {
            while worlds.len() < AT_ONCE && let Some(seed) = seeds.next() {
                let steps = left.min(STEPS_IN_WORLD);
                left -= steps;
                worlds.spawn(run::world(backend, seed, steps));
            }
            match worlds.join_next().await {
                Some(world) => world.unwrap(),
                None => break,
            }
        }
    }
}
