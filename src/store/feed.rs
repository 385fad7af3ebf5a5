//! The feed: the changes in ledger order, as one client hears them.
//!
//! State-based: what a change shows is read at delivery, so an erased lead yields nothing but its tombstone
//! at every position. And a client hears nothing of a lead it was never given. For that each delivery is
//! recorded before it leaves: up to which number, and at which head (`snapshot`) it was read. A client was
//! given a lead if the first delivery that reaches its submission was read before the tombstone; but not if
//! the lead was restricted then: that is noted in `withheld`, with when it was given after all.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    Closed, FeedChange, FeedPage, FeedStore, Result, StoreError, StoredLead,
    dialect::{Columns, Dialect, values},
    error::{retrying, retrying_at_most},
    sql::{LEAD_COLUMNS, Sql, SqlStore, lead_at, lead_columns, statements},
};
use crate::{
    clock::from_micros,
    domain::{
        lead::{CloseOutcome, LeadId},
        retention::RetentionPolicy,
    },
    ledger::{EntryKind, NewEntry},
};

statements! {
    CONSUMER = "SELECT delivered, acknowledged FROM consumer WHERE client_id = $1";
    ADD_CONSUMER = "INSERT INTO consumer (client_id, delivered, acknowledged) VALUES ($1, 0, 0) \
                    ON CONFLICT (client_id) DO NOTHING";
    // One statement, so one snapshot on both databases: the leads, the head and the deliveries agree.
    PAGE = concat!(
        "SELECT ", lead_columns!(), ", ledger.sequence, ledger.kind, ledger.lead_id, ledger.at, \
         (SELECT sequence FROM ledger_head), \
         CASE WHEN ledger.kind IN (7, 8) THEN (SELECT delivery.snapshot FROM delivery \
             WHERE delivery.client_id = $1 AND delivery.upto >= ledger.submission \
             ORDER BY delivery.upto LIMIT 1) END, \
         CASE WHEN ledger.kind IN (7, 8) OR lead.restrictions <> 0 \
             THEN (SELECT MIN(reading.sequence) FROM ledger AS reading \
             WHERE reading.lead_id = ledger.lead_id AND reading.kind = 9 \
             AND reading.client_id = $1) END, \
         withheld.withheld_at, withheld.disclosed_at \
         FROM ledger LEFT JOIN lead ON lead.id = ledger.lead_id \
         LEFT JOIN withheld ON withheld.client_id = $1 AND withheld.lead_id = ledger.lead_id \
         WHERE ledger.sequence > $2 AND ledger.kind <= 8 ORDER BY ledger.sequence LIMIT $3"
    );
    // Fails, by changing no row, if another page of the client was recorded since this one was read.
    MOVE_DELIVERED = "UPDATE consumer SET delivered = $3 WHERE client_id = $1 AND delivered = $2";
    ADD_DELIVERY = "INSERT INTO delivery (client_id, upto, snapshot, delivered_at) \
                    VALUES ($1, $2, $3, $4)";
    WITHHOLD = "INSERT INTO withheld (client_id, lead_id, withheld_at) VALUES ($1, $2, $3) \
                ON CONFLICT (client_id, lead_id) DO NOTHING";
    DISCLOSE = "UPDATE withheld SET disclosed_at = $3 \
                WHERE client_id = $1 AND lead_id = $2 AND disclosed_at IS NULL";
    ACKNOWLEDGE = "UPDATE consumer SET acknowledged = $2, acknowledged_at = $3 \
                   WHERE client_id = $1 AND acknowledged < $2 AND delivered >= $2";
    // Only where there is a tombstone to acknowledge, between the position before and the one now.
    ADD_ACKNOWLEDGEMENT = "INSERT INTO acknowledgement (client_id, upto, acknowledged_at) \
                           SELECT $1, $2, $3 WHERE EXISTS (SELECT 1 FROM ledger \
                           WHERE kind IN (7, 8) AND sequence > $4 AND sequence <= $2) \
                           ON CONFLICT (client_id, upto) DO NOTHING";
    READ_LEAD = concat!(
        "SELECT ", lead_columns!(), " FROM lead WHERE lead.id = $1 AND lead.restrictions = 0"
    );
    HEAD = "SELECT sequence FROM ledger_head WHERE id = 1";
}

/// Rounds that a page takes part in when its client reads with several connections at once.
const PULLERS_MAX: usize = 32;
/// Rows read for one page before it is given back short: keeps a call over a long run of erased leads
/// from holding its caller and its connection.
const SCAN_MAX: i64 = 10_000;

/// A client's acknowledged position.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledgement {
    /// The position.
    pub position: i64,
    /// Entries behind it.
    pub behind: i64,
}

