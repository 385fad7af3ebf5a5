//! What is measured.

use std::path::PathBuf;

use anyhow::bail;
use clap::ValueEnum;
use lead_intake::cli::say;

/// The server that `scripts/with-postgres` and `scripts/test` start.
const POSTGRES_URL: &str = "LEAD_INTAKE_TEST_POSTGRES_URL";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stores {
    Sqlite,
    Postgres,
    All,
}

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// Nothing but tonic.
    Echo,
    /// The service on SQLite.
    Sqlite,
    /// The service on a database of its own in this PostgreSQL server.
    Postgres(String),
    /// Another build of the service, on the same store as one of the others.
    Beside(PathBuf, Box<Self>),
}

impl Subject {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Sqlite => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::Beside(_, store) => match **store {
                Self::Postgres(_) => "postgres, beside",
                _ => "sqlite, beside",
            },
        }
    }

    /// What is run; an echo is this program.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        match self {
            Self::Echo => None,
            Self::Sqlite | Self::Postgres(_) => Some(env!("CARGO_BIN_EXE_lead-intake").into()),
            Self::Beside(program, _) => Some(program.clone()),
        }
    }

    /// The PostgreSQL server that it needs.
    pub(crate) fn postgres(&self) -> Option<&str> {
        match self {
            Self::Postgres(url) => Some(url),
            Self::Beside(_, store) => store.postgres(),
            Self::Echo | Self::Sqlite => None,
        }
    }
}

/// The echo, and the databases that are wanted and there; each once more with the program beside.
pub(crate) fn subjects(
    stores: Option<Stores>,
    beside: Option<&PathBuf>,
) -> anyhow::Result<Vec<Subject>> {
    let mut subjects = vec![Subject::Echo];
    if stores != Some(Stores::Postgres) {
        subjects.push(Subject::Sqlite);
    }
    match (stores, std::env::var(POSTGRES_URL)) {
        (Some(Stores::Sqlite), _) => {}
        (_, Ok(url)) => subjects.push(Subject::Postgres(url)),
        (None, Err(_)) => say(&format!(
            "PostgreSQL is NOT measured: {POSTGRES_URL} is not set; \
             run: ./scripts/with-postgres cargo bench --bench load"
        )),
        (Some(_), Err(_)) => bail!("{POSTGRES_URL} is not set"),
    }
    if let Some(program) = beside {
        let stores = subjects.iter().skip(1).cloned();
        let beside = |store| Subject::Beside(program.clone(), Box::new(store));
        subjects.extend(stores.map(beside).collect::<Vec<_>>());
    }
    Ok(subjects)
}
