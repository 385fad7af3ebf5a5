//! When a lead may be erased, and why (Art. 17).

use super::lead::{RestrictionReason, Restrictions};

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

    /// What becomes of a lead under these restrictions.
    #[must_use]
    pub fn of(restrictions: Restrictions, confirmed: bool) -> Self {
        if restrictions.contains(RestrictionReason::ControllerLegalClaim) {
            Self::Retained
        } else if restrictions.is_empty() || confirmed {
            Self::Erased
        } else {
            Self::NeedsConfirmation
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Art. 17(3)(e) and 18: the controller's claim retains, the person's own wish asks back.
    #[test]
    fn art_17_3_e_outcome_table() {
        let none = Restrictions::default();
        let wish = none.with(RestrictionReason::AccuracyContested);
        let claim = none.with(RestrictionReason::ControllerLegalClaim);
        let both = wish.with(RestrictionReason::ControllerLegalClaim);
        for (restrictions, confirmed, expected) in [
            (none, false, ErasureOutcome::Erased),
            (wish, false, ErasureOutcome::NeedsConfirmation),
            (wish, true, ErasureOutcome::Erased),
            (claim, true, ErasureOutcome::Retained),
            (both, true, ErasureOutcome::Retained),
        ] {
            assert_eq!(ErasureOutcome::of(restrictions, confirmed), expected);
        }
    }
}
