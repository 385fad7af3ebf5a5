//! How long a lead may stay (Art. 5(1)(e)).

use jiff::{Span, Timestamp, tz::TimeZone};

use super::lead::{CloseOutcome, Closing, LeadFacts};

/// The longest `max_age` that a configuration may set, in days: three years (hard cap, `P3Y`).
pub const MAX_AGE_DAYS_CAP: i64 = 3 * 365;

/// The retention rules in force. `erase_by` is computed from them and never stored, so that a
/// shorter policy acts at once.
#[derive(Clone, Copy, Debug)]
pub struct RetentionPolicy {
    /// No lead is older than this, in days.
    pub max_age_days: i64,
    /// How long a closed lead stays, in days, by how it ended.
    pub grace: GraceDays,
}

/// How long a closed lead stays, in days: by default not at all (Art. 25).
#[derive(Clone, Copy, Debug, Default)]
pub struct GraceDays {
    /// After [`CloseOutcome::Answered`].
    pub answered: i64,
    /// After [`CloseOutcome::NotRelevant`].
    pub not_relevant: i64,
    /// After [`CloseOutcome::Converted`].
    pub converted: i64,
}

impl GraceDays {
    /// The days after this outcome.
    #[must_use]
    pub fn after(&self, outcome: CloseOutcome) -> i64 {
        match outcome {
            CloseOutcome::Answered => self.answered,
            CloseOutcome::NotRelevant => self.not_relevant,
            CloseOutcome::Converted => self.converted,
        }
    }
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            max_age_days: 180,
            grace: GraceDays::default(),
        }
    }
}

impl RetentionPolicy {
    /// The latest time at which a lead submitted at `submitted_at` is erased.
    #[must_use]
    pub fn erase_new_by(&self, submitted_at: Timestamp) -> Timestamp {
        days_after(submitted_at, self.max_age_days)
    }

    /// The latest time at which this lead is erased, were it not restricted.
    #[must_use]
    pub fn erase_by(&self, facts: &LeadFacts) -> Timestamp {
        let by_age = self.erase_new_by(facts.submitted_at);
        facts
            .closing
            .map_or(by_age, |closing| by_age.min(self.end_of_grace(closing)))
    }

    /// Whether its closing alone would end the lead's time by now.
    #[must_use]
    pub fn is_over_by_closing(&self, facts: &LeadFacts, now: Timestamp) -> bool {
        facts
            .closing
            .is_some_and(|closing| self.end_of_grace(closing) <= now)
    }

    /// The time at or before which a lead must have been submitted to be too old at `now`.
    #[must_use]
    pub fn submitted_before(&self, now: Timestamp) -> Timestamp {
        days_after(now, -self.max_age_days)
    }

    /// The time at or before which a lead must have been closed with this outcome to be over at `now`.
    #[must_use]
    pub fn closed_before(&self, outcome: CloseOutcome, now: Timestamp) -> Timestamp {
        days_after(now, -self.grace.after(outcome))
    }

    fn end_of_grace(&self, closing: Closing) -> Timestamp {
        days_after(closing.at, self.grace.after(closing.outcome))
    }
}

/// Days of 24 hours: UTC has no others.
fn days_after(start: Timestamp, days: i64) -> Timestamp {
    let days = days.clamp(-MAX_AGE_DAYS_CAP, MAX_AGE_DAYS_CAP);
    // What cannot be computed keeps a lead rather than erasing it.
    let bound = if days < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    start
        .to_zoned(TimeZone::UTC)
        .checked_add(Span::new().days(days))
        .map_or(bound, |end| end.timestamp())
}
