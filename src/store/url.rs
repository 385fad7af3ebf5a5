//! Where a store is.

use std::{fmt, path::PathBuf, str::FromStr};

use secrecy::SecretString;

/// Where the database is.
#[derive(Clone)]
pub enum StoreUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server; the URL may hold a password.
    Postgres(SecretString),
}

/// What may stand behind the question mark of a PostgreSQL URL, and nothing where there is none.
const PARAMETERS: [&str; 10] = [
    "",
    "dbname",
    "host",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];
const UNKNOWN_PARAMETER: &str = "a parameter of the PostgreSQL URL is none of dbname, host, password, port, sslcert, \
     sslkey, sslmode, sslrootcert and user";

impl FromStr for StoreUrl {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, &'static str> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                Err("sqlite: needs a file name")
            } else {
                Ok(Self::Sqlite(path.into()))
            }
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let (_, parameters) = url.split_once('?').unwrap_or_default();
            let mut names = parameters.split('&').filter_map(|it| it.split('=').next());
            // The driver would go on without it, and write it into the log with its value.
            if names.any(|name| !PARAMETERS.contains(&name)) {
                return Err(UNKNOWN_PARAMETER);
            }
            Ok(Self::Postgres(url.into()))
        } else {
            Err("a database URL begins with sqlite: or postgres://")
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Shows the file, or the kind of database: never a host, user or password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A misspelt parameter is not ignored, and its value is told to nobody.
    #[test]
    fn a_parameter_is_known() {
        let url = |parameters: &str| format!("postgres://u@localhost/leads{parameters}");
        for known in [
            "",
            "?",
            "?user=u&password=a",
            "?sslmode=verify-full&sslrootcert=/ca.pem&",
        ] {
            assert!(url(known).parse::<StoreUrl>().is_ok(), "{known}");
        }
        for unknown in [
            "?passwd=secret",
            "?user=u&SSLMODE=disable",
            "?options=-c%20fsync",
        ] {
            let refused = url(unknown).parse::<StoreUrl>().map(drop);
            assert_eq!(refused, Err(UNKNOWN_PARAMETER), "{unknown}");
        }
    }
}
