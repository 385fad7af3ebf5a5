//! Receipts of erasures, and what each CRM client has still to acknowledge (Art. 5(2), 19).
//!
//! Whether a client was given an erased lead is decided here as the feed decides it (`Scan::add` in
//! [`super::feed`]): a client owes an acknowledgement for exactly the tombstones that it hears. A test holds
//! the two equal. Everything here only reads, and names no person.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Result, StoreError,
    dialect::{Columns as _, Dialect, values},
    erase::REQUEST_ENTRIES,
    ledger::entry_at,
    residue::CleanUp,
    sql::{Sql, SqlStore, statements},
    standing::Standing,
    statistics::{OpenRequests, Statistics},
};
use crate::{
    clock::from_micros,
    domain::retention::RetentionPolicy,
    ledger::{Entry, Hash, genesis},
};

/// Gives account: receipts and counts, which name no person.
#[async_trait]
pub trait AccountStore: fmt::Debug + Send + Sync {
    /// An erasure and who had its leads. That of this client, else that of another one that answers the
    /// rights of people. `None`: there is none with this key.
    async fn receipt(&self, client_id: i64, request_id: Uuid) -> Result<Option<Receipt>>;

    /// What is to be done, quickly: of a client that has much to acknowledge, some 10,000 are counted.
    /// `cleared` is what the same caller learnt before.
    async fn duties(&self, cleared: &mut Cleared, now: Timestamp) -> Result<Duties>;

    /// How each client stands.
    async fn standings(&self, now: Timestamp) -> Result<Vec<Standing>>;

    /// Counts of everything.
    async fn statistics(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<Statistics>;
}

/// Whether client `$1` was given the lead of `tombstone`, which is joined with its row of `withheld`.
macro_rules! was_given {
    () => {
        "(EXISTS (SELECT 1 FROM ledger AS reading WHERE reading.lead_id = tombstone.lead_id \
             AND reading.kind = 9 AND reading.client_id = $1) \
         OR withheld.disclosed_at IS NOT NULL OR withheld.lead_id IS NULL AND (SELECT delivery.snapshot FROM delivery WHERE delivery.client_id = $1 \
             AND delivery.upto >= tombstone.submission ORDER BY delivery.upto LIMIT 1) \
             < tombstone.sequence)"
    };
}

statements! {
    // The caller's own first: two clients may have used the same key.
    ERASURE = "SELECT ledger.sequence, rights_request.detail, rights_request.leads \
               FROM client CROSS JOIN ledger CROSS JOIN rights_request \
               WHERE ledger.client_id = client.id AND ledger.request_id = $2 \
               AND rights_request.client_id = ledger.client_id \
               AND rights_request.request_id = ledger.request_id \
               AND (client.role = 3 OR client.id = $1) AND ledger.kind = 13 \
               ORDER BY CASE WHEN client.id = $1 THEN 0 ELSE 1 END, client.id LIMIT 1";
    // Revoked clients too: what they had, they have.
    CONSUMERS = "SELECT client.id, client.name, COALESCE(consumer.acknowledged, 0) FROM client \
                 LEFT JOIN consumer ON consumer.client_id = client.id \
                 WHERE client.role = 2 ORDER BY client.id";
    // Of the tombstones in a range: how many the client was given, how many of those it acknowledged, when
    // the last, and since when the oldest of the others is open.
    RECIPIENT = concat!(
        "SELECT COUNT(*), COUNT(given.acknowledged_at), MAX(given.acknowledged_at), \
         MIN(CASE WHEN given.acknowledged_at IS NULL THEN given.at END) \
         FROM (SELECT tombstone.at, (SELECT acknowledgement.acknowledged_at FROM acknowledgement \
             WHERE acknowledgement.client_id = $1 AND acknowledgement.upto >= tombstone.sequence \
             ORDER BY acknowledgement.upto LIMIT 1) AS acknowledged_at \
         FROM ledger AS tombstone LEFT JOIN withheld ON withheld.client_id = $1 \
             AND withheld.lead_id = tombstone.lead_id \
         WHERE tombstone.sequence > $2 AND tombstone.sequence <= $3 \
             AND tombstone.kind IN (7, 8) AND ", was_given!(), ") AS given"
    );
    // Of the next tombstones after a position: how many there are, the last, how many the client was given,
    // the first of those, and when that was.
    BACKLOG = concat!(
        "SELECT COUNT(*), MAX(scanned.sequence), COUNT(CASE WHEN scanned.given THEN 1 END), \
         MIN(CASE WHEN scanned.given THEN scanned.sequence END), \
         MIN(CASE WHEN scanned.given THEN scanned.at END) \
         FROM (SELECT tombstone.sequence, tombstone.at, ", was_given!(), " AS given \
         FROM (SELECT sequence, lead_id, submission, at FROM ledger \
             WHERE kind IN (7, 8) AND sequence > $2 ORDER BY sequence LIMIT $3) AS tombstone \
         LEFT JOIN withheld ON withheld.client_id = $1 \
             AND withheld.lead_id = tombstone.lead_id) AS scanned"
    );
}

/// Tombstones looked at by one statement: with some look-ups for each, well below its time limit.
const SCAN_MAX: i64 = 10_000;
/// Statements for one client in statistics: ten million tombstones that nobody acknowledged.
const SCANS_MAX: usize = 1000;
/// Statements for one client in a round of the metrics: beyond, they count on in the next round.
const SCANS_QUICK_MAX: usize = 4;

/// An erasure as it was recorded, and as it stands now.
#[derive(Debug)]
pub struct Receipt {
    /// The entries: the request, then one for each lead.
    pub entries: Vec<Entry>,
    /// The hash of the entry before them: the first one's record has it.
    pub previous: Hash,
    /// Why, as recorded.
    pub ground: i64,
    /// The CRM clients that had erased leads.
    pub recipients: Vec<Recipient>,
    /// What became of the bytes it left.
    pub clean_up: CleanUp,
}

/// A CRM client that had leads of an erasure.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Name of the client.
    pub client: String,
    /// Erased leads that it had.
    pub leads: i64,
    /// Tombstones of those that it acknowledged.
    pub acknowledged: i64,
    /// When it acknowledged the last of them; none while one is open.
    pub acknowledged_at: Option<Timestamp>,
    /// Since when the oldest that is open is.
    pub open_since: Option<Timestamp>,
}

