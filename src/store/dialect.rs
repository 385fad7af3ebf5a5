//! Everything the two databases do differently, and nothing else.
//!
//! The statements are one text for both: `$1` placeholders, named columns, row locks by `UPDATE`. What is
//! left are types of the driver, how a write transaction begins, how a list of rows is written into a
//! statement ([`super::bulk`]), how bytes are written as text ([`packed`]: one statement), and how a
//! connection is set up (`open`).

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;
use sqlx::{
    Arguments as _, AssertSqlSafe, Database, PgConnection, Postgres, Row as _, Sqlite,
    SqliteConnection,
    migrate::{Migrate, Migrator},
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteRow},
};
use uuid::Uuid;

use super::{
    bulk::{Bulk, ColumnType},
    foreseen::{self, Foresight},
    migrations, packed,
    postgres::{self, ANSWER_MAX},
    sqlite::SQLITE_BUSY_TIMEOUT,
};

/// A value for a placeholder. `Debug` prints none of it.
#[derive(Clone)]
pub(crate) enum Value {
    Int(i64),
    OptInt(Option<i64>),
    Bool(bool),
    Text(String),
    Bytes(Vec<u8>),
    OptBytes(Option<Vec<u8>>),
    Uuid(Uuid),
    OptUuid(Option<Uuid>),
    /// A column of many rows: PostgreSQL only.
    Array(ColumnType, Vec<Value>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(..)")
    }
}

macro_rules! value_from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

value_from! {
    i64 => Int,
    Option<i64> => OptInt,
    bool => Bool,
    &str => Text,
    String => Text,
    Vec<u8> => Bytes,
    &[u8] => Bytes,
    [u8; 16] => Bytes,
    [u8; 32] => Bytes,
    Uuid => Uuid,
    Option<Uuid> => OptUuid,
}

impl From<Option<[u8; 16]>> for Value {
    fn from(value: Option<[u8; 16]>) -> Self {
        Self::OptBytes(value.map(Vec::from))
    }
}

/// Makes the list of values for a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::store::dialect::Value::from($value)),*]
    };
}
pub(crate) use values;

/// Reads one column of a row by its place.
pub(crate) trait Columns {
    fn int(&self, column: usize) -> sqlx::Result<i64>;
    fn opt_int(&self, column: usize) -> sqlx::Result<Option<i64>>;
    fn bool(&self, column: usize) -> sqlx::Result<bool>;
    fn text(&self, column: usize) -> sqlx::Result<String>;
    fn bytes(&self, column: usize) -> sqlx::Result<Vec<u8>>;
    fn opt_bytes(&self, column: usize) -> sqlx::Result<Option<Vec<u8>>>;
    fn uuid(&self, column: usize) -> sqlx::Result<Uuid>;
    fn opt_uuid(&self, column: usize) -> sqlx::Result<Option<Uuid>>;
}

/// A database that the store can run on.
pub(crate) trait Dialect: Database<Row: Columns, Connection: Migrate> {
    /// Begins a transaction that will write.
    const BEGIN_WRITE: &'static str;
    /// How long the queue's writer keeps a connection to itself, and then how long the first answer of that one may take; zero
    /// if others wait for it.
    const KEEP_MAX: Duration;
    /// Whether new leads wait to be put into the blind indexes.
    const HAS_TAIL: bool;
    /// How long the answer to a statement may take; `None`: as long as it takes, for a database within the process.
    const ANSWER_MAX: Option<Duration>;
    /// Settings of a connection for as long as it migrates.
    const WHILE_MIGRATING: &'static [&'static str];
    /// What takes them back.
    const AFTER_MIGRATING: &'static [&'static str];
    /// Whether [`Self::clean_up`] is what removes what deletions leave behind.
    const CLEANS_UP: bool;
    /// Reads many entries of the ledger at once ([`packed`]).
    const ENTRIES_PACKED: &'static str;

    /// The migrations compiled into the program.
    fn migrator() -> &'static Migrator;

    /// The statements of a [`Bulk`] over these values, which are whole rows one after the other.
    fn bulk(bulk: &'static Bulk, values: Vec<Value>) -> Vec<(&'static str, Vec<Value>)>;

    /// Ends a foreseen batch that failed half-way; `None`: none does.
    const UNDO_FORESEEN: Option<&'static str>;

    /// What is sent for a batch that foresees the head. It changes no row if the head is elsewhere, or fails for a value that must
    /// not be absent.
    fn foreseen(batch: Foresight) -> (&'static str, Vec<Value>);

    /// Runs a statement; gives the number of rows it changed.
    fn execute<'c>(
        connection: &'c mut Self::Connection,
        sql: &'static str,
        values: Vec<Value>,
    ) -> BoxFuture<'c, sqlx::Result<u64>>;

    /// Runs a statement; gives its rows.
    fn fetch<'c>(
        connection: &'c mut Self::Connection,
        sql: &'static str,
        values: Vec<Value>,
    ) -> BoxFuture<'c, sqlx::Result<Vec<Self::Row>>>;

    /// Removes what deletions leave behind; `false`: not all of it yet.
    fn clean_up(connection: &mut Self::Connection) -> BoxFuture<'_, sqlx::Result<bool>>;
}

