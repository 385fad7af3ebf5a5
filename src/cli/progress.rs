//! Progress of what takes long, on standard error: what was asked for goes to standard output, and stays by itself.
//!
//! On a terminal a bar with the rate and the time left, which goes when the work is done. Elsewhere, as in a log or a
//! mail of cron's, a line each [`LINE`], so that short work says nothing.
//!
//! To show another work's progress: [`Progress::of`] if its size is known, [`Progress::counting`] if it is not, or not yet
//! ([`Progress::size`]), and [`Progress::add`] or [`Progress::set`] as it goes on; [`watching`] for work that is looked at from
//! outside, [`waiting`] for work that tells nothing on its way.

use std::{
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::{say, show::is_unicode};

/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(10);
/// Between two pictures of what tells nothing on its way.
const TICK: Duration = Duration::from_millis(100);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Leads.
    Leads,
    /// Entries of the ledger.
    Entries,
    /// Changes of the feed.
    Changes,
    /// Bytes.
    Bytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Leads => " leads",
            Self::Entries => " entries",
            Self::Changes => " changes",
            // They bring their own.
            Self::Bytes => "",
        }
    }

    fn count(self, count: u64) -> String {
        match self {
            Self::Bytes => HumanBytes(count).to_string(),
            _ => HumanCount(count).to_string(),
        }
    }

    fn rate(self, per_second: f64) -> String {
        // No more than what a disk or a database does: far below 2^53.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is a small number, and a negative one becomes 0"
        )]
        let whole = per_second.round() as u64;
        format!("{}/s", self.count(whole))
    }
}

/// How far some work is.
pub(super) struct Progress {
    what: &'static str,
    unit: Unit,
    bar: ProgressBar,
    lines: Mutex<Lines>,
}

/// When the next line is due.
struct Lines {
    begun: Instant,
    told: Instant,
}

impl Lines {
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now.saturating_duration_since(self.told) >= LINE;
        if is_due {
            self.told = now;
        }
        is_due
    }
}

impl Progress {
    /// Of work of this size.
    pub(super) fn of(what: &'static str, unit: Unit, total: u64) -> Self {
        let bar = ProgressBar::new(total).with_style(bar_style(what, unit));
        Self::new(what, unit, bar)
    }

    /// Of work whose size is not known before.
    pub(super) fn counting(what: &'static str, unit: Unit) -> Self {
        let template = format!("{{spinner}} {what}: {{at}}{}, {{rate}}", unit.name());
        let bar = ProgressBar::new_spinner().with_style(style(&template, unit));
        Self::new(what, unit, bar)
    }

    fn new(what: &'static str, unit: Unit, bar: ProgressBar) -> Self {
        let now = Instant::now();
        // At once: who waits sees what for.
        bar.tick();
        Self {
            what,
            unit,
            bar,
            lines: Mutex::new(Lines {
                begun: now,
                told: now,
            }),
        }
    }

    /// Its size, once that is known.
    pub(super) fn size(&self, total: u64) {
        if self.bar.length().is_none() {
            self.bar.set_style(bar_style(self.what, self.unit));
        }
        self.bar.set_length(total);
    }

    /// So much more is done.
    pub(super) fn add(&self, more: u64) {
        self.bar.inc(more);
        self.tell();
    }

    /// So much is done.
    pub(super) fn set(&self, done: u64) {
        self.bar.set_position(done);
        self.tell();
    }

    fn tell(&self) {
        if !self.bar.is_hidden() {
            return;
        }
        let now = Instant::now();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_due(now) {
            let took = now.saturating_duration_since(lines.begun);
            let (at, total) = (self.bar.position(), self.bar.length());
            say(&line(self.what, self.unit, at, total, took));
        }
    }
}

impl Drop for Progress {
    /// Done, or given up: what was shown goes.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows how far work is that `look` sees: what is done, and its size, once that is known.
pub(super) async fn watching<T>(
    what: &'static str,
    unit: Unit,
    look: impl Fn() -> Option<(u64, u64)>,
    work: impl Future<Output = T>,
) -> T {
    let progress = Progress::counting(what, unit);
    let mut ticks = tokio::time::interval(TICK);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => if let Some((done, total)) = look() {
                progress.size(total);
                progress.set(done);
            },
        }
    }
}

