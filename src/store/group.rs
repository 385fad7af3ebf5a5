//! Group commit: submissions that arrive together share one transaction.
//!
//! A bounded queue, and a writer that takes what is waiting, at most [`BATCH_MAX`], and writes it at once. Nothing waits for
//! a batch to fill: with an empty queue a submission is written alone. One writer: a second would only wait for the
//! first, on SQLite for its lock, on PostgreSQL for the ledger's head, and both would have smaller batches.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::FutureExt as _;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{Result, StoreError, Submission, dialect::Dialect, intake::Writer, sql::Sql};
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

/// The queue, and the writer behind it.
pub(super) struct Queue {
    /// `None` once the store closes.
    sender: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Queue {
    /// Starts the writer.
    pub(super) fn start<DB: Dialect>(sql: &Sql<DB>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let writer = tokio::spawn(write(sql.clone(), receiver));
        Self {
            sender: Mutex::new(Some(sender)),
            writer: Mutex::new(Some(writer)),
        }
    }

    /// Hands over a submission and waits for its result. A caller that goes away before the writer has
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
        let writer = lock(&self.writer).take();
        if let Some(writer) = writer {
            let _ = writer.await;
        }
    }
}

/// A panic while one of these is held leaves nothing half-done in it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write<DB: Dialect>(sql: Sql<DB>, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH_MAX);
    let writer = Writer::new();
    while queue.recv_many(&mut jobs, BATCH_MAX).await > 0 {
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
        let written = AssertUnwindSafe(sql.submit_batch(&jobs, &writer))
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
                // Who came meanwhile would wait as long again, for a database that may be silent for longer. Nothing of theirs
                // was begun.
                while error.is_silence()
                    && let Ok(job) = queue.try_recv()
                {
                    let _ = job.answer.send(Err(error.clone()));
                }
            }
        }
    }
}