/// Waits for an answer as long as it may take.
pub(super) async fn in_time<DB: Dialect, T>(
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    match DB::ANSWER_MAX {
        Some(limit) => postgres::in_time(limit, answer).await,
        None => answer.await,
    }
}

/// How long an attempt to empty the log waits for readers, with everything that writes waiting behind it.
/// Ours read for a few milliseconds.
const READERS_WAIT: Duration = Duration::from_millis(50);

/// What somebody's ANALYZE keeps: samples of rows, among them values of the blind indexes; and counts, by which a
/// statement may be planned otherwise than it was tested (decision 0025).
const FORGET_STATISTICS: &str =
    "DROP TABLE IF EXISTS sqlite_stat4; DROP TABLE IF EXISTS sqlite_stat1";

/// Drops statistics; then empties the write-ahead log into the database and cuts it to nothing. A reader that still
/// uses the log makes it answer "busy", and the log stays.
fn clean_sqlite(connection: &mut SqliteConnection) -> BoxFuture<'_, sqlx::Result<bool>> {
    Box::pin(async move {
        sqlx::raw_sql(FORGET_STATISTICS)
            .execute(&mut *connection)
            .await?;
        // The wait for readers is spent with the write lock held, and is the connection's own: so it is set
        // for this statement only.
        set_busy_timeout(connection, READERS_WAIT).await?;
        let row = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *connection)
            .await;
        set_busy_timeout(connection, SQLITE_BUSY_TIMEOUT).await?;
        // Busy; frames in the log; frames moved. An emptied log has none of either.
        let row: (i64, i64, i64) = row?;
        Ok(row == (0, 0, 0))
    })
}

async fn set_busy_timeout(connection: &mut SqliteConnection, wait: Duration) -> sqlx::Result<()> {
    let pragma = format!("PRAGMA busy_timeout = {}", wait.as_millis());
    sqlx::raw_sql(AssertSqlSafe(pragma))
        .execute(connection)
        .await?;
    Ok(())
}

/// Autovacuum and the recycling of the log do it, within a bound that docs/operations.md gives.
fn nothing_to_clean(_: &mut PgConnection) -> BoxFuture<'_, sqlx::Result<bool>> {
    Box::pin(async { Ok(true) })
}

/// The driver's types differ, what is done with them does not: so the text of both bodies is one.
macro_rules! dialect {
    ($database:ty, $row:ty, $arguments:ty, $begin:literal, $keep_max:expr, $has_tail:literal, $answer_max:expr, $while_migrating:expr, $after_migrating:expr, $migrations:path, $bulk:path, $foreseen:path, $undo_foreseen:expr, $add_array:path, $cleans_up:literal, $entries_packed:path, $clean_up:path) => {
        impl Columns for $row {
            fn int(&self, column: usize) -> sqlx::Result<i64> {
                self.try_get(column)
            }
            fn opt_int(&self, column: usize) -> sqlx::Result<Option<i64>> {
                self.try_get(column)
            }
            fn bool(&self, column: usize) -> sqlx::Result<bool> {
                self.try_get(column)
            }
            fn text(&self, column: usize) -> sqlx::Result<String> {
                self.try_get(column)
            }
            fn bytes(&self, column: usize) -> sqlx::Result<Vec<u8>> {
                self.try_get(column)
            }
            fn opt_bytes(&self, column: usize) -> sqlx::Result<Option<Vec<u8>>> {
                self.try_get(column)
            }
            fn uuid(&self, column: usize) -> sqlx::Result<Uuid> {
                self.try_get(column)
            }
            fn opt_uuid(&self, column: usize) -> sqlx::Result<Option<Uuid>> {
                self.try_get(column)
            }
        }

        impl Dialect for $database {
            const BEGIN_WRITE: &'static str = $begin;
            const KEEP_MAX: Duration = $keep_max;
            const HAS_TAIL: bool = $has_tail;
            const ANSWER_MAX: Option<Duration> = $answer_max;
            const WHILE_MIGRATING: &'static [&'static str] = $while_migrating;
            const AFTER_MIGRATING: &'static [&'static str] = $after_migrating;
            const CLEANS_UP: bool = $cleans_up;
            const ENTRIES_PACKED: &'static str = $entries_packed;
            const UNDO_FORESEEN: Option<&'static str> = $undo_foreseen;

            fn migrator() -> &'static Migrator {
                &$migrations
            }

            fn bulk(bulk: &'static Bulk, values: Vec<Value>) -> Vec<(&'static str, Vec<Value>)> {
                $bulk(bulk, values)
            }

            fn foreseen(batch: Foresight) -> (&'static str, Vec<Value>) {
                $foreseen(batch)
            }

            fn execute<'c>(
                connection: &'c mut Self::Connection,
                sql: &'static str,
                values: Vec<Value>,
            ) -> BoxFuture<'c, sqlx::Result<u64>> {
                Box::pin(in_time::<Self, _>(async move {
                    let arguments = bind::<$arguments>(values)?;
                    let done = sqlx::query_with(sql, arguments).execute(connection).await?;
                    Ok(done.rows_affected())
                }))
            }

            fn fetch<'c>(
                connection: &'c mut Self::Connection,
                sql: &'static str,
                values: Vec<Value>,
            ) -> BoxFuture<'c, sqlx::Result<Vec<Self::Row>>> {
                Box::pin(in_time::<Self, _>(async move {
                    let arguments = bind::<$arguments>(values)?;
                    sqlx::query_with(sql, arguments).fetch_all(connection).await
                }))
            }

            fn clean_up(connection: &mut Self::Connection) -> BoxFuture<'_, sqlx::Result<bool>> {
                $clean_up(connection)
            }
        }

        impl Bind for $arguments {
            fn bind(&mut self, value: Value) -> Result<(), sqlx::error::BoxDynError> {
                match value {
                    Value::Int(value) => self.add(value),
                    Value::OptInt(value) => self.add(value),
                    Value::Bool(value) => self.add(value),
                    Value::Text(value) => self.add(value),
                    Value::Bytes(value) => self.add(value),
                    Value::OptBytes(value) => self.add(value),
                    Value::Uuid(value) => self.add(value),
                    Value::OptUuid(value) => self.add(value),
                    Value::Array(of, values) => $add_array(self, of, values),
                }
            }
        }
    };
}

