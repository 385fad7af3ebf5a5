//! Connections to PostgreSQL: how they are set up, and which of them may be used.
//!
//! The driver waits for an answer as long as TCP does: a quarter of an hour if the server is cut off with a statement
//! under way, for ever if nothing is. So each wait has a limit here or in [`super::dialect`], and what has not answered
//! is closed, not used again. A server that answers and takes no writes (a standby, or the primary that was one before a
//! switchover) is as bad as none, and one that lacks what was committed ([`super::history`]) is worse: no connection to either
//! leaves the pool.

use std::{io, net::IpAddr, str::FromStr as _, time::Duration};

use sqlx::{
    ConnectOptions as _, Executor, PgConnection, PgPool, Postgres,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgSslMode},
};
use tokio::time::timeout;

use super::{Result, StoreError, history::History, refused};

/// A connection that cannot be had within this time makes the call fail (sqlx waits 30 s by default).
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A statement without an answer for so long has none. Longer than the server's own limits, which say more.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The same for the question whether a connection may be used.
pub(super) const PROBE_MAX: Duration = Duration::from_secs(1);

/// A connection that is in use all the time is asked as often as this.
pub(super) const KEEP_MAX: Duration = Duration::from_secs(1);

/// Of each session. They override what the URL says.
const SETTINGS: [(&str, &str); 12] = [
    // A writer that stalls with the head locked is ended first, then those that wait for it give up, then
    // the server ends a statement, then we do. A replica that stands still may have two that wait in line, and each
    // gets the head in its turn: so twice this is no longer than such a wait, and the others go on within 5 s.
    ("idle_in_transaction_session_timeout", "2s"),
    ("lock_timeout", "4s"),
    ("statement_timeout", "4500ms"),
    // A session whose client is gone ends, and with it its locks.
    ("client_connection_check_interval", "2s"),
    ("tcp_keepalives_idle", "10s"),
    ("tcp_keepalives_interval", "5s"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "15s"),
    ("default_transaction_isolation", "read committed"),
    ("client_min_messages", "warning"),
    // Without statistics, as after a fill, a page of the feed looks dear enough to be compiled: a second for what takes
    // two milliseconds.
    ("jit", "off"),
    // Of the values of a look-up there are no statistics, by which it seems to find some per mille of all leads. From
    // some millions of them on that looked like work for several, who took 7 ms to start for what takes 0.1.
    ("max_parallel_workers_per_gather", "0"),
];

/// How to connect by this URL. Fails if it does not say how a connection over a network is protected.
pub(super) fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Setting("the PostgreSQL URL is malformed".to_owned()))?;
    if !is_on_this_machine(&options) {
        match options.get_ssl_mode() {
            PgSslMode::VerifyFull => {}
            // Either would go on without TLS where somebody in between says that there is none.
            PgSslMode::Prefer | PgSslMode::Allow => {
                return Err(StoreError::Setting(UNPROTECTED.to_owned()));
            }
            PgSslMode::Disable | PgSslMode::Require | PgSslMode::VerifyCa => tracing::warn!(
                "whoever is between here and PostgreSQL can read and change what passes: only sslmode=verify-full keeps \
                 them out"
            ),
        }
    }
    Ok(options
        .application_name("lead-intake")
        .options(SETTINGS)
        .disable_statement_logging())
}

const UNPROTECTED: &str = "the PostgreSQL URL names another machine and not how the way there is protected: add \
     ?sslmode=verify-full&sslrootcert=FILE, or ?sslmode=disable if nobody else is on that network";

/// Whether what passes stays on this machine: a Unix socket, or the loopback.
fn is_on_this_machine(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

/// The fewest connections that can be shared out.
const CONNECTIONS_MIN: u32 = 10;

/// How a replica's connections are shared out: whoever is slow, or waits for a lock, keeps nobody else from them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    /// Of the submission queue: its writer's, one that looks up repeats, and those on their way back to the pool.
    pub(super) intake: u32,
    /// Of people's requests.
    pub(super) owed: u32,
    /// Of tokens and health.
    pub(super) vital: u32,
    /// Of everybody else: CRMs, auditors, sweeps.
    pub(super) rest: u32,
}

impl Shares {
    /// Of so many connections, of which one listens. Fewer than 10 are 10.
    pub(super) fn of(connections_max: u32) -> Self {
        let max = connections_max.max(CONNECTIONS_MIN);
        let (intake, owed, vital) = (4, max / 5, (max / 10).max(2));
        Self {
            intake,
            owed,
            vital,
            rest: max - intake - owed - vital - 1,
        }
    }
}

