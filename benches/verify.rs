//! How long a verification of the whole ledger takes, and what memory: `cargo bench --bench verify -- 10000000`, and
//! `./scripts/with-postgres cargo bench --bench verify -- 10000000 --postgres`.
//!
//! The entries are written past the service, in large transactions, into a new database with a mirror beside it: on
//! SQLite in a temporary directory (`TMPDIR`), on PostgreSQL in a database of its own.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and fails by panicking"
)]

use std::{fs, path::Path, str::FromStr as _, sync::Arc, time::Instant};

use lead_intake::{
    clock::SystemClock,
    ledger::{
        Against, Entry, EntryKind, Head, NewEntry, genesis,
        mirror::{Line, Mirror},
        notary::Checkpoint,
        tree::{Frontier, leaf_hash},
    },
    seal::random,
    store::{self, OpenOptions, SharedStore, StoreUrl},
};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::SqliteConnectOptions,
};
use uuid::Uuid;

/// Entries in one statement.
const ROWS: i64 = 1000;
/// Entries in one transaction.
const BATCH: i64 = 100_000;
/// The start of the ledger's time: 2025-11-24.
const AT: i64 = 1_764_000_000_000_000;
/// The server that `scripts/with-postgres` starts.
const POSTGRES_URL: &str = "LEAD_INTAKE_TEST_POSTGRES_URL";

enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[tokio::main]
async fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let entries = args.iter().find_map(|arg| arg.parse().ok());
    let entries: i64 = entries.unwrap_or(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let server = std::env::var(POSTGRES_URL).ok();
    let server = server.filter(|_| args.iter().any(|arg| arg == "--postgres"));
    let name = format!("bench_{:032x}", u128::from_be_bytes(random().unwrap()));
    let url = match &server {
        Some(server) => {
            admin(server, &format!("CREATE DATABASE {name}")).await;
            format!("{}/{name}", server.rsplit_once('/').unwrap().0)
        }
        None => format!("sqlite:{}", dir.path().join("bench.db").display()),
    };
    measure(&url, &dir.path().join("ledger"), entries).await;
    if let Some(server) = server {
        admin(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }
}

async fn measure(url: &str, mirror: &Path, entries: i64) {
    let store = open(url).await;
    Mirror::create(mirror, store.store_id()).unwrap();
    let started = Instant::now();
    let checkpoint = fill(&store, url, mirror, entries).await;
    println!("filled:   {:?}", started.elapsed());
    store.close().await;
    let store = open(url).await;
    let (with, checkpoints) = (Some(mirror.to_owned()), vec![checkpoint]);
    for (what, mirror, checkpoints) in [
        ("the chain", None, Vec::new()),
        ("and a checkpoint", None, checkpoints.clone()),
        ("and the mirror", with, checkpoints),
    ] {
        let against = Against {
            mirror,
            checkpoints,
        };
        // Forgets the most that was resident so far.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let started = Instant::now();
        let found = store.verify(&against, &Arc::default()).await.unwrap();
        let took = started.elapsed();
        assert_eq!(
            (found.fault, found.entries_checked),
            (None, found.head.sequence)
        );
        let each = took / u32::try_from(entries).unwrap();
        println!("{what}: {took:?}, {each:?} an entry, {} at most", peak());
    }
    store.close().await;
}

async fn open(url: &str) -> SharedStore {
    let options = OpenOptions {
        url: StoreUrl::from_str(url).unwrap(),
        connections_max: 12,
        clock: Arc::new(SystemClock),
        migrate: true,
        tail_max: store::TAIL_MAX,
        ballast: false,
        mirror: None,
    };
    store::open(options).await.unwrap()
}

async fn admin(server: &str, sql: &str) {
    let mut admin = PgConnection::connect(server).await.unwrap();
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
}

/// Writes submissions after what is there; gives a checkpoint of them all.
async fn fill(store: &SharedStore, url: &str, dir: &Path, entries: i64) -> Checkpoint {
    let mut raw = match url.strip_prefix("sqlite:") {
        Some(path) => {
            let options = SqliteConnectOptions::new().filename(path);
            Raw::Sqlite(SqliteConnection::connect_with(&options).await.unwrap())
        }
        None => Raw::Postgres(PgConnection::connect(url).await.unwrap()),
    };
    let (mirror, _) = Mirror::open(dir, store.store_id()).unwrap();
    let mut head = store.ledger_head().await.unwrap();
    assert_eq!(head.sequence, 0, "a new ledger is empty");
    head.hash = genesis(store.store_id());
    let (mut tree, mut stored) = (Frontier::default(), Vec::new());
    while head.sequence < entries {
        raw.run("BEGIN").await;
        for _ in 0..BATCH / ROWS {
            let rows: Vec<_> = (0..ROWS)
                .map(|_| next(&mut head, &mut tree, &mut stored))
                .collect();
            stored.clear();
            raw.insert(&rows).await;
            let lines: Vec<_> = rows.into_iter().map(Line::from).collect();
            mirror.append(&lines).unwrap();
        }
        raw.set_head(&head).await;
        raw.run("COMMIT").await;
    }
    mirror.sync().unwrap();
    mirror.close();
    raw.close().await;
    Checkpoint {
        size: tree.size(),
        root: tree.root(),
        note: String::new(),
    }
}

/// A submission, chained to what was before and added to the tree.
fn next(head: &mut Head, tree: &mut Frontier, stored: &mut Vec<[u8; 32]>) -> Entry {
    let (before, at) = (head.hash, AT + head.sequence);
    let id = Uuid::from_u128(u128::from(head.sequence.unsigned_abs()) << 64);
    let new = NewEntry::new(EntryKind::Submitted, 1)
        .lead(id.into())
        .request(id);
    let entry = head.append(new, at);
    tree.push(leaf_hash(entry.record(&before).as_bytes()), stored);
    entry
}

/// The most memory that was resident since it was last asked to be forgotten.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap().trim().to_owned()
}