#[async_trait]
impl<DB: Dialect> FeedStore for SqlStore<DB> {
    fn epoch(&self) -> i64 {
        self.sql.signal.epoch()
    }

    fn head(&self) -> watch::Receiver<i64> {
        self.sql.head()
    }

    async fn page(&self, client_id: i64, after: Option<i64>, limit: i64) -> Result<FeedPage> {
        // Of several readers of one client one wins each round, and the others find less to record.
        let deliver = || self.sql.deliver(client_id, after, limit);
        let sql = &self.sql;
        sql.on_ballast(|| retrying_at_most(PULLERS_MAX, deliver))
            .await
    }

    async fn acknowledge(
        &self,
        client_id: i64,
        position: i64,
        now: Timestamp,
    ) -> Result<Option<Acknowledgement>> {
        let acknowledge = || self.sql.acknowledge(client_id, position, now);
        self.sql.on_ballast(acknowledge).await
    }

    async fn lead(&self, client_id: i64, id: LeadId) -> Result<Option<StoredLead>> {
        let sql = &self.sql;
        let mut tx = sql.begin().await?;
        if tx
            .fetch_optional(READ_LEAD, values![id.uuid()])
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let entry = NewEntry::new(EntryKind::LeadRead, client_id).lead(id);
        tx.append(&[entry], sql.clock.now()).await?;
        // Again, now that nothing else can come in between: an erasure may have been waiting for the
        // head too, and a lead that is given after its tombstone is one that its reader keeps.
        let Some(row) = tx.fetch_optional(READ_LEAD, values![id.uuid()]).await? else {
            return Ok(None);
        };
        tx.commit().await?;
        Ok(Some(lead_at(&row, 0)?))
    }

    async fn close_lead(
        &self,
        client_id: i64,
        id: LeadId,
        outcome: CloseOutcome,
        policy: &RetentionPolicy,
    ) -> Result<Option<Closed>> {
        let close = || self.sql.close(client_id, id, outcome, policy);
        self.sql.on_ballast(|| retrying(close)).await
    }
}

/// Where a client is in the feed.
struct Position {
    delivered: i64,
    acknowledged: i64,
}

/// Rows of the ledger on their way to a page. All that are shown were read in one snapshot: reading goes
/// on only while there is nothing to show.
struct Scan {
    page: FeedPage,
    /// The head at the time of the last reading.
    snapshot: i64,
    /// Leads that the client is passed for the first time, and may not be told of.
    withheld: Vec<LeadId>,
    /// Leads that were withheld from the client once, and are shown now.
    disclosed: Vec<LeadId>,
}

impl<DB: Dialect> Sql<DB> {
    async fn position(&self, client_id: i64) -> Result<Position> {
        if let Some(row) = self.read(CONSUMER, values![client_id]).await?.first() {
            return Ok(Position {
                delivered: row.int(0)?,
                acknowledged: row.int(1)?,
            });
        }
        let mut tx = self.begin().await?;
        tx.execute(ADD_CONSUMER, values![client_id]).await?;
        tx.commit().await?;
        Ok(Position {
            delivered: 0,
            acknowledged: 0,
        })
    }

    /// Reads a page and records its delivery.
    async fn deliver(&self, client_id: i64, after: Option<i64>, limit: i64) -> Result<FeedPage> {
        let position = self.position(client_id).await?;
        let start = after.unwrap_or(position.acknowledged);
        // Going on from there would pass over what was never delivered, and a later return to it would
        // disclose leads without a record.
        if start > position.delivered {
            return Err(StoreError::NotDelivered);
        }
        let mut scan = Scan::from(start);
        let mut scanned = 0;
        while scan.page.changes.is_empty() && scan.page.has_more && scanned < SCAN_MAX {
            self.scan(client_id, &position, limit, &mut scan).await?;
            scanned += limit;
        }
        if scan.page.next > position.delivered || !scan.disclosed.is_empty() {
            self.record_delivery(client_id, &position, &scan).await?;
        }
        Ok(scan.page)
    }

    /// Records what is about to be disclosed.
    async fn record_delivery(
        &self,
        client_id: i64,
        position: &Position,
        scan: &Scan,
    ) -> Result<()> {
        let now = self.clock.now().as_microsecond();
        let next = scan.page.next;
        let mut tx = self.begin().await?;
        if next > position.delivered {
            let place = values![client_id, position.delivered, next];
            if tx.execute(MOVE_DELIVERED, place).await? == 0 {
                return Err(StoreError::Contended);
            }
            // A page that discloses nothing is no delivery, but the client may acknowledge it.
            let last = scan.page.changes.last();
            if last.is_some_and(|change| change.sequence > position.delivered) {
                let row = values![client_id, next, scan.snapshot, now];
                tx.execute(ADD_DELIVERY, row).await?;
            }
        }
        for (sql, ids) in [(WITHHOLD, &scan.withheld), (DISCLOSE, &scan.disclosed)] {
            for id in ids {
                tx.execute(sql, values![client_id, id.uuid(), now]).await?;
            }
        }
        tx.commit().await
    }

