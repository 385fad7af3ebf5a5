//! What an act on a lead answered the first time: read from the ledger, which knows what held then.
//!
//! A request that comes again is answered as it was, also when the lead moved on or is gone; the same key for
//! something else is an error. Nothing here writes.

use jiff::Timestamp;

use super::{
    Candidate, Closed, Rectification, Rectified, Result, RightsCall, StoreError,
    dialect::{Columns as _, Dialect, values},
    ledger::entry_at,
    sql::statements,
    tx::Tx,
};
use crate::{
    clock::from_micros,
    domain::{
        erasure::ErasureCause,
        lead::{CloseOutcome, LeadId, RestrictionReason, Restrictions},
        lifecycle::Act,
    },
    ledger::{Entry, EntryKind},
};

statements! {
    REQUEST = "SELECT ledger.kind, ledger.sequence, ledger.detail, ledger.lead_id, \
               rights_request.received_at FROM ledger LEFT JOIN rights_request \
               ON rights_request.client_id = ledger.client_id \
               AND rights_request.request_id = ledger.request_id \
               WHERE ledger.client_id = $1 AND ledger.request_id = $2";
    // What became of a lead's restriction up to an entry, and in the one after it.
    RESTRICTIONS = "SELECT kind, detail, sequence FROM ledger WHERE lead_id = $1 \
                    AND sequence <= $2 + 1 AND kind IN (4, 5, 7, 8, 21) ORDER BY sequence";
    // Each of these moved the row to its next revision; the first is 1.
    REVISION = "SELECT COUNT(*) + 1 FROM ledger WHERE lead_id = $1 AND sequence <= $2 \
                AND kind IN (2, 3, 4, 5, 15, 21)";
    LAST_OF_KIND = "SELECT sequence, kind, lead_id, client_id, request_id, detail, submission, at, \
                    hash FROM ledger WHERE lead_id = $1 AND kind = $2 \
                    ORDER BY sequence DESC LIMIT 1";
}

/// The first answer to a request that comes again.
pub(super) struct First {
    pub(super) sequence: i64,
    pub(super) received_at: Timestamp,
}

impl<DB: Dialect> Tx<'_, DB> {
    /// The first answer to a request, if it was made before. The same key for another act, or another
    /// lead, is an error.
    pub(super) async fn first(
        &mut self,
        call: &RightsCall,
        id: LeadId,
        act: Act,
    ) -> Result<Option<First>> {
        let key = values![call.client_id, call.request_id];
        let Some(row) = self.fetch_optional(REQUEST, key).await? else {
            return Ok(None);
        };
        let (kinds, detail): (&[EntryKind], i64) = match act {
            Act::Rectify(fields) => (&[EntryKind::Rectified], fields.bits()),
            Act::Restrict(reason) => (&[EntryKind::Restricted], reason as i64),
            Act::Lift(reason) => (
                &[EntryKind::Released, EntryKind::ReasonLifted],
                reason as i64,
            ),
            _ => (&[], 0),
        };
        let kind = row.int(0)?;
        let same = kinds.iter().any(|known| *known as i64 == kind)
            && row.int(2)? == detail
            && row.opt_uuid(3)? == Some(id.uuid());
        match row.opt_int(4)? {
            Some(received_at) if same => Ok(Some(First {
                sequence: row.int(1)?,
                received_at: from_micros(received_at),
            })),
            _ => Err(StoreError::RequestIdReused),
        }
    }

    /// The answer to a correction that was made before. Another revision, or as long as no other act has
    /// touched the lead other values, tell that it is another call.
    pub(super) async fn rectified_before(
        &mut self,
        order: &Rectification<'_>,
        first: &First,
    ) -> Result<Rectified> {
        let place = values![order.id.uuid(), first.sequence];
        let row = self.fetch_optional(REVISION, place).await?;
        let revision = row.ok_or(StoreError::Corrupt("no count"))?.int(0)?;
        let differs = match self.lead(order.id).await? {
            Some(Candidate { lead, .. }) if lead.facts.revision == revision => {
                (order.amend)(&lead)?.differs
            }
            _ => false,
        };
        if differs || order.expected_revision != revision - 1 {
            return Err(StoreError::RequestIdReused);
        }
        Ok(Rectified {
            revision,
            received_at: first.received_at,
        })
    }

    /// The reasons that held for a lead after an entry, and whether the lead went with it.
    pub(super) async fn restrictions_after(
        &mut self,
        id: LeadId,
        sequence: i64,
    ) -> Result<(Restrictions, bool)> {
        let mut reasons = Restrictions::default();
        let mut erased = false;
        for row in self
            .fetch(RESTRICTIONS, values![id.uuid(), sequence])
            .await?
        {
            let detail = row.int(1)?;
            if row.int(2)? > sequence {
                erased = detail == ErasureCause::RestrictionLifted as i64
                    && EntryKind::from_number(row.int(0)?).is_some_and(EntryKind::is_tombstone);
                continue;
            }
            let Some(reason) = RestrictionReason::from_number(detail) else {
                return Err(StoreError::Corrupt("a restriction for an unknown reason"));
            };
            reasons = if row.int(0)? == EntryKind::Restricted as i64 {
                reasons.with(reason)
            } else {
                reasons.without(reason)
            };
        }
        Ok((reasons, erased))
    }

    /// What a client's own closing of a lead that is gone answered.
    pub(super) async fn closed_before(
        &mut self,
        client_id: i64,
        id: LeadId,
    ) -> Result<Option<Closed>> {
        let Some(entry) = self.last_of_kind(id, EntryKind::Closed).await? else {
            return Ok(None);
        };
        let mut end = self.last_of_kind(id, EntryKind::Erased).await?;
        if end.is_none() {
            end = self.last_of_kind(id, EntryKind::HandedOver).await?;
        }
        let outcome = CloseOutcome::from_number(entry.new.detail);
        Ok(match (outcome, end) {
            (Some(outcome), Some(end)) if entry.new.client_id == client_id => Some(Closed {
                outcome,
                erase_by: from_micros(end.at),
            }),
            _ => None,
        })
    }

    pub(super) async fn last_of_kind(
        &mut self,
        id: LeadId,
        kind: EntryKind,
    ) -> Result<Option<Entry>> {
        let place = values![id.uuid(), kind as i64];
        let row = self.fetch_optional(LAST_OF_KIND, place).await?;
        row.map(|row| entry_at(&row, 0)).transpose()
    }
}