/// What a CRM client has still to acknowledge.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// Name of the client.
    pub client: String,
    /// Tombstones that it was given and has not acknowledged.
    pub unacknowledged: i64,
    /// Since when the oldest of them is open.
    pub open_since: Option<Timestamp>,
}

/// What is to be done, by CRM clients and by the controller.
#[derive(Clone, Debug)]
pub struct Duties {
    /// Each CRM client.
    pub backlogs: Vec<Backlog>,
    /// Requests that are not settled.
    pub requests: OpenRequests,
}

/// Up to where each client is known to have nothing to acknowledge, so that a look at a client that was
/// given nothing for years is not a walk through those years each time. What was not given to a client
/// before its tombstone is never given later, so this only moves forward.
#[derive(Debug, Default)]
pub struct Cleared(BTreeMap<i64, i64>);

#[async_trait]
impl<DB: Dialect> AccountStore for SqlStore<DB> {
    async fn receipt(&self, client_id: i64, request_id: Uuid) -> Result<Option<Receipt>> {
        self.owed.receipt(client_id, request_id).await
    }

    async fn duties(&self, cleared: &mut Cleared, now: Timestamp) -> Result<Duties> {
        self.sql.duties(cleared, SCANS_QUICK_MAX, now).await
    }

    async fn standings(&self, now: Timestamp) -> Result<Vec<Standing>> {
        self.sql.standings(now).await
    }

