//! What the ledger's mirror is made from: committed entries, with what the database keeps beside them.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{
    MirrorStore, Result,
    bulk::{
        Bulk,
        ColumnType::{Int, Uuid},
    },
    dialect::{Columns as _, Dialect, values},
    ledger::entry_at,
    sql::{Sql, SqlStore, statements},
};
use crate::ledger::{
    Entry, EntryKind,
    mirror::{ClientFacts, Line, Mirror, RequestFacts},
};

statements! {
    ENTRIES = "SELECT sequence, kind, lead_id, client_id, request_id, detail, submission, at, hash \
               FROM ledger WHERE sequence > $1 ORDER BY sequence LIMIT $2";
    CLIENT = "SELECT name, relation FROM client WHERE id = $1";
}

pub(super) static FIND_FACTS: Bulk = Bulk::new(
    "SELECT client_id, request_id, verification, received_at, completed_at, leads \
     FROM rights_request WHERE (client_id, request_id) IN (",
    &[Int, Uuid],
    ")",
);

#[async_trait]
impl<DB: Dialect> MirrorStore for SqlStore<DB> {
    fn mirror(&self) -> Option<Arc<Mirror>> {
        self.sql.mirror.clone()
    }

    fn committed(&self) -> broadcast::Receiver<Arc<[Entry]>> {
        self.sql.signal.committed()
    }

    async fn lines(&self, after: i64, limit: i64) -> Result<Vec<Line>> {
        self.sql.lines(after, limit).await
    }
}

impl<DB: Dialect> Sql<DB> {
    /// The entries after a number, at most `limit`, with what belongs to them.
    async fn lines(&self, after: i64, limit: i64) -> Result<Vec<Line>> {
        let rows = self.read(ENTRIES, values![after, limit]).await?;
        let entries = rows.iter().map(|row| entry_at(row, 0));
        let entries = entries.collect::<Result<Vec<Entry>>>()?;
        // Perhaps sooner than the head is looked at: what the mirror has is known.
        if let Some(last) = entries.last() {
            self.signal.history().learn(last.head());
        }
        let facts = self.request_facts(&entries).await?;
        let mut lines = Vec::with_capacity(entries.len());
        for entry in entries {
            let client = match entry.new.kind {
                EntryKind::ClientAdded => self.client_facts(entry.new.client_id).await?,
                _ => None,
            };
            let key = (entry.new.client_id, entry.new.request_id);
            lines.push(Line {
                request: facts.get(&key).copied(),
                client,
                entry,
            });
        }
        Ok(lines)
    }

    /// What was recorded of the people's requests among these entries.
    async fn request_facts(
        &self,
        entries: &[Entry],
    ) -> Result<HashMap<(i64, Option<uuid::Uuid>), RequestFacts>> {
        let mut keys = Vec::new();
        for Entry { new, .. } in entries {
            if new.request_id.is_some() && new.kind != EntryKind::Submitted {
                keys.extend(values![new.client_id, new.request_id]);
            }
        }
        let mut facts = HashMap::new();
        let mut connection = self.reader.acquire().await?;
        for (sql, keys) in DB::bulk(&FIND_FACTS, keys) {
            for row in DB::fetch(&mut connection, sql, keys).await? {
                let found = RequestFacts {
                    verification: row.int(2)?,
                    received_at: row.int(3)?,
                    completed_at: row.int(4)?,
                    leads: row.int(5)?,
                };
                facts.insert((row.int(0)?, row.opt_uuid(1)?), found);
            }
        }
        Ok(facts)
    }

    async fn client_facts(&self, id: i64) -> Result<Option<ClientFacts>> {
        let rows = self.read(CLIENT, values![id]).await?;
        let row = rows.first();
        row.map(|row| {
            Ok(ClientFacts {
                name: row.text(0)?,
                relation: row.int(1)?,
            })
        })
        .transpose()
    }
}
