//! Connections to a SQLite file: how they are set up.

use std::{path::Path, thread::available_parallelism, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, SqlitePool,
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};

use super::{Result, StoreError, postgres::ACQUIRE_TIMEOUT, refused};

/// The oldest SQLite that is known not to lose what is in a write-ahead log when one connection writes just as another copies
/// it (3.51.3, "WAL-reset bug").
const SQLITE_MIN: i32 = 3_051_003;
/// How long SQLite waits for another process that writes.
pub(super) const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call waits for the connection that writes: longer than that one waits.
const WRITER_TIMEOUT: Duration = Duration::from_secs(10);

/// Copies the write-ahead log into the file, as far as nobody who reads or writes has to wait for it, and flushes the file.
pub(super) const COPY_LOG: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// Rows that SQLite's thread reads without waiting for who takes them: a page of the feed. With fewer the two wake each
/// other for every few rows.
const ROWS_READ: usize = 1024;

/// What there is for a file.
pub(super) struct Connections {
    /// The one that writes.
    pub(super) writer: SqlitePool,
    /// Those that only read.
    pub(super) reader: SqlitePool,
    /// The one that copies the write-ahead log into the file while the first goes on.
    pub(super) copier: SqlitePool,
}

/// Connects. `makes`: the file, if there is none.
pub(super) async fn connections(path: &Path, makes: bool) -> Result<Connections> {
    check_version()?;
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .pragma("temp_store", "MEMORY")
        .pragma("mmap_size", "0")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging();
    let write = connect
        .clone()
        .pragma("cache_size", "-16384")
        .create_if_missing(makes)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        // An acknowledged lead survives a power cut; NORMAL would not promise that in WAL mode.
        .synchronous(SqliteSynchronous::Full)
        .pragma("secure_delete", "ON")
        .pragma("journal_size_limit", "8388608")
        // 8 MiB, as the limit: a page that many batches touch is then copied once for all of them.
        .pragma("wal_autocheckpoint", "2000");
    // One connection for as long as the store is open.
    let writer = pool_options(1, WRITER_TIMEOUT)
        // SQLite takes a transaction back by itself when the disk refuses its writes; the driver does not hear of it, and
        // would never begin another one on that connection.
        .before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        })
        .connect_with(write)
        .await
        .map_err(refused::sqlite)?;
    let readers = available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .max(2);
    let read = connect
        .clone()
        .read_only(true)
        // What reads much is a feed, and it comes to a page of the file once.
        .pragma("cache_size", "-4096")
        .row_buffer_size(ROWS_READ);
    Ok(Connections {
        writer,
        reader: pool_options(u32::try_from(readers).unwrap_or(2), ACQUIRE_TIMEOUT)
            .connect_lazy_with(read),
        copier: pool_options(1, ACQUIRE_TIMEOUT)
            .connect_lazy_with(connect.synchronous(SqliteSynchronous::Full)),
    })
}

/// Of connections that never time out and need no test.
fn pool_options(connections: u32, acquire_timeout: Duration) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Refuses a SQLite library older than the one this program is built with.
fn check_version() -> Result<()> {
    let version = libsqlite3_sys::SQLITE_VERSION_NUMBER;
    if version < SQLITE_MIN {
        return Err(StoreError::Setting(format!(
            "SQLite {version} is older than {SQLITE_MIN}"
        )));
    }
    Ok(())
}
