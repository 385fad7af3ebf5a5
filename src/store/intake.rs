//! Submissions: a batch of them in one transaction, each with its own result.
//!
//! The batch is written as if no key were a repeat. Where one is, the ledger's unique index refuses it,
//! nothing is written, the repeats are answered from what they repeat, and the rest is tried again. So the
//! common case pays nothing for the rare one, and two replicas with the same key agree by the index.

use std::collections::HashMap;

use async_trait::async_trait;
use tokio::time::timeout;

use super::{
    IntakeStore, Result, Submission, Withdrawal,
    bulk::{
        Bulk,
        ColumnType::{Bool, Bytes, Int, Text, Uuid},
    },
    dialect::{Columns as _, Dialect, Value, values},
    error::retrying,
    foreseen::Foreseen,
    group::Job,
    kept::{Kept, Lent},
    sql::{Sql, SqlStore},
    tx::Tx,
};
use crate::{
    clock::from_micros,
    domain::{lead::LeadId, retention::RetentionPolicy},
    ledger::{EntryKind, NewEntry},
    seal::SealedLead,
};

pub(super) static INSERT_LEADS: Bulk = Bulk::new(
    "INSERT INTO lead (id, sealed, key_id, email_index, phone_index, content_mac, lawful_basis, \
     consent, notice_version, submitted_at, restrictions, revision, index_key_id)",
    &[
        Uuid, Bytes, Int, Bytes, Bytes, Bytes, Int, Bool, Text, Int, Int, Int, Int,
    ],
    "",
);

pub(super) static FIND_REQUESTS: Bulk = Bulk::new(
    // A join, and in this order: by a list of pairs SQLite does not use an index that is a partial one.
    "WITH wanted (client_id, request_id) AS (",
    &[Int, Uuid],
    ") SELECT ledger.client_id, ledger.request_id, ledger.kind, ledger.lead_id, lead.content_mac, \
     lead.submitted_at FROM wanted CROSS JOIN ledger LEFT JOIN lead ON lead.id = ledger.lead_id \
     WHERE ledger.client_id = wanted.client_id AND ledger.request_id = wanted.request_id",
);

/// Submissions that are written at once, none of which is a repeat as far as is known.
pub(super) struct Batch<'j> {
    jobs: Vec<&'j Job>,
    /// Their entries, in the same order.
    pub(super) entries: Vec<NewEntry>,
    /// The oldest generation of the key ring that one was sealed with.
    pub(super) ring: i64,
}

impl<'j> Batch<'j> {
    fn of(jobs: &'j [Job], places: &[usize]) -> Self {
        let mut jobs: Vec<&Job> = places.iter().map(|place| &jobs[*place]).collect();
        // Which of them comes first is nobody's business. In order of time SQLite puts each lead behind the last one, without a search.
        jobs.sort_unstable_by_key(|job| job.lead.id);
        let entry = |job: &&Job| {
            let entry = NewEntry::new(EntryKind::Submitted, job.client_id);
            entry.lead(job.lead.id).request(job.lead.request_id)
        };
        Self {
            entries: jobs.iter().map(entry).collect(),
            ring: jobs
                .iter()
                .map(|job| job.lead.ring)
                .min()
                .unwrap_or(i64::MAX),
            jobs,
        }
    }

    /// The rows of [`INSERT_LEADS`].
    pub(super) fn leads(&self) -> Vec<Value> {
        let mut values = Vec::with_capacity(self.jobs.len() * INSERT_LEADS.width());
        for Job { lead, .. } in &self.jobs {
            values.extend(values![
                lead.id.uuid(),
                lead.sealed.as_slice(),
                i64::from(lead.key_id),
                lead.index.email,
                lead.index.phone,
                lead.content_mac,
                lead.basis as i64,
                lead.consent,
                lead.notice_version.as_str(),
                lead.submitted_at.as_microsecond(),
                0,
                1,
                i64::from(lead.index_key_id),
            ]);
        }
        values
    }
}