/// SQLite has no arrays, and [`Bulk::runs`] makes none.
fn no_array(
    _: &mut SqliteArguments,
    _: ColumnType,
    _: Vec<Value>,
) -> Result<(), sqlx::error::BoxDynError> {
    Err("SQLite has no arrays".into())
}

/// Adds a column of many rows.
fn add_array(
    arguments: &mut PgArguments,
    of: ColumnType,
    values: Vec<Value>,
) -> Result<(), sqlx::error::BoxDynError> {
    /// The values of one type; one of another type is a mistake of the statement.
    macro_rules! column {
        ($($pattern:pat => $value:expr),*) => {
            values
                .into_iter()
                .map(|value| match value {
                    $($pattern => Ok($value),)*
                    _ => Err("a value of another type than its column"),
                })
                .collect::<Result<Vec<_>, _>>()?
        };
    }
    match of {
        ColumnType::Int => arguments.add(column!(Value::Int(v) => Some(v), Value::OptInt(v) => v)),
        ColumnType::Bool => arguments.add(column!(Value::Bool(v) => Some(v))),
        ColumnType::Text => arguments.add(column!(Value::Text(v) => Some(v))),
        ColumnType::Bytes => {
            arguments.add(column!(Value::Bytes(v) => Some(v), Value::OptBytes(v) => v))
        }
        ColumnType::Uuid => {
            arguments.add(column!(Value::Uuid(v) => Some(v), Value::OptUuid(v) => v))
        }
    }
}

/// Arguments that take a [`Value`].
trait Bind: Default {
    fn bind(&mut self, value: Value) -> Result<(), sqlx::error::BoxDynError>;
}

fn bind<A: Bind>(values: Vec<Value>) -> sqlx::Result<A> {
    let mut arguments = A::default();
    for value in values {
        arguments.bind(value).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

// The one write lock is taken at the start, so that a transaction never fails half-way for want of it.
dialect!(
    Sqlite,
    SqliteRow,
    SqliteArguments,
    "BEGIN IMMEDIATE",
    Duration::ZERO,
    true,
    None,
    &[],
    &[],
    migrations::SQLITE,
    Bulk::runs,
    foreseen::sqlite,
    Some("ROLLBACK"),
    no_array,
    true,
    packed::SQLITE,
    clean_sqlite
);
dialect!(
    Postgres,
    PgRow,
    PgArguments,
    "BEGIN",
    postgres::KEEP_MAX,
    false,
    Some(ANSWER_MAX),
    // A new index takes as long as it takes, and so does another replica that makes it.
    &["SET statement_timeout = 0", "SET lock_timeout = '30s'"],
    &["RESET statement_timeout", "RESET lock_timeout"],
    migrations::POSTGRES,
    Bulk::arrays,
    foreseen::postgres,
    None,
    add_array,
    false,
    packed::POSTGRES,
    nothing_to_clean
);
