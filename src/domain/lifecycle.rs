//! The states of a lead, and the one table of what may happen in each.
//!
//! An act meets a lead in one of its states; [`rule`] says what follows, and nothing else in the program
//! does. [`LeadFacts::apply`] carries it out on values: it gives the lead as it is afterwards and the events
//! to record, or the reason why not. An erased lead has no state and is in no table: its row is gone.
//! To add an act, add a variant and a row; the compiler asks for the rest.

use jiff::Timestamp;

use super::{
    erasure::ErasureCause,
    lead::{CloseOutcome, Closing, LawfulBasis, LeadFacts, LeadState, RestrictionReason},
    retention::RetentionPolicy,
};

/// Something that is asked of a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Correct these fields (Art. 16).
    Rectify(FieldSet),
    /// Restrict it for this reason (Art. 18(1), 17(3)(e)).
    Restrict(RestrictionReason),
    /// Lift this reason (Art. 18(3)).
    Lift(RestrictionReason),
    /// Tell every CRM that the person objects to direct marketing (Art. 21(2)).
    ObjectToMarketing,
    /// Withdraw the consent (Art. 7(3)).
    WithdrawConsent,
    /// End the enquiry.
    Close(CloseOutcome),
    /// Erase it at the person's request (Art. 17).
    Erase {
        /// The person knows that it ends the restriction they asked for.
        confirmed: bool,
    },
    /// Erase it if its time is over (Art. 5(1)(e)).
    Expire,
}

/// What follows from an act in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Amend,
    AmendIfContested,
    AddReason,
    DropReason,
    Tell,
    DropConsent,
    EraseForWithdrawal,
    StartGrace,
    EraseOnRequest,
    EraseIfConfirmed,
    EraseIfOver,
    Keep,
    Bar(Barred),
}

/// The table: an act, met by an available, a closed and a restricted lead.
#[rustfmt::skip]
fn rule(act: Act, basis: LawfulBasis, state: LeadState) -> Rule {
    use Rule::{
        AddReason, Amend, AmendIfContested, Bar, DropConsent, DropReason, EraseForWithdrawal,
        EraseIfConfirmed, EraseIfOver, EraseOnRequest, Keep, StartGrace, Tell,
    };
    let not_in_force = Bar(Barred::ReasonNotInForce);
    let row = match (act, basis) {
        //                                                    available           closed              restricted
        (Act::Rectify(_), _)                              => [Amend,              Amend,              AmendIfContested],
        (Act::Restrict(_), _)                             => [AddReason,          AddReason,          AddReason],
        (Act::Lift(_), _)                                 => [not_in_force,       not_in_force,       DropReason],
        (Act::ObjectToMarketing, _)                       => [Tell,               Tell,               Tell],
        (Act::WithdrawConsent, LawfulBasis::Consent)      => [EraseForWithdrawal, EraseForWithdrawal, DropConsent],
        (Act::WithdrawConsent, LawfulBasis::PreContract)  => [DropConsent,        DropConsent,        DropConsent],
        (Act::Close(_), _)                                => [StartGrace,         Keep,               Bar(Barred::Hidden)],
        (Act::Erase { .. }, _)                            => [EraseOnRequest,     EraseOnRequest,     EraseIfConfirmed],
        (Act::Expire, _)                                  => [EraseIfOver,        EraseIfOver,        Keep],
    };
    match state {
        LeadState::Available => row[0],
        LeadState::Closed => row[1],
        LeadState::Restricted => row[2],
    }
}

/// Why an act does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// It is restricted for another reason than its contested accuracy.
    #[error("the lead is restricted")]
    Restricted,
    /// The reason to lift is none of those that hold.
    #[error("the lead is not restricted for this reason")]
    ReasonNotInForce,
    /// The caller may not even know that the lead is there.
    #[error("the lead may not be seen")]
    Hidden,
    /// The controller needs it for a legal claim (Art. 17(3)(e)).
    #[error("the lead is kept for a legal claim")]
    LegalClaim,
    /// The person asked for its restriction and has not confirmed that erasing ends that.
    #[error("the lead is restricted at the person's own wish")]
    NeedsConfirmation,
}

