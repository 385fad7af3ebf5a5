//! Acts on one lead: correct, restrict, lift, withdraw, close.
//!
//! All the same way, in one transaction: read the lead, ask the table in [`crate::domain::lifecycle`] what the
//! act makes of it, write that at the revision it was read at, record it. A request that comes a second time
//! is answered from the ledger, which knows what held at the time; that is looked up after the lead was
//! read, so that of two calls under one key the second never judges what the first made of the lead. To add
//! an act, add its row there and a method that calls [`Sql::act`].

use super::{
    Amended, Candidate, Closed, Lifting, Rectification, Rectified, Restriction, Result, RightsCall,
    StoreError, StoredLead, Withdrawal,
    dialect::{Dialect, values},
    erase::DELETE_LEADS,
    sql::{LEAD_COLUMNS, Sql, candidate_columns, lead_at, statements},
    tx::Tx,
};
use crate::{
    clock::from_micros,
    domain::{
        erasure::WithdrawalOutcome,
        lead::{CloseOutcome, LawfulBasis, LeadFacts, LeadId, RestrictionReason, Restrictions},
        lifecycle::{Act, Barred, Transition},
        retention::RetentionPolicy,
    },
    ledger::{Entry, EntryKind, NewEntry},
};

statements! {
    LEAD = concat!("SELECT ", candidate_columns!(), " FROM lead WHERE lead.id = $1");
    UPDATE_LEAD = "UPDATE lead SET consent = $3, closed_at = $4, closed_outcome = $5, \
                   restrictions = $6, revision = $7 WHERE id = $1 AND revision = $2";
    // An index is replaced with its field only, and only under the key that it was computed with: resealing
    // moves a lead to another one and leaves the revision.
    AMEND_LEAD = "UPDATE lead SET sealed = $3, key_id = $4, \
                  email_index = CASE WHEN $5 THEN $6 ELSE email_index END, \
                  phone_index = CASE WHEN $7 THEN $8 ELSE phone_index END \
                  WHERE id = $1 AND revision = $2 AND index_key_id = $9";
}

/// What an act did.
struct Done {
    transition: Transition,
    entries: Vec<Entry>,
}

impl<DB: Dialect> Sql<DB> {
    pub(super) async fn rectify(
        &self,
        call: &RightsCall,
        order: &Rectification<'_>,
    ) -> Result<Option<Rectified>> {
        let act = Act::Rectify(order.fields);
        let mut tx = self.begin().await?;
        let candidate = tx.lead(order.id).await?;
        if let Some(first) = tx.first(call, order.id, act).await? {
            return tx.rectified_before(order, &first).await.map(Some);
        }
        let Some(candidate) = candidate else {
            return Ok(None);
        };
        let facts = &candidate.lead.facts;
        if facts.revision != order.expected_revision {
            return Err(StoreError::RevisionMismatch);
        }
        let transition = facts.apply(act, call.now, &RetentionPolicy::default())?;
        let amended = (order.amend)(&candidate.lead)?;
        tx.depends_on_ring(amended.resealed.ring);
        tx.amend(&candidate.lead, order, &amended).await?;
        // What is replaced lies in the log until that is emptied.
        self.residue.left();
        self.finish(tx, Some(call), call.client_id, &candidate, transition)
            .await?;
        Ok(Some(Rectified {
            revision: facts.revision + 1,
            received_at: call.received_at,
        }))
    }

    pub(super) async fn restrict(
        &self,
        call: &RightsCall,
        id: LeadId,
        reason: RestrictionReason,
    ) -> Result<Option<Restriction>> {
        let act = Act::Restrict(reason);
        let mut tx = self.begin().await?;
        let candidate = tx.lead(id).await?;
        if let Some(first) = tx.first(call, id, act).await? {
            let (reasons, _) = tx.restrictions_after(id, first.sequence).await?;
            return Ok(Some(Restriction {
                reasons,
                received_at: first.received_at,
            }));
        }
        let policy = RetentionPolicy::default();
        let done = self.act(tx, call, candidate, act, &policy).await?;
        Ok(done.map(|done| Restriction {
            reasons: reasons(&done),
            received_at: call.received_at,
        }))
    }

