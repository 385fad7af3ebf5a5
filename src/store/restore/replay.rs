//! Puts entries back that the database lost, as they were, and does again what they did.

use super::{ADD_CLIENT, DELETE_LEADS, REVOKE, Restoration, Result, SET_HEAD, StoreError};
use crate::{
    domain::lifecycle::Transition,
    ledger::{
        Entry, EntryKind,
        mirror::{Line, Lines, MirrorError},
    },
    store::dialect::{Dialect, values},
};

/// Entries that are put back at once.
const PAGE: usize = 1000;

impl<DB: Dialect> Restoration<DB> {
    /// Puts back all that the mirror still has to give.
    pub(super) async fn put_back_all(&mut self, lines: Lines) -> Result<()> {
        let mut page = Vec::with_capacity(PAGE);
        for line in lines {
            page.push(line?);
            if page.len() == PAGE {
                self.put_back(&page).await?;
                page.clear();
            }
        }
        self.put_back(&page).await
    }

    /// Puts back the entries that follow, as they were.
    pub(super) async fn put_back(&mut self, lines: &[Line]) -> Result<()> {
        let mut entries = Vec::with_capacity(lines.len());
        for line in lines {
            // What the mirror gives must be what the ledger had: a forged line goes no further.
            if !line.entry.follows(&self.head) {
                return Err(MirrorError::Damaged(line.entry.sequence).into());
            }
            self.head = line.entry.head();
            entries.push(line.entry);
        }
        self.tx.insert_entries(&entries).await?;
        let mut gone = Vec::new();
        for line in lines {
            let entry = &line.entry;
            if let Some(facts) = line.request {
                self.tx.insert_request(&entry.new, facts).await?;
            }
            match entry.new.kind {
                EntryKind::ClientAdded => self.add_client(line).await?,
                EntryKind::ClientRevoked => {
                    let row = values![entry.new.client_id, entry.at];
                    self.tx.execute(REVOKE, row).await?;
                }
                kind if kind.is_tombstone() => {
                    gone.extend(entry.new.lead_id.map(|id| id.uuid().into()));
                }
                _ => self.replay(entry).await?,
            }
        }
        // Last: a tombstone is the last that happens to a lead.
        self.done.erased += self.tx.execute_bulk(&DELETE_LEADS, gone).await?;
        self.done.put_back += i64::try_from(lines.len()).unwrap_or(0);
        Ok(())
    }

    /// The head is where the entries end that were put back.
    pub(super) async fn move_head(&mut self) -> Result<()> {
        let head = self.head;
        let row = values![head.sequence, head.hash, head.at];
        self.tx.execute(SET_HEAD, row).await.map(|_| ())
    }

    /// A client that was added has its number again, so that no other gets it; its tokens are lost.
    async fn add_client(&mut self, line: &Line) -> Result<()> {
        let Entry { new, at, .. } = line.entry;
        let Some(client) = &line.client else {
            return Ok(());
        };
        let row = values![
            new.client_id,
            client.name.as_str(),
            new.detail,
            client.relation,
            at
        ];
        self.tx.execute(ADD_CLIENT, row).await.map(|_| ())
    }

    /// Does to a lead what an entry says was done to it, if it is there.
    async fn replay(&mut self, entry: &Entry) -> Result<()> {
        let (Some(id), Some(event)) = (entry.new.lead_id, entry.new.event()) else {
            return Ok(());
        };
        let Some(candidate) = self.tx.lead(id).await? else {
            return Ok(());
        };
        if entry.new.kind == EntryKind::Rectified {
            self.contested.insert(id);
        }
        let facts = &candidate.lead.facts;
        let at = crate::clock::from_micros(entry.at);
        let after = facts
            .replay(event, at)
            .ok_or(StoreError::Corrupt("a tombstone that is none"))?;
        let transition = Transition {
            after: Some(after),
            events: vec![event],
        };
        self.tx.write(facts, &transition).await
    }
}
