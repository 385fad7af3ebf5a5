//! What the acts on a lead take and give: the vocabulary of [`super::PrivacyStore`] and its neighbours.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Candidate, Result, StoredLead};
use crate::{
    domain::{
        erasure::WithdrawalOutcome,
        lead::{CloseOutcome, LeadId, Restrictions},
        lifecycle::FieldSet,
        subject::UnconfirmedReason,
    },
    ledger::Entry,
    seal::Resealed,
};

/// What every request of a person carries.
#[derive(Clone, Copy, Debug)]
pub struct RightsCall {
    /// Who asks.
    pub client_id: i64,
    /// Idempotency key of the request.
    pub request_id: Uuid,
    /// How identity was checked, as numbered in the contract.
    pub verification: i64,
    /// When the person asked.
    pub received_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// Corrects the content of a lead: opens, amends, seals.
pub type Amend<'a> = &'a (dyn Fn(&StoredLead) -> Result<Amended> + Send + Sync);

/// Corrected content.
pub struct Amended {
    /// What to store.
    pub resealed: Resealed,
    /// Whether it differs from what was there.
    pub differs: bool,
}

/// How to correct a lead.
pub struct Rectification<'a> {
    /// The lead.
    pub id: LeadId,
    /// The revision that the caller saw.
    pub expected_revision: i64,
    /// Which fields.
    pub fields: FieldSet,
    /// How.
    pub amend: Amend<'a>,
}

impl fmt::Debug for Rectification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rectification(..)")
    }
}

/// A corrected lead.
#[derive(Clone, Copy, Debug)]
pub struct Rectified {
    /// Its revision then.
    pub revision: i64,
    /// When the person asked, as recorded.
    pub received_at: Timestamp,
}

/// A restricted lead.
#[derive(Clone, Copy, Debug)]
pub struct Restriction {
    /// The reasons that held then.
    pub reasons: Restrictions,
    /// When the person asked, as recorded.
    pub received_at: Timestamp,
}

/// A lead of whose restriction a reason was lifted.
#[derive(Clone, Copy, Debug)]
pub struct Lifting {
    /// The reasons that still held then.
    pub reasons: Restrictions,
    /// Whether that erased it.
    pub erased: bool,
}

/// What an objection reached.
#[derive(Debug)]
pub struct Objection {
    /// The person's leads, oldest first.
    pub leads: Vec<LeadId>,
    /// Perhaps theirs, as it stands now.
    pub unconfirmed: Vec<(Candidate, UnconfirmedReason)>,
    /// When the person asked, as recorded.
    pub received_at: Timestamp,
}

/// A closed lead.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// How it ended, as recorded.
    pub outcome: CloseOutcome,
    /// When it is, or was, erased.
    pub erase_by: Timestamp,
}

/// What a withdrawal did.
#[derive(Clone, Copy, Debug)]
pub struct Withdrawal {
    /// What was done.
    pub outcome: WithdrawalOutcome,
    /// The entry that says so; none if nothing was there to withdraw.
    pub entry: Option<Entry>,
}
