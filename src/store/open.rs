//! Opening a store: connections, migrations, identity.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use sqlx::{Pool, migrate::MigrateError};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    AdminStore, Result, SharedStore, StoreError, StoreUrl, broken,
    dialect::{Columns as _, Dialect, values},
    group::Queue,
    history::History,
    lookup::Indexed,
    postgres::{self, Shares},
    residue::Residue,
    restore,
    room::Room,
    signal::{self, Signal},
    sql::{Sql, SqlStore, statements},
    sqlite::{self, Connections},
    tx::Tx,
};
use crate::{
    clock::SharedClock,
    ledger::{
        genesis,
        mirror::{Mirror, on_disk},
    },
    seal::random,
};

statements! {
    STORE = "SELECT store_id, epoch, has_mirror FROM store WHERE id = 1";
    NOTE_MIRROR = "UPDATE store SET has_mirror = TRUE WHERE id = 1";
    ADD_STORE = "INSERT INTO store (id, store_id, epoch, created_at, has_mirror) \
                 VALUES (1, $1, 1, $2, FALSE) ON CONFLICT (id) DO NOTHING";
    ADD_HEAD = "INSERT INTO ledger_head (id, sequence, hash, at) VALUES (1, 0, $1, 0) \
                ON CONFLICT (id) DO NOTHING";
    HEAD = "SELECT sequence FROM ledger_head WHERE id = 1";
    // Changes nothing, and fails on a database that cannot be written to.
    TOUCH = "UPDATE ledger_head SET sequence = sequence WHERE id = 0";
}

/// Reads the store's identity and its epoch.
pub(super) const STORE_ROW: &str = STORE;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Where it is.
    pub url: StoreUrl,
    /// Most connections on PostgreSQL. Fewer than 10 are 10.
    pub connections_max: u32,
    /// Tells the time.
    pub clock: SharedClock,
    /// Bring the schema up to date; else an old schema is an error.
    pub migrate: bool,
    /// The longest tail of leads that are not in the look-up indexes yet, as entries of the ledger: [`super::TAIL_MAX`],
    /// but for tests.
    pub tail_max: i64,
    /// Whether to keep a ballast for a full disk: of a SQLite database that has a mirror.
    pub ballast: bool,
    /// The ledger's mirror, which what acts on leads must have. The database is brought in step with it.
    pub mirror: Option<MirrorOptions>,
}

/// How to use the ledger's mirror.
#[derive(Clone, Debug)]
pub struct MirrorOptions {
    /// Its directory.
    pub dir: PathBuf,
    /// What if the database has another history than the mirror, and no restore explains it: refuse, or do the
    /// mirror's acts again on what the database has.
    pub takes_other_history: bool,
}

/// Opens the store, makes or updates its schema, and starts its writers.
pub async fn open(options: OpenOptions) -> Result<SharedStore> {
    // Large, and done once.
    match options.url.clone() {
        StoreUrl::Sqlite(path) => Box::pin(on_sqlite(&path, options)).await,
        StoreUrl::Postgres(url) => Box::pin(on_postgres(url.expose_secret(), options)).await,
    }
}

async fn on_sqlite(path: &Path, options: OpenOptions) -> Result<SharedStore> {
    let Connections {
        writer,
        reader,
        copier,
    } = sqlite::connections(path, options.migrate).await?;
    let room = match &options.mirror {
        Some(_) => Room::watch(path, options.ballast),
        None => Room::default(),
    };
    if options.mirror.is_some() {
        broken::rewrite_log(&writer).await?;
    }
    let mut sql = prepare(writer, reader, options, History::default()).await?;
    sql.room = room;
    sql.copier = Some(copier);
    let background = vec![signal::poll(sql.clone())];
    Ok(Arc::new(SqlStore {
        queue: Queue::start(&sql),
        owed: sql.clone(),
        vital: sql.clone(),
        sql,
        background,
    }))
}

async fn on_postgres(url: &str, options: OpenOptions) -> Result<SharedStore> {
    let connect = postgres::options(url)?;
    let shares = Shares::of(options.connections_max);
    let history = History::default();
    let pool = postgres::pool(&connect, shares.rest, &history).await?;
    let sql = Box::pin(prepare(pool.clone(), pool, options, history.clone())).await?;
    let over = |connections| sql.over(&postgres::lazy_pool(&connect, connections, &history));
    let vital = over(shares.vital);
    let background = vec![
        signal::poll(vital.clone()),
        signal::announce(vital.writer.clone(), &sql.signal),
        signal::listen(&connect, vital.clone()).await?,
        history.note_failover(sql.mirror.clone()),
    ];
    Ok(Arc::new(SqlStore {
        queue: Queue::start(&over(shares.intake)),
        owed: over(shares.owed),
        vital,
        sql,
        background,
    }))
}

