//! What one entry says.

use uuid::Uuid;

use super::chain::{self, Hash, NotARecord, Record};
use crate::domain::{
    erasure::ErasureCause,
    lead::{CloseOutcome, LeadId, RestrictionReason},
    lifecycle::{Event, FieldSet},
};

/// What happened. The numbers are those of the contract and are part of the hash: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the contract, ledger.proto, explains each kind to its readers"
)]
pub enum EntryKind {
    Submitted = 1,
    Rectified = 2,
    ConsentWithdrawn = 3,
    Restricted = 4,
    Released = 5,
    Objected = 6,
    Erased = 7,
    HandedOver = 8,
    LeadRead = 9,
    SubjectFound = 10,
    SubjectExported = 11,
    LeadExported = 12,
    ErasureRequested = 13,
    ErasureRefused = 14,
    Closed = 15,
    ClientAdded = 16,
    TokenIssued = 17,
    ClientRevoked = 18,
    Restored = 19,
    ObjectionRequested = 20,
    ReasonLifted = 21,
}

impl EntryKind {
    /// Every kind, in order of its number.
    pub const ALL: [Self; 21] = [
        Self::Submitted,
        Self::Rectified,
        Self::ConsentWithdrawn,
        Self::Restricted,
        Self::Released,
        Self::Objected,
        Self::Erased,
        Self::HandedOver,
        Self::LeadRead,
        Self::SubjectFound,
        Self::SubjectExported,
        Self::LeadExported,
        Self::ErasureRequested,
        Self::ErasureRefused,
        Self::Closed,
        Self::ClientAdded,
        Self::TokenIssued,
        Self::ClientRevoked,
        Self::Restored,
        Self::ObjectionRequested,
        Self::ReasonLifted,
    ];

    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i64 == number)
    }

    /// Whether a CRM must see it: the kinds up to [`Self::HandedOver`] are the changes of the feed.
    #[must_use]
    pub fn is_change(self) -> bool {
        self as u8 <= Self::HandedOver as u8
    }

    /// Whether it ends or limits what may be done with a lead, or what a lead says: the mirror has such an
    /// entry before the database does, so that no backup takes it back.
    #[must_use]
    pub fn is_written_ahead(self) -> bool {
        matches!(
            self,
            Self::Rectified
                | Self::ConsentWithdrawn
                | Self::Restricted
                | Self::Released
                | Self::Objected
                | Self::Erased
                | Self::HandedOver
                | Self::Closed
                | Self::ReasonLifted
        )
    }

    /// Whether it waits while the disk is full: what comes in, and what a CRM or an operator does with it. Everything else
    /// is a person's request, or ends or limits what may be done with a lead.
    #[must_use]
    pub fn may_wait(self) -> bool {
        matches!(
            self,
            Self::Submitted | Self::LeadRead | Self::ClientAdded | Self::TokenIssued
        )
    }

    /// Whether it is a lead's last change: its row is gone.
    #[must_use]
    pub fn is_tombstone(self) -> bool {
        matches!(self, Self::Erased | Self::HandedOver)
    }
}

/// Something that is about to be recorded. [`Default`] is no sensible entry; it fills what a kind
/// does not use.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry {
    /// What happened.
    pub kind: EntryKind,
    /// The lead it happened to.
    pub lead_id: Option<LeadId>,
    /// Number of the client that caused it; 0 for the service and its operator.
    pub client_id: i64,
    /// Idempotency key of the call.
    pub request_id: Option<Uuid>,
    /// A number that only the kind gives a meaning.
    pub detail: i64,
    /// Number of the lead's submission, on tombstones and per-lead answers; else 0.
    pub submission: i64,
}

impl NewEntry {
    /// An entry of this kind, caused by this client.
    #[must_use]
    pub fn new(kind: EntryKind, client_id: i64) -> Self {
        Self {
            kind,
            lead_id: None,
            client_id,
            request_id: None,
            detail: 0,
            submission: 0,
        }
    }