/// What the queue's writer keeps from one batch to the next.
pub(super) struct Writer<DB: Dialect> {
    kept: Kept<DB>,
    foreseen: Foreseen,
}

impl<DB: Dialect> Writer<DB> {
    pub(super) fn new() -> Self {
        Self {
            kept: Kept::new(),
            foreseen: Foreseen::default(),
        }
    }
}

/// A client and its idempotency key.
type RequestKey = (i64, uuid::Uuid);

/// What an earlier call with the same key left.
struct Earlier {
    submission: bool,
    /// Identifier, content and time of its lead, if that is still there.
    lead: Option<(LeadId, Vec<u8>, i64)>,
}

#[async_trait]
impl<DB: Dialect> IntakeStore for SqlStore<DB> {
    async fn submit(&self, client_id: i64, lead: SealedLead) -> Result<Submission> {
        self.queue.submit(client_id, lead).await
    }

    async fn repeat(&self, client_id: i64, lead: &SealedLead) -> Result<Option<Submission>> {
        let key = (client_id, lead.request_id);
        let earlier = self.sql.earlier(values![key.0, key.1]).await?;
        Ok(earlier
            .get(&key)
            .map(|earlier| answer_repeat(earlier, lead)))
    }

    async fn withdraw(
        &self,
        client_id: i64,
        id: LeadId,
        policy: &RetentionPolicy,
    ) -> Result<Withdrawal> {
        let withdraw = || self.owed.withdraw(client_id, id, policy);
        self.owed.on_ballast(|| retrying(withdraw)).await
    }
}

