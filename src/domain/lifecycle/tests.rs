use jiff::ToSpan as _;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{lead::Restrictions, retention::GraceDays};

const DAY: i64 = 24 * 3600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time of the test")
}

fn lead(basis: LawfulBasis) -> LeadFacts {
    LeadFacts {
        id: Uuid::nil().into(),
        basis,
        consent: basis == LawfulBasis::Consent,
        notice_version: "1.1".to_owned(),
        submitted_at: at(0),
        closing: None,
        restrictions: Restrictions::default(),
        revision: 1,
    }
}

fn policy(grace: i64) -> RetentionPolicy {
    RetentionPolicy {
        grace: GraceDays {
            answered: grace,
            not_relevant: grace,
            converted: grace,
        },
        ..RetentionPolicy::default()
    }
}

fn restricted(basis: LawfulBasis, reasons: &[RestrictionReason]) -> LeadFacts {
    let mut lead = lead(basis);
    for reason in reasons {
        lead.restrictions = lead.restrictions.with(*reason);
    }
    lead
}

/// Art. 17(3)(e), 18: the controller's claim keeps a lead, the person's own wish asks back.
#[test]
fn art_17_3_e_outcome_table() {
    use RestrictionReason::{AccuracyContested, ControllerLegalClaim};
    for (reasons, confirmed, expected) in [
        (&[][..], false, None),
        (&[AccuracyContested], false, Some(Barred::NeedsConfirmation)),
        (&[AccuracyContested], true, None),
        (&[ControllerLegalClaim], true, Some(Barred::LegalClaim)),
        (
            &[AccuracyContested, ControllerLegalClaim],
            true,
            Some(Barred::LegalClaim),
        ),
    ] {
        let lead = restricted(LawfulBasis::PreContract, reasons);
        let asked = lead.apply(Act::Erase { confirmed }, at(1), &policy(0));
        assert_eq!(asked.err(), expected, "{reasons:?}");
    }
}

/// Art. 16: blocked while restricted, except for contested accuracy alone.
#[test]
fn art_16_rectification_table() {
    use RestrictionReason::{AccuracyContested, SubjectLegalClaim};
    for (reasons, barred) in [
        (&[][..], None),
        (&[AccuracyContested], None),
        (&[SubjectLegalClaim], Some(Barred::Restricted)),
        (
            &[AccuracyContested, SubjectLegalClaim],
            Some(Barred::Restricted),
        ),
    ] {
        let lead = restricted(LawfulBasis::PreContract, reasons);
        let asked = lead.apply(Act::Rectify(FieldSet::NAME), at(1), &policy(0));
        assert_eq!(asked.err(), barred, "{reasons:?}");
    }
}

/// Lifting the last reason frees a lead, unless its time or its consent ended meanwhile.
#[test]
fn art_18_3_lifting_table() {
    use RestrictionReason::{AccuracyContested, ObjectionPending};
    let lift = |lead: &LeadFacts, now| {
        lead.apply(Act::Lift(ObjectionPending), now, &policy(30))
            .map(|done| done.events)
    };
    let lead = restricted(LawfulBasis::Consent, &[ObjectionPending]);
    let gone = [
        Event::ReasonLifted(ObjectionPending),
        Event::Erased(ErasureCause::RestrictionLifted),
    ];
    assert_eq!(
        lift(&lead, at(1)),
        Ok(vec![Event::Released(ObjectionPending)])
    );
    assert_eq!(lift(&lead, at(180 * DAY)), Ok(gone.to_vec()));
    let withdrawn = LeadFacts {
        consent: false,
        ..lead.clone()
    };
    assert_eq!(lift(&withdrawn, at(1)), Ok(gone.to_vec()));
    let two = restricted(LawfulBasis::Consent, &[ObjectionPending, AccuracyContested]);
    assert_eq!(
        lift(&two, at(180 * DAY)),
        Ok(vec![Event::ReasonLifted(ObjectionPending)])
    );
    assert_eq!(
        lift(&restricted(LawfulBasis::Consent, &[]), at(1)),
        Err(Barred::ReasonNotInForce)
    );
    let customer = Some(Closing {
        at: at(0),
        outcome: CloseOutcome::Converted,
    });
    let customer = LeadFacts {
        closing: customer,
        ..lead
    };
    assert_eq!(
        lift(&customer, at(30 * DAY)),
        Ok(vec![
            gone[0],
            Event::HandedOver(ErasureCause::RestrictionLifted)
        ])
    );
}

