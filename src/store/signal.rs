//! Tells followers of the feed and of the ledger that the ledger moved.
//!
//! Within the process by a watch channel. Between replicas on PostgreSQL by LISTEN/NOTIFY, sent after the
//! commit and off its path (commits with NOTIFY queue up behind one lock), and by a poll as its safety net: a
//! notification may be lost, a poll is late by at most [`POLL`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use sqlx::{PgPool, Postgres, postgres::PgConnectOptions};
use tokio::{
    sync::{broadcast, watch},
    task::AbortHandle,
    time::timeout,
};

use super::{
    Result,
    dialect::{Columns as _, Dialect, values},
    history::History,
    kept::{Kept, Lent},
    postgres::{self, ANSWER_MAX},
    sql::{Sql, statements, to_hash},
};
use crate::ledger::{Entry, EntryKind, Head};

statements! {
    // With the last entry, and what is there by now of the one that was known as the last.
    HEAD_AND_EPOCH = "SELECT ledger_head.sequence, ledger_head.at, store.epoch, \
                      (SELECT hash FROM ledger WHERE ledger.sequence = ledger_head.sequence), \
                      (SELECT hash FROM ledger WHERE ledger.sequence = $1) FROM ledger_head, store";
}

/// How often the head is read in case a notification was lost, or another process wrote to the file.
const POLL: Duration = Duration::from_secs(1);
/// After so long without a word a listener asks whether anybody is there.
const SILENCE_MAX: Duration = Duration::from_secs(10);
const CHANNEL: &str = "lead_intake_head";
const NOTIFY: &str = "SELECT pg_notify('lead_intake_head', $1)";
/// The least wait between two notifications. Each takes a transaction here and a look at the head in every other
/// replica, and a busy one commits some hundred batches a second.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(10);

/// Committed batches that wait for who follows the ledger; one that is too slow reads the database.
const COMMITTED_MAX: usize = 64;

/// The ledger's last number, as far as this replica knows, and what this replica commits.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    head: Arc<watch::Sender<i64>>,
    /// The same number, for those who may hold the watch when they ask: a second look into it would wait for whoever is
    /// about to move it, and that one for the first.
    sequence: Arc<AtomicI64>,
    /// The restore epoch: another replica's start may move it.
    epoch: Arc<AtomicI64>,
    history: History,
    committed: broadcast::Sender<Arc<[Entry]>>,
}

impl Signal {
    pub(super) fn new(history: History, sequence: i64, epoch: i64) -> Self {
        Self {
            epoch: Arc::new(epoch.into()),
            head: Arc::new(watch::Sender::new(sequence)),
            sequence: Arc::new(sequence.into()),
            history,
            committed: broadcast::Sender::new(COMMITTED_MAX),
        }
    }

    pub(super) fn receiver(&self) -> watch::Receiver<i64> {
        self.head.subscribe()
    }

    /// The ledger's last number.
    pub(super) fn sequence(&self) -> i64 {
        self.sequence.load(Ordering::Acquire)
    }

    pub(super) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    pub(super) fn committed(&self) -> broadcast::Receiver<Arc<[Entry]>> {
        self.committed.subscribe()
    }

    /// The ledger moved by these entries, which are committed.
    pub(super) fn moved(&self, entries: &[Entry]) {
        if let Some(last) = entries.last() {
            self.history.learn(last.head());
            self.moved_to(last.sequence);
        }
        // Of other entries the database keeps more, which has to be read there.
        let is_whole = |it: &Entry| it.new.kind == EntryKind::Submitted;
        if self.committed.receiver_count() > 0 && entries.iter().all(is_whole) {
            let _ = self.committed.send(entries.into());
        }
    }

    /// The database is in this epoch, or was a moment ago: of two looks the older answer may come last.
    fn entered(&self, epoch: i64) {
        self.epoch.fetch_max(epoch, Ordering::Relaxed);
    }

    fn moved_to(&self, sequence: i64) {
        // Two writers may report out of order; the number never goes back.
        self.sequence.fetch_max(sequence, Ordering::AcqRel);
        self.head.send_if_modified(|known| {
            let newer = sequence > *known;
            *known = sequence.max(*known);
            newer
        });
    }
}