/// Something to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// These fields were corrected.
    Rectified(FieldSet),
    /// The consent was withdrawn and the lead stays.
    ConsentWithdrawn,
    /// It is restricted for this reason.
    Restricted(RestrictionReason),
    /// The last reason was lifted: it may be used again.
    Released(RestrictionReason),
    /// A reason was lifted, and it may not be used yet, or never again.
    ReasonLifted(RestrictionReason),
    /// The person objects to direct marketing.
    Objected,
    /// The enquiry is over.
    Closed(CloseOutcome),
    /// It is erased.
    Erased(ErasureCause),
    /// It is erased, and the CRM keeps its customer.
    HandedOver(ErasureCause),
}

/// What an act made of a lead.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The lead afterwards; `None`: erased.
    pub after: Option<LeadFacts>,
    /// What to record, in order: none if nothing changed, at most two.
    pub events: Vec<Event>,
}

/// A set of the content fields, as the ledger has it: 1 name, 2 company, 4 phone, 8 e-mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u8);

impl FieldSet {
    /// The name.
    pub const NAME: Self = Self(1);
    /// The company.
    pub const COMPANY: Self = Self(2);
    /// The phone.
    pub const PHONE: Self = Self(4);
    /// The e-mail.
    pub const EMAIL: Self = Self(8);

    /// Both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The set with this number.
    #[must_use]
    pub fn from_bits(bits: i64) -> Option<Self> {
        u8::try_from(bits).ok().filter(|bits| *bits < 16).map(Self)
    }

    /// The set as a number.
    #[must_use]
    pub fn bits(self) -> i64 {
        self.0.into()
    }
}

impl LeadFacts {
    /// What the act makes of this lead at this time.
    pub fn apply(
        &self,
        act: Act,
        now: Timestamp,
        policy: &RetentionPolicy,
    ) -> Result<Transition, Barred> {
        match (rule(act, self.basis, self.state()), act) {
            (Rule::AmendIfContested, _) if !self.is_only_contested() => Err(Barred::Restricted),
            (Rule::Amend | Rule::AmendIfContested, Act::Rectify(fields)) => {
                Ok(self.changed(Event::Rectified(fields), |_| {}))
            }
            (Rule::AddReason, Act::Restrict(reason)) => {
                Ok(self.changed(Event::Restricted(reason), |lead| {
                    lead.restrictions = lead.restrictions.with(reason);
                }))
            }
            (Rule::DropReason, Act::Lift(reason)) => self.without(reason, now, policy),
            (Rule::Tell, _) => Ok(Transition {
                after: Some(self.clone()),
                events: vec![Event::Objected],
            }),
            (Rule::DropConsent, _) if self.consent => {
                Ok(self.changed(Event::ConsentWithdrawn, |lead| lead.consent = false))
            }
            (Rule::EraseForWithdrawal, _) => Ok(self.erased(ErasureCause::ConsentWithdrawn)),
            (Rule::StartGrace, Act::Close(outcome)) => Ok(self.closed(outcome, now, policy)),
            (Rule::EraseOnRequest, _) => Ok(self.erased(ErasureCause::Request)),
            (Rule::EraseIfConfirmed, Act::Erase { confirmed }) => {
                if self.is_claimed() {
                    Err(Barred::LegalClaim)
                } else if confirmed {
                    Ok(self.erased(ErasureCause::Request))
                } else {
                    Err(Barred::NeedsConfirmation)
                }
            }
            (Rule::EraseIfOver, _) if policy.erase_by(self) <= now => {
                Ok(self.erased(if policy.is_over_by_closing(self, now) {
                    ErasureCause::Closed
                } else {
                    ErasureCause::TimeEnded
                }))
            }
            (Rule::Bar(barred), _) => Err(barred),
            // Kept, or a condition above that does not hold: nothing changes.
            _ => Ok(Transition {
                after: Some(self.clone()),
                events: Vec::new(),
            }),
        }
    }