/// Migrates, and reads or makes the store's identity.
async fn prepare<DB: Dialect>(
    writer: Pool<DB>,
    reader: Pool<DB>,
    options: OpenOptions,
    history: History,
) -> Result<Sql<DB>> {
    migrate(&writer, options.migrate).await?;
    let now = options.clock.now();
    let mut tx = Tx::begin(&writer).await?;
    let fresh = Uuid::from_bytes(random().map_err(|_| StoreError::Lost)?);
    tx.execute(ADD_STORE, values![fresh, now.as_microsecond()])
        .await?;
    let row = tx.fetch_optional(STORE, Vec::new()).await?;
    let row = row.ok_or(NO_IDENTITY)?;
    let store_id = row.uuid(0)?;
    let has_mirror = row.bool(2)?;
    tx.execute(ADD_HEAD, values![genesis(store_id)]).await?;
    tx.commit().await?;
    let mirror = match &options.mirror {
        None => None,
        Some(mirror) => Some(in_step(&writer, mirror, store_id, has_mirror, now).await?),
    };
    let mut tx = Tx::begin(&writer).await?;
    let row = tx.fetch_optional(STORE, Vec::new()).await?;
    let epoch = row.ok_or(NO_IDENTITY)?.int(1)?;
    let head = tx.fetch_optional(HEAD, Vec::new()).await?;
    let head = head
        .ok_or(StoreError::Corrupt("the ledger has no head"))?
        .int(0)?;
    tx.commit().await?;
    Ok(Sql {
        writer,
        reader,
        copier: None,
        broken: history.broken(),
        signal: Signal::new(history, head, epoch),
        residue: Residue::default(),
        indexed: Indexed::new(options.tail_max),
        mirror,
        room: Room::default(),
        clock: options.clock,
        store_id,
    })
}

const NO_IDENTITY: StoreError = StoreError::Corrupt("a store without an identity");

/// The mirror of a store, and the store in step with it. A store that never had one gets its first.
async fn in_step<DB: Dialect>(
    pool: &Pool<DB>,
    options: &MirrorOptions,
    store_id: Uuid,
    has_mirror: bool,
    now: Timestamp,
) -> Result<Arc<Mirror>> {
    if !has_mirror {
        Mirror::create(&options.dir, store_id)?;
    }
    let (mirror, ahead) = Mirror::open(&options.dir, store_id)?;
    let takes_other_history = options.takes_other_history || mirror.saw_failover();
    restore::reconcile(pool, &mirror, &ahead, takes_other_history, now).await?;
    mirror.forget_failover()?;
    if !has_mirror {
        let mut tx = Tx::begin(pool).await?;
        tx.execute(NOTE_MIRROR, Vec::new()).await?;
        tx.commit().await?;
    }
    Ok(Arc::new(mirror))
}

async fn migrate<DB: Dialect>(pool: &Pool<DB>, wanted: bool) -> Result<()> {
    let migrator = DB::migrator();
    let mut connection = pool.acquire().await?;
    if wanted {
        for setting in DB::WHILE_MIGRATING {
            DB::execute(&mut connection, setting, Vec::new()).await?;
        }
        let migrated = migrator.run(&mut connection).await;
        for setting in DB::AFTER_MIGRATING {
            DB::execute(&mut connection, setting, Vec::new()).await?;
        }
        return migrated.map_err(migration_error);
    }
    let applied =
        sqlx::migrate::Migrate::list_applied_migrations(&mut *connection, &migrator.table_name)
            .await
            .map_err(migration_error)?;
    let newer = |version| !migrator.version_exists(version);
    if applied.iter().any(|migration| newer(migration.version)) {
        return Err(StoreError::NewerSchema);
    }
    if applied.len() < migrator.iter().count() {
        return Err(StoreError::Setting(
            "the database schema is old; run: lead-intake migrate".to_owned(),
        ));
    }
    Ok(())
}

pub(super) fn migration_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
            StoreError::NewerSchema
        }
        error => StoreError::Migration(error),
    }
}

#[async_trait]
impl<DB: Dialect> AdminStore for SqlStore<DB> {
    async fn ping(&self) -> Result<()> {
        let mut tx = self.vital.begin().await?;
        tx.execute(TOUCH, Vec::new()).await?;
        tx.commit().await?;
        // What has just been tried wrote nothing.
        self.sql.room.look().await?;
        match self.sql.mirror.clone() {
            // Tries the disk, where the last try failed.
            Some(mirror) => Ok(on_disk(move || mirror.check()).await?),
            None => Ok(()),
        }
    }

    async fn check_signing_key(&self, commitment: [u8; 16]) -> Result<()> {
        self.sql.check_signing_key(commitment).await
    }

    async fn has_signing_key(&self) -> Result<bool> {
        self.sql.has_signing_key().await
    }

    fn store_id(&self) -> Uuid {
        self.sql.store_id
    }

    fn residue(&self) -> Option<watch::Receiver<()>> {
        DB::CLEANS_UP.then(|| self.sql.residue.receiver())
    }

    async fn clean_up(&self) -> Result<bool> {
        self.sql.on_ballast(|| self.sql.clean_up()).await
    }

    fn unindexed(&self) -> Option<i64> {
        self.sql.unindexed()
    }

    async fn index(&self) -> Result<()> {
        self.sql.index().await
    }

    fn broken(&self) -> CancellationToken {
        self.sql.broken.token()
    }

    async fn close(&self) {
        self.queue.close().await;
        for task in &self.background {
            task.abort();
        }
        let closed = async {
            for sql in [&self.sql, &self.owed, &self.vital] {
                if let Some(copier) = &sql.copier {
                    copier.close().await;
                }
                sql.reader.close().await;
                sql.writer.close().await;
            }
        };
        // The driver asks a connection once more at its return, without a limit: one to a database that fell silent just
        // then comes back when TCP gives it up, after minutes, and a stop must end.
        match DB::ANSWER_MAX {
            Some(limit) => {
                if timeout(limit, closed).await.is_err() {
                    tracing::warn!(
                        "connections to the database were left open: they did not come back"
                    );
                }
            }
            None => closed.await,
        }
        if let Some(mirror) = &self.sql.mirror {
            mirror.close();
        }
    }
}