    pub(super) async fn lift(
        &self,
        call: &RightsCall,
        id: LeadId,
        reason: RestrictionReason,
        policy: &RetentionPolicy,
    ) -> Result<Option<Lifting>> {
        let act = Act::Lift(reason);
        let mut tx = self.begin().await?;
        let candidate = tx.lead(id).await?;
        if let Some(first) = tx.first(call, id, act).await? {
            let (reasons, erased) = tx.restrictions_after(id, first.sequence).await?;
            return Ok(Some(Lifting { reasons, erased }));
        }
        Ok(self
            .act(tx, call, candidate, act, policy)
            .await?
            .map(|done| Lifting {
                reasons: reasons(&done),
                erased: done.transition.after.is_none(),
            }))
    }

    pub(super) async fn withdraw(
        &self,
        client_id: i64,
        id: LeadId,
        policy: &RetentionPolicy,
    ) -> Result<Withdrawal> {
        let mut tx = self.begin().await?;
        let Some(candidate) = tx.lead(id).await? else {
            return Ok(Withdrawal {
                outcome: WithdrawalOutcome::NothingHeld,
                entry: None,
            });
        };
        let facts = &candidate.lead.facts;
        let transition = facts.apply(Act::WithdrawConsent, self.clock.now(), policy)?;
        let outcome = match (&transition.after, facts.basis) {
            (None, _) => WithdrawalOutcome::Erased,
            (Some(_), LawfulBasis::Consent) => WithdrawalOutcome::ErasedWhenLifted,
            (Some(_), LawfulBasis::PreContract) => WithdrawalOutcome::FlagWithdrawn,
        };
        let entry = if transition.events.is_empty() {
            tx.last_of_kind(id, EntryKind::ConsentWithdrawn).await?
        } else {
            let done = self.finish(tx, None, client_id, &candidate, transition);
            done.await?.entries.last().copied()
        };
        Ok(Withdrawal { outcome, entry })
    }

    pub(super) async fn close(
        &self,
        client_id: i64,
        id: LeadId,
        outcome: CloseOutcome,
        policy: &RetentionPolicy,
    ) -> Result<Option<Closed>> {
        let mut tx = self.begin().await?;
        let Some(candidate) = tx.lead(id).await? else {
            return tx.closed_before(client_id, id).await;
        };
        let facts = &candidate.lead.facts;
        let transition = match facts.apply(Act::Close(outcome), self.clock.now(), policy) {
            Err(Barred::Hidden) => return Ok(None),
            applied => applied?,
        };
        if transition.events.is_empty() {
            // The first closing stands.
            return Ok(facts.closing.map(|closing| Closed {
                outcome: closing.outcome,
                erase_by: policy.erase_by(facts),
            }));
        }
        let done = self
            .finish(tx, None, client_id, &candidate, transition)
            .await?;
        let erased_at = done.entries.last().map(|entry| from_micros(entry.at));
        Ok(match &done.transition.after {
            Some(lead) => Some(policy.erase_by(lead)),
            None => erased_at,
        }
        .map(|erase_by| Closed { outcome, erase_by }))
    }

    /// An act that a person asks for, on one lead. `None`: there is no such lead.
    async fn act(
        &self,
        tx: Tx<'_, DB>,
        call: &RightsCall,
        candidate: Option<Candidate>,
        act: Act,
        policy: &RetentionPolicy,
    ) -> Result<Option<Done>> {
        let Some(candidate) = candidate else {
            return Ok(None);
        };
        let transition = candidate.lead.facts.apply(act, call.now, policy)?;
        self.finish(tx, Some(call), call.client_id, &candidate, transition)
            .await
            .map(Some)
    }

