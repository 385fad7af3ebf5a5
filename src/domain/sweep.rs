//! When the sweep runs, how far it looks, and when it does not trust the clock.
//!
//! The sweep erases what has reached its time (Art. 5(1)(e)); which leads those are, says
//! [`super::lifecycle::Act::Expire`]. The rule here: an erasure cannot be taken back, so a clock that jumped
//! erases nothing. Each round compares the clock with what the round before it saw. To add a doubt, add it
//! to [`ClockMemory::judge`].

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The time between two rounds.
pub const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// The clock may be this much ahead of what the round before saw: a day without the service, and an hour.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(25);
/// And this much behind it: what setting a clock right may take back.
const BEHIND_MAX: SignedDuration = SignedDuration::from_mins(5);

/// What ends by this time is erased by a round at `now`.
///
/// People are told `erase_by` as the latest time. So a round takes with it what would end before the next
/// round, and before the one after that too: a replica that is killed in the middle of a round costs the
/// one round that was its turn, and nobody's lead stays too long for it.
#[must_use]
pub fn horizon(now: Timestamp) -> Timestamp {
    now.checked_add(2 * SWEEP_EVERY).unwrap_or(now)
}

/// What the rounds so far saw of the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockMemory {
    /// The time at the round before; `None`: there was none.
    pub seen_at: Option<Timestamp>,
    /// Whether the round before did not trust it, or was the first.
    pub is_doubted: bool,
}

/// What a round makes of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockJudgement {
    /// It agrees with the round before.
    Trusted,
    /// There was no round before: this one notes the time and erases nothing.
    First,
    /// It jumped: this round notes the new time and erases nothing. If the next one agrees, it was
    /// the clock before that was wrong, or the service was down for long.
    Doubted,
}

impl ClockMemory {
    /// Whether a round at `now` may erase.
    #[must_use]
    pub fn judge(&self, now: Timestamp) -> ClockJudgement {
        let Some(seen_at) = self.seen_at else {
            return ClockJudgement::First;
        };
        let moved = now.duration_since(seen_at);
        if (-BEHIND_MAX..=AHEAD_MAX).contains(&moved) {
            ClockJudgement::Trusted
        } else {
            ClockJudgement::Doubted
        }
    }

    /// Whether a process that has just started may run a round at once. Not to settle a doubt: that takes
    /// a wait of [`SWEEP_EVERY`], which restarts would cut short. Nor if there was a round just now.
    #[must_use]
    pub fn allows_at_once(&self, now: Timestamp) -> bool {
        let Some(seen_at) = self.seen_at else {
            return true;
        };
        let since = now.duration_since(seen_at);
        let is_recent = !since.is_negative() && since.unsigned_abs() < SWEEP_EVERY;
        !self.is_doubted && !is_recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time of the test")
    }

    /// D9: the bounds of what is no jump, each to the second, and the first round.
    #[test]
    fn d9_a_jump_is_more_than_25_hours_or_less_than_minus_5_minutes() {
        let memory = ClockMemory {
            seen_at: Some(at(0)),
            is_doubted: false,
        };
        for (moved, expected) in [
            (0, ClockJudgement::Trusted),
            (600, ClockJudgement::Trusted),
            (25 * 3600, ClockJudgement::Trusted),
            (25 * 3600 + 1, ClockJudgement::Doubted),
            (400 * 86_400, ClockJudgement::Doubted),
            (-300, ClockJudgement::Trusted),
            (-301, ClockJudgement::Doubted),
            (-30 * 86_400, ClockJudgement::Doubted),
        ] {
            assert_eq!(memory.judge(at(moved)), expected, "{moved} s");
        }
        assert_eq!(ClockMemory::default().judge(at(0)), ClockJudgement::First);
    }

    /// A start settles no doubt and repeats no round.
    #[test]
    fn d9_a_restart_settles_no_doubt() {
        let memory = |is_doubted| ClockMemory {
            seen_at: Some(at(0)),
            is_doubted,
        };
        for (since, allowed) in [(0, false), (599, false), (600, true), (-1, true)] {
            assert_eq!(
                memory(false).allows_at_once(at(since)),
                allowed,
                "{since} s"
            );
            assert!(!memory(true).allows_at_once(at(since)), "{since} s");
        }
        assert!(ClockMemory::default().allows_at_once(at(0)));
    }

    /// Art. 5(1)(e): a round reaches to the round after the next.
    #[test]
    fn art_5_1_e_a_round_reaches_two_rounds_ahead() {
        assert_eq!(horizon(at(0)), at(1200));
        assert_eq!(horizon(Timestamp::MAX), Timestamp::MAX);
    }
}
