//! The rights of people: find and export; erasing is in [`super::erase`].
//!
//! Whose lead it is, is decided inside the transaction that acts on it, from rows that are still there when
//! it commits: each deletion names the revision it was judged at, and a row that moved on makes the whole
//! call start again. Reading leaves an entry too: without it nothing is answered.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Candidate, Erasure, ErasureOrder, Export, Lifting, Objection, PrivacyStore, Rectification,
    Rectified, Restriction, Result, RightsCall, Selection, StoreError, SubjectLookup,
    act::candidate_at,
    bulk::{
        Bulk,
        ColumnType::{Int, Uuid},
    },
    dialect::{Columns as _, Dialect, values},
    error::retrying,
    lookup::LOOK_UP,
    sql::{Sql, SqlStore, statements},
    tx::Tx,
};
use crate::{
    domain::{
        lead::{LeadId, RestrictionReason},
        retention::RetentionPolicy,
        subject::{CANDIDATES_MAX, Match, ObjectionKind},
    },
    ledger::{EntryKind, NewEntry, mirror::RequestFacts},
};

statements! {
    REQUEST_ENTRY = "SELECT kind, sequence, detail FROM ledger WHERE client_id = $1 AND request_id = $2";
    ADD_REQUEST = "INSERT INTO rights_request (client_id, request_id, kind, detail, verification, \
                   received_at, completed_at, leads) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
}

pub(super) static UNCHANGED_LEADS: Bulk = Bulk::new(
    "SELECT id FROM lead WHERE (id, revision) IN (",
    &[Uuid, Int],
    ")",
);

#[async_trait]
impl<DB: Dialect> PrivacyStore for SqlStore<DB> {
    async fn find(&self, subject: &SubjectLookup<'_>) -> Result<Selection> {
        let sql = &self.owed;
        sql.owed(|| sql.find(subject)).await
    }

    async fn export(&self, subject: &SubjectLookup<'_>) -> Result<Export> {
        let sql = &self.owed;
        sql.owed(|| sql.export(subject)).await
    }

    async fn erase(&self, subject: &SubjectLookup<'_>, order: ErasureOrder) -> Result<Erasure> {
        let sql = &self.owed;
        sql.owed(|| sql.erase(subject, order)).await
    }

    async fn object(&self, subject: &SubjectLookup<'_>, kind: ObjectionKind) -> Result<Objection> {
        let sql = &self.owed;
        sql.owed(|| sql.object(subject, kind)).await
    }

    async fn rectify(
        &self,
        call: &RightsCall,
        order: Rectification<'_>,
    ) -> Result<Option<Rectified>> {
        let sql = &self.owed;
        sql.owed(|| sql.rectify(call, &order)).await
    }

    async fn restrict(
        &self,
        call: &RightsCall,
        id: LeadId,
        reason: RestrictionReason,
    ) -> Result<Option<Restriction>> {
        let sql = &self.owed;
        sql.owed(|| sql.restrict(call, id, reason)).await
    }

    async fn lift(
        &self,
        call: &RightsCall,
        id: LeadId,
        reason: RestrictionReason,
        policy: &RetentionPolicy,
    ) -> Result<Option<Lifting>> {
        let sql = &self.owed;
        sql.owed(|| sql.lift(call, id, reason, policy)).await
    }
}

/// Runs a request until it succeeds or fails for good; a key that another call used meanwhile is a race
/// that the next attempt finds decided.
async fn trying<T, F>(mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    retrying(|| {
        let attempt = attempt();
        async { attempt.await.map_err(StoreError::or_contended) }
    })
    .await
}

impl<DB: Dialect> Sql<DB> {
    /// Runs a person's request: if the disk is full, on what the ballast gives.
    async fn owed<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        match trying(&mut attempt).await {
            Err(error) if self.makes_room_after(&error).await => trying(attempt).await,
            done => done,
        }
    }

    async fn find(&self, subject: &SubjectLookup<'_>) -> Result<Selection> {
        let mut tx = self.begin().await?;
        let entry = tx.request_entry(subject, EntryKind::SubjectFound).await?;
        let selection = tx.select(subject).await?;
        self.record(tx, &[entry], subject.call.now).await?;
        Ok(selection)
    }

    async fn export(&self, subject: &SubjectLookup<'_>) -> Result<Export> {
        let mut tx = self.begin().await?;
        let mut entries = vec![
            tx.request_entry(subject, EntryKind::SubjectExported)
                .await?,
        ];
        let selection = tx.select(subject).await?;
        for candidate in &selection.leads {
            let entry = NewEntry::new(EntryKind::LeadExported, subject.call.client_id);
            entries.push(
                entry
                    .lead(candidate.lead.facts.id)
                    .submission(candidate.submission),
            );
        }
        // A repeat is answered afresh and is still the same request.
        if entries.iter().any(|entry| entry.request_id.is_some()) {
            tx.add_request(&subject.call, &entries).await?;
        }
        let entries = tx.append(&entries, subject.call.now).await?;
        tx.check_unchanged(&selection.leads).await?;
        let disclosures = tx.disclosures(&selection.leads).await?;
        tx.commit().await?;
        self.signal.moved(&entries);
        Ok(Export {
            selection,
            disclosures,
        })
    }

    /// Appends and commits.
    pub(super) async fn record(
        &self,
        mut tx: Tx<'_, DB>,
        entries: &[NewEntry],
        now: Timestamp,
    ) -> Result<()> {
        let entries = tx.append(entries, now).await?;
        tx.commit().await?;
        self.signal.moved(&entries);
        Ok(())
    }
}

