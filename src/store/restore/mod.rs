//! The comparison at a start: the database's ledger against its mirror, and what follows where they differ.
//!
//! Before anything is served, in one transaction with the head locked, so that a crash leaves it undone and two
//! replicas do it one after the other. What may be found ([`judge`]):
//!
//! - The database continues the mirror: nothing to do, the mirror follows by itself.
//! - A crash cut an act off between the mirror and the commit: the act is completed, with its number and hash. But a
//!   correction is given up: its values are nowhere.
//! - The database is behind: a backup was restored. Its ledger gets back what it lost, entry by entry as it was, so
//!   that no number is ever used twice and every checkpoint, receipt and idempotency key stays true; what those
//!   entries did to leads is done again ([`replay`]); and what cannot be had back is told ([`aftermath`]).
//! - Another replica has done that, and knew less than this mirror: the acts that only this one knows are done
//!   again, as new entries, and leads that only this one knows are told to be lost.
//! - They disagree and no restore explains it: refused, unless this replica saw a failover ([`super::history`]), or the
//!   operator says that the database is to be taken as it is (`lead-intake mirror apply`); then as above.

mod aftermath;
mod judge;
mod replay;

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::Pool;

use self::judge::Judgement;
use super::{
    Result, StoreError,
    bulk::{Bulk, ColumnType},
    dialect::{Columns as _, Dialect},
    error::retrying,
    sql::{statements, to_hash},
    tx::Tx,
};
use crate::{
    domain::lead::LeadId,
    ledger::{
        Head,
        mirror::{Batch, Mirror},
    },
};

statements! {
    // Changes nothing, and locks the head until the end of the transaction.
    LOCK_HEAD = "UPDATE ledger_head SET sequence = sequence WHERE id = 1 \
                 RETURNING sequence, hash, at";
    SET_HEAD = "UPDATE ledger_head SET sequence = $1, hash = $2, at = $3 WHERE id = 1";
    HASH = "SELECT hash, kind FROM ledger WHERE sequence = $1";
    // No index has the kind: what is read is what the mirror does not have.
    LAST_RESTORED = "SELECT COALESCE(MAX(sequence), 0) FROM ledger WHERE kind = 19 AND sequence > $1";
    ADD_CLIENT = "INSERT INTO client (id, name, role, relation, created_at) \
                  VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    REVOKE = "UPDATE token SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL";
    // Submissions whose leads went with the restore: no row, and nothing that says why.
    LOST = "SELECT submitted.lead_id, submitted.sequence FROM ledger AS submitted \
            WHERE submitted.kind = 1 AND submitted.sequence > $1 AND submitted.sequence <= $2 \
            AND NOT EXISTS (SELECT 1 FROM lead WHERE lead.id = submitted.lead_id) \
            AND NOT EXISTS (SELECT 1 FROM ledger AS tombstone \
                WHERE tombstone.lead_id = submitted.lead_id AND tombstone.kind IN (7, 8)) \
            ORDER BY submitted.sequence LIMIT $3";
    // The same of one whose submission's number is another entry's by now.
    IS_LOST = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM lead WHERE lead.id = $1) \
               AND NOT EXISTS (SELECT 1 FROM ledger WHERE ledger.lead_id = $1 AND ledger.kind IN (7, 8))";
    // By each restore since the backup, which did not know of them, and this one: no epoch comes twice.
    NEXT_EPOCH = "UPDATE store SET epoch = epoch + (SELECT COUNT(*) FROM ledger \
                  WHERE kind = 19 AND sequence > $1) WHERE id = 1";
    ADD_CONSUMERS = "INSERT INTO consumer (client_id, delivered, acknowledged) \
                     SELECT id, 0, 0 FROM client WHERE role = 2 ON CONFLICT (client_id) DO NOTHING";
    // Whoever may have been given something since the backup counts as having been given it.
    ADD_DELIVERIES = "INSERT INTO delivery (client_id, upto, snapshot, delivered_at) \
                      SELECT client_id, $1, $2, $3 FROM consumer WHERE delivered < $1 \
                      ON CONFLICT (client_id, upto) DO NOTHING";
    // What a page passed over while it was restricted, and may have given since: what could be read when the backup
    // was taken, or was released since.
    DISCLOSE_READABLE = "UPDATE withheld SET disclosed_at = $1 WHERE disclosed_at IS NULL \
                         AND (SELECT lead.restrictions FROM lead \
                         WHERE lead.id = withheld.lead_id) = 0";
    DISCLOSE_RELEASED = "UPDATE withheld SET disclosed_at = $1 WHERE disclosed_at IS NULL \
                         AND EXISTS (SELECT 1 FROM ledger WHERE ledger.lead_id = withheld.lead_id \
                         AND ledger.kind = 5 AND ledger.sequence > $2)";
    DISCLOSE = "UPDATE withheld SET disclosed_at = $1 WHERE disclosed_at IS NULL AND lead_id = $2";
    START_AGAIN = "UPDATE consumer SET acknowledged = 0, \
                   delivered = CASE WHEN delivered < $1 THEN $1 ELSE delivered END";
}