/// Reads the head now and then. Ends with the store's pools.
pub(super) fn poll<DB: Dialect>(sql: Sql<DB>) -> AbortHandle {
    let task = async move {
        let mut tick = tokio::time::interval(POLL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !sql.reader.is_closed() {
            tick.tick().await;
            // An error shows in the readiness check, which asks the same database.
            let _ = refresh(&sql).await;
        }
    };
    tokio::spawn(task).abort_handle()
}

async fn refresh<DB: Dialect>(sql: &Sql<DB>) -> Result<()> {
    let history = &sql.signal.history;
    let known = history.known();
    let rows = sql
        .read(HEAD_AND_EPOCH, values![known.map(|it| it.sequence)])
        .await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    if let Some(known) = known
        && !history.is_there(known, row.opt_bytes(4)?.as_deref())
    {
        return Ok(());
    }
    let sequence = row.int(0)?;
    sql.signal.entered(row.int(2)?);
    if let Some(hash) = row.opt_bytes(3)? {
        history.learn(Head {
            sequence,
            hash: to_hash(hash)?,
            at: row.int(1)?,
        });
    }
    sql.signal.moved_to(sequence);
    Ok(())
}

/// Tells the other replicas when this one has moved the head.
pub(super) fn announce(pool: PgPool, signal: &Signal) -> AbortHandle {
    let mut head = signal.receiver();
    let task = async move {
        let kept = Kept::new();
        // Moves that come while one is announced, or soon after, are announced together.
        while head.changed().await.is_ok() {
            let sequence = *head.borrow_and_update();
            if notify(&pool, &kept, sequence).await.is_err() {
                tracing::debug!("the other replicas were not told; their poll will notice");
            }
            tokio::time::sleep(ANNOUNCE_EVERY).await;
        }
    };
    tokio::spawn(task).abort_handle()
}

async fn notify(pool: &PgPool, kept: &Kept<Postgres>, sequence: i64) -> Result<()> {
    let mut connection = match kept.take() {
        Some(kept) => kept,
        None => Lent::of(pool).await?,
    };
    let told = sqlx::query(NOTIFY)
        .bind(sequence.to_string())
        .execute(&mut *connection);
    postgres::in_time(ANSWER_MAX, told).await?;
    kept.keep(connection);
    Ok(())
}

/// Whether a notification tells anything new: those of this replica come back to it too.
fn is_news(payload: &str, signal: &Signal) -> bool {
    // Whatever is no number was sent by another version, or by hand.
    payload
        .parse()
        .map_or(true, |sequence: i64| sequence > signal.sequence())
}

/// Hears when another replica has moved the head.
pub(super) async fn listen(connect: &PgConnectOptions, sql: Sql<Postgres>) -> Result<AbortHandle> {
    let mut listener = postgres::listener(connect, CHANNEL, &sql.signal.history).await?;
    let connect = connect.clone();
    let task = async move {
        loop {
            let hears = match timeout(SILENCE_MAX, listener.try_recv()).await {
                Ok(Ok(Some(heard))) if !is_news(heard.payload(), &sql.signal) => continue,
                // `None` after a reconnect: what was sent meanwhile is lost, so the head is read anyway.
                Ok(heard) => heard.is_ok(),
                // So a quiet night sounds, a lost connection, and a primary that is none any more.
                Err(_) => postgres::is_primary(&mut listener).await.unwrap_or(false),
            };
            if !hears {
                match postgres::listener(&connect, CHANNEL, &sql.signal.history).await {
                    Ok(another) => listener = another,
                    Err(_) => tokio::time::sleep(POLL).await,
                }
            }
            let _ = refresh(&sql).await;
        }
    };
    Ok(tokio::spawn(task).abort_handle())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who waits for the head asks for it within the wait, and keeps nobody from moving it.
    #[test]
    fn the_number_is_there_for_who_holds_the_watch() {
        let signal = Signal::new(History::default(), 1, 1);
        let (told, hears) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            signal.head.send_if_modified(|_| {
                let _ = told.send(signal.sequence());
                false
            });
        });
        assert_eq!(hears.recv_timeout(Duration::from_secs(10)), Ok(1));
    }

    /// Cursors of an earlier epoch do not come back.
    #[test]
    fn an_epoch_is_over_for_good() {
        let signal = Signal::new(History::default(), 1, 1);
        signal.entered(3);
        signal.entered(2);
        assert_eq!(signal.epoch(), 3);
    }

    /// A notification that came back, or was overtaken, tells nothing new; one that is no number may.
    #[test]
    fn what_is_known_is_no_news() {
        let signal = Signal::new(History::default(), 7, 1);
        signal.moved_to(9);
        signal.moved_to(8);
        assert_eq!(signal.sequence(), 9);
        for (payload, news) in [
            ("8", false),
            ("9", false),
            ("10", true),
            ("", true),
            ("x", true),
        ] {
            assert_eq!(is_news(payload, &signal), news, "{payload}");
        }
    }
}
