//! Erasing the leads of a person (Art. 17).
//!
//! One transaction: judge, delete, record. A repeat is answered from what was recorded the first time.

use jiff::Timestamp;

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
    domain::{
        erasure::{ErasureCause, ErasureOutcome},
        lead::LeadId,
        lifecycle::Act,
        retention::RetentionPolicy,
        subject::UnconfirmedReason,
    },
    ledger::{Entry, EntryKind, NewEntry},
};

statements! {
    REQUEST = "SELECT detail, received_at, leads FROM rights_request \
               WHERE client_id = $1 AND request_id = $2";
    ENTRIES = "SELECT sequence, kind, lead_id, client_id, request_id, detail, submission, at, hash \
               FROM ledger WHERE sequence >= $1 AND sequence <= $2 ORDER BY sequence";
}

/// The entries of a request, by the numbers of the first and the last: what a receipt is made of.
pub(super) const REQUEST_ENTRIES: &str = ENTRIES;

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
        let mut tx = self.begin().await?;
        let client_id = subject.call.client_id;
        // Before the key is looked up: of two calls at once the second must not judge what the first left.
        let selection = tx.select(subject).await;
        if !order.dry_run
            && let Some(first) = tx
                .first_answer(subject, EntryKind::ErasureRequested)
                .await?
        {
            if first.detail != order.ground as i64 {
                return Err(StoreError::RequestIdReused);
            }
            // What is still unconfirmed was looked up afresh: that is recorded as any look-up.
            let looked = NewEntry::new(EntryKind::SubjectFound, client_id);
            self.record(tx, &[looked], subject.call.now).await?;
            return first.into_erasure();
        }
        let Selection { leads, unconfirmed } = selection?;
        let act = Act::Erase {
            confirmed: order.confirmed,
        };
        let asked = |candidate: &Candidate| {
            let facts = &candidate.lead.facts;
            // The act does not look at the policy.
            let asked = facts.apply(act, subject.call.now, &RetentionPolicy::default());
            (facts.id, ErasureOutcome::of(&asked))
        };
        let outcomes: Vec<(LeadId, ErasureOutcome)> = leads.iter().map(asked).collect();
        let ground = order.ground as i64;
        let mut erasure = Erasure {
            outcomes,
            unconfirmed,
            entries: Vec::new(),
            ground,
            received_at: subject.call.received_at,
        };
        if order.dry_run {
            // Looking is recorded too, but the request's key is not used up.
            let looked = NewEntry::new(EntryKind::SubjectFound, client_id);
            self.record(tx, &[looked], subject.call.now).await?;
            return Ok(erasure);
        }
        tx.delete(&leads, &erasure.outcomes).await?;
        let request = NewEntry::new(EntryKind::ErasureRequested, client_id);
        let mut entries = vec![request.request(subject.call.request_id).detail(ground)];
        for (candidate, (id, outcome)) in leads.iter().zip(&erasure.outcomes) {
            let (kind, detail) = match outcome {
                ErasureOutcome::Erased => (EntryKind::Erased, ErasureCause::Request as i64),
                ErasureOutcome::Retained | ErasureOutcome::NeedsConfirmation => {
                    (EntryKind::ErasureRefused, *outcome as i64)
                }
            };
            let entry = NewEntry::new(kind, client_id).lead(*id).detail(detail);
            entries.push(entry.submission(candidate.submission));
        }
        tx.add_request(&subject.call, &entries).await?;
        erasure.entries = tx.append(&entries, subject.call.now).await?;
        self.residue.left();
        tx.commit().await?;
        self.signal.moved(&erasure.entries);
        Ok(erasure)
    }
}

