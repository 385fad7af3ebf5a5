//! The rules, once more: a lead, and what each act makes of it, from the contract and the law alone.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use lead_intake::pb::{
    self, CloseOutcome, EntryKind, ErasureOutcome, LawfulBasis, LeadState, RestrictionReason,
    UnconfirmedReason,
};

/// How long leads stay, in days.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Policy {
    pub max_age: i64,
    /// After ANSWERED, `NOT_RELEVANT` and CONVERTED.
    pub grace: [i64; 3],
}

/// Why a tombstone stands in the ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Request = 1,
    Withdrawn = 2,
    Closed = 3,
    TimeEnded = 4,
    Lifted = 5,
    Lost = 6,
}

/// Whether a lead is a person's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    Theirs,
    Doubt(UnconfirmedReason),
    NotTheirs,
}

/// A lead that is there.
#[derive(Clone)]
pub struct Lead {
    pub content: pb::LeadFields,
    pub basis: LawfulBasis,
    pub consent: bool,
    pub submitted_at: Timestamp,
    /// Number of the entry of its submission.
    pub submission: i64,
    pub closing: Option<(CloseOutcome, Timestamp)>,
    pub reasons: BTreeSet<i32>,
    pub revision: i64,
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// Two mailboxes, or two names, are one without regard to case.
fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

impl Lead {
    /// The whole lead is stored and nothing else while one reason holds (Art. 18(2)).
    pub fn hidden(&self) -> bool {
        !self.reasons.is_empty()
    }

    pub fn state(&self) -> LeadState {
        match self.closing {
            _ if self.hidden() => LeadState::Restricted,
            Some(_) => LeadState::Closed,
            None => LeadState::Available,
        }
    }

    /// The end of its longest time or of its grace, whichever is first (Art. 5(1)(e)).
    pub fn erase_by(&self, policy: Policy) -> Timestamp {
        let by_age = self.submitted_at + days(policy.max_age);
        self.grace_end(policy)
            .map_or(by_age, |(_, end)| by_age.min(end))
    }

    /// The end of its grace, if it is closed.
    pub fn grace_end(&self, policy: Policy) -> Option<(CloseOutcome, Timestamp)> {
        self.closing
            .map(|(outcome, at)| (outcome, at + days(policy.grace[outcome as usize - 1])))
    }

    /// It rests on a consent that is no more (Art. 7(3)).
    pub fn withdrawn(&self) -> bool {
        self.basis == LawfulBasis::Consent && !self.consent
    }

    /// The kind of its last entry: who became a customer is handed over, unless they want to be forgotten.
    pub fn tombstone(&self, cause: Cause) -> EntryKind {
        let customer = matches!(self.closing, Some((CloseOutcome::Converted, _)));
        // Of whom the data is lost nobody is a customer's.
        let wanted =
            matches!(cause, Cause::Request | Cause::Withdrawn | Cause::Lost) || self.withdrawn();
        if customer && !wanted {
            EntryKind::HandedOver
        } else {
            EntryKind::Erased
        }
    }

    /// Art. 17(3)(e): the controller's claim keeps it; Art. 18: the person's own wish asks back.
    pub fn asked_to_erase(&self, confirmed: bool) -> ErasureOutcome {
        let claim = i32::from(RestrictionReason::ControllerLegalClaim);
        if self.reasons.contains(&claim) {
            ErasureOutcome::Retained
        } else if self.hidden() && !confirmed {
            ErasureOutcome::NeedsConfirmation
        } else {
            ErasureOutcome::Erased
        }
    }

    /// Art. 16: while it is restricted, only what is contested may be corrected.
    pub fn may_rectify(&self) -> bool {
        let contested = i32::from(RestrictionReason::AccuracyContested);
        self.reasons.iter().all(|reason| *reason == contested)
    }

    /// Art. 12(6): is it this person's?
    pub fn judged(&self, person: &pb::Subject) -> Judged {
        let own = &self.content;
        let mailbox = !person.email.is_empty() && same(&person.email, &own.email);
        let phone = !person.phone.is_empty() && person.phone == own.phone;
        let named = person.name.is_empty()
            || same(&person.name, &own.name)
            || same(&person.name, &own.company);
        match (mailbox, phone) {
            (false, false) => Judged::NotTheirs,
            (false, true) if !own.email.is_empty() => Judged::Doubt(UnconfirmedReason::OtherEmail),
            _ if !named => Judged::Doubt(UnconfirmedReason::OtherName),
            _ => Judged::Theirs,
        }
    }
}

/// Sets the fields of a mask; or says why nobody would be left to answer.
pub fn amended(
    content: &pb::LeadFields,
    request: &pb::RectifyLeadRequest,
) -> Result<pb::LeadFields, &'static str> {
    let mut new = content.clone();
    let values = request.fields.clone().unwrap_or_default();
    for path in &request.field_mask.as_ref().unwrap().paths {
        match &**path {
            "name" => new.name.clone_from(&values.name),
            "company" => new.company.clone_from(&values.company),
            "phone" => new.phone.clone_from(&values.phone),
            _ => new.email.clone_from(&values.email),
        }
    }
    if new.name.is_empty() && new.company.is_empty() {
        Err("NAME_OR_COMPANY_REQUIRED")
    } else if new.phone.is_empty() && new.email.is_empty() {
        Err("PHONE_OR_EMAIL_REQUIRED")
    } else {
        Ok(new)
    }
}

/// The mask as the ledger has it: 1 name, 2 company, 4 phone, 8 e-mail.
pub fn mask_bits(request: &pb::RectifyLeadRequest) -> i32 {
    let paths = &request.field_mask.as_ref().unwrap().paths;
    ["name", "company", "phone", "email"]
        .iter()
        .enumerate()
        .filter(|(_, name)| paths.iter().any(|path| path == **name))
        .map(|(place, _)| 1 << place)
        .sum()
}
