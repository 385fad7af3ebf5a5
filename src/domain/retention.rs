//! How long a lead may stay (Art. 5(1)(e)).

use jiff::{Span, Timestamp, tz::TimeZone};

use super::lead::LeadFacts;

/// The longest `max_age` that a configuration may set, in days: three years (hard cap, `P3Y`).
pub const MAX_AGE_DAYS_CAP: i64 = 3 * 365;

/// The retention rules in force. `erase_by` is computed from them and never stored, so that a
/// shorter policy acts at once.
#[derive(Clone, Copy, Debug)]
pub struct RetentionPolicy {
    /// No lead is older than this, in days.
    pub max_age_days: i64,
    /// How long a closed lead stays, in days.
    pub closed_grace_days: i64,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            max_age_days: 180,
            closed_grace_days: 0,
        }
    }
}

impl RetentionPolicy {
    /// The latest time at which a lead submitted at `submitted_at` is erased.
    #[must_use]
    pub fn erase_new_by(&self, submitted_at: Timestamp) -> Timestamp {
        days_after(submitted_at, self.max_age_days)
    }

    /// The latest time at which this lead is erased.
    #[must_use]
    pub fn erase_by(&self, facts: &LeadFacts) -> Timestamp {
        let by_age = self.erase_new_by(facts.submitted_at);
        facts.closed_at.map_or(by_age, |closed_at| {
            by_age.min(days_after(closed_at, self.closed_grace_days))
        })
    }
}

fn days_after(start: Timestamp, days: i64) -> Timestamp {
    start
        .to_zoned(TimeZone::UTC)
        .checked_add(Span::new().days(days.clamp(0, MAX_AGE_DAYS_CAP)))
        .map_or(Timestamp::MAX, |end| end.timestamp())
}
