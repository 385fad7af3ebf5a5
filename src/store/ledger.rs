//! Reading the ledger.

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::{
    Result, StoreError,
    dialect::{Columns, Dialect, values},
    packed::unpack,
    sql::{Sql, SqlStore, statements, to_hash},
};
use crate::{
    domain::lead::LeadId,
    ledger::{
        Against, Entry, EntryKind, Fault, Hash, Head, MirrorFound, NewEntry, Progress,
        Verification, Verifier, genesis, mirror::Lines, verify_mirror,
    },
};

/// Reads the ledger.
#[async_trait]
pub trait LedgerStore: fmt::Debug + Send + Sync {
    /// At most `limit` entries after a number, in order, each with the name of its client.
    async fn entries(
        &self,
        after: i64,
        limit: i64,
        lead: Option<LeadId>,
    ) -> Result<Vec<NamedEntry>>;

    /// Recomputes the chain, and compares it with what lies outside the database; `progress` hears how far it is. All of it
    /// ends when it is dropped.
    async fn verify(&self, against: &Against, progress: &Arc<Progress>) -> Result<Verification>;

    /// The end of the ledger.
    async fn ledger_head(&self) -> Result<Head>;
}

/// An entry with the name of its client.
#[derive(Clone, Debug)]
pub struct NamedEntry {
    /// The entry.
    pub entry: Entry,
    /// Name of the client; empty for none.
    pub client: String,
}

statements! {
    HEAD = "SELECT sequence, hash, at FROM ledger_head WHERE id = 1";
    ENTRIES_AFTER = "SELECT ledger.sequence, ledger.kind, ledger.lead_id, ledger.client_id, \
                     ledger.request_id, ledger.detail, ledger.submission, ledger.at, ledger.hash, \
                     client.name FROM ledger LEFT JOIN client ON client.id = ledger.client_id \
                     WHERE ledger.sequence > $1 ORDER BY ledger.sequence LIMIT $2";
    ENTRIES_OF_LEAD = "SELECT ledger.sequence, ledger.kind, ledger.lead_id, ledger.client_id, \
                       ledger.request_id, ledger.detail, ledger.submission, ledger.at, \
                       ledger.hash, client.name \
                       FROM ledger LEFT JOIN client ON client.id = ledger.client_id \
                       WHERE ledger.lead_id = $3 AND ledger.sequence > $1 \
                       ORDER BY ledger.sequence LIMIT $2";
    HASH = "SELECT hash FROM ledger WHERE sequence = $1";
}

/// Reads the whole head.
pub(super) const HEAD_ROW: &str = HEAD;

/// Entries read at once while verifying: some 300 KiB.
const VERIFY_PAGE: i64 = 2000;

/// Entries, and why there are no more of them than that.
type Page = (Vec<Entry>, Result<()>);

#[async_trait]
impl<DB: Dialect> LedgerStore for SqlStore<DB> {
    async fn entries(
        &self,
        after: i64,
        limit: i64,
        lead: Option<LeadId>,
    ) -> Result<Vec<NamedEntry>> {
        let rows = match lead {
            None => self.sql.read(ENTRIES_AFTER, values![after, limit]).await?,
            Some(id) => {
                self.sql
                    .read(ENTRIES_OF_LEAD, values![after, limit, id.uuid()])
                    .await?
            }
        };
        rows.iter()
            .map(|row| {
                let client = if row.int(3)? == 0 {
                    String::new()
                } else {
                    row.text(9)?
                };
                Ok(NamedEntry {
                    entry: entry_at(row, 0)?,
                    client,
                })
            })
            .collect()
    }

    async fn verify(&self, against: &Against, progress: &Arc<Progress>) -> Result<Verification> {
        let genesis = genesis(self.sql.store_id);
        // The mirror's end before the database's: it has nothing that the database has not.
        let mirror_end = match &against.mirror {
            Some(dir) => Lines::last(dir)?.map_or(0, |line| line.entry.sequence),
            None => 0,
        };
        let head = self.sql.read_head().await?;
        progress.begin(head.sequence);
        // A thread does not end with what it works for: so it looks whether that is still there.
        let wanted = Arc::new(());
        let mirror = against.mirror.clone().map(|dir| {
            let verifier = Verifier::new(genesis, &[]);
            let (progress, wanted) = (progress.clone(), Arc::downgrade(&wanted));
            tokio::task::spawn_blocking(move || {
                let found = verify_mirror(
                    Lines::after(&dir, 0)?,
                    verifier,
                    Some(head.sequence),
                    |checked| {
                        progress.mirror(checked);
                        wanted.strong_count() > 0
                    },
                );
                progress.mirror_ended();
                found
            })
        });
        if mirror.is_none() {
            progress.mirror_ended();
        }
        let verifier = Verifier::new(genesis, &against.checkpoints);
        let mut found = self.sql.verify_chain(verifier, head, progress).await?;
        if mirror_end > head.sequence {
            found.fault = found.fault.or(Some((Fault::Truncated, head.sequence + 1)));
        }
        if let Some(mirror) = mirror {
            let mirror = mirror.await.map_err(|_| StoreError::Lost)??;
            self.sql.compare(&mut found, against, &mirror).await?;
        }
        drop(wanted);
        Ok(found)
    }

