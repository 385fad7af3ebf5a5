//! A transaction, and the little that every statement needs.

use sqlx::{Pool, Transaction};

use super::{
    Result, StoreError,
    bulk::Bulk,
    dialect::{Dialect, Value},
};

/// A transaction that writes. Dropped without [`Tx::commit`], it is rolled back.
pub(super) struct Tx<DB: Dialect>(Transaction<'static, DB>, Ring);

/// The generation of the key ring that a transaction depends on.
struct Ring(i64);

impl<DB: Dialect> Tx<DB> {
    pub(super) async fn begin(pool: &Pool<DB>) -> Result<Self> {
        let transaction = pool.begin_with(DB::BEGIN_WRITE).await?;
        Ok(Self(transaction, Ring(i64::MAX)))
    }

    /// Says that what is written was sealed, or looked up, with a key ring of this generation. If that is too
    /// old when the head is locked, [`Tx::append`] fails.
    pub(super) fn depends_on_ring(&mut self, generation: i64) {
        self.1.0 = self.1.0.min(generation);
    }

    /// Fails if the key ring that this depends on is older than the database allows.
    pub(super) fn check_ring(&self, ring_min: i64) -> Result<()> {
        if self.1.0 < ring_min {
            Err(StoreError::StaleRing)
        } else {
            Ok(())
        }
    }

    /// Runs a statement; gives the number of rows it changed.
    pub(super) async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        Ok(DB::execute(&mut self.0, sql, values).await?)
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
        Ok(DB::fetch(&mut self.0, sql, values).await?)
    }

    /// Runs a statement; gives its only row, if there is one.
    pub(super) async fn fetch_optional(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<DB::Row>> {
        Ok(self.fetch(sql, values).await?.into_iter().next())
    }

    pub(super) async fn commit(self) -> Result<()> {
        Ok(self.0.commit().await?)
    }
}
