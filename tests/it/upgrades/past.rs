//! Databases of schemas that there were.

use std::{
    borrow::Cow, collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path,
    str::FromStr as _,
};

use futures_util::TryStreamExt as _;
use lead_intake::store::StoreUrl;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode},
};

use crate::{crash_points::Place, raw::Raw, support::*};

/// The first schema whose program had a mirror, and a key to sign checkpoints with.
const MIRROR: usize = 6;
/// The first one whose program counted generations of the key ring.
const KEYS: usize = 7;

/// The migrations up to this one.
async fn migrations(dialect: &str, schema: usize) -> Migrator {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut migrator = Migrator::new(dir.join(dialect)).await.unwrap();
    migrator.migrations = Cow::Owned(migrator.migrations[..schema].to_vec());
    migrator
}

/// What a program of this schema would have left of what is in a place.
pub async fn of(now: &Place, schema: usize) -> Place {
    let past = match &now.url {
        None => {
            let past = now.copy().await;
            on_sqlite(&file(now), &file(&past), schema).await;
            past
        }
        Some(url) => {
            let mut past = now.copy().await;
            past.remove().await;
            past.url = Some(new_postgres_database().await);
            on_postgres(url, past.url.as_ref().unwrap(), schema).await;
            past
        }
    };
    if schema < MIRROR {
        fs::remove_dir_all(past.dir.path().join("ledger")).unwrap();
        fs::remove_file(past.dir.path().join("checkpoint.key")).unwrap();
        fs::remove_file(past.dir.path().join("checkpoint.pub")).unwrap();
        let mut raw = raw(&past).await;
        raw.execute("DELETE FROM key_commitment WHERE purpose = 3")
            .await;
        raw.close().await;
    }
    if schema < KEYS {
        let ring = past.dir.path().join("keys.toml");
        let text = fs::read_to_string(&ring).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("generation"));
        let text: Vec<&str> = lines.collect();
        fs::write(&ring, text.join("\n")).unwrap();
    }
    past
}

/// What the first program itself left: `tests/it/golden/schema-1.sql`.
pub async fn first() -> Place {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let place = Place::new(Backend::Sqlite).await;
    let ring = place.dir.path().join("keys.toml");
    fs::copy(golden.join("schema-1.keys.toml"), &ring).unwrap();
    fs::set_permissions(&ring, PermissionsExt::from_mode(0o600)).unwrap();
    let mut database = new_on_sqlite(&file(&place), 1).await;
    let rows = fs::read_to_string(golden.join("schema-1.sql")).unwrap();
    run_on_sqlite(&mut database, &rows).await;
    database.close().await.unwrap();
    place
}

fn file(place: &Place) -> std::path::PathBuf {
    place.dir.path().join("lead-intake.db")
}

async fn raw(place: &Place) -> Raw {
    Raw::at(&match &place.url {
        Some(url) => StoreUrl::from_str(url).unwrap(),
        None => StoreUrl::Sqlite(file(place)),
    })
    .await
}

/// A database with the first migrations, and a connection to it.
async fn new_on_sqlite(file: &Path, schema: usize) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .foreign_keys(false);
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let migrations = migrations("sqlite", schema).await;
    migrations.run(&mut database).await.unwrap();
    database
}

async fn on_sqlite(now: &Path, past: &Path, schema: usize) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", past.display()));
    }
    let mut to = new_on_sqlite(past, schema).await;
    let attach = format!("ATTACH '{}' AS now", now.display());
    run_on_sqlite(&mut to, &attach).await;
    let columns = "SELECT m.name, group_concat(c.name) FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
                   WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                   GROUP BY m.name";
    let tables: Vec<(String, String)> = sqlx::query_as(columns).fetch_all(&mut to).await.unwrap();
    for (table, columns) in tables {
        let copy = format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}"
        );
        run_on_sqlite(&mut to, &copy).await;
    }
    to.close().await.unwrap();
}