    /// The entry of something that happened to a lead; a tombstone names the number of its submission.
    #[must_use]
    pub fn of(event: Event, client_id: i64, lead: LeadId, submission: i64) -> Self {
        let (kind, detail) = match event {
            Event::Rectified(fields) => (EntryKind::Rectified, fields.bits()),
            Event::ConsentWithdrawn => (EntryKind::ConsentWithdrawn, 0),
            Event::Restricted(reason) => (EntryKind::Restricted, reason as i64),
            Event::Released(reason) => (EntryKind::Released, reason as i64),
            Event::ReasonLifted(reason) => (EntryKind::ReasonLifted, reason as i64),
            Event::Objected => (EntryKind::Objected, 0),
            Event::Closed(outcome) => (EntryKind::Closed, outcome as i64),
            Event::Erased(cause) => (EntryKind::Erased, cause as i64),
            Event::HandedOver(cause) => (EntryKind::HandedOver, cause as i64),
        };
        let entry = Self::new(kind, client_id).lead(lead).detail(detail);
        if kind.is_tombstone() {
            entry.submission(submission)
        } else {
            entry
        }
    }

    /// What happened to the lead, if it is something that can happen to one; the inverse of [`Self::of`].
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        let reason = RestrictionReason::from_number(self.detail);
        let cause = ErasureCause::from_number(self.detail);
        match self.kind {
            EntryKind::Rectified => FieldSet::from_bits(self.detail).map(Event::Rectified),
            EntryKind::ConsentWithdrawn => Some(Event::ConsentWithdrawn),
            EntryKind::Restricted => reason.map(Event::Restricted),
            EntryKind::Released => reason.map(Event::Released),
            EntryKind::ReasonLifted => reason.map(Event::ReasonLifted),
            EntryKind::Objected => Some(Event::Objected),
            EntryKind::Closed => CloseOutcome::from_number(self.detail).map(Event::Closed),
            EntryKind::Erased => cause.map(Event::Erased),
            EntryKind::HandedOver => cause.map(Event::HandedOver),
            EntryKind::Submitted
            | EntryKind::LeadRead
            | EntryKind::SubjectFound
            | EntryKind::SubjectExported
            | EntryKind::LeadExported
            | EntryKind::ErasureRequested
            | EntryKind::ErasureRefused
            | EntryKind::ClientAdded
            | EntryKind::TokenIssued
            | EntryKind::ClientRevoked
            | EntryKind::Restored
            | EntryKind::ObjectionRequested => None,
        }
    }

    /// The same about a lead.
    #[must_use]
    pub fn lead(self, id: LeadId) -> Self {
        Self {
            lead_id: Some(id),
            ..self
        }
    }

    /// The same for a call's idempotency key.
    #[must_use]
    pub fn request(self, id: Uuid) -> Self {
        Self {
            request_id: Some(id),
            ..self
        }
    }

    /// The same with a detail.
    #[must_use]
    pub fn detail(self, detail: i64) -> Self {
        Self { detail, ..self }
    }

    /// The same with the number of the lead's submission.
    #[must_use]
    pub fn submission(self, sequence: i64) -> Self {
        Self {
            submission: sequence,
            ..self
        }
    }
}

/// The end of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the last entry; 0 for an empty ledger.
    pub sequence: i64,
    /// Hash of the last entry; that of [`super::genesis`] for an empty ledger.
    pub hash: Hash,
    /// Time of the last entry in microseconds since 1970.
    pub at: i64,
}

impl Head {
    /// The entry that follows, and moves the head to it. Its time is never before that of the entry
    /// before, even if the clock was set back.
    pub fn append(&mut self, new: NewEntry, now: i64) -> Entry {
        let mut entry = Entry {
            sequence: self.sequence + 1,
            new,
            at: now.max(self.at),
            hash: Hash::default(),
        };
        entry.hash = chain::hash(&self.hash, &entry);
        *self = entry.head();
        entry
    }
}

/// Something recorded.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its number, from 1, dense.
    pub sequence: i64,
    /// What it says.
    pub new: NewEntry,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// Its hash.
    pub hash: Hash,
}

impl Entry {
    /// Whether it is what may stand after this head: the next number, and the hash that follows.
    #[must_use]
    pub fn follows(&self, head: &Head) -> bool {
        self.sequence == head.sequence + 1 && chain::hash(&head.hash, self) == self.hash
    }

    /// The head of a ledger that ends with it.
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            sequence: self.sequence,
            hash: self.hash,
            at: self.at,
        }
    }

    /// Its record after the entry with hash `previous`: the bytes that its hash and its leaf in the tree are of.
    #[must_use]
    pub fn record(&self, previous: &Hash) -> Record {
        chain::encode(previous, self)
    }

    /// The entry that a record is of, and the hash of the entry before. What is not exactly a record is refused.
    pub fn from_record(record: &[u8]) -> Result<(Self, Hash), NotARecord> {
        chain::decode(record)
    }
}
