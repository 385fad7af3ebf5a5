//! How far a verification is.

use std::sync::atomic::{AtomicI64, Ordering};

/// How far a verification is: told by what verifies, read by whoever waits, at no cost for either.
///
/// The database and the mirror are read side by side. An entry counts when it was checked in both.
#[derive(Debug, Default)]
pub struct Progress {
    /// One more than the entries in all; 0 before these are known.
    begun: AtomicI64,
    database: AtomicI64,
    mirror: AtomicI64,
}

impl Progress {
    /// It begins, and is to check so many entries.
    pub(crate) fn begin(&self, total: i64) {
        self.begun.store(total + 1, Ordering::Relaxed);
    }

    /// So many were checked in the database.
    pub(crate) fn database(&self, checked: i64) {
        self.database.fetch_max(checked, Ordering::Relaxed);
    }

    /// So many were checked in the mirror.
    pub(crate) fn mirror(&self, checked: i64) {
        self.mirror.fetch_max(checked, Ordering::Relaxed);
    }

    /// There is no mirror, or no more of it.
    pub(crate) fn mirror_ended(&self) {
        self.mirror(i64::MAX);
    }

    /// Entries checked, and entries in all; `None` before these are known. The first number only grows.
    #[must_use]
    pub fn reached(&self) -> Option<(i64, i64)> {
        let total = self.begun.load(Ordering::Relaxed) - 1;
        let database = self.database.load(Ordering::Relaxed);
        let checked = database.min(self.mirror.load(Ordering::Relaxed));
        (total >= 0).then_some((checked, total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry counts when it was checked on both sides, in whatever order, and the count never falls.
    #[test]
    fn an_entry_counts_when_both_sides_have_it() {
        let progress = Progress::default();
        assert_eq!(progress.reached(), None);
        progress.begin(10);
        assert_eq!(progress.reached(), Some((0, 10)));
        progress.database(6);
        assert_eq!(progress.reached(), Some((0, 10)));
        progress.mirror(4);
        assert_eq!(progress.reached(), Some((4, 10)));
        progress.mirror(8);
        assert_eq!(progress.reached(), Some((6, 10)));
        progress.mirror_ended();
        progress.database(5);
        assert_eq!(progress.reached(), Some((6, 10)));
        progress.database(10);
        assert_eq!(progress.reached(), Some((10, 10)));
    }

    /// A ledger without an entry has begun too.
    #[test]
    fn nothing_to_check_is_known() {
        let progress = Progress::default();
        progress.begin(0);
        assert_eq!(progress.reached(), Some((0, 0)));
    }
}