async fn run_on_sqlite(connection: &mut SqliteConnection, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

async fn on_postgres(now: &str, past: &str, schema: usize) {
    let mut from = PgConnection::connect(now).await.unwrap();
    let mut to = PgConnection::connect(past).await.unwrap();
    migrations("postgres", schema)
        .await
        .run(&mut to)
        .await
        .unwrap();
    // Tables in any order, whatever refers to what.
    let setting = "SET session_replication_role = replica";
    sqlx::raw_sql(setting).execute(&mut to).await.unwrap();
    let columns = "SELECT table_name::text, string_agg(column_name::text, ',') \
                   FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name) \
                   WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> '_sqlx_migrations' \
                   GROUP BY table_name";
    for row in sqlx::query(columns).fetch_all(&mut to).await.unwrap() {
        let [table, columns] = [0, 1].map(|place| row.get::<String, _>(place));
        let empty = AssertSqlSafe(format!("DELETE FROM {table}"));
        sqlx::raw_sql(empty).execute(&mut to).await.unwrap();
        let out = format!("COPY {table} ({columns}) TO STDOUT");
        let mut rows = from.copy_out_raw(&out).await.unwrap();
        let into = format!("COPY {table} ({columns}) FROM STDIN");
        let mut copy = to.copy_in_raw(&into).await.unwrap();
        while let Some(bytes) = rows.try_next().await.unwrap() {
            copy.send(bytes).await.unwrap();
        }
        copy.finish().await.unwrap();
    }
    from.close().await.unwrap();
    to.close().await.unwrap();
}

/// Every table but the migrator's own.
async fn tables(raw: &mut Raw) -> Vec<String> {
    let sql = match raw {
        Raw::Sqlite(_) => {
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        }
        Raw::Postgres(_) => {
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations' \
             ORDER BY tablename"
        }
    };
    raw.texts(sql).await
}

/// How many rows each table has.
pub async fn counts(place: &Place) -> BTreeMap<String, i64> {
    let mut raw = raw(place).await;
    let mut counts = BTreeMap::new();
    for table in tables(&mut raw).await {
        let count = raw.numbers(&format!("SELECT COUNT(*) FROM {table}")).await[0];
        counts.insert(table, count);
    }
    raw.close().await;
    counts
}

/// Every row of every table, and the schema: what two databases that are the same have in common.
pub async fn dump(place: &Place) -> Vec<String> {
    let mut raw = raw(place).await;
    let schema = match raw {
        Raw::Sqlite(_) => {
            "SELECT name || coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY 1"
        }
        Raw::Postgres(_) => {
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
             UNION ALL SELECT table_name || '.' || column_name || data_type FROM information_schema.columns \
             WHERE table_schema = 'public' ORDER BY 1"
        }
    };
    let mut dump = raw.texts(schema).await;
    for table in tables(&mut raw).await {
        let rows = match raw {
            Raw::Sqlite(_) => {
                let columns = format!(
                    "SELECT group_concat('quote(' || name || ')', ' || '' '' || ') FROM pragma_table_info('{table}')"
                );
                let columns = raw.texts(&columns).await.remove(0);
                format!("SELECT {columns} FROM {table} ORDER BY 1")
            }
            Raw::Postgres(_) => format!("SELECT {table}::text FROM {table} ORDER BY 1"),
        };
        dump.push(table);
        dump.extend(raw.texts(&rows).await);
    }
    dump.extend(
        raw.texts("SELECT description FROM _sqlx_migrations ORDER BY version")
            .await,
    );
    raw.close().await;
    dump
}

/// Says that one migration more was applied than this program knows.
pub async fn claim_a_newer_schema(place: &Place) {
    let mut raw = raw(place).await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
               SELECT version + 1, 'from the future', success, checksum, 0 FROM _sqlx_migrations \
               ORDER BY version DESC LIMIT 1";
    raw.execute(sql).await;
    raw.close().await;
}
