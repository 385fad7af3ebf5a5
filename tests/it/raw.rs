//! Raw looks into a world's database, past everything that the service guards.

use lead_intake::store::StoreUrl;
use secrecy::ExposeSecret as _;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};

use crate::support::World;

/// A connection of its own to the database.
pub enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Raw {
    pub async fn open(world: &World) -> Self {
        Self::at(&world.url).await
    }

    pub async fn at(url: &StoreUrl) -> Self {
        match url {
            StoreUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let connection = SqliteConnection::connect_with(&options).await;
                Self::Sqlite(connection.unwrap())
            }
            StoreUrl::Postgres(url) => {
                let connection = PgConnection::connect(url.expose_secret()).await;
                Self::Postgres(connection.unwrap())
            }
        }
    }

    /// Runs statements.
    pub async fn execute(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(raw) => drop(sqlx::raw_sql(sql).execute(raw).await.unwrap()),
            Self::Postgres(raw) => drop(sqlx::raw_sql(sql).execute(raw).await.unwrap()),
        }
    }

    /// The first column of a query over numbers.
    pub async fn numbers(&mut self, sql: &str) -> Vec<i64> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(raw) => sqlx::query_scalar(sql).fetch_all(raw).await.unwrap(),
            Self::Postgres(raw) => sqlx::query_scalar(sql).fetch_all(raw).await.unwrap(),
        }
    }

    /// The first column of a query over text.
    pub async fn texts(&mut self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(raw) => sqlx::query_scalar(sql).fetch_all(raw).await.unwrap(),
            Self::Postgres(raw) => sqlx::query_scalar(sql).fetch_all(raw).await.unwrap(),
        }
    }

    /// The first column of a query over bytes, without what is null.
    pub async fn bytes(&mut self, sql: &str) -> Vec<Vec<u8>> {
        let sql = AssertSqlSafe(sql.to_owned());
        let found: Vec<Option<Vec<u8>>> = match self {
            Self::Sqlite(raw) => sqlx::query_scalar(sql).fetch_all(raw).await.unwrap(),
            Self::Postgres(raw) => sqlx::query_scalar(sql).fetch_all(raw).await.unwrap(),
        };
        found.into_iter().flatten().collect()
    }

    /// Every value of every table on PostgreSQL, as bytes and as the text that a dump has. On SQLite
    /// the files hold the same.
    pub async fn dump(&mut self) -> Vec<u8> {
        let Self::Postgres(raw) = self else {
            return Vec::new();
        };
        let columns = "SELECT table_name::text, column_name::text, data_type::text \
                       FROM information_schema.columns WHERE table_schema = 'public'";
        let mut dump = Vec::new();
        for row in sqlx::query(columns).fetch_all(&mut *raw).await.unwrap() {
            let [table, column, kind] = [0, 1, 2].map(|place| row.get::<String, _>(place));
            let mut casts = vec![format!("convert_to({column}::text, 'UTF8')")];
            if kind == "bytea" {
                casts.push(column);
            }
            for cast in casts {
                let sql = AssertSqlSafe(format!("SELECT {cast} FROM {table}"));
                let values: Vec<Option<Vec<u8>>> =
                    sqlx::query_scalar(sql).fetch_all(&mut *raw).await.unwrap();
                for value in values.into_iter().flatten() {
                    dump.extend(value);
                    dump.push(b'\n');
                }
            }
        }
        dump
    }

    pub async fn close(self) {
        match self {
            Self::Sqlite(raw) => raw.close().await.unwrap(),
            Self::Postgres(raw) => raw.close().await.unwrap(),
        }
    }
}
