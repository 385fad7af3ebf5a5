//! A backup of a world's database, and how it comes back.
//!
//! Of SQLite it is a copy of the file, taken while no replica runs. Of PostgreSQL it is what a dump has, every row as it was
//! at one moment, read while the replicas run, and kept in another schema: a copy of the database costs as much as fifty
//! steps, beside the starts.

use crate::{raw::Raw, support::backup};

/// A backup.
pub enum Backup {
    Copy(backup::Backup),
    Rows(Rows),
}

/// The rows of a PostgreSQL database, table by table.
pub struct Rows {
    tables: Vec<String>,
}

impl Rows {
    /// What is there now. What was kept before goes.
    pub async fn of(raw: &mut Raw) -> Self {
        let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
        let tables = raw.texts(tables).await;
        let copies = tables
            .iter()
            .map(|table| format!("CREATE TABLE kept.{table} AS TABLE public.{table}"));
        let copies: Vec<_> = copies.collect();
        raw.execute(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept; {}; COMMIT",
            copies.join("; ")
        ))
        .await;
        Self { tables }
    }

    /// Has only these rows be there, as a dump that comes back does: nothing refers to a row that is not there yet.
    pub async fn put_back(&self, raw: &mut Raw) {
        let rows = self
            .tables
            .iter()
            .map(|table| format!("INSERT INTO public.{table} SELECT * FROM kept.{table}"));
        let rows: Vec<_> = rows.collect();
        raw.execute(&format!(
            "BEGIN; SET LOCAL session_replication_role = replica; TRUNCATE {}; {}; COMMIT",
            self.tables.join(", "),
            rows.join("; ")
        ))
        .await;
    }
}