    async fn ledger_head(&self) -> Result<Head> {
        self.sql.read_head().await
    }
}

impl<DB: Dialect> Sql<DB> {
    async fn verify_chain(
        &self,
        mut verifier: Verifier,
        head: Head,
        progress: &Progress,
    ) -> Result<Verification> {
        // Up to the head as it was at the start: what is written meanwhile is the next run's.
        let mut next = Some(self.page(verifier.position(), head.sequence));
        'pages: while let Some(page) = next.take() {
            let (entries, end) = page.await.map_err(|_| StoreError::Lost)??;
            let last = entries.last().map(|entry| entry.sequence);
            next = last
                .filter(|last| *last < head.sequence)
                .map(|last| self.page(last, head.sequence));
            for entry in &entries {
                if !verifier.check(entry) {
                    break 'pages;
                }
            }
            // Nothing before what cannot be read is wrong.
            end?;
            progress.database(verifier.position());
            // Whoever waits beside this in one task, to tell of it, has a turn also where every page is there in time.
            tokio::task::yield_now().await;
        }
        Ok(verifier.finish(head))
    }

    /// Begins to read a page: the database works on it while the one before is hashed. It ends by itself, also if nobody
    /// wants it any more.
    fn page(&self, after: i64, upto: i64) -> JoinHandle<Result<Page>> {
        let sql = self.clone();
        tokio::spawn(async move {
            let range = values![after, upto, VERIFY_PAGE];
            let rows = sql.read(DB::ENTRIES_PACKED, range).await?;
            let packed = rows.first().map(|row| row.text(0)).transpose()?;
            Ok(unpack(&packed.unwrap_or_default()))
        })
    }

    /// Compares the database with its mirror, both of which were read through: hashes cover all before them, so one
    /// of each is enough to tell that they agree, and a few to find where they do not.
    async fn compare(
        &self,
        found: &mut Verification,
        against: &Against,
        mirror: &MirrorFound,
    ) -> Result<()> {
        let (end, hash) = mirror.reached;
        found.entries_mirrored = end;
        if found.fault.is_none() && self.hash_of(end).await? != Some(hash) {
            let (mut same, mut other) = (0, end);
            while same + 1 < other {
                let probe = i64::midpoint(same, other);
                let dir = against.mirror.as_deref().unwrap_or(Path::new(""));
                let copy = Lines::after(dir, probe - 1)?.next().transpose()?;
                if copy.map(|line| line.entry.hash) == self.hash_of(probe).await? {
                    same = probe;
                } else {
                    other = probe;
                }
            }
            found.fault = Some((Fault::MirrorMismatch, other));
        }
        found.fault = found.fault.or(mirror.fault);
        Ok(())
    }

    async fn hash_of(&self, sequence: i64) -> Result<Option<Hash>> {
        if sequence == 0 {
            return Ok(Some(genesis(self.store_id)));
        }
        let rows = self.read(HASH, values![sequence]).await?;
        rows.first().map(|row| to_hash(row.bytes(0)?)).transpose()
    }

    async fn read_head(&self) -> Result<Head> {
        let rows = self.read(HEAD, Vec::new()).await?;
        let row = rows
            .first()
            .ok_or(StoreError::Corrupt("the ledger has no head"))?;
        Ok(Head {
            sequence: row.int(0)?,
            hash: to_hash(row.bytes(1)?)?,
            at: row.int(2)?,
        })
    }
}

/// Reads an entry from the nine columns that begin at `start`.
pub(super) fn entry_at(row: &impl Columns, start: usize) -> Result<Entry> {
    Ok(Entry {
        sequence: row.int(start)?,
        new: NewEntry {
            kind: EntryKind::from_number(row.int(start + 1)?)
                .ok_or(StoreError::Corrupt("an entry of an unknown kind"))?,
            lead_id: row.opt_uuid(start + 2)?.map(LeadId::from),
            client_id: row.int(start + 3)?,
            request_id: row.opt_uuid(start + 4)?,
            detail: row.int(start + 5)?,
            submission: row.int(start + 6)?,
        },
        at: row.int(start + 7)?,
        hash: to_hash(row.bytes(start + 8)?)?,
    })
}