/// A closed lead stays for its grace, the first closing stands, and a customer is handed over.
#[test]
fn art_5_1_e_closing_table() {
    let close =
        |lead: &LeadFacts, outcome, grace| lead.apply(Act::Close(outcome), at(1), &policy(grace));
    let open = lead(LawfulBasis::PreContract);
    for (outcome, tombstone) in [
        (CloseOutcome::Answered, Event::Erased(ErasureCause::Closed)),
        (
            CloseOutcome::NotRelevant,
            Event::Erased(ErasureCause::Closed),
        ),
        (
            CloseOutcome::Converted,
            Event::HandedOver(ErasureCause::Closed),
        ),
    ] {
        let at_once = close(&open, outcome, 0).expect("an open lead closes");
        assert_eq!(at_once.events, [Event::Closed(outcome), tombstone]);
        assert!(at_once.after.is_none());
        let later = close(&open, outcome, 5).expect("an open lead closes");
        assert_eq!(later.events, [Event::Closed(outcome)]);
        let closed = later.after.expect("it stays for its grace");
        let again = close(&closed, CloseOutcome::NotRelevant, 5).expect("harmless");
        assert!(again.events.is_empty());
        let expire = |now| {
            closed
                .apply(Act::Expire, now, &policy(5))
                .map(|done| done.events)
        };
        assert_eq!(expire(at(5 * DAY)), Ok(vec![]));
        assert_eq!(expire(at(1 + 5 * DAY)), Ok(vec![tombstone]));
    }
    let hidden = restricted(
        LawfulBasis::PreContract,
        &[RestrictionReason::ObjectionPending],
    );
    assert_eq!(
        close(&hidden, CloseOutcome::Answered, 0).err(),
        Some(Barred::Hidden)
    );
}

/// A shorter policy acts at once, and a time that cannot be computed erases nothing.
#[test]
fn art_5_1_e_bounds_of_time() {
    let policy = policy(5);
    assert_eq!(policy.submitted_before(at(0)), at(0) - (180 * 24).hours());
    assert_eq!(policy.submitted_before(Timestamp::MIN), Timestamp::MIN);
}

fn any_act() -> impl Strategy<Value = Act> {
    let reason = proptest::sample::select(&RestrictionReason::ALL[..]);
    let outcome = proptest::sample::select(&CloseOutcome::ALL[..]);
    prop_oneof![
        Just(Act::Rectify(FieldSet::NAME)),
        reason.clone().prop_map(Act::Restrict),
        reason.prop_map(Act::Lift),
        Just(Act::ObjectToMarketing),
        Just(Act::WithdrawConsent),
        outcome.prop_map(Act::Close),
        any::<bool>().prop_map(|confirmed| Act::Erase { confirmed }),
        Just(Act::Expire),
    ]
}

fn is_tombstone(event: Event) -> bool {
    matches!(event, Event::Erased(_) | Event::HandedOver(_))
}

proptest! {
    /// The invariants of a life, whatever is asked of a lead and in whatever order: the basis never
    /// changes; a withdrawn consent lead is never available; nothing changes without an event, and each
    /// change counts; there is one tombstone and it is the last event; a restriction shields from the
    /// sweep and hides from the CRM; and the events alone tell what became of the lead.
    #[test]
    fn states_of_a_lead_keep_their_invariants(
        is_consent in any::<bool>(),
        grace in 0..40_i64,
        acts in proptest::collection::vec((any_act(), 0..40_i64), 1..40),
    ) {
        let basis = if is_consent { LawfulBasis::Consent } else { LawfulBasis::PreContract };
        let mut lead = lead(basis);
        let mut now = at(0);
        let mut released = true;
        for (act, days) in acts {
            now += (24 * days).hours();
            let Ok(done) = lead.apply(act, now, &policy(grace)) else { continue };
            let replayed = done.events.iter().try_fold(lead.clone(), |lead, event| lead.replay(*event, now));
            prop_assert_eq!(format!("{replayed:?}"), format!("{:?}", done.after));
            let ends = done.events.iter().filter(|event| is_tombstone(**event)).count();
            prop_assert_eq!(ends, usize::from(done.after.is_none()));
            prop_assert!(ends == 0 || done.events.last().copied().is_some_and(is_tombstone));
            let Some(after) = done.after else {
                prop_assert!(act != Act::Expire || lead.restrictions.is_empty());
                return Ok(());
            };
            prop_assert_eq!(after.basis, basis);
            let untouched = after.revision == lead.revision;
            prop_assert!(!done.events.is_empty() || untouched);
            if untouched {
                prop_assert_eq!((after.consent, after.restrictions, after.closing), (lead.consent, lead.restrictions, lead.closing));
            } else {
                prop_assert_eq!(after.revision, lead.revision + 1);
                prop_assert_eq!(done.events.len(), 1);
            }
            match done.events.first() {
                Some(Event::Restricted(_)) => released = false,
                Some(Event::Released(_)) => released = true,
                _ => {}
            }
            prop_assert_eq!(after.is_readable(), released);
            prop_assert!(!(after.is_withdrawn() && after.is_readable()));
            lead = after;
        }
    }
}
