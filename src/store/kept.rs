//! A connection that a writer keeps between two batches.
//!
//! The pool asks a connection whether it is still good when it leaves and when it comes back, and then the driver asks
//! once more: three round trips, beside the one of a batch that was foreseen. So one whose transaction went well is used for the
//! next, for as long as [`Dialect::KEEP_MAX`]; what fails goes back to the pool, and is asked.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use sqlx::{Pool, pool::PoolConnection};

use super::{Result, dialect::Dialect};

/// The place of the connection that is kept.
pub(super) struct Kept<DB: Dialect>(Mutex<Option<Lent<DB>>>);

/// A connection out of the pool.
pub(super) struct Lent<DB: Dialect> {
    connection: PoolConnection<DB>,
    since: Instant,
}

impl<DB: Dialect> Kept<DB> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The connection that was kept, unless it is too old. It may have died meanwhile.
    pub(super) fn take(&self) -> Option<Lent<DB>> {
        self.swap(None)
            .filter(|lent| lent.since.elapsed() < DB::KEEP_MAX)
    }

    /// Keeps a connection whose transaction was committed.
    pub(super) fn keep(&self, lent: Lent<DB>) {
        if lent.since.elapsed() < DB::KEEP_MAX {
            self.swap(Some(lent));
        }
    }

    fn swap(&self, lent: Option<Lent<DB>>) -> Option<Lent<DB>> {
        // A panic while it is held leaves nothing half-done in it.
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, lent)
    }
}

impl<DB: Dialect> Lent<DB> {
    /// A connection of the pool, which has asked it.
    pub(super) async fn of(pool: &Pool<DB>) -> Result<Self> {
        Ok(Self {
            connection: pool.acquire().await?,
            since: Instant::now(),
        })
    }
}

impl<DB: Dialect> Deref for Lent<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Dialect> DerefMut for Lent<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}