    /// Reads on from where the scan is.
    async fn scan(
        &self,
        client_id: i64,
        position: &Position,
        limit: i64,
        scan: &mut Scan,
    ) -> Result<()> {
        // One row more than asked for tells whether the feed goes on.
        let place = values![client_id, scan.page.next, limit + 1];
        let rows = self.read(PAGE, place).await?;
        scan.page.has_more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
        let wanted = rows.len() - usize::from(scan.page.has_more);
        scan.page.changes.reserve(wanted);
        for row in &rows[..wanted] {
            scan.page.next = row.int(LEAD_COLUMNS)?;
            scan.snapshot = row.int(LEAD_COLUMNS + 4)?;
            scan.add(row, position.delivered)?;
        }
        Ok(())
    }

    async fn acknowledge(
        &self,
        client_id: i64,
        position: i64,
        now: Timestamp,
    ) -> Result<Option<Acknowledgement>> {
        let current = self.position(client_id).await?;
        if position > current.delivered {
            return Ok(None);
        }
        let mut tx = self.begin().await?;
        let now = now.as_microsecond();
        let moved = tx.execute(ACKNOWLEDGE, values![client_id, position, now]);
        if moved.await? == 1 {
            // A position that another call left meanwhile makes the range longer, which adds nothing new.
            let row = values![client_id, position, now, current.acknowledged];
            tx.execute(ADD_ACKNOWLEDGEMENT, row).await?;
        }
        let row = tx.fetch_optional(CONSUMER, values![client_id]).await?;
        let head = tx.fetch_optional(HEAD, Vec::new()).await?;
        tx.commit().await?;
        let (Some(row), Some(head)) = (row, head) else {
            return Err(StoreError::Corrupt("a client without a position"));
        };
        let position = row.int(1)?;
        Ok(Some(Acknowledgement {
            position,
            behind: head.int(0)? - position,
        }))
    }
}

impl Scan {
    fn from(position: i64) -> Self {
        Self {
            page: FeedPage {
                changes: Vec::new(),
                next: position,
                has_more: true,
            },
            snapshot: 0,
            withheld: Vec::new(),
            disclosed: Vec::new(),
        }
    }

    /// Adds the change in a row of [`PAGE`], if the client hears of it.
    fn add(&mut self, row: &impl Columns, delivered: i64) -> Result<()> {
        let sequence = row.int(LEAD_COLUMNS)?;
        let kind = EntryKind::from_number(row.int(LEAD_COLUMNS + 1)?)
            .ok_or(StoreError::Corrupt("an entry of an unknown kind"))?;
        let Some(lead_id) = row.opt_uuid(LEAD_COLUMNS + 2)?.map(LeadId::from) else {
            return Err(StoreError::Corrupt("a change without a lead"));
        };
        let given_at = row.opt_int(LEAD_COLUMNS + 5)?;
        let was_read = row.opt_int(LEAD_COLUMNS + 6)?.is_some();
        let was_disclosed = row.opt_int(LEAD_COLUMNS + 8)?.is_some();
        let was_withheld = row.opt_int(LEAD_COLUMNS + 7)?.is_some() && !was_disclosed;
        let lead = row.opt_bytes(1)?.map(|_| lead_at(row, 0)).transpose()?;
        let is_readable = lead.as_ref().is_some_and(|lead| lead.facts.is_readable());
        let heard = match &lead {
            None if kind.is_tombstone() => {
                let given = given_at.is_some_and(|snapshot| snapshot < sequence);
                was_read || was_disclosed || given && !was_withheld
            }
            None => false,
            Some(_) if is_readable => {
                // Released between two readings of this scan: it is given with this page.
                self.withheld.retain(|id| *id != lead_id);
                if was_withheld && !self.disclosed.contains(&lead_id) {
                    self.disclosed.push(lead_id);
                }
                true
            }
            // Restricted: whoever has it hears what happens to it, and nobody else.
            Some(_) => {
                let is_new = kind == EntryKind::Submitted && sequence > delivered;
                if is_new && !was_read {
                    self.withheld.push(lead_id);
                }
                was_read || !was_withheld && !self.withheld.contains(&lead_id)
            }
        };
        if heard {
            self.page.changes.push(FeedChange {
                sequence,
                kind,
                lead_id,
                at: from_micros(row.int(LEAD_COLUMNS + 3)?),
                lead: lead.filter(|_| is_readable),
            });
        }
        Ok(())
    }
}