impl<DB: Dialect> Tx<'_, DB> {
    /// Kind, number and detail of the entry that used the request's key, if one did.
    pub(super) async fn request_of(
        &mut self,
        subject: &SubjectLookup<'_>,
    ) -> Result<Option<DB::Row>> {
        let key = values![subject.call.client_id, subject.call.request_id];
        self.fetch_optional(REQUEST_ENTRY, key).await
    }

    /// The entry that records a reading request: with the request's key the first time, without it when
    /// the same request is made again.
    async fn request_entry(
        &mut self,
        subject: &SubjectLookup<'_>,
        kind: EntryKind,
    ) -> Result<NewEntry> {
        let entry = NewEntry::new(kind, subject.call.client_id).detail(subject.detail);
        match self.request_of(subject).await? {
            None => Ok(entry.request(subject.call.request_id)),
            Some(row) if row.int(0)? == kind as i64 && row.int(2)? == subject.detail => Ok(entry),
            Some(_) => Err(StoreError::RequestIdReused),
        }
    }

    /// The leads that are the person's, and those that may be.
    pub(super) async fn select(&mut self, subject: &SubjectLookup<'_>) -> Result<Selection> {
        let limit = i64::try_from(CANDIDATES_MAX).unwrap_or(i64::MAX - 1) + 1;
        let ([email, other_email], [phone, other_phone]) =
            (subject.index.email, subject.index.phone);
        self.depends_on_ring(subject.index.ring);
        let values = values![email, other_email, phone, other_phone, limit];
        let mut selection = Selection::default();
        for row in self.fetch(LOOK_UP, values).await? {
            let candidate = candidate_at(&row)?;
            let named = subject.named.contains(&candidate.lead.facts.id);
            match (subject.judge)(&candidate.lead)? {
                Match::Unconfirmed(reason) if !named => {
                    selection.unconfirmed.push((candidate, reason));
                }
                Match::Confirmed | Match::Unconfirmed(_) => selection.leads.push(candidate),
                Match::None => {}
            }
        }
        if selection.len() > CANDIDATES_MAX {
            return Err(StoreError::TooManyCandidates);
        }
        let is_candidate = |id| {
            selection
                .leads
                .iter()
                .any(|candidate| candidate.lead.facts.id == id)
        };
        if subject.named.iter().any(|id| !is_candidate(*id)) {
            return Err(StoreError::NotACandidate);
        }
        Ok(selection)
    }

    /// Fails if one of these leads moved on since it was judged. With the head locked it cannot any more,
    /// so that no lead is copied, or recorded as copied, after its tombstone.
    async fn check_unchanged(&mut self, leads: &[Candidate]) -> Result<()> {
        let mut values = Vec::with_capacity(leads.len() * 2);
        for Candidate { lead, .. } in leads {
            values.extend(values![lead.facts.id.uuid(), lead.facts.revision]);
        }
        let mut unchanged = 0;
        for (sql, values) in DB::bulk(&UNCHANGED_LEADS, values) {
            unchanged += self.fetch(sql, values).await?.len();
        }
        if unchanged == leads.len() {
            Ok(())
        } else {
            Err(StoreError::Contended)
        }
    }

    /// Records the request whose entries are about to be appended: itself, then one for each lead.
    pub(super) async fn add_request(
        &mut self,
        call: &RightsCall,
        entries: &[NewEntry],
    ) -> Result<()> {
        let (request, leads) = entries
            .split_first()
            .ok_or(StoreError::Corrupt("a request without an entry"))?;
        let facts = RequestFacts {
            verification: call.verification,
            received_at: call.received_at.as_microsecond(),
            completed_at: call.now.as_microsecond(),
            leads: i64::try_from(leads.len()).unwrap_or(i64::MAX),
        };
        let request = request.request(call.request_id);
        self.request = Some(facts);
        self.insert_request(&request, facts).await
    }

    /// Inserts what is recorded of a request beside its entry.
    pub(super) async fn insert_request(
        &mut self,
        request: &NewEntry,
        facts: RequestFacts,
    ) -> Result<()> {
        let row = values![
            request.client_id,
            request.request_id,
            request.kind as i64,
            request.detail,
            facts.verification,
            facts.received_at,
            facts.completed_at,
            facts.leads,
        ];
        self.execute(ADD_REQUEST, row).await.map(|_| ())
    }
}
