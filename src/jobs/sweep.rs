//! The sweep: erases what has reached its time, round by round (Art. 5(1)(e), 17).
//!
//! Every replica tries each round, and one gets it ([`crate::store::RetentionStore::claim_sweep`]). A round that
//! does not trust the clock erases nothing; the next one, a full wait later, has to agree with it first. The
//! wait is the machine's monotonic time, which no change of the date moves.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    clock::{SharedClock, unix_seconds},
    domain::{retention::RetentionPolicy, sweep::ClockJudgement},
    store::{Claim, Claimed, Overdue, Result, RetentionStore, Turn},
};

/// Runs rounds.
#[derive(Debug)]
pub struct Sweeper {
    /// Where the leads are.
    pub store: Arc<dyn RetentionStore>,
    /// Tells the time.
    pub clock: SharedClock,
    /// How long a lead may stay.
    pub policy: RetentionPolicy,
}

/// What a round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// What it was allowed.
    pub claim: Claim,
    /// Leads it erased.
    pub erased: u64,
}

impl Sweeper {
    /// A round at the start, then one after each wait, until `stopping`.
    pub async fn run(self, every: Duration, stopping: CancellationToken) {
        let mut turn = Turn::Start;
        loop {
            match self.round(turn, &stopping).await {
                Ok(round) => turn = Turn::After(round.claim.run),
                Err(error) => {
                    tracing::error!(%error, "the sweep failed; it tries again with its next round");
                    // Whether the round counted is not known, so nothing is known of the number either.
                    turn = Turn::Start;
                }
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }

    /// One round, if it is this replica's. A stop ends it between two batches.
    pub async fn round(&self, turn: Turn, stopping: &CancellationToken) -> Result<Round> {
        let now = self.clock.now();
        let claim = self.store.claim_sweep(turn, now).await?;
        let mut round = Round { claim, erased: 0 };
        match claim.claimed {
            Claimed::NotDue => return Ok(round),
            Claimed::Round(ClockJudgement::First) => {
                tracing::info!("the first sweep notes the time; the next one may erase");
                return Ok(round);
            }
            Claimed::Round(ClockJudgement::Doubted) => {
                metrics::counter!("lead_intake_sweep_refused_total").increment(1);
                tracing::warn!(
                    "the clock jumped since the last sweep: nothing is erased until the next one \
                     agrees with this one"
                );
                return Ok(round);
            }
            Claimed::Round(ClockJudgement::Trusted) => {}
        }
        for overdue in Overdue::ALL {
            loop {
                if stopping.is_cancelled() {
                    return Ok(round);
                }
                let batch = self.store.sweep_batch(overdue, &self.policy, now).await?;
                metrics::counter!("lead_intake_sweep_erased_total").increment(batch.erased);
                round.erased += batch.erased;
                if !batch.has_more {
                    break;
                }
                // Calls go first: a sweep has time.
                tokio::task::yield_now().await;
            }
        }
        self.store.finish_sweep(claim.run, now).await?;
        metrics::gauge!("lead_intake_sweep_last_run_timestamp_seconds").set(unix_seconds(now));
        if round.erased > 0 {
            tracing::info!(erased = round.erased, "swept");
        }
        Ok(round)
    }
}
