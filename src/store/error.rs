//! What can go wrong in the store.

use std::time::Duration;

use super::Selection;
use crate::{
    domain::{lead::Incomplete, lifecycle::Barred},
    ledger::mirror::MirrorError,
    seal::{KeyName, KeyPurpose, NoRandomness, SealAgainError, UnsealError, random},
};

/// The result of a store call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why a store call did nothing, or nothing that is known.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer as it should. For a write, whether it happened is not known.
    // The driver's `Debug` prints row values, its `Display` does not: hence no `{0:?}` here, ever.
    #[error("database: {0}")]
    Database(DatabaseError),
    /// The submission queue is full; nothing happened.
    #[error("the submission queue is full")]
    QueueFull,
    /// The store is closing; nothing happened.
    #[error("the store is closing")]
    Closing,
    /// A whole batch failed for this reason.
    #[error(transparent)]
    Shared(std::sync::Arc<StoreError>),
    /// A writer stopped without an answer; whether the write happened is not known.
    #[error("a writer stopped without an answer")]
    Lost,
    /// The database's disk failed to flush, or the database lost what was committed, a moment ago: nothing is begun any more.
    #[error("the database is not to be trusted, and this process ends")]
    Broken,
    /// The database's disk takes nothing more, for this reason; nothing happened.
    #[error("the database's disk takes nothing more: {0}")]
    NoRoom(std::io::ErrorKind),
    /// Another call changed or held the same leads, each time this one tried; nothing happened.
    #[error("another call changed the same leads")]
    Contended,
    /// A stored value cannot be one that this program wrote.
    #[error("the database holds an impossible value: {0}")]
    Corrupt(&'static str),
    /// A lead cannot be opened.
    #[error(transparent)]
    Unseal(#[from] UnsealError),
    /// A key of the ring is not the one the database was written with.
    #[error(
        "the keys do not belong to this database: {name} key {1} is another key\n  put back the key ring that \
         belongs to it: docs/operations.md, \"Rings and backups\"",
        name = .0.name()
    )]
    ForeignKey(KeyPurpose, u32),
    /// The key that signs checkpoints is not the one that the database knows.
    #[error("the signing key does not belong to this database")]
    ForeignSigningKey,
    /// The database was written with a key that the ring lacks.
    #[error(
        "the keys do not belong to this database: {name} key {1} is missing\n  put back the key ring that belongs to \
         it: docs/operations.md, \"Rings and backups\"",
        name = .0.name()
    )]
    MissingKey(KeyPurpose, u32),
    /// The ring would seal or index with a key that was retired.
    #[error("the key ring is not the one in use: {0} was retired; copy the newest one here")]
    RetiredKey(KeyName),
    /// The key ring is older than the database allows; nothing happened.
    #[error("the key ring is older than the one in use: copy the newest one here")]
    StaleRing,
    /// The key ring was changed on two machines, in two ways.
    #[error("the key ring was changed in another way on another machine: copy that one here")]
    DivergedRing,
    /// The table of states does not allow the act.
    #[error(transparent)]
    Barred(#[from] Barred),
    /// The lead is not at the revision that the caller saw.
    #[error("the lead is at another revision")]
    RevisionMismatch,
    /// A correction would leave a lead nobody could answer.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
    /// The machine's random source gave nothing.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// A position that the client was never given.
    #[error("the client was not given this position")]
    NotDelivered,
    /// The request's key was used for something else.
    #[error("the request id was used for something else")]
    RequestIdReused,
    /// A named lead is none of the person's candidates.
    #[error("a named lead is not a candidate")]
    NotACandidate,
    /// More leads match than one request may touch.
    #[error("more leads match than one request may touch")]
    TooManyCandidates,
    /// The database was made by a newer version of the program.
    #[error("the database was made by a newer lead-intake; use that version")]
    NewerSchema,
    /// The schema cannot be brought up to date.
    #[error("migration: {0}")]
    Migration(sqlx::migrate::MigrateError),
    /// The ledger's mirror cannot be used, or cannot be written: then nothing happened.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A setting of the store is wrong.
    #[error("{0}")]
    Setting(String),
}

/// An error of the driver that prints its message and nothing else: the driver's own `Debug` shows the
/// rows that a constraint refused.
pub struct DatabaseError(sqlx::Error);

impl std::fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            // The code says what class of error it is; the message could quote an input ("invalid
            // input syntax for …"), so it is printed for the classes that speak of the server only.
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                write!(f, "error {code}")?;
                let about_server = ["08", "25", "40", "53", "54", "55", "57", "58"]
                    .iter()
                    .any(|class| code.starts_with(class));
                if about_server || code.len() < 5 {
                    write!(f, ": {}", error.message())
                } else {
                    Ok(())
                }
            }
            error => write!(f, "{error}"),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(DatabaseError(error))
    }
}

impl From<SealAgainError> for StoreError {
    fn from(error: SealAgainError) -> Self {
        match error {
            SealAgainError::NoRandomness(error) => error.into(),
            SealAgainError::Unseal(error) => error.into(),
        }
    }
}

impl StoreError {
    /// Whether the key ring is at fault, and not the database.
    #[must_use]
    pub fn is_about_keys(&self) -> bool {
        matches!(
            self,
            Self::ForeignKey(..)
                | Self::MissingKey(..)
                | Self::RetiredKey(_)
                | Self::StaleRing
                | Self::DivergedRing
        )
    }

