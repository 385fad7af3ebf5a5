//! Erasing the leads of a person (Art. 17).
//!
//! One transaction: judge, delete, record. A repeat is answered from what was recorded the first time.

use super::{
    Candidate, Erasure, ErasureOrder, Result, Selection, StoreError, SubjectLookup,
    bulk::{
        Bulk,
        ColumnType::{Int, Uuid},
    },
    dialect::{Columns as _, Dialect, values},
    ledger::entry_at,
    sql::{Sql, statements},
    tx::Tx,
};
use crate::{
    clock::from_micros,
    domain::{erasure::ErasureOutcome, lead::LeadId},
    ledger::{EntryKind, NewEntry},
};

statements! {
    REQUEST = "SELECT detail, received_at, leads FROM rights_request \
               WHERE client_id = $1 AND request_id = $2";
    ENTRIES = "SELECT sequence, kind, lead_id, client_id, request_id, detail, submission, at, hash \
               FROM ledger WHERE sequence >= $1 AND sequence <= $2 ORDER BY sequence";
}

pub(super) static DELETE_LEADS: Bulk = Bulk::new(
    "DELETE FROM lead WHERE (id, revision) IN (",
    &[Uuid, Int],
    ")",
);

impl<DB: Dialect> Sql<DB> {
    pub(super) async fn erase(
        &self,
        subject: &SubjectLookup<'_>,
        order: ErasureOrder,
    ) -> Result<Erasure> {
        let mut tx = Tx::begin(&self.writer).await?;
        if !order.dry_run
            && let Some(first) = tx.first_answer(subject).await?
        {
            // What is still unconfirmed was looked up afresh: that is recorded as any look-up.
            let looked = NewEntry::new(EntryKind::SubjectFound, subject.client_id);
            self.record(tx, &[looked], subject.now).await?;
            return Ok(first);
        }
        let Selection { leads, unconfirmed } = tx.select(subject).await?;
        let outcomes: Vec<(LeadId, ErasureOutcome)> = leads
            .iter()
            .map(|candidate| &candidate.lead.facts)
            .map(|facts| {
                (
                    facts.id,
                    ErasureOutcome::of(facts.restrictions, order.confirmed),
                )
            })
            .collect();
        let ground = order.ground as i64;
        let mut erasure = Erasure {
            outcomes,
            unconfirmed,
            entries: Vec::new(),
            ground,
            received_at: subject.received_at,
        };
        if order.dry_run {
            // Looking is recorded too, but the request's key is not used up.
            let looked = NewEntry::new(EntryKind::SubjectFound, subject.client_id);
            self.record(tx, &[looked], subject.now).await?;
            return Ok(erasure);
        }
        tx.delete(&leads, &erasure.outcomes).await?;
        let request = NewEntry::new(EntryKind::ErasureRequested, subject.client_id);
        let mut entries = vec![request.request(subject.request_id).detail(ground)];
        for (candidate, (id, outcome)) in leads.iter().zip(&erasure.outcomes) {
            let kind = match outcome {
                ErasureOutcome::Erased => EntryKind::Erased,
                ErasureOutcome::Retained | ErasureOutcome::NeedsConfirmation => {
                    EntryKind::ErasureRefused
                }
            };
            let entry = NewEntry::new(kind, subject.client_id).lead(*id);
            entries.push(
                entry
                    .submission(candidate.submission)
                    .detail(*outcome as i64),
            );
        }
        tx.add_request(subject, &entries).await?;
        erasure.entries = tx.append(&entries, subject.now).await?;
        tx.commit().await?;
        self.signal.moved(&erasure.entries);
        self.erased.send_replace(());
        Ok(erasure)
    }
}

impl<DB: Dialect> Tx<DB> {
    /// Deletes the rows that are to be erased; fails if one moved on since it was judged.
    async fn delete(
        &mut self,
        leads: &[Candidate],
        outcomes: &[(LeadId, ErasureOutcome)],
    ) -> Result<()> {
        let mut values = Vec::new();
        let mut expected = 0;
        for (candidate, (_, outcome)) in leads.iter().zip(outcomes) {
            if *outcome == ErasureOutcome::Erased {
                let facts = &candidate.lead.facts;
                values.extend(values![facts.id.uuid(), facts.revision]);
                expected += 1;
            }
        }
        if self.execute_bulk(&DELETE_LEADS, values).await? == expected {
            Ok(())
        } else {
            Err(StoreError::Contended)
        }
    }

    /// What the first erasure with this key answered, if there was one.
    ///
    /// Nothing that identifies the person is kept, so a repeat for another person is told from the leads
    /// that match now: one that the first call did not touch means that the key is used for something else.
    async fn first_answer(&mut self, subject: &SubjectLookup<'_>) -> Result<Option<Erasure>> {
        let Some(row) = self.request_of(subject).await? else {
            return Ok(None);
        };
        if row.int(0)? != EntryKind::ErasureRequested as i64 {
            return Err(StoreError::RequestIdReused);
        }
        let key = values![subject.client_id, subject.request_id];
        let request = self.fetch_optional(REQUEST, key).await?;
        let request = request.ok_or(StoreError::Corrupt("an erasure without its request"))?;
        let first = row.int(1)?;
        let range = values![first, first + request.int(2)?];
        let mut entries = Vec::new();
        for row in self.fetch(ENTRIES, range).await? {
            entries.push(entry_at(&row, 0)?);
        }
        let mut outcomes = Vec::new();
        for entry in entries.iter().skip(1) {
            let outcome = ErasureOutcome::from_number(entry.new.detail);
            let (Some(id), Some(outcome)) = (entry.new.lead_id, outcome) else {
                return Err(StoreError::Corrupt("an erasure entry without its lead"));
            };
            outcomes.push((id, outcome));
        }
        let unnamed = SubjectLookup {
            named: &[],
            ..*subject
        };
        let now = self.select(&unnamed).await?;
        let touched = |id: LeadId| outcomes.iter().any(|(touched, _)| *touched == id);
        if now
            .leads
            .iter()
            .any(|candidate| !touched(candidate.lead.facts.id))
        {
            return Err(StoreError::RequestIdReused);
        }
        Ok(Some(Erasure {
            outcomes,
            unconfirmed: now.unconfirmed,
            entries,
            ground: request.int(0)?,
            received_at: from_micros(request.int(1)?),
        }))
    }
}
