//! What the requests of people and the acts on a lead take and give: the vocabulary of [`super::PrivacyStore`] and its neighbours.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Result, StoredLead};
use crate::{
    domain::{
        erasure::{ErasureGround, ErasureOutcome, WithdrawalOutcome},
        lead::{CloseOutcome, LeadId, Restrictions},
        lifecycle::FieldSet,
        subject::{Match, UnconfirmedReason},
    },
    ledger::Entry,
    seal::{Resealed, SubjectIndex, UnsealError},
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

/// Decides whether a candidate is the person's lead.
pub type Judge<'a> =
    &'a (dyn Fn(&StoredLead) -> std::result::Result<Match, UnsealError> + Send + Sync);

/// A person, as the store looks one up, and the request that asks.
pub struct SubjectLookup<'a> {
    /// The request.
    pub call: RightsCall,
    /// What the request is about, beyond its kind: recorded as the entry's detail.
    pub detail: i64,
    /// Look-up values.
    pub index: SubjectIndex,
    /// Candidates that a human has checked.
    pub named: &'a [LeadId],
    /// Decides on each candidate.
    pub judge: Judge<'a>,
}

impl fmt::Debug for SubjectLookup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectLookup(..)")
    }
}

/// The leads of a person.
#[derive(Debug, Default)]
pub struct Selection {
    /// Theirs, oldest first.
    pub leads: Vec<Candidate>,
    /// Perhaps theirs, oldest first.
    pub unconfirmed: Vec<(Candidate, UnconfirmedReason)>,
}

/// A lead that a look-up found.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The lead.
    pub lead: StoredLead,
    /// The ledger number of its submission.
    pub submission: i64,
}

/// A copy for a person.
#[derive(Debug)]
pub struct Export {
    /// The leads.
    pub selection: Selection,
    /// For each of `selection.leads`: who was given it, and when first.
    pub disclosures: Vec<Vec<Disclosure>>,
}

/// A client that was given a lead.
#[derive(Clone, Debug)]
pub struct Disclosure {
    /// Name of the client.
    pub client: String,
    /// When it was first given the lead.
    pub at: Timestamp,
}

/// How to erase.
#[derive(Clone, Copy, Debug)]
pub struct ErasureOrder {
    /// Why.
    pub ground: ErasureGround,
    /// Change nothing.
    pub dry_run: bool,
    /// Erase also what is restricted at the person's own wish.
    pub confirmed: bool,
}

/// What an erasure did.
#[derive(Debug)]
pub struct Erasure {
    /// What became of each of the person's leads.
    pub outcomes: Vec<(LeadId, ErasureOutcome)>,
    /// Perhaps theirs, as it stands now.
    pub unconfirmed: Vec<(Candidate, UnconfirmedReason)>,
    /// The entries: the request, then one for each outcome. Empty in a dry run.
    pub entries: Vec<Entry>,
    /// Why, as recorded.
    pub ground: i64,
    /// When the person asked, as recorded.
    pub received_at: Timestamp,
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