    /// The database's own code of the error, if it is the database's.
    pub(super) fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Self::Database(DatabaseError(sqlx::Error::Database(error))) => error.code(),
            _ => None,
        }
    }

    /// Whether the database found its disk full, and nothing happened.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.code().as_deref() == Some("13")
    }

    /// Why the disk has no room for a write, if that may be what it failed for.
    pub(super) fn lacks_room(&self) -> Option<std::io::ErrorKind> {
        use std::io::ErrorKind::{Other, QuotaExceeded, StorageFull};
        match self {
            Self::Mirror(MirrorError::Io(error)) => {
                Some(error.kind()).filter(|kind| matches!(kind, StorageFull | QuotaExceeded))
            }
            // SQLITE_FULL; SQLITE_IOERR_SHMSIZE, of the index of its log; and SQLITE_IOERR_WRITE, which is that of a quota
            // too, but of other things as well.
            error => match error.code().as_deref() {
                Some("13" | "4874") => Some(StorageFull),
                Some("778") => Some(Other),
                _ => None,
            },
        }
    }

    /// Whether a uniqueness constraint refused the write.
    pub(super) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(DatabaseError(sqlx::Error::Database(error)))
            if error.is_unique_violation())
    }

    /// Whether a value was absent that must not be.
    pub(super) fn is_not_null_violation(&self) -> bool {
        matches!(self, Self::Database(DatabaseError(sqlx::Error::Database(error)))
            if error.kind() == sqlx::error::ErrorKind::NotNullViolation)
    }

    /// A call whose key was used while it was under way lost a race: tried again, it finds the other.
    pub(super) fn or_contended(self) -> Self {
        if self.is_unique_violation() {
            Self::Contended
        } else {
            self
        }
    }

    /// Whether the same transaction may well succeed soon: another one was in its way, and this one did nothing.
    fn is_transient(&self) -> bool {
        matches!(self, Self::Contended) || self.is_lost_race() || self.is_busy()
    }

    /// Serialisation failure or deadlock: PostgreSQL chose another one.
    fn is_lost_race(&self) -> bool {
        self.has_code(&["40001", "40P01"])
    }

    /// A lock was not to be had for as long as PostgreSQL waits for one, which is long enough.
    fn is_lock_timeout(&self) -> bool {
        self.has_code(&["55P03"])
    }

    /// Another process holds the file: SQLite.
    fn is_busy(&self) -> bool {
        self.has_code(&["5", "261", "517"])
    }

    /// What other transactions did to this one, in one word.
    fn or_in_the_way(self) -> Self {
        if self.is_lost_race() || self.is_lock_timeout() {
            Self::Contended
        } else {
            self
        }
    }

    /// Whether no answer came, for as long as one is waited for.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Database(DatabaseError(sqlx::Error::Io(error)))
            if error.kind() == std::io::ErrorKind::TimedOut)
    }

    /// Whether it is the session that is over, and not a statement that was refused: another connection may do better.
    pub(super) fn is_end_of_session(&self) -> bool {
        match self {
            Self::Database(DatabaseError(sqlx::Error::Io(_))) => !self.is_silence(),
            error => error.code().is_some_and(|code| {
                // Connection exceptions; an administrator's end; a server that takes no writes any more.
                ["08", "57P", "25006"]
                    .iter()
                    .any(|class| code.starts_with(class))
            }),
        }
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.code().is_some_and(|code| codes.contains(&&*code))
    }
}

/// How often a write that lost a race is tried in all.
const ATTEMPTS: usize = 3;
/// The pause before the second attempt, at most; it doubles with each.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest pause: of readers of one client, which take many turns.
const PAUSE_MAX: Duration = Duration::from_millis(80);

/// Runs a write until it succeeds or fails for good. What lost every race is [`StoreError::Contended`].
pub(super) async fn retrying<T, F>(attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    retrying_at_most(ATTEMPTS, attempt).await
}

/// The same with another limit: for races that are lost to one's own kind.
pub(super) async fn retrying_at_most<T, F>(
    attempts: usize,
    mut attempt: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut pause = PAUSE;
    for _ in 1..attempts {
        match attempt().await {
            Err(error) if error.is_transient() => tokio::time::sleep(jittered(pause)).await,
            done => return done.map_err(StoreError::or_in_the_way),
        }
        pause = PAUSE_MAX.min(pause * 2);
    }
    attempt().await.map_err(StoreError::or_in_the_way)
}

/// Between half of it and all of it: those who met once shall not meet again.
fn jittered(pause: Duration) -> Duration {
    let [byte] = random().unwrap_or([0]);
    pause / 2 + pause / 2 * u32::from(byte) / 255
}

impl Selection {
    /// How many leads it holds in all.
    pub(super) fn len(&self) -> usize {
        self.leads.len() + self.unconfirmed.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// P7: a race is run three times at most, a little apart, and who lost them all hears that nothing was done.
    #[tokio::test(start_paused = true)]
    async fn a_lost_race_is_run_again() {
        let start = tokio::time::Instant::now();
        let mut runs = Vec::new();
        let lost = retrying(|| {
            runs.push(start.elapsed());
            async { Err::<(), _>(StoreError::Contended) }
        });
        assert!(matches!(lost.await, Err(StoreError::Contended)));
        let [first, second, third] = runs[..] else {
            panic!("{runs:?}")
        };
        // The clock of the runtime counts in milliseconds.
        let grain = Duration::from_millis(1);
        assert_eq!(first, Duration::ZERO);
        assert!((PAUSE / 2..=PAUSE + grain).contains(&second), "{runs:?}");
        let soon = second + PAUSE..=second + PAUSE * 2 + grain;
        assert!(soon.contains(&third), "{runs:?}");
    }

    /// P7: those who met once do not all wait as long.
    #[test]
    fn pauses_differ() {
        let pauses: HashSet<_> = (0..32).map(|_| jittered(PAUSE)).collect();
        assert!(pauses.len() > 1);
        assert!(pauses.iter().all(|it| (PAUSE / 2..=PAUSE).contains(it)));
    }
}
