//! `VerifyLedger`, and `StreamVerifyLedger`, which tells on the way how far the same verification is.

use std::{path::PathBuf, sync::Arc, time::Duration};

use data_encoding::HEXLOWER;
use tokio::{
    sync::{
        Mutex, MutexGuard,
        mpsc::{self, error::TrySendError},
    },
    time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::super::{
    auth::Caller,
    limits::Taken,
    proof::Proofs,
    status::Refusal,
    told::{End, RECHECK, Told},
};
use crate::{
    ledger::{Against, Progress},
    pb::{StreamVerifyLedgerResponse, VerifyLedgerResponse},
    store::LedgerStore,
};

/// How often a stream tells how far it is: for people who look at a bar, and for proxies that end what is silent.
const TELL_EVERY: Duration = Duration::from_millis(250);
const _: () = assert!(TELL_EVERY.as_millis() >= 100 && TELL_EVERY.as_millis() <= 1000);
/// Messages that wait for a slow reader. What is not taken is not added to: the next one says more.
const WAITING_MAX: usize = 1;

/// What a verification has to go by.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The ledger.
    pub store: Arc<dyn LedgerStore>,
    /// Its checkpoints.
    pub proofs: Proofs,
    /// The directory of its mirror.
    pub mirror: Option<PathBuf>,
    /// Held by who verifies.
    pub turn: Arc<Mutex<()>>,
}

impl Evidence {
    /// Verifies the ledger, when nobody else does.
    pub(super) async fn verify(
        &self,
        progress: &Arc<Progress>,
    ) -> Result<VerifyLedgerResponse, Status> {
        let _turn = self.turn(progress).await?;
        let head = self.store.ledger_head().await?.sequence;
        let against = Against {
            mirror: self.mirror.clone(),
            checkpoints: self.proofs.last(head).await.into_iter().collect(),
        };
        let found = self.store.verify(&against, progress).await?;
        Ok(VerifyLedgerResponse {
            intact: found.fault.is_none(),
            fault: found.fault.map_or(0, |(fault, _)| fault as i32),
            faulty_sequence: found.fault.map_or(0, |(_, sequence)| sequence),
            entries_checked: found.entries_checked,
            head_sequence: found.head.sequence,
            head_hash: HEXLOWER.encode(&found.head.hash),
            blind_to: against.blind_to().iter().map(|&it| it.to_owned()).collect(),
            entries_mirrored: found.entries_mirrored,
            entries_signed: against
                .checkpoints
                .first()
                .map_or(0, |it| i64::try_from(it.size).unwrap_or(i64::MAX)),
        })
    }

    /// Waits for those who came before. Each reads all there is: side by side none of them is done sooner, and everybody else
    /// is slower for longer.
    async fn turn(&self, progress: &Progress) -> Result<MutexGuard<'_, ()>, Status> {
        if let Ok(turn) = self.turn.try_lock() {
            return Ok(turn);
        }
        // A stream is not silent while it waits.
        progress.begin(self.store.ledger_head().await?.sequence);
        Ok(self.turn.lock().await)
    }
}

/// One verification that tells how far it is.
pub(super) struct VerifyStream {
    evidence: Evidence,
    caller: Caller,
    stall_max: Duration,
    progress: Arc<Progress>,
    /// When the reader last took something, and when its token was last checked.
    taken: Instant,
    checked: Instant,
}

impl VerifyStream {
    /// For this caller.
    pub(super) fn new(evidence: Evidence, caller: Caller, stall_max: Duration) -> Self {
        let now = Instant::now();
        Self {
            evidence,
            caller,
            stall_max,
            progress: Arc::default(),
            taken: now,
            checked: now,
        }
    }

    /// Begins; the work may take until then.
    pub(super) fn open(
        self,
        place: Taken,
        stopping: CancellationToken,
        until: Instant,
    ) -> Told<StreamVerifyLedgerResponse> {
        Told::by(WAITING_MAX, place, stopping, |messages| async move {
            match timeout_at(until, self.run(messages)).await {
                Ok(end) => end,
                Err(_) => Err(Refusal::DeadlineExceeded.into()),
            }
        })
    }

    async fn run(mut self, messages: mpsc::Sender<StreamVerifyLedgerResponse>) -> End {
        let (evidence, progress) = (self.evidence.clone(), self.progress.clone());
        let verifying = evidence.verify(&progress);
        tokio::pin!(verifying);
        let mut ticks = interval_at(Instant::now() + TELL_EVERY, TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut verifying => break result?,
                _ = ticks.tick() => {
                    self.tell(&messages)?;
                    self.recheck().await?;
                }
            }
        };
        let last = StreamVerifyLedgerResponse {
            entries_checked: result.entries_checked,
            entries_total: result.head_sequence,
            result: Some(result),
        };
        match timeout(self.stall_max, messages.send(last)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::ReaderStalled.into()),
        }
    }

    /// Tells how far it is, once that is known, also if it is no further: a stream is not silent.
    fn tell(&mut self, messages: &mpsc::Sender<StreamVerifyLedgerResponse>) -> End {
        let Some((entries_checked, entries_total)) = self.progress.reached() else {
            return Ok(());
        };
        let told = messages.try_send(StreamVerifyLedgerResponse {
            entries_checked,
            entries_total,
            result: None,
        });
        match told {
            Err(TrySendError::Full(_)) if self.taken.elapsed() >= self.stall_max => {
                return Err(Refusal::ReaderStalled.into());
            }
            Err(TrySendError::Full(_)) => {}
            Ok(()) | Err(TrySendError::Closed(_)) => self.taken = Instant::now(),
        }
        Ok(())
    }

    /// Whether what proved the caller still holds.
    async fn recheck(&mut self) -> End {
        if self.checked.elapsed() >= RECHECK {
            self.checked = Instant::now();
            self.caller.check().await?;
        }
        Ok(())
    }
}