    async fn statistics(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<Statistics> {
        let mut cleared = Cleared::default();
        let duties = self.sql.duties(&mut cleared, SCANS_MAX, now).await?;
        self.sql.statistics(duties, policy, now).await
    }
}

/// A CRM client and how far it acknowledged the feed.
struct Consumer {
    id: i64,
    name: String,
    acknowledged: i64,
}

impl<DB: Dialect> Sql<DB> {
    async fn receipt(&self, client_id: i64, request_id: Uuid) -> Result<Option<Receipt>> {
        let rows = self.read(ERASURE, values![client_id, request_id]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let first = row.int(0)?;
        let last = first + row.int(2)?;
        let mut receipt = Receipt {
            entries: Vec::new(),
            previous: genesis(self.store_id),
            ground: row.int(1)?,
            recipients: Vec::new(),
            clean_up: self.clean_up_of(last),
        };
        let range = values![first - 1, last];
        for row in self.read(REQUEST_ENTRIES, range).await? {
            let entry = entry_at(&row, 0)?;
            if entry.sequence < first {
                receipt.previous = entry.hash;
            } else {
                receipt.entries.push(entry);
            }
        }
        for consumer in self.consumers().await? {
            receipt
                .recipients
                .extend(self.recipient(consumer, first, last).await?);
        }
        Ok(Some(receipt))
    }

    async fn consumers(&self) -> Result<Vec<Consumer>> {
        let rows = self.read(CONSUMERS, Vec::new()).await?;
        rows.iter()
            .map(|row| {
                Ok(Consumer {
                    id: row.int(0)?,
                    name: row.text(1)?,
                    acknowledged: row.int(2)?,
                })
            })
            .collect()
    }

    /// What a client had of the leads whose tombstones lie in a range. `None`: nothing.
    async fn recipient(
        &self,
        consumer: Consumer,
        after: i64,
        last: i64,
    ) -> Result<Option<Recipient>> {
        let rows = self
            .read(RECIPIENT, values![consumer.id, after, last])
            .await?;
        let row = rows.first().ok_or(NO_COUNT)?;
        let (leads, acknowledged) = (row.int(0)?, row.int(1)?);
        if leads == 0 {
            return Ok(None);
        }
        let acknowledged_at = row.opt_int(2)?.filter(|_| acknowledged == leads);
        Ok(Some(Recipient {
            client: consumer.name,
            leads,
            acknowledged,
            acknowledged_at: acknowledged_at.map(from_micros),
            open_since: row.opt_int(3)?.map(from_micros),
        }))
    }

    async fn duties(
        &self,
        cleared: &mut Cleared,
        scans_max: usize,
        now: Timestamp,
    ) -> Result<Duties> {
        let mut backlogs = Vec::new();
        for consumer in self.consumers().await? {
            let cleared = cleared.0.entry(consumer.id).or_default();
            *cleared = consumer.acknowledged.max(*cleared);
            backlogs.push(self.backlog(consumer, cleared, scans_max).await?);
        }
        Ok(Duties {
            backlogs,
            requests: self.open_requests(now).await?,
        })
    }

    /// What a client has still to acknowledge, as far as `scans_max` statements see.
    async fn backlog(
        &self,
        consumer: Consumer,
        cleared: &mut i64,
        scans_max: usize,
    ) -> Result<Backlog> {
        let mut backlog = Backlog {
            client: consumer.name,
            unacknowledged: 0,
            open_since: None,
        };
        let mut after = *cleared;
        for _ in 0..scans_max {
            let range = values![consumer.id, after, SCAN_MAX];
            let rows = self.read(BACKLOG, range).await?;
            let row = rows.first().ok_or(NO_COUNT)?;
            let Some(last) = row.opt_int(1)? else { break };
            backlog.unacknowledged += row.int(2)?;
            if backlog.open_since.is_none() {
                *cleared = row.opt_int(3)?.map_or(last, |first| first - 1);
                backlog.open_since = row.opt_int(4)?.map(from_micros);
            }
            after = last;
            if row.int(0)? < SCAN_MAX {
                break;
            }
        }
        Ok(backlog)
    }
}

/// A statement that counts gives a row, whatever it finds.
const NO_COUNT: StoreError = StoreError::Corrupt("a count without a row");