/// Opens at most so many connections, and the first one now.
pub(super) async fn pool(
    connect: &PgConnectOptions,
    connections_max: u32,
    history: &History,
) -> Result<PgPool> {
    let pool = shared_options(connections_max, history)
        .connect_with(connect.clone())
        .await;
    match pool {
        Ok(pool) => Ok(pool),
        Err(error) => Err(refused::postgres(error, connect).await),
    }
}

/// The same, when the first one is needed.
pub(super) fn lazy_pool(
    connect: &PgConnectOptions,
    connections_max: u32,
    history: &History,
) -> PgPool {
    shared_options(connections_max, history).connect_lazy_with(connect.clone())
}

fn shared_options(connections_max: u32, history: &History) -> PgPoolOptions {
    pool_options(connections_max, history)
        .max_lifetime(Duration::from_mins(10))
        .idle_timeout(Duration::from_mins(2))
        .before_acquire(|connection, _| Box::pin(is_primary(connection)))
}

/// A listener to this channel, on a connection of its own: it is given up as a whole, and nothing waits for it.
pub(super) async fn listener(
    connect: &PgConnectOptions,
    channel: &str,
    history: &History,
) -> sqlx::Result<PgListener> {
    let pool = pool_options(1, history)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(connect.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    in_time(ANSWER_MAX, listener.listen(channel)).await?;
    Ok(listener)
}

fn pool_options(connections_max: u32, history: &History) -> PgPoolOptions {
    let history = history.clone();
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // `is_primary` replaces the ping at the same price.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let history = history.clone();
            Box::pin(async move {
                if !is_primary(&mut *connection).await? {
                    return Err(sqlx::Error::Configuration("it takes no writes".into()));
                }
                history.check(connection).await
            })
        })
        // Before the driver asks, without a limit: what was dropped half-way may never end.
        .after_release(|connection: &mut PgConnection, _| Box::pin(is_primary(connection)))
}

/// Whether the server that a connection leads to answers, and takes writes.
pub(super) async fn is_primary(
    connection: impl Executor<'_, Database = Postgres>,
) -> sqlx::Result<bool> {
    let asked = sqlx::query_as("SHOW transaction_read_only").fetch_one(connection);
    let (read_only,): (String,) = in_time(PROBE_MAX, asked).await?;
    Ok(read_only == "off")
}

/// Waits so long for an answer.
pub(super) async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    timeout(limit, answer).await.unwrap_or_else(|_| {
        let error = io::Error::new(io::ErrorKind::TimedOut, "PostgreSQL did not answer in time");
        Err(error.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the number, everybody has a connection, and all of them together no more than were given.
    #[test]
    fn everybody_has_a_share() {
        for max in CONNECTIONS_MIN..200 {
            let shares = Shares::of(max);
            let all = [shares.intake, shares.owed, shares.vital, shares.rest];
            assert!(all.iter().all(|share| *share > 0), "{max}: {shares:?}");
            assert_eq!(all.iter().sum::<u32>() + 1, max);
        }
    }

    /// Over a network a URL says how the way is protected, and what can be talked out of TLS protects nothing.
    #[test]
    fn the_way_over_a_network_is_protected() {
        let tried = |url: &str| options(url).map(drop).map_err(|error| error.to_string());
        for host in [
            "db.example.no",
            "10.0.0.7",
            "[fd00::7]",
            "localhost.example.no",
        ] {
            for mode in ["", "?sslmode=prefer", "?sslmode=allow"] {
                let refused = tried(&format!("postgres://u:secret@{host}/leads{mode}"));
                assert_eq!(refused, Err(UNPROTECTED.to_owned()), "{host} {mode}");
            }
            for mode in ["verify-full", "verify-ca", "require", "disable"] {
                let url = format!("postgres://u:secret@{host}/leads?sslmode={mode}");
                assert_eq!(tried(&url), Ok(()), "{host} {mode}");
            }
        }
        for host in [
            "localhost",
            "127.0.0.1",
            "127.8.0.1",
            "[::1]",
            "%2Frun%2Fpostgresql",
        ] {
            assert_eq!(
                tried(&format!("postgres://u:secret@{host}/leads")),
                Ok(()),
                "{host}"
            );
        }
        assert_eq!(tried("postgres:///leads?host=/run/postgresql"), Ok(()));
        let hidden = tried("postgres://u:secret@localhost/leads?host=db.example.no");
        assert_eq!(hidden, Err(UNPROTECTED.to_owned()));
    }
}
