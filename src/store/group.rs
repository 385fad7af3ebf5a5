//! Group commit: submissions that arrive together share one transaction.
//!
//! A bounded queue, and a few writers that each take what is waiting, at most [`BATCH_MAX`], and write it at
//! once. Nothing waits for a batch to fill: with an empty queue a submission is written alone.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::FutureExt as _;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, oneshot},
    task::JoinSet,
};

use super::{Result, StoreError, Submission, dialect::Dialect, kept::Kept, sql::Sql};
use crate::{seal::SealedLead, telemetry::traces};

/// Most submissions in one transaction: keeps it to a few milliseconds.
const BATCH_MAX: usize = 256;
/// Most submissions that wait: some tenths of a second of work, and 4 MiB of memory.
const QUEUE_MAX: usize = 4096;

/// A submission on its way to a writer.
pub(super) struct Job {
    pub(super) client_id: i64,
    pub(super) lead: SealedLead,
    answer: oneshot::Sender<Answer>,
    /// The call it comes from, if that is traced.
    trace: Option<traces::Place>,
}

type Answer = std::result::Result<Submission, Arc<StoreError>>;

/// The queue, and the writers behind it.
pub(super) struct Queue {
    /// `None` once the store closes.
    sender: Mutex<Option<mpsc::Sender<Job>>>,
    writers: Mutex<JoinSet<()>>,
}

impl Queue {
    /// Starts the writers.
    pub(super) fn start<DB: Dialect>(sql: &Sql<DB>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let receiver = Arc::new(AsyncMutex::new(receiver));
        let mut writers = JoinSet::new();
        for _ in 0..DB::WRITERS {
            writers.spawn(write(sql.clone(), receiver.clone()));
        }
        Self {
            sender: Mutex::new(Some(sender)),
            writers: Mutex::new(writers),
        }
    }

    /// Hands over a submission and waits for its result. A caller that goes away before a writer has
    /// taken its submission withdraws it; afterwards the submission happens.
    pub(super) async fn submit(&self, client_id: i64, lead: SealedLead) -> Result<Submission> {
        let (answer, result) = oneshot::channel();
        let sender = lock(&self.sender).clone().ok_or(StoreError::Closing)?;
        sender
            .try_send(Job {
                client_id,
                lead,
                answer,
                trace: traces::here(),
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::QueueFull,
                mpsc::error::TrySendError::Closed(_) => StoreError::Closing,
            })?;
        drop(sender);
        match result.await {
            Ok(answer) => answer.map_err(StoreError::Shared),
            // The writer is gone without an answer: it panicked, and what it wrote is not known.
            Err(_) => Err(StoreError::Lost),
        }
    }

    /// Takes no more, and waits until everything accepted is written.
    pub(super) async fn close(&self) {
        lock(&self.sender).take();
        let mut writers = std::mem::take(&mut *lock(&self.writers));
        while writers.join_next().await.is_some() {}
    }
}

/// A panic while one of these is held leaves nothing half-done in it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write<DB: Dialect>(sql: Sql<DB>, queue: Arc<AsyncMutex<mpsc::Receiver<Job>>>) {
    let mut jobs = Vec::with_capacity(BATCH_MAX);
    let kept = Kept::new();
    while queue.lock().await.recv_many(&mut jobs, BATCH_MAX).await > 0 {
        // Whoever no longer waits has withdrawn; nothing of theirs is written.
        let taken = jobs.len();
        jobs.retain(|job| !job.answer.is_closed());
        metrics::counter!("lead_intake_submit_withdrawn_total")
            .increment(u64::try_from(taken - jobs.len()).unwrap_or_default());
        if jobs.is_empty() {
            continue;
        }
        let size = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        metrics::histogram!("lead_intake_submit_batch_size").record(f64::from(size));
        let began = traces::time();
        // A panic costs its batch an answer ("not known"), never the queue its writer.
        let written = AssertUnwindSafe(sql.submit_batch(&jobs, &kept))
            .catch_unwind()
            .await;
        if let Some(began) = began {
            let is_committed = matches!(written, Ok(Ok(_)));
            for place in jobs.iter().filter_map(|job| job.trace.as_ref()) {
                traces::batch(place, began, size, is_committed);
            }
        }
        match written {
            Err(_) => jobs.clear(),
            Ok(Ok(results)) => {
                for (job, result) in jobs.drain(..).zip(results) {
                    let _ = job.answer.send(Ok(result));
                }
            }
            Ok(Err(error)) => {
                let error = Arc::new(error);
                for job in jobs.drain(..) {
                    let _ = job.answer.send(Err(error.clone()));
                }
            }
        }
    }
}
