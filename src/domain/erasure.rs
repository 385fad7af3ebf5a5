//! Why a lead is erased, and what becomes of one whose erasure is asked for (Art. 17).
//!
//! Whether it may be erased says the table in [`super::lifecycle`].

use super::lifecycle::{Barred, Transition};

/// The grounds of Art. 17(1). The numbers are those of the contract and of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureGround {
    /// 17(1)(a).
    NoLongerNecessary = 1,
    /// 17(1)(b).
    ConsentWithdrawn = 2,
    /// 17(1)(c).
    Objection = 3,
    /// 17(1)(d).
    UnlawfulProcessing = 4,
    /// 17(1)(e).
    LegalObligation = 5,
    /// 17(1)(f).
    ChildData = 6,
}

impl ErasureGround {
    /// The ground with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::NoLongerNecessary,
            2 => Self::ConsentWithdrawn,
            3 => Self::Objection,
            4 => Self::UnlawfulProcessing,
            5 => Self::LegalObligation,
            6 => Self::ChildData,
            _ => return None,
        })
    }
}

/// The longest `acknowledge_within` that a configuration may set, in days: the month in which a person must be
/// answered (Art. 12(3)).
pub const ACKNOWLEDGE_WITHIN_DAYS_CAP: i64 = 31;

/// What the controller expects of those who had an erased lead.
#[derive(Clone, Copy, Debug)]
pub struct ErasurePolicy {
    /// Days within which a CRM client must acknowledge a tombstone (Art. 19).
    pub acknowledge_within_days: i64,
}

impl Default for ErasurePolicy {
    fn default() -> Self {
        Self {
            acknowledge_within_days: 7,
        }
    }
}

impl ErasurePolicy {
    /// Whether a tombstone that is so many seconds old should have been acknowledged.
    #[must_use]
    pub fn is_overdue(&self, age_seconds: i64) -> bool {
        age_seconds > self.acknowledge_within_days * 86_400
    }
}

/// What becomes of one lead in an erasure. The numbers are those of the contract and of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureOutcome {
    /// It is erased.
    Erased = 1,
    /// It stays, for the controller's legal claim (Art. 17(3)(e)).
    Retained = 2,
    /// The person asked for its restriction and must confirm that erasing ends that.
    NeedsConfirmation = 3,
}

impl ErasureOutcome {
    /// The outcome with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Erased,
            2 => Self::Retained,
            3 => Self::NeedsConfirmation,
            _ => return None,
        })
    }

    /// What becomes of a lead when its erasure is asked for: [`super::lifecycle::Act::Erase`] decides.
    #[must_use]
    pub fn of(asked: &Result<Transition, Barred>) -> Self {
        match asked {
            Ok(_) => Self::Erased,
            Err(Barred::LegalClaim) => Self::Retained,
            Err(_) => Self::NeedsConfirmation,
        }
    }
}

/// What a withdrawal of consent did (Art. 7(3)). The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithdrawalOutcome {
    /// The lead rested on consent and is erased.
    Erased = 1,
    /// The lead rests on Art. 6(1)(b) and stays, without the consent.
    FlagWithdrawn = 2,
    /// The lead is restricted: never used again, erased when that is lifted.
    ErasedWhenLifted = 3,
    /// There is no such lead.
    NothingHeld = 4,
}

/// Why a lead was erased, as its tombstone says. The numbers are those of the contract and of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureCause {
    /// The person, or the controller for one of the grounds of Art. 17(1), asked for it.
    Request = 1,
    /// The consent it rested on was withdrawn (Art. 7(3)).
    ConsentWithdrawn = 2,
    /// The enquiry was closed, and its grace is over.
    Closed = 3,
    /// It reached the longest time that a lead may stay.
    TimeEnded = 4,
    /// Its restriction was lifted after its time or its consent had ended.
    RestrictionLifted = 5,
    /// Its data was lost: it was submitted after the backup that was restored.
    Lost = 6,
}

impl ErasureCause {
    /// The cause with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Request,
            2 => Self::ConsentWithdrawn,
            3 => Self::Closed,
            4 => Self::TimeEnded,
            5 => Self::RestrictionLifted,
            6 => Self::Lost,
            _ => return None,
        })
    }
}