/// Does the same on either connection.
macro_rules! either {
    ($raw:expr, $inner:ident => $call:expr) => {
        match $raw {
            Raw::Sqlite($inner) => $call,
            Raw::Postgres($inner) => $call,
        }
    };
}

impl Raw {
    async fn run(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        either!(self, raw => drop(sqlx::raw_sql(sql).execute(raw).await.unwrap()));
    }

    async fn set_head(&mut self, head: &Head) {
        const SQL: &str = "UPDATE ledger_head SET sequence = $1, hash = $2, at = $3 WHERE id = 1";
        let hash = head.hash.to_vec();
        either!(self, raw => {
            let set = sqlx::query(SQL)
                .bind(head.sequence)
                .bind(hash)
                .bind(head.at);
            set.execute(raw).await.unwrap();
        });
    }

    /// Inserts submissions.
    async fn insert(&mut self, rows: &[Entry]) {
        const COLUMNS: &str =
            "(sequence, kind, lead_id, client_id, request_id, detail, submission, at, hash)";
        match self {
            Self::Sqlite(raw) => {
                let mut query =
                    QueryBuilder::<Sqlite>::new(format!("INSERT INTO ledger {COLUMNS} "));
                query.push_values(rows, |mut row, it| {
                    let id = it.new.request_id.map(|id| id.as_bytes().to_vec());
                    row.push_bind(it.sequence).push_bind(it.new.kind as i64);
                    row.push_bind(id.clone())
                        .push_bind(it.new.client_id)
                        .push_bind(id);
                    row.push_bind(it.new.detail).push_bind(it.new.submission);
                    row.push_bind(it.at).push_bind(it.hash.to_vec());
                });
                query.build().execute(raw).await.unwrap();
            }
            Self::Postgres(raw) => {
                let sql = format!(
                    "INSERT INTO ledger {COLUMNS} SELECT sequence, 1, id, 1, id, 0, 0, at, hash \
                     FROM UNNEST($1::bigint[], $2::uuid[], $3::bigint[], $4::bytea[]) \
                     AS entry (sequence, id, at, hash)"
                );
                let numbers: Vec<_> = rows.iter().map(|it| it.sequence).collect();
                let ids: Vec<_> = rows.iter().filter_map(|it| it.new.request_id).collect();
                let times: Vec<_> = rows.iter().map(|it| it.at).collect();
                let hashes: Vec<_> = rows.iter().map(|it| it.hash.to_vec()).collect();
                let insert = sqlx::query(AssertSqlSafe(sql));
                let insert = insert.bind(numbers).bind(ids).bind(times).bind(hashes);
                insert.execute(raw).await.unwrap();
            }
        }
    }

    async fn close(self) {
        either!(self, raw => raw.close().await.unwrap());
    }
}
