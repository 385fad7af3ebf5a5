//! Where something could lie: files below a directory, and what PostgreSQL keeps on its own disk.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use lead_intake::store::StoreUrl;
use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, PgConnection};

use crate::support::{World, files};

/// Bytes, and where they are.
pub struct Place {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Place {
    pub fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.to_owned(),
            bytes: bytes.into(),
        }
    }

    fn file(path: &Path) -> Self {
        // A log that is emptied meanwhile may be gone.
        let bytes = if is_of_sqlite(path) {
            let read = Command::new("cat").arg(path).output();
            read.unwrap().stdout
        } else {
            std::fs::read(path).unwrap_or_default()
        };
        Self::new(&path.display().to_string(), bytes)
    }
}

/// Whether closing this file would let go of SQLite's locks in this process, of all connections (fcntl(2)): a log that a test
/// holds would be emptied while it is looked through. So another process reads it.
fn is_of_sqlite(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.ends_with(".db") || name.ends_with(".db-shm"))
}

/// Every file below a directory.
pub fn below(dir: &Path) -> Vec<Place> {
    files(dir).iter().map(|path| Place::file(path)).collect()
}

/// The PostgreSQL server's log, which has every statement with its parameters.
pub fn server_log() -> Place {
    Place::file(&log_path())
}

fn log_path() -> PathBuf {
    let path = std::env::var_os("LEAD_INTAKE_TEST_POSTGRES_LOG");
    PathBuf::from(path.expect("run by scripts/test"))
}

/// The server's data directory, beside its log.
fn data_dir() -> PathBuf {
    log_path().with_file_name("data")
}

/// A connection to a PostgreSQL database as its superuser, past everything that the service guards.
pub async fn superuser(url: &StoreUrl) -> PgConnection {
    let StoreUrl::Postgres(url) = url else {
        panic!("not on PostgreSQL")
    };
    PgConnection::connect(url.expose_secret()).await.unwrap()
}

/// What PostgreSQL has on disk of a table: its own files, and those of its indexes and of its TOAST table. Dirty
/// pages are written first.
pub async fn table_files(connection: &mut PgConnection, table: &str) -> Vec<Place> {
    sqlx::raw_sql("CHECKPOINT")
        .execute(&mut *connection)
        .await
        .unwrap();
    let sql = "SELECT pg_relation_filepath(oid) FROM pg_class WHERE oid = $1::regclass \
               UNION ALL SELECT pg_relation_filepath(indexrelid) FROM pg_index WHERE indrelid = $1::regclass \
               UNION ALL SELECT pg_relation_filepath(reltoastrelid) FROM pg_class \
               WHERE oid = $1::regclass AND reltoastrelid <> 0";
    let paths: Vec<String> = sqlx::query_scalar(sql)
        .bind(table)
        .fetch_all(connection)
        .await
        .unwrap();
    paths
        .iter()
        .map(|path| Place::file(&data_dir().join(path)))
        .collect()
}

/// Everything that PostgreSQL has on disk of a database: every file of its own, statistics included; the write-ahead
/// log, which is of all databases, since it was made; and the server's log.
pub async fn postgres_files(url: &StoreUrl) -> Vec<Place> {
    let mut connection = superuser(url).await;
    sqlx::raw_sql("CHECKPOINT")
        .execute(&mut connection)
        .await
        .unwrap();
    let own: i64 = sqlx::query_scalar(
        "SELECT oid::bigint FROM pg_database WHERE datname = current_database()",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let own = data_dir().join("base").join(own.to_string());
    let base = files(&own);
    let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified());
    // Written when the database is made, and never again.
    let made = changed(&own.join("PG_VERSION")).unwrap();
    // A segment may be removed meanwhile.
    let is_new = |path: &PathBuf| changed(path).is_ok_and(|changed| changed >= made);
    let wal = files(&data_dir().join("pg_wal")).into_iter().filter(is_new);
    let mut places: Vec<_> = base
        .into_iter()
        .chain(wal)
        .map(|path| Place::file(&path))
        .collect();
    places.push(server_log());
    places
}

/// Everything that the service has written anywhere: below its data directory, and in its database.
pub async fn everything_written(world: &World) -> Vec<Place> {
    let mut places = below(world.dir.path());
    if let StoreUrl::Postgres(_) = &world.url {
        places.extend(postgres_files(&world.url).await);
    }
    places
}
