//! A transaction, and the little that every statement needs.

use std::sync::Arc;

use sqlx::{Connection as _, Pool, Transaction};

use super::{
    Result, StoreError,
    broken::Broken,
    bulk::Bulk,
    dialect::{Dialect, Value, in_time},
    history::History,
    room::Room,
    sql::Sql,
};
use crate::{
    ledger::mirror::{Mirror, RequestFacts, WrittenAhead},
    telemetry::traces,
};

/// A transaction that writes. Dropped without [`Tx::commit`], it is rolled back.
pub(super) struct Tx<'c, DB: Dialect> {
    inner: Transaction<'c, DB>,
    /// The generation of the key ring that it depends on.
    ring: i64,
    /// Where what ends or limits processing is written ahead.
    pub(super) mirror: Option<Arc<Mirror>>,
    /// What is recorded of the person's request that this transaction answers.
    pub(super) request: Option<RequestFacts>,
    /// What was written ahead for this transaction.
    pub(super) ahead: Option<WrittenAhead>,
    /// Hears of a failed flush.
    broken: Broken,
    /// Knows what is committed.
    pub(super) history: History,
    /// Hears of a full disk.
    pub(super) room: Room,
    /// Its span, if its call is traced.
    trace: Option<traces::Transaction>,
}

impl<DB: Dialect> Sql<DB> {
    /// Begins a transaction that writes, and whose acts the mirror hears of first.
    pub(super) async fn begin(&self) -> Result<Tx<'static, DB>> {
        self.watched(Tx::begin(&self.writer).await?)
    }

    /// The same on a connection of the writers, which may be used for another one afterwards.
    pub(super) async fn begin_on<'c>(
        &self,
        connection: &'c mut DB::Connection,
    ) -> Result<Tx<'c, DB>> {
        self.watched(Tx::new(connection.begin_with(DB::BEGIN_WRITE)).await?)
    }

    fn watched<'c>(&self, mut tx: Tx<'c, DB>) -> Result<Tx<'c, DB>> {
        // Now, and not before the wait for the connection: what had it may have met the failure.
        self.broken.check()?;
        tx.broken = self.broken.clone();
        tx.history = self.signal.history().clone();
        tx.room = self.room.clone();
        tx.mirror.clone_from(&self.mirror);
        Ok(tx)
    }
}

impl<DB: Dialect> Tx<'static, DB> {
    /// Begins a transaction that the mirror hears of only when it is committed: one without acts on leads, or
    /// one whose acts come from there.
    pub(super) async fn begin(pool: &Pool<DB>) -> Result<Self> {
        Tx::new(pool.begin_with(DB::BEGIN_WRITE)).await
    }
}

impl<'c, DB: Dialect> Tx<'c, DB> {
    async fn new(begun: impl Future<Output = sqlx::Result<Transaction<'c, DB>>>) -> Result<Self> {
        // First: to get a connection from the pool is part of it.
        let trace = traces::Transaction::begin();
        Ok(Self {
            trace,
            inner: in_time::<DB, _>(begun).await?,
            ring: i64::MAX,
            mirror: None,
            request: None,
            ahead: None,
            broken: Broken::default(),
            history: History::default(),
            room: Room::default(),
        })
    }

    /// Says that what is written was sealed, or looked up, with a key ring of this generation. If that is too
    /// old when the head is locked, [`Tx::append`] fails.
    pub(super) fn depends_on_ring(&mut self, generation: i64) {
        self.ring = self.ring.min(generation);
    }

    /// Fails if the key ring that this depends on is older than the database allows.
    pub(super) fn check_ring(&self, ring_min: i64) -> Result<()> {
        if self.ring < ring_min {
            Err(StoreError::StaleRing)
        } else {
            Ok(())
        }
    }

    /// Runs a statement; gives the number of rows it changed.
    pub(super) async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        let done = DB::execute(&mut self.inner, sql, values).await;
        self.watch(done)
    }

    /// Runs a statement over many rows; gives the number it changed.
    pub(super) async fn execute_bulk(
        &mut self,
        bulk: &'static Bulk,
        values: Vec<Value>,
    ) -> Result<u64> {
        let mut changed = 0;
        for (sql, values) in DB::bulk(bulk, values) {
            changed += self.execute(sql, values).await?;
        }
        Ok(changed)
    }

    /// Runs a statement; gives its rows.
    pub(super) async fn fetch(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<DB::Row>> {
        let done = DB::fetch(&mut self.inner, sql, values).await;
        self.watch(done)
    }

    /// Runs a statement; gives its only row, if there is one.
    pub(super) async fn fetch_optional(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<DB::Row>> {
        Ok(self.fetch(sql, values).await?.into_iter().next())
    }

    /// Shows an answer of the database to who must hear of a disk that fails.
    fn watch<T>(&self, answer: sqlx::Result<T>) -> Result<T> {
        watch(&self.broken, &self.room, answer)
    }

    pub(super) async fn commit(self) -> Result<()> {
        let ahead = self.ahead.map(WrittenAhead::committing);
        let committed = in_time::<DB, _>(self.inner.commit()).await;
        watch(&self.broken, &self.room, committed)?;
        if let Some(trace) = self.trace {
            trace.committed();
        }
        // After an error nobody knows: the next start asks the database.
        if let Some(ahead) = ahead {
            ahead.committed();
        }
        Ok(())
    }
}

/// Shows an answer of the database to who must hear of a disk that fails.
pub(super) fn watch<T>(broken: &Broken, room: &Room, answer: sqlx::Result<T>) -> Result<T> {
    broken.watch(answer).inspect_err(|error| room.heed(error))
}