    /// Writes what an act made of a lead, records it, and commits.
    async fn finish(
        &self,
        mut tx: Tx<'_, DB>,
        call: Option<&RightsCall>,
        client_id: i64,
        candidate: &Candidate,
        transition: Transition,
    ) -> Result<Done> {
        tx.write(&candidate.lead.facts, &transition).await?;
        let mut entries = new_entries(client_id, candidate, &transition);
        if let (Some(call), Some(request)) = (call, entries.first_mut()) {
            *request = request.request(call.request_id);
            tx.add_request(call, std::slice::from_ref(request)).await?;
        }
        let entries = tx.append(&entries, self.clock.now()).await?;
        if transition.after.is_none() {
            self.residue.left();
        }
        tx.commit().await?;
        self.signal.moved(&entries);
        Ok(Done {
            transition,
            entries,
        })
    }
}

/// The entries that say what an act made of a lead.
pub(super) fn new_entries(
    client_id: i64,
    candidate: &Candidate,
    transition: &Transition,
) -> Vec<NewEntry> {
    let id = candidate.lead.facts.id;
    transition
        .events
        .iter()
        .map(|event| NewEntry::of(*event, client_id, id, candidate.submission))
        .collect()
}

fn reasons(done: &Done) -> Restrictions {
    done.transition
        .after
        .as_ref()
        .map(|lead| lead.restrictions)
        .unwrap_or_default()
}

impl<DB: Dialect> Tx<'_, DB> {
    /// A lead and the number of its submission.
    pub(super) async fn lead(&mut self, id: LeadId) -> Result<Option<Candidate>> {
        let row = self.fetch_optional(LEAD, values![id.uuid()]).await?;
        row.as_ref().map(candidate_at).transpose()
    }

    /// Writes a lead as it is after an act, or deletes it; fails if it moved on since it was read. A lead
    /// that the act leaves as it is, is written too: that keeps it from moving on until the commit.
    pub(super) async fn write(
        &mut self,
        before: &LeadFacts,
        transition: &Transition,
    ) -> Result<()> {
        let place = values![before.id.uuid(), before.revision];
        let changed = match &transition.after {
            None => self.execute_bulk(&DELETE_LEADS, place).await?,
            Some(lead) => {
                let mut row = place;
                row.extend(values![
                    lead.consent,
                    lead.closing.map(|closing| closing.at.as_microsecond()),
                    lead.closing.map(|closing| closing.outcome as i64),
                    lead.restrictions.bits(),
                    lead.revision,
                ]);
                self.execute(UPDATE_LEAD, row).await?
            }
        };
        if changed == 1 {
            Ok(())
        } else {
            Err(StoreError::Contended)
        }
    }

    async fn amend(
        &mut self,
        before: &StoredLead,
        order: &Rectification<'_>,
        amended: &Amended,
    ) -> Result<()> {
        use crate::domain::lifecycle::FieldSet;
        let resealed = &amended.resealed;
        let row = values![
            before.facts.id.uuid(),
            before.facts.revision,
            resealed.sealed.as_slice(),
            i64::from(resealed.key_id),
            order.fields.contains(FieldSet::EMAIL),
            resealed.index.email,
            order.fields.contains(FieldSet::PHONE),
            resealed.index.phone,
            i64::from(before.index_key_id),
        ];
        if self.execute(AMEND_LEAD, row).await? == 1 {
            Ok(())
        } else {
            Err(StoreError::Contended)
        }
    }
}

/// Reads a lead and the number of its submission from the columns of `candidate_columns!`.
pub(super) fn candidate_at(row: &impl super::dialect::Columns) -> Result<Candidate> {
    Ok(Candidate {
        lead: lead_at(row, 0)?,
        submission: row.opt_int(LEAD_COLUMNS)?.ok_or(StoreError::Corrupt(
            "a lead without an entry of its submission",
        ))?,
    })
}