/// Shows that something is under way that tells nothing on its way.
pub(super) async fn waiting<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    let bar = ProgressBar::new_spinner();
    bar.set_style(style(
        &format!("{{spinner}} {what}, {{elapsed}}"),
        Unit::Leads,
    ));
    bar.enable_steady_tick(TICK);
    let begun = Instant::now();
    let mut ticks = tokio::time::interval_at((begun + LINE).into(), LINE);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                bar.finish_and_clear();
                return done;
            }
            _ = ticks.tick() => if bar.is_hidden() {
                say(&format!("{what}, since {}", HumanDuration(begun.elapsed())));
            },
        }
    }
}

/// A line for a log.
fn line(what: &str, unit: Unit, at: u64, total: Option<u64>, took: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate is told to a few digits")]
    let (done, whole) = (at as f64, total.unwrap_or(0) as f64);
    let rate = done / took.as_secs_f64().max(0.001);
    let mut line = format!("{what}: {}", unit.count(at));
    let Some(total) = total else {
        let _ = write!(line, "{}, {}", unit.name(), unit.rate(rate));
        return line;
    };
    let _ = write!(line, " of {}{}", unit.count(total), unit.name());
    let _ = write!(line, ", {}", unit.rate(rate));
    if rate > 0.0 {
        let left = Duration::try_from_secs_f64(((whole - done) / rate).max(0.0));
        let _ = write!(line, ", {} left", HumanDuration(left.unwrap_or_default()));
    }
    line
}

fn bar_style(what: &str, unit: Unit) -> ProgressStyle {
    let template = format!(
        "{what} {{bar:30}} {{at}} of {{total}}{}, {{rate}}, {{eta}} left",
        unit.name()
    );
    style(&template, unit).with_key(
        "total",
        move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&unit.count(state.len().unwrap_or(0)));
        },
    )
}

fn style(template: &str, unit: Unit) -> ProgressStyle {
    // The templates are constants; one that is none would show the library's own.
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let style = if is_unicode() {
        style
    } else {
        style.progress_chars("#>-").tick_chars("-\\|/ ")
    };
    // A terminal that takes nothing is no matter of the numbers'.
    style
        .with_key(
            "at",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(&unit.count(state.pos()));
            },
        )
        .with_key(
            "rate",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(&unit.rate(state.per_sec()));
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log hears of work at most each ten seconds, and of short work nothing.
    #[test]
    fn a_line_is_due_each_ten_seconds() {
        let begun = Instant::now();
        let mut lines = Lines { begun, told: begun };
        let due = [0, 9, 10, 11, 19, 25, 29, 35].map(|second| {
            let at = begun + Duration::from_secs(second);
            lines.is_due(at)
        });
        assert_eq!(due, [false, false, true, false, false, true, false, true]);
    }

    #[test]
    fn a_line_tells_how_far_how_fast_and_how_long_still() {
        let took = Duration::from_secs(10);
        for (unit, at, total, expected) in [
            (
                Unit::Leads,
                12_000,
                Some(60_000),
                "working: 12,000 of 60,000 leads, 1,200/s, 40 seconds left",
            ),
            (
                Unit::Bytes,
                1 << 20,
                Some(1 << 21),
                "working: 1.00 MiB of 2.00 MiB, 102.40 KiB/s, 10 seconds left",
            ),
            (Unit::Changes, 50, None, "working: 50 changes, 5/s"),
            (Unit::Entries, 0, Some(7), "working: 0 of 7 entries, 0/s"),
            (
                Unit::Entries,
                8,
                Some(7),
                "working: 8 of 7 entries, 1/s, 0 seconds left",
            ),
        ] {
            assert_eq!(line("working", unit, at, total, took), expected);
        }
    }
}
