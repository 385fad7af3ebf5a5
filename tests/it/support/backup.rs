//! Backups of a world's database, taken while no server runs, and put back.

use std::path::PathBuf;

use lead_intake::store::StoreUrl;
use secrecy::ExposeSecret as _;

use super::{Backend, World, copy_postgres_database};

/// A copy of a database.
pub struct Backup(StoreUrl);

impl World {
    /// A copy of the database, as it is.
    pub async fn back_up(&self) -> Backup {
        Backup(match &self.url {
            StoreUrl::Sqlite(path) => {
                let copy = self.dir.path().join("backup.db");
                std::fs::copy(path, &copy).unwrap();
                StoreUrl::Sqlite(copy)
            }
            StoreUrl::Postgres(url) => {
                let copy = copy_postgres_database(url.expose_secret()).await;
                StoreUrl::Postgres(copy.into())
            }
        })
    }

    /// Puts a copy back in the database's place. The backup stays.
    pub async fn restore(&mut self, backup: &Backup) {
        self.url = match &backup.0 {
            StoreUrl::Sqlite(copy) => {
                assert_eq!(self.backend, Backend::Sqlite);
                let path = self.dir.path().join("lead-intake.db");
                for suffix in ["-wal", "-shm"] {
                    let beside = PathBuf::from(format!("{}{suffix}", path.display()));
                    let _ = std::fs::remove_file(beside);
                }
                std::fs::copy(copy, &path).unwrap();
                StoreUrl::Sqlite(path)
            }
            StoreUrl::Postgres(url) => {
                let copy = copy_postgres_database(url.expose_secret()).await;
                StoreUrl::Postgres(copy.into())
            }
        };
    }
}
