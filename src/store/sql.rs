//! The generic store: its parts, and what its files share.

use std::{fmt, sync::Arc};

use sqlx::Pool;
use tokio::{sync::watch, task::AbortHandle};
use uuid::Uuid;

use super::{
    Result, StoreError, StoredLead, account, act, append,
    broken::Broken,
    bulk::Bulk,
    client,
    dialect::{Columns, Dialect, Value},
    disclosed, erase, feed, foreseen,
    group::Queue,
    history, intake, keys, ledger,
    lookup::{self, Indexed},
    mirror, open, packed, privacy, repeat, reseal,
    residue::Residue,
    restore,
    room::Room,
    signal::{self, Signal},
    signing, standing, statistics, sweep,
};
use crate::{
    clock::{SharedClock, from_micros},
    domain::lead::{CloseOutcome, Closing, LawfulBasis, LeadFacts, LeadId, Restrictions},
    ledger::{Hash, mirror::Mirror},
};

/// The store over one of the two databases.
pub(super) struct SqlStore<DB: Dialect> {
    pub(super) sql: Sql<DB>,
    /// The same for people's requests: on PostgreSQL with connections that nobody else can hold.
    pub(super) owed: Sql<DB>,
    /// The same for tokens and health, each of which is a matter of milliseconds.
    pub(super) vital: Sql<DB>,
    pub(super) queue: Queue,
    /// Tasks that end with the store; one of them holds a connection.
    pub(super) background: Vec<AbortHandle>,
}

/// The connections and what the store knows of its database.
pub(super) struct Sql<DB: Dialect> {
    /// Connections that write: one on SQLite.
    pub(super) writer: Pool<DB>,
    /// Connections that only read; on PostgreSQL the same.
    pub(super) reader: Pool<DB>,
    /// On SQLite: the connection that copies the log into the file beside the one that writes.
    pub(super) copier: Option<Pool<DB>>,
    /// Tells the ledger's last number.
    pub(super) signal: Signal,
    /// Knows what deletions left in the files.
    pub(super) residue: Residue,
    /// Knows how far the blind indexes have come.
    pub(super) indexed: Indexed,
    /// The ledger's copy outside; none for a command that acts on no lead.
    pub(super) mirror: Option<Arc<Mirror>>,
    /// Knows whether the database cannot be trusted any more.
    pub(super) broken: Broken,
    /// Knows whether the disk has room.
    pub(super) room: Room,
    pub(super) clock: SharedClock,
    pub(super) store_id: Uuid,
}

impl<DB: Dialect> Clone for Sql<DB> {
    fn clone(&self) -> Self {
        Self {
            writer: self.writer.clone(),
            reader: self.reader.clone(),
            copier: self.copier.clone(),
            signal: self.signal.clone(),
            residue: self.residue.clone(),
            indexed: self.indexed.clone(),
            mirror: self.mirror.clone(),
            broken: self.broken.clone(),
            room: self.room.clone(),
            clock: self.clock.clone(),
            ..*self
        }
    }
}

impl<DB: Dialect> fmt::Debug for SqlStore<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlStore<{}>", DB::NAME)
    }
}

impl<DB: Dialect> Sql<DB> {
    /// Runs one statement on a connection that only reads: one snapshot on both databases.
    pub(super) async fn read(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<DB::Row>> {
        let mut connection = self.reader.acquire().await?;
        // What a database went back to may be what somebody was erased from since.
        self.broken.check()?;
        Ok(DB::fetch(&mut connection, sql, values).await?)
    }

    /// The same over these connections.
    pub(super) fn over(&self, pool: &Pool<DB>) -> Self {
        Self {
            writer: pool.clone(),
            reader: pool.clone(),
            ..self.clone()
        }
    }

    pub(super) fn head(&self) -> watch::Receiver<i64> {
        self.signal.receiver()
    }
}

/// Names the constants of a file's statements, and lists them for the test that prepares them all.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$meta])* const $name: &str = $sql;)*
        pub(super) const STATEMENTS: &[&str] = &[$($name),*];
    };
}
pub(super) use statements;

