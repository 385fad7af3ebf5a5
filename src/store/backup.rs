//! Copies of a SQLite database while the service uses it.
//!
//! `VACUUM INTO` reads one moment of the database and writes a file that holds its rows and nothing else: no free
//! pages, and nothing of what was deleted before. It keeps the write-ahead log in use for as long as it runs, so
//! clean-ups wait for it and say so. PostgreSQL has its own tools.

use std::path::Path;

use sqlx::{
    Connection as _, SqliteConnection, migrate::Migrate as _, sqlite::SqliteConnectOptions,
};
use uuid::Uuid;

use super::{
    Result, StoreError,
    dialect::{Columns as _, Dialect as _, values},
    ledger::HEAD_ROW,
    open::{STORE_ROW, migration_error},
    sql::to_hash,
    sqlite::SQLITE_BUSY_TIMEOUT,
};
use crate::ledger::{Head, genesis};

type Sqlite = sqlx::Sqlite;

// Of SQLite alone, so not in `statements!`.
const PAGES: &str = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, \
                     pragma_freelist_count, pragma_page_size";
const COPY: &str = "VACUUM INTO $1";
const INTEGRITY: &str = "PRAGMA integrity_check(1)";
const LAST_ENTRY: &str = "SELECT sequence, hash FROM ledger ORDER BY sequence DESC LIMIT 1";

/// A SQLite file that may be in use.
#[derive(Debug)]
pub struct SqliteFile(SqliteConnection);

/// What a copy holds.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// Which store it is of.
    pub store_id: Uuid,
    /// Its restore epoch.
    pub epoch: i64,
    /// The end of its ledger.
    pub head: Head,
    /// Version of its schema.
    pub schema: i64,
}

impl SqliteFile {
    /// Opens a file to read it. Refuses a schema that is newer than this program.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(SQLITE_BUSY_TIMEOUT)
            .pragma("cell_size_check", "ON")
            .pragma("trusted_schema", "OFF");
        let mut file = Self(SqliteConnection::connect_with(&options).await?);
        file.schema().await?;
        Ok(file)
    }

    /// The bytes that a copy will have, about.
    pub async fn copy_bytes(&mut self) -> Result<u64> {
        let rows = Sqlite::fetch(&mut self.0, PAGES, Vec::new()).await?;
        let bytes = rows.first().map_or(Ok(0), |row| row.int(0))?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// Copies it into a file that does not exist yet, or is empty.
    pub async fn copy_to(&mut self, target: &Path) -> Result<()> {
        let target = target.to_str().ok_or_else(not_text)?;
        Sqlite::execute(&mut self.0, COPY, values![target]).await?;
        Ok(())
    }

    /// Reads it from end to end, and says what it holds. Fails if it is not a whole database with a ledger that
    /// ends where its head says.
    pub async fn inspect(mut self) -> Result<Copied> {
        let rows = Sqlite::fetch(&mut self.0, INTEGRITY, Vec::new()).await?;
        if rows.first().map(|row| row.text(0)).transpose()?.as_deref() != Some("ok") {
            return Err(StoreError::Corrupt("the integrity check found a fault"));
        }
        let rows = Sqlite::fetch(&mut self.0, STORE_ROW, Vec::new()).await?;
        let store = rows.first();
        let store = store.ok_or(StoreError::Corrupt("a store without an identity"))?;
        let store_id = store.uuid(0)?;
        let rows = Sqlite::fetch(&mut self.0, HEAD_ROW, Vec::new()).await?;
        let head = rows.first();
        let head = head.ok_or(StoreError::Corrupt("the ledger has no head"))?;
        let copied = Copied {
            store_id,
            epoch: store.int(1)?,
            head: Head {
                sequence: head.int(0)?,
                hash: to_hash(head.bytes(1)?)?,
                at: head.int(2)?,
            },
            schema: self.schema().await?,
        };
        let rows = Sqlite::fetch(&mut self.0, LAST_ENTRY, Vec::new()).await?;
        let last = match rows.first() {
            Some(row) => (row.int(0)?, to_hash(row.bytes(1)?)?),
            None => (0, genesis(store_id)),
        };
        if last != (copied.head.sequence, copied.head.hash) {
            return Err(StoreError::Corrupt("the ledger does not end at its head"));
        }
        self.0.close().await?;
        Ok(copied)
    }

    /// The version of the schema.
    async fn schema(&mut self) -> Result<i64> {
        let migrator = Sqlite::migrator();
        let applied = self.0.list_applied_migrations(&migrator.table_name).await;
        let applied = applied.map_err(migration_error)?;
        let version = applied.last();
        let version = version.ok_or(StoreError::Corrupt("a database without a schema"))?;
        if migrator.version_exists(version.version) {
            Ok(version.version)
        } else {
            Err(StoreError::NewerSchema)
        }
    }
}

fn not_text() -> StoreError {
    StoreError::Setting("SQLite takes no file name that is not UTF-8".to_owned())
}
