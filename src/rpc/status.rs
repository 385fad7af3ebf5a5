//! The one mapping of errors to the wire.
//!
//! Each error has its canonical code, a reason in capitals and a constant text; bad input lists every
//! violation; what may be tried again says when. Nothing here can carry a submitted value. To add an
//! error, add a row to the table of [`Refusal`], or of [`Fault`] if it is about one field.

mod refusal;
mod violations;

use std::io::ErrorKind;

use tonic::Status;

pub(super) use self::refusal::{LATER_IN, SOON_IN};
pub use self::{
    refusal::Refusal,
    violations::{Fault, Violations},
};
use super::observe::request_id;
use crate::{
    domain::{lead::Incomplete, lifecycle::Barred},
    seal::UnsealError,
    store::StoreError,
};

/// The domain of every reason.
const DOMAIN: &str = "lead-intake";

/// The constant that equals a reason on the wire; `None` if it is no reason of ours.
pub(super) fn reason(text: &str) -> Option<&'static str> {
    let several = [violations::SEVERAL];
    let known = Refusal::REASONS.iter().chain(Fault::REASONS);
    known.chain(&several).copied().find(|known| *known == text)
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        store_status(&error)
    }
}

/// What the caller hears of a store's error; what happened is logged here, once.
fn store_status(error: &StoreError) -> Status {
    let refusal = match error {
        StoreError::Barred(Barred::Restricted) => Refusal::LeadRestricted,
        StoreError::Barred(Barred::ReasonNotInForce) => Refusal::ReasonNotInForce,
        StoreError::Barred(Barred::Hidden) => Refusal::LeadNotFound,
        StoreError::RevisionMismatch => Refusal::RevisionMismatch,
        StoreError::Incomplete(incomplete) => return incomplete_status(*incomplete),
        StoreError::QueueFull => Refusal::QueueFull,
        StoreError::Closing => Refusal::Stopping,
        StoreError::Contended => Refusal::Contended,
        StoreError::NotDelivered => Refusal::CursorNotDelivered,
        StoreError::RequestIdReused => Refusal::RequestIdReused,
        StoreError::NotACandidate => Refusal::NotACandidate,
        StoreError::TooManyCandidates => Refusal::TooManyCandidates,
        StoreError::Shared(error) => return store_status(error),
        // The replica lacks a key, and reads its ring again: another try, or another replica, may do.
        StoreError::StaleRing | StoreError::Unseal(UnsealError::UnknownKey(_)) => {
            tracing::error!(%error, request_id = request_id(), "the key ring is too old");
            Refusal::KeyRingStale
        }
        // Logged where readiness is: once, and not for each form.
        StoreError::NoRoom(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Refusal::StoreFull,
        error if error.is_full() => {
            tracing::error!(%error, request_id = request_id(), "the database's disk is full");
            Refusal::StoreFull
        }
        StoreError::NoRoom(_) | StoreError::Database(_) | StoreError::Lost | StoreError::Broken => {
            tracing::error!(%error, request_id = request_id(), "the store failed");
            Refusal::Unavailable
        }
        StoreError::Mirror(error) => {
            tracing::error!(%error, request_id = request_id(), "the mirror failed");
            Refusal::MirrorUnavailable
        }
        // An erasure answers these for each lead, not as an error.
        StoreError::Barred(Barred::LegalClaim | Barred::NeedsConfirmation)
        | StoreError::NoRandomness(_)
        | StoreError::Corrupt(_)
        | StoreError::Unseal(UnsealError::Damaged)
        | StoreError::RetiredKey(_)
        | StoreError::DivergedRing
        | StoreError::ForeignKey(..)
        | StoreError::ForeignSigningKey
        | StoreError::MissingKey(..)
        | StoreError::NewerSchema
        | StoreError::Migration(_)
        | StoreError::Setting(_) => {
            tracing::error!(%error, request_id = request_id(), "the store cannot be used");
            Refusal::Internal
        }
    };
    refusal.into()
}

/// A correction that would leave too little: bad input, though only the stored lead can tell.
fn incomplete_status(incomplete: Incomplete) -> Status {
    let mut violations = Violations::default();
    match incomplete {
        Incomplete::NameOrCompany => violations.add("fields.name", Fault::NameOrCompanyRequired),
        Incomplete::PhoneOrEmail => violations.add("fields.email", Fault::PhoneOrEmailRequired),
    }
    violations.into()
}