/// Every statement that the store can send to one of the databases, for the test that prepares them on
/// both. `arrays`: in the form for PostgreSQL, which takes many rows as arrays.
#[must_use]
pub fn all_statements(arrays: bool) -> Vec<&'static str> {
    let lists = [
        account::STATEMENTS,
        act::STATEMENTS,
        append::STATEMENTS,
        client::STATEMENTS,
        erase::STATEMENTS,
        feed::STATEMENTS,
        history::STATEMENTS,
        keys::STATEMENTS,
        ledger::STATEMENTS,
        lookup::STATEMENTS,
        mirror::STATEMENTS,
        open::STATEMENTS,
        privacy::STATEMENTS,
        repeat::STATEMENTS,
        reseal::STATEMENTS,
        restore::STATEMENTS,
        signal::STATEMENTS,
        signing::STATEMENTS,
        standing::STATEMENTS,
        statistics::STATEMENTS,
        sweep::STATEMENTS,
    ];
    let bulks = [
        &append::INSERT_ENTRIES,
        &append::APPEND_ENTRIES,
        &intake::INSERT_LEADS,
        &intake::FIND_REQUESTS,
        &disclosed::FIND_DISCLOSURES,
        &erase::DELETE_LEADS,
        &mirror::FIND_FACTS,
        &privacy::UNCHANGED_LEADS,
        &restore::DELETE_LEADS,
    ];
    let of_one: Vec<&'static str> = if arrays {
        vec![foreseen::postgres_text(), packed::POSTGRES]
    } else {
        // Without its transaction.
        let foreseen: Vec<_> = foreseen::sqlite_text(1)
            .split("; ")
            .skip(1)
            .take(3)
            .collect();
        [lookup::TAIL_STATEMENTS, &[packed::SQLITE], &foreseen].concat()
    };
    lists
        .into_iter()
        .flatten()
        .copied()
        .chain(of_one)
        .chain(
            bulks
                .into_iter()
                .flat_map(|bulk: &'static Bulk| bulk.texts(arrays)),
        )
        .collect()
}

/// The columns that [`lead_at`] reads, in its order.
macro_rules! lead_columns {
    () => {
        "lead.id, lead.sealed, lead.lawful_basis, lead.consent, lead.notice_version, \
         lead.submitted_at, lead.closed_at, lead.closed_outcome, lead.restrictions, \
         lead.revision, lead.index_key_id"
    };
}
pub(super) use lead_columns;

/// The number of a lead's submission.
macro_rules! submission {
    () => {
        "(SELECT MIN(ledger.sequence) FROM ledger \
         WHERE ledger.lead_id = lead.id AND ledger.kind = 1)"
    };
}
pub(super) use submission;

/// The columns of a lead, and the number of its submission behind them: what `act::candidate_at` reads.
macro_rules! candidate_columns {
    () => {
        concat!(
            $crate::store::sql::lead_columns!(),
            ", ",
            $crate::store::sql::submission!()
        )
    };
}
pub(super) use candidate_columns;

/// The number of columns that [`lead_at`] reads.
pub(super) const LEAD_COLUMNS: usize = 11;

/// Reads a lead from the columns of `lead_columns!`, which begin at `start`.
pub(super) fn lead_at(row: &impl Columns, start: usize) -> Result<StoredLead> {
    Ok(StoredLead {
        sealed: row.bytes(start + 1)?,
        index_key_id: keys::key_id(row.int(start + 10)?)?,
        facts: LeadFacts {
            id: LeadId::from(row.uuid(start)?),
            basis: LawfulBasis::from_number(row.int(start + 2)?)
                .ok_or(StoreError::Corrupt("a lead without a lawful basis"))?,
            consent: row.bool(start + 3)?,
            notice_version: row.text(start + 4)?,
            submitted_at: from_micros(row.int(start + 5)?),
            closing: closing(row.opt_int(start + 6)?, row.opt_int(start + 7)?)?,
            restrictions: Restrictions::from_bits(row.int(start + 8)?),
            revision: row.int(start + 9)?,
        },
    })
}

fn closing(at: Option<i64>, outcome: Option<i64>) -> Result<Option<Closing>> {
    Ok(match (at, outcome.and_then(CloseOutcome::from_number)) {
        (None, _) => None,
        (Some(at), Some(outcome)) => Some(Closing {
            at: from_micros(at),
            outcome,
        }),
        (Some(_), None) => return Err(StoreError::Corrupt("a closed lead without an outcome")),
    })
}

pub(super) fn to_hash(bytes: Vec<u8>) -> Result<Hash> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Corrupt("a hash that is not 32 bytes long"))
}
