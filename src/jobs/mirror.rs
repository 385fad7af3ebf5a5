//! Follows the ledger with its mirror: what is committed is appended, soon, made durable now and then, and signed.
//!
//! Submissions of this process come from memory as they are committed. Everything else, and what was missed, is
//! read from the database: the acts of this process, which were written ahead, and what other replicas do.

use std::{sync::Arc, time::Duration};

use metrics::gauge;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ledger::{
        Entry,
        mirror::{Line, Mirror, MirrorProver, Witness, WitnessError, on_disk},
    },
    store::{Result, SharedStore},
};

/// How often the mirror catches up with what it was not handed, and is made durable. A power cut and a restored
/// backup together cost the submissions of this time their tombstones, nothing else.
const CATCH_UP: Duration = Duration::from_millis(250);
/// How often a checkpoint is signed, if nobody asks for one sooner: what was cut off the end of the ledger and its
/// mirror since the last one is not noticed.
const SIGN: Duration = Duration::from_secs(10);
/// Entries read at once: some 2 MiB.
const PAGE: i64 = 5000;

/// Follows the ledger.
#[derive(Debug)]
pub struct Follower {
    store: SharedStore,
    mirror: Arc<Mirror>,
    /// None while a task on the disk has it.
    witness: Option<Witness>,
    signed_at: Instant,
    is_well: bool,
}

impl Follower {
    /// Follows this store's ledger. `None`: the store has no mirror.
    #[must_use]
    pub fn new(store: SharedStore, witness: Option<Witness>) -> Option<Self> {
        Some(Self {
            mirror: store.mirror()?,
            store,
            witness,
            signed_at: Instant::now(),
            is_well: true,
        })
    }

    /// Follows until `stopping`, and then to the end.
    pub async fn run(mut self, stopping: CancellationToken) {
        let prover = self.witness.as_ref().map(Witness::prover);
        let mut committed = self.store.committed();
        let mut tick = tokio::time::interval(CATCH_UP);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                () = stopping.cancelled() => {
                    if let Err(error) = self.catch_up(true).await {
                        tracing::warn!(%error, "the mirror is behind; it follows at the next start");
                    }
                    return;
                }
                entries = next(&mut committed) => match entries {
                    Some(entries) => self.append(&entries).await,
                    None => Ok(()),
                },
                () = wanted(prover.as_deref()) => self.catch_up(true).await,
                _ = tick.tick() => self.catch_up(false).await,
            };
            if let Err(error) = &done
                && self.is_well
            {
                tracing::error!(%error, "the ledger's mirror does not follow; it is tried again");
            }
            self.is_well = done.is_ok();
            self.show();
        }
    }

    fn show(&self) {
        gauge!("lead_intake_mirror_follows").set(f64::from(u8::from(self.is_well)));
        gauge!("lead_intake_mirror_entries").set(count(self.mirror.synced().sequence));
        gauge!("lead_intake_ledger_entries").set(count(*self.store.head().borrow()));
        if let Some(witness) = &self.witness {
            let signed = i64::try_from(witness.signed()).unwrap_or(i64::MAX);
            gauge!("lead_intake_checkpoint_entries").set(count(signed));
        }
    }

    /// Appends entries that this process committed, if they are the next ones.
    async fn append(&mut self, entries: &[Entry]) -> Result<()> {
        if entries.first().map(|entry| entry.sequence - 1) != Some(self.mirror.head().sequence) {
            // Something else comes first, or these were read already: the next catching up finds out.
            return Ok(());
        }
        self.write(entries.iter().copied().map(Line::from).collect())
            .await
    }

    /// Reads on to the end of the ledger, makes everything durable, and signs it if it is time, or asked for.
    async fn catch_up(&mut self, is_wanted: bool) -> Result<()> {
        loop {
            let after = self.mirror.head().sequence;
            let lines = self.store.lines(after, PAGE).await?;
            let is_last = i64::try_from(lines.len()).is_ok_and(|count| count < PAGE);
            if !lines.is_empty() {
                self.write(lines).await?;
            }
            if is_last {
                break;
            }
        }
        let mirror = self.mirror.clone();
        on_disk(move || mirror.sync()).await?;
        let signs = is_wanted || self.signed_at.elapsed() >= SIGN;
        self.attest(move |witness| {
            witness.catch_up()?;
            if signs { witness.sign() } else { Ok(()) }
        })
        .await;
        if signs {
            self.signed_at = Instant::now();
        }
        Ok(())
    }

    async fn write(&mut self, lines: Vec<Line>) -> Result<()> {
        let mirror = self.mirror.clone();
        let lines = on_disk(move || mirror.append(&lines).map(|()| lines)).await?;
        self.attest(move |witness| witness.append(&lines)).await;
        Ok(())
    }

    /// Has the witness do something on the disk. What it cannot do is told and tried again: the mirror goes on.
    async fn attest(
        &mut self,
        work: impl FnOnce(&mut Witness) -> std::result::Result<(), WitnessError> + Send + 'static,
    ) {
        let Some(mut witness) = self.witness.take() else {
            return;
        };
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&mut witness);
            (witness, done)
        });
        let Ok((witness, done)) = done.await else {
            tracing::error!("the notary stopped; no checkpoint is signed any more");
            return;
        };
        self.witness = Some(witness);
        if let Err(error) = done {
            metrics::counter!("lead_intake_checkpoint_failures_total").increment(1);
            tracing::error!(%error, "no checkpoint was signed");
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact to 9e15 entries; a ledger that long is not kept on one machine"
)]
fn count(entries: i64) -> f64 {
    entries as f64
}

/// The next entries that this process commits; `None`: some were missed.
async fn next(committed: &mut Receiver<Arc<[Entry]>>) -> Option<Arc<[Entry]>> {
    match committed.recv().await {
        Ok(entries) => Some(entries),
        Err(RecvError::Lagged(_)) => None,
        // The store is gone: only the end of the task follows.
        Err(RecvError::Closed) => std::future::pending().await,
    }
}

/// Waits until somebody wants a checkpoint.
async fn wanted(prover: Option<&MirrorProver>) {
    match prover {
        Some(prover) => prover.wanted().await,
        None => std::future::pending().await,
    }
}