impl<DB: Dialect> Tx<'_, DB> {
    /// Deletes the rows that are to be erased; fails if one moved on since it was judged.
    ///
    /// One by one in order of their identifiers, as every act on several leads: a statement over many rows
    /// locks them in an order of its own, and two calls about one person would wait for each other.
    async fn delete(
        &mut self,
        leads: &[Candidate],
        outcomes: &[(LeadId, ErasureOutcome)],
    ) -> Result<()> {
        for (candidate, (_, outcome)) in leads.iter().zip(outcomes) {
            if *outcome == ErasureOutcome::Erased {
                let facts = &candidate.lead.facts;
                let place = values![facts.id.uuid(), facts.revision];
                if self.execute_bulk(&DELETE_LEADS, place).await? != 1 {
                    return Err(StoreError::Contended);
                }
            }
        }
        Ok(())
    }

    /// What the first request with this key did, if there was one of this kind.
    ///
    /// Nothing that identifies the person is kept, so a repeat for another person is told from the leads
    /// that match now, and those that are named: one that the first call did not touch means that the key is
    /// used for something else.
    pub(super) async fn first_answer(
        &mut self,
        subject: &SubjectLookup<'_>,
        kind: EntryKind,
    ) -> Result<Option<FirstAnswer>> {
        let Some(row) = self.request_of(subject).await? else {
            return Ok(None);
        };
        if row.int(0)? != kind as i64 {
            return Err(StoreError::RequestIdReused);
        }
        let key = values![subject.call.client_id, subject.call.request_id];
        let request = self.fetch_optional(REQUEST, key).await?;
        let request = request.ok_or(StoreError::Corrupt("an entry without its request"))?;
        let first = row.int(1)?;
        let range = values![first, first + request.int(2)?];
        let mut entries = Vec::new();
        for row in self.fetch(ENTRIES, range).await? {
            entries.push(entry_at(&row, 0)?);
        }
        let unnamed = SubjectLookup {
            named: &[],
            ..*subject
        };
        let now = self.select(&unnamed).await?;
        let mut answer = FirstAnswer {
            detail: request.int(0)?,
            received_at: from_micros(request.int(1)?),
            entries,
            unconfirmed: Vec::new(),
        };
        let touched = |id: LeadId| answer.leads().any(|touched| touched == id);
        let matching = now.leads.iter().map(|candidate| candidate.lead.facts.id);
        if matching
            .chain(subject.named.iter().copied())
            .any(|id| !touched(id))
        {
            return Err(StoreError::RequestIdReused);
        }
        // What was named then, and is still there, was touched all the same.
        let mut unconfirmed = now.unconfirmed;
        unconfirmed.retain(|(candidate, _)| !touched(candidate.lead.facts.id));
        answer.unconfirmed = unconfirmed;
        Ok(Some(answer))
    }
}

/// What the first request with a key did.
pub(super) struct FirstAnswer {
    /// The request's own detail.
    pub(super) detail: i64,
    pub(super) received_at: Timestamp,
    /// The request, then one entry for each lead.
    entries: Vec<Entry>,
    /// Perhaps the person's, as it stands now.
    pub(super) unconfirmed: Vec<(Candidate, UnconfirmedReason)>,
}

impl FirstAnswer {
    /// The leads it touched, oldest first.
    pub(super) fn leads(&self) -> impl Iterator<Item = LeadId> {
        self.entries.iter().filter_map(|entry| entry.new.lead_id)
    }

    fn into_erasure(self) -> Result<Erasure> {
        let mut outcomes = Vec::new();
        for Entry { new, .. } in self.entries.iter().skip(1) {
            let outcome = if new.kind.is_tombstone() {
                Some(ErasureOutcome::Erased)
            } else {
                ErasureOutcome::from_number(new.detail)
            };
            let (Some(id), Some(outcome)) = (new.lead_id, outcome) else {
                return Err(StoreError::Corrupt("an erasure entry without its lead"));
            };
            outcomes.push((id, outcome));
        }
        Ok(Erasure {
            outcomes,
            unconfirmed: self.unconfirmed,
            entries: self.entries,
            ground: self.detail,
            received_at: self.received_at,
        })
    }
}
