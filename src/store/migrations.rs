//! The migrations of both databases, compiled into the program.
//!
//! A new one is a file in both directories and a name here. The driver's macro would find it by itself, and for that have each build
//! compile the driver, SQLite and the cryptography twice: for this program, and for the compiler.

use std::sync::LazyLock;

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

/// The names of `migrations/*/`, in order: the same for both databases.
macro_rules! migrations {
    ($($name:literal,)*) => {
        /// Those of SQLite.
        pub(super) static SQLITE: LazyLock<Migrator> = LazyLock::new(|| {
            migrator(&[$(($name, include_str!(concat!("../../migrations/sqlite/", $name, ".sql")))),*])
        });
        /// Those of PostgreSQL.
        pub(super) static POSTGRES: LazyLock<Migrator> = LazyLock::new(|| {
            migrator(&[$(($name, include_str!(concat!("../../migrations/postgres/", $name, ".sql")))),*])
        });
        #[cfg(test)]
        const NAMES: &[&str] = &[$($name),*];
    };
}

migrations![
    "0001_main_job",
    "0002_rights",
    "0003_acknowledgement",
    "0004_sweep",
    "0005_withheld",
    "0006_mirror",
    "0007_keys",
    "0008_no_samples",
    "0009_blind_index",
    "0010_tail_first",
];

/// Each in a transaction of its own. A migration is known in a database by its place in the list and the hash of its text:
/// neither ever changes.
fn migrator(files: &[(&'static str, &'static str)]) -> Migrator {
    let migration = |(version, (name, sql)): (i64, &(&str, &'static str))| {
        let description = name.split_once('_').map_or(*name, |(_, words)| words);
        Migration::new(
            version,
            description.replace('_', " ").into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations((1..).zip(files).map(migration).collect())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// The list is what the directories have, numbered by place: what is missing in it would never be run.
    #[test]
    fn the_list_is_what_the_directories_have() {
        for (place, name) in (1..).zip(NAMES) {
            assert!(name.starts_with(&format!("{place:04}_")), "{name}");
        }
        let listed: BTreeSet<String> = NAMES.iter().map(|name| format!("{name}.sql")).collect();
        for database in ["sqlite", "postgres"] {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("migrations")
                .join(database);
            let files = fs::read_dir(directory).unwrap();
            let found: BTreeSet<String> = files
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            assert_eq!(found, listed, "{database}");
        }
    }
}