pub(super) static DELETE_LEADS: Bulk =
    Bulk::new("DELETE FROM lead WHERE (id) IN (", &[ColumnType::Uuid], ")");

/// What a restore did.
#[derive(Debug, Default)]
struct Restored {
    /// The last entry that the database still had.
    from: i64,
    /// Entries that it got back.
    put_back: i64,
    /// Leads that the backup still had and that are erased again.
    erased: u64,
    /// Leads that were submitted after the backup and are lost.
    lost: i64,
    /// Leads that are restricted because their correction is lost.
    contested: i64,
}

impl Restored {
    fn log(&self, acts_again: usize) {
        tracing::warn!(
            from = self.from,
            put_back = self.put_back,
            erased_again = self.erased,
            lost = self.lost,
            contested = self.contested,
            acts_again,
            "the database was behind its mirror: a backup was restored or a failover lost something, and what was erased since is erased again"
        );
    }
}

/// A restore, or a completion, under way.
struct Restoration<DB: Dialect> {
    tx: Tx<'static, DB>,
    head: Head,
    now: Timestamp,
    /// Leads whose correction is lost.
    contested: BTreeSet<LeadId>,
    done: Restored,
}

/// Brings the database in step with its mirror.
pub(super) async fn reconcile<DB: Dialect>(
    pool: &Pool<DB>,
    mirror: &Mirror,
    ahead: &[Batch],
    takes_other_history: bool,
    now: Timestamp,
) -> Result<()> {
    retrying(|| reconcile_once(pool, mirror, ahead, takes_other_history, now)).await
}

async fn reconcile_once<DB: Dialect>(
    pool: &Pool<DB>,
    mirror: &Mirror,
    ahead: &[Batch],
    takes_other_history: bool,
    now: Timestamp,
) -> Result<()> {
    let mut tx = Tx::begin(pool).await?;
    let head = tx.lock_head().await?;
    let judgement = judge::judge(&mut tx, head, mirror, ahead, takes_other_history).await?;
    if judgement.is_in_step() {
        return Ok(());
    }
    let Judgement {
        agreed,
        is_behind,
        is_forked,
        is_restored,
        completed,
        again,
    } = judgement;
    let done = Restored {
        from: head.sequence,
        ..Restored::default()
    };
    let mut restoration = Restoration {
        tx,
        head,
        now,
        contested: BTreeSet::new(),
        done,
    };
    if is_restored {
        restoration.note_readable().await?;
    }
    if is_behind {
        restoration.put_back_all(mirror.lines(agreed)?).await?;
    }
    restoration.put_back(&completed).await?;
    restoration.move_head().await?;
    if is_restored {
        let displaced = is_forked.then(|| mirror.lines(agreed)).transpose()?;
        restoration.tell_all(displaced, agreed, &again).await?;
    }
    let done = restoration.done;
    restoration.tx.commit().await?;
    if is_forked {
        mirror.set_aside()?;
    } else if !again.is_empty() {
        mirror.set_aside_ahead()?;
    }
    if is_restored {
        done.log(again.len());
    } else {
        tracing::warn!(
            entries = completed.len(),
            "completed an act that a crash had cut off"
        );
    }
    Ok(())
}

impl<DB: Dialect> Tx<'_, DB> {
    /// The head, locked until the end of the transaction.
    async fn lock_head(&mut self) -> Result<Head> {
        let row = self.fetch_optional(LOCK_HEAD, Vec::new()).await?;
        let row = row.ok_or(StoreError::Corrupt("the ledger has no head"))?;
        Ok(Head {
            sequence: row.int(0)?,
            hash: to_hash(row.bytes(1)?)?,
            at: row.int(2)?,
        })
    }
}