impl<DB: Dialect> Sql<DB> {
    /// Writes a batch. On an error nothing is written, or it is not known whether it was.
    pub(super) async fn submit_batch(
        &self,
        jobs: &[Job],
        writer: &Writer<DB>,
    ) -> Result<Vec<Submission>> {
        let mut results: Vec<Option<Submission>> = vec![None; jobs.len()];
        // A key that stands twice in the batch is written once; the second is answered as a repeat.
        let mut seen = HashMap::new();
        let mut doubled = false;
        let mut fresh: Vec<usize> = Vec::with_capacity(jobs.len());
        for (place, job) in jobs.iter().enumerate() {
            if seen
                .insert((job.client_id, job.lead.request_id), place)
                .is_none()
            {
                fresh.push(place);
            } else {
                doubled = true;
            }
        }
        // Each round that finds a repeat leaves fewer for the next; another replica, or an act,
        // may take a key between two rounds.
        while !fresh.is_empty() {
            match retrying(|| self.insert_batch(jobs, &fresh, writer)).await {
                Ok(()) => {
                    for place in fresh.drain(..) {
                        results[place] = Some(stored(&jobs[place].lead));
                    }
                }
                Err(error) if error.is_unique_violation() => {
                    let tried = fresh.len();
                    self.answer_repeats(jobs, &mut results).await?;
                    fresh.retain(|place| results[*place].is_none());
                    if fresh.len() == tried {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if doubled {
            self.answer_repeats(jobs, &mut results).await?;
        }
        // Every place is fresh, a repeat of an earlier call, or a repeat within the batch.
        Ok(results
            .into_iter()
            .map(|result| result.unwrap_or(Submission::RequestIdReused))
            .collect())
    }

    async fn insert_batch(
        &self,
        jobs: &[Job],
        places: &[usize],
        writer: &Writer<DB>,
    ) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        self.room.check()?;
        self.bound_tail().await?;
        let batch = Batch::of(jobs, places);
        let Writer { kept, foreseen } = writer;
        if let Some(mut old) = kept.take()
            && (self.append_foreseen(&mut old, &batch, foreseen).await?
                || self.insert_on(&mut old, &batch).await?)
        {
            kept.keep(old);
            return Ok(());
        }
        let mut new = Lent::of(&self.writer).await?;
        if !self.append_foreseen(&mut new, &batch, foreseen).await? {
            let tx = self.begin_on(&mut new).await?;
            self.write_leads(tx, &batch).await?;
        }
        kept.keep(new);
        Ok(())
    }

    /// On a connection that was kept. It may have died: with nothing begun that is no error, and the answer is no.
    async fn insert_on(&self, kept: &mut DB::Connection, batch: &Batch<'_>) -> Result<bool> {
        let begun = timeout(DB::KEEP_MAX, self.begin_on(kept)).await;
        let Ok(Ok(tx)) = begun else {
            return Ok(false);
        };
        self.write_leads(tx, batch).await?;
        Ok(true)
    }

    async fn write_leads(&self, mut tx: Tx<'_, DB>, batch: &Batch<'_>) -> Result<()> {
        tx.depends_on_ring(batch.ring);
        tx.execute_bulk(&INSERT_LEADS, batch.leads()).await?;
        let entries = tx.append(&batch.entries, self.clock.now()).await?;
        tx.commit().await?;
        self.signal.moved(&entries);
        Ok(())
    }

    /// Answers every call of the batch whose key was used before.
    async fn answer_repeats(&self, jobs: &[Job], results: &mut [Option<Submission>]) -> Result<()> {
        let open: Vec<&Job> = jobs
            .iter()
            .zip(&*results)
            .filter(|(_, r)| r.is_none())
            .map(|(job, _)| job)
            .collect();
        let mut values = Vec::with_capacity(open.len() * 2);
        for job in open {
            values.extend(values![job.client_id, job.lead.request_id]);
        }
        let earlier = self.earlier(values).await?;
        for (job, result) in jobs
            .iter()
            .zip(results)
            .filter(|(_, result)| result.is_none())
        {
            *result = earlier
                .get(&(job.client_id, job.lead.request_id))
                .map(|earlier| answer_repeat(earlier, &job.lead));
        }
        Ok(())
    }

    /// What earlier calls with these keys left.
    async fn earlier(&self, keys: Vec<Value>) -> Result<HashMap<RequestKey, Earlier>> {
        let mut earlier: HashMap<RequestKey, Earlier> = HashMap::new();
        // Through the writer: on a replica that lags, a reader might not see the row it lost to.
        let mut connection = self.writer.acquire().await?;
        for (sql, values) in DB::bulk(&FIND_REQUESTS, keys) {
            for row in DB::fetch(&mut connection, sql, values).await? {
                let lead = match (row.opt_uuid(3)?, row.opt_bytes(4)?, row.opt_int(5)?) {
                    (Some(id), Some(mac), Some(at)) => Some((id.into(), mac, at)),
                    _ => None,
                };
                let submission = row.int(2)? == EntryKind::Submitted as i64;
                earlier.insert((row.int(0)?, row.uuid(1)?), Earlier { submission, lead });
            }
        }
        Ok(earlier)
    }
}

fn stored(lead: &SealedLead) -> Submission {
    Submission::Stored {
        id: lead.id,
        submitted_at: lead.submitted_at,
    }
}

fn answer_repeat(earlier: &Earlier, lead: &SealedLead) -> Submission {
    match &earlier.lead {
        _ if !earlier.submission => Submission::RequestIdReused,
        None => Submission::LeadErased,
        Some((id, mac, at)) if is_same(mac, lead) => Submission::Stored {
            id: *id,
            submitted_at: from_micros(*at),
        },
        Some(_) => Submission::RequestIdReused,
    }
}

/// Whether a stored submission was the one that comes again, by the hash under either index key. Without a hash
/// (the lead was corrected, and its index key rotated) the key of the submission alone has to do.
fn is_same(stored_mac: &[u8], again: &SealedLead) -> bool {
    stored_mac.is_empty()
        || stored_mac == again.content_mac
        || again.other_mac.is_some_and(|mac| stored_mac == mac)
}
