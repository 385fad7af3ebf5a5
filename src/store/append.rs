//! How the ledger is written to; submissions have a shorter way ([`super::foreseen`]).
//!
//! Called last in a writing transaction, once: it locks the head's row until the commit, so that numbers
//! become visible in order and without gaps, on SQLite and on PostgreSQL with any number of replicas. A plain
//! sequence is not safe: 21 % of acknowledged rows were skipped by a cursor at 16 writers.

use jiff::Timestamp;

use super::{
    Result, StoreError,
    bulk::{
        Bulk,
        ColumnType::{self, Bytes, Int, Uuid},
    },
    dialect::{Columns as _, Dialect, Value, values},
    sql::{statements, to_hash},
    tx::Tx,
};
use crate::{
    domain::lead::LeadId,
    ledger::{Entry, Hash, Head, NewEntry, mirror::Line},
};

statements! {
    LOCK_HEAD = "UPDATE ledger_head SET sequence = sequence + $1 WHERE id = 1 \
                 RETURNING sequence, hash, at, ring_min";
    MOVE_HEAD = "UPDATE ledger_head SET hash = $1, at = $2 WHERE id = 1";
}

const INSERT: &str = "INSERT INTO ledger \
     (sequence, kind, lead_id, client_id, request_id, detail, submission, at, hash)";
const COLUMNS: &[ColumnType] = &[Int, Int, Uuid, Int, Uuid, Int, Int, Int, Bytes];

/// Entries as they are.
pub(super) static INSERT_ENTRIES: Bulk = Bulk::new(INSERT, COLUMNS, "");
/// Entries, and the head that the last of them makes: whoever waits for the head waits for one round trip less.
pub(super) static APPEND_ENTRIES: Bulk = Bulk::new(INSERT, COLUMNS, "").beside(MOVE_HEAD, 2);

impl<DB: Dialect> Tx<'_, DB> {
    /// Appends entries. Nothing but the commit may follow it in a transaction, and before it a look at
    /// what the entries say: with the head locked, no other call can change it any more.
    pub(super) async fn append(
        &mut self,
        entries: &[NewEntry],
        now: Timestamp,
    ) -> Result<Vec<Entry>> {
        if entries.iter().any(|it| it.kind.may_wait()) {
            self.room.check()?;
        }
        let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        // Before it asks: of an answer that comes late, as to a process that was stopped, the lock may be lost by then, and
        // others have gone on from there.
        let known = self.history.known();
        let rows = self.fetch(LOCK_HEAD, values![count]).await?;
        let row = rows
            .first()
            .ok_or(StoreError::Corrupt("the ledger has no head"))?;
        // With the head locked it cannot be raised any more before the commit.
        self.check_ring(row.int(3)?)?;
        let mut head = Head {
            sequence: row.int(0)? - count,
            hash: to_hash(row.bytes(1)?)?,
            at: row.int(2)?,
        };
        self.history.check_head(known, head)?;
        let previous = head.hash;
        let now = now.as_microsecond();
        let entries: Vec<Entry> = entries.iter().map(|new| head.append(*new, now)).collect();
        let rows = entry_rows(values![head.hash, head.at], &entries);
        self.execute_bulk(&APPEND_ENTRIES, rows).await?;
        self.write_ahead(previous, &entries).await?;
        Ok(entries)
    }

    /// Inserts entries as they are.
    pub(super) async fn insert_entries(&mut self, entries: &[Entry]) -> Result<()> {
        let rows = entry_rows(Vec::new(), entries);
        self.execute_bulk(&INSERT_ENTRIES, rows).await?;
        Ok(())
    }

    /// Has the mirror write down what is about to be committed, if it ends or limits processing. Last, when the
    /// database has taken everything: what fails before leaves nothing in the mirror.
    async fn write_ahead(&mut self, previous: Hash, entries: &[Entry]) -> Result<()> {
        let Some(mirror) = &self.mirror else {
            return Ok(());
        };
        if !entries.iter().any(|it| it.new.kind.is_written_ahead()) {
            return Ok(());
        }
        let mut lines: Vec<Line> = entries.iter().copied().map(Line::from).collect();
        // The request is the first entry, or there is none.
        if let Some(line) = lines.first_mut() {
            line.request = self.request;
        }
        self.ahead = Some(mirror.write_ahead(previous, lines).await?);
        Ok(())
    }
}

/// These values, and behind them the rows of the entries.
pub(super) fn entry_rows(mut values: Vec<Value>, entries: &[Entry]) -> Vec<Value> {
    values.reserve(entries.len() * COLUMNS.len());
    for entry in entries {
        values.extend(values![
            entry.sequence,
            entry.new.kind as i64,
            entry.new.lead_id.map(LeadId::uuid),
            entry.new.client_id,
            entry.new.request_id,
            entry.new.detail,
            entry.new.submission,
            entry.at,
            entry.hash,
        ]);
    }
    values
}