    /// The lead after an event that the ledger tells of, which happened to it at this time; `None`: it is
    /// gone. Whatever [`Self::apply`] made of a lead, its events make of it again, but for corrected content.
    #[must_use]
    pub fn replay(&self, event: Event, at: Timestamp) -> Option<Self> {
        let mut after = self.clone();
        match event {
            Event::Erased(_) | Event::HandedOver(_) => return None,
            Event::Objected => return Some(after),
            Event::Rectified(_) => {}
            Event::ConsentWithdrawn => after.consent = false,
            Event::Restricted(reason) => after.restrictions = after.restrictions.with(reason),
            Event::Released(reason) | Event::ReasonLifted(reason) => {
                after.restrictions = after.restrictions.without(reason);
            }
            Event::Closed(outcome) => after.closing = Some(Closing { at, outcome }),
        }
        after.revision += 1;
        Some(after)
    }

    fn is_only_contested(&self) -> bool {
        let without = self
            .restrictions
            .without(RestrictionReason::AccuracyContested);
        without.is_empty()
    }

    fn is_claimed(&self) -> bool {
        self.restrictions
            .contains(RestrictionReason::ControllerLegalClaim)
    }

    /// Whether the consent that the lead rests on was withdrawn: it is never to be used again.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.basis == LawfulBasis::Consent && !self.consent
    }

    fn changed(&self, event: Event, change: impl FnOnce(&mut Self)) -> Transition {
        let mut after = self.clone();
        change(&mut after);
        after.revision += 1;
        Transition {
            after: Some(after),
            events: vec![event],
        }
    }

    /// Lifts a reason. With the last one the lead is free, unless its time or its consent ended while it
    /// was restricted: then it goes, and is never available in between.
    fn without(
        &self,
        reason: RestrictionReason,
        now: Timestamp,
        policy: &RetentionPolicy,
    ) -> Result<Transition, Barred> {
        if !self.restrictions.contains(reason) {
            return Err(Barred::ReasonNotInForce);
        }
        let rest = self.restrictions.without(reason);
        let ended = self.is_withdrawn() || policy.erase_by(self) <= now;
        Ok(if rest.is_empty() && ended {
            let mut transition = self.erased(ErasureCause::RestrictionLifted);
            transition.events.insert(0, Event::ReasonLifted(reason));
            transition
        } else {
            let event = if rest.is_empty() {
                Event::Released(reason)
            } else {
                Event::ReasonLifted(reason)
            };
            self.changed(event, |lead| lead.restrictions = rest)
        })
    }

    /// Closes the enquiry; without a grace the lead goes at once.
    fn closed(
        &self,
        outcome: CloseOutcome,
        now: Timestamp,
        policy: &RetentionPolicy,
    ) -> Transition {
        let mut closed = self.changed(Event::Closed(outcome), |lead| {
            lead.closing = Some(Closing { at: now, outcome });
        });
        if let Some(lead) = &closed.after
            && policy.erase_by(lead) <= now
        {
            let erased = lead.erased(ErasureCause::Closed);
            closed.after = erased.after;
            closed.events.extend(erased.events);
        }
        closed
    }

    /// The lead's end. Who became a customer is handed over, unless the person wants to be forgotten.
    fn erased(&self, cause: ErasureCause) -> Transition {
        let converted = self
            .closing
            .is_some_and(|closing| closing.outcome == CloseOutcome::Converted);
        let wanted = matches!(
            cause,
            ErasureCause::Request | ErasureCause::ConsentWithdrawn
        ) || self.is_withdrawn();
        Transition {
            after: None,
            events: vec![if converted && !wanted {
                Event::HandedOver(cause)
            } else {
                Event::Erased(cause)
            }],
        }
    }
}

#[cfg(test)]
mod tests;
