//! Time and randomness, as parameters.
//!
//! The only place that asks the machine what time it is. Everything else takes a [`Clock`], so that a
//! test can live through a retention period in a microsecond. Times are whole microseconds: that is
//! what the database stores, and a value must read back as it was written.

use std::{fmt, sync::Arc};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

/// Tells the time of day.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The current time in UTC, cut to whole microseconds.
    fn now(&self) -> Timestamp;
}

/// A clock that many parts of the service share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where time enters the program"
    )]
    fn now(&self) -> Timestamp {
        from_micros(Timestamp::now().as_microsecond())
    }
}

/// A clock that stands still until it is moved: for tests.
#[derive(Debug)]
pub struct ManualClock(std::sync::atomic::AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(start.as_microsecond().into())
    }

    /// Moves the clock by a number of seconds, forwards or backwards.
    pub fn advance_seconds(&self, seconds: i64) {
        self.0
            .fetch_add(seconds * 1_000_000, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        from_micros(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

/// A time from the microseconds since 1970 that the database stores.
///
/// A value outside the years -9999 to 9999 cannot have been written by this program; it reads as the
/// nearest bound, so that a damaged row is still shown rather than hidden behind a panic.
#[must_use]
pub fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// Seconds since 1970, as a metric shows a time.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 fit a float for 285 million years"
)]
pub fn unix_seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}

/// One calendar month after `received_at` in UTC, clamped to the end of a shorter month: the time
/// within which a person's request must be answered (Art. 12(3); 31 January gives 28 or 29 February).
#[must_use]
pub fn due_at(received_at: Timestamp) -> Timestamp {
    received_at
        .to_zoned(TimeZone::UTC)
        .checked_add(1.month())
        .map_or(Timestamp::MAX, |due| due.timestamp())
}

/// So many calendar months before a time in UTC, clamped to the end of a shorter month.
#[must_use]
pub fn months_before(time: Timestamp, months: i32) -> Timestamp {
    time.to_zoned(TimeZone::UTC)
        .checked_sub(months.months())
        .map_or(Timestamp::MIN, |before| before.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Art. 12(3): the same date next month, clamped.
    #[test]
    fn art_12_3_due_dates_are_one_calendar_month_on() {
        for (received, due) in [
            ("2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z"),
            ("2028-01-31T10:00:00Z", "2028-02-29T10:00:00Z"),
            ("2026-11-30T23:59:59Z", "2026-12-30T23:59:59Z"),
            ("2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z"),
            ("2026-08-31T00:00:00Z", "2026-09-30T00:00:00Z"),
            ("2026-02-28T00:00:00Z", "2026-03-28T00:00:00Z"),
            // The same in and around a leap day, and where 1900's rule for centuries would differ.
            ("2028-02-29T06:00:00Z", "2028-03-29T06:00:00Z"),
            ("2027-01-29T06:00:00Z", "2027-02-28T06:00:00Z"),
            ("2100-01-30T06:00:00Z", "2100-02-28T06:00:00Z"),
            ("2000-01-31T06:00:00Z", "2000-02-29T06:00:00Z"),
        ] {
            let received: Timestamp = received.parse().expect("a date in the table");
            let due: Timestamp = due.parse().expect("a date in the table");
            assert_eq!(due_at(received), due);
        }
    }
}
