//! A transaction, and the little that every statement needs.

use sqlx::{Pool, Transaction};

use super::{
    Result,
    bulk::Bulk,
    dialect::{Dialect, Value},
};

/// A transaction that writes. Dropped without [`Tx::commit`], it is rolled back.
pub(super) struct Tx<DB: Dialect>(Transaction<'static, DB>);

impl<DB: Dialect> Tx<DB> {
    pub(super) async fn begin(pool: &Pool<DB>) -> Result<Self> {
        Ok(Self(pool.begin_with(DB::BEGIN_WRITE).await?))
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
