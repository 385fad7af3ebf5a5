//! A database that cannot be opened: why, and what to do about it, in words that name no host, user or password.

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use tokio::time::timeout;

use super::{
    StoreError,
    postgres::{self, ACQUIRE_TIMEOUT},
};

/// Why a SQLite file cannot be opened, and what to do about it.
pub(super) fn sqlite(error: sqlx::Error) -> StoreError {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    // The lower byte of the code is what it is, the others what it came of.
    let code = code.and_then(|code| code.parse::<i32>().ok());
    let text = match code.map(|code| code & 0xff) {
        Some(5 | 6) => "another program holds it: end that, and try again",
        Some(8) => {
            "it may not be written: does the file belong to this user, and is its disk mounted writable?"
        }
        Some(14) => {
            "it is not there, or this user may not open it: `lead-intake serve` makes it in its data directory \
             (--data-dir)"
        }
        Some(26) => {
            "it is no SQLite database: docs/operations.md, \"Restore\", says how to put a backup back"
        }
        _ => return error.into(),
    };
    StoreError::Setting(text.to_owned())
}

/// Why PostgreSQL cannot be reached, and what to do about it. A pool says only that it gave up, so it is asked once more
/// without one.
pub(super) async fn postgres(error: sqlx::Error, connect: &PgConnectOptions) -> StoreError {
    let error = match error {
        sqlx::Error::PoolTimedOut => match timeout(ACQUIRE_TIMEOUT, connect.connect()).await {
            Ok(Ok(mut connection)) => match postgres::is_primary(&mut connection).await {
                Ok(false) => return StoreError::Setting(STANDBY.to_owned()),
                _ => error,
            },
            Ok(Err(error)) => error,
            Err(_) => error,
        },
        error => error,
    };
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    let text = match (&error, code.as_deref()) {
        (sqlx::Error::Tls(_), _) => TLS,
        // A certificate that is not accepted comes as what was read.
        (sqlx::Error::Io(error), _) if error.kind() == std::io::ErrorKind::InvalidData => TLS,
        (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut, _) => {
            "nothing answers there: does PostgreSQL run, and are host and port of the URL right?"
        }
        (_, Some("53300")) => {
            "PostgreSQL takes no more connections: raise its max_connections, or lower database.connections_max"
        }
        (_, Some("28000" | "28P01")) => "PostgreSQL refuses the user or the password of the URL",
        (_, Some("3D000")) => "PostgreSQL has no database of that name: `createdb` makes it",
        _ => return error.into(),
    };
    StoreError::Setting(text.to_owned())
}

const TLS: &str = "PostgreSQL has no TLS, or no certificate that the URL's sslmode and sslrootcert accept for its host";
const STANDBY: &str =
    "PostgreSQL takes no writes there, as a standby does: the URL must lead to the primary";
