//! A database of its own for each server, in the PostgreSQL that is there.

use anyhow::Context as _;
use lead_intake::seal::random;
use sqlx::{Connection as _, PgConnection};

use super::cpu;

/// A database in a PostgreSQL server.
pub(crate) struct Database {
    admin: PgConnection,
    name: String,
    /// The server's first process, if it runs on this machine.
    pub(crate) postmaster: Option<u32>,
}

impl Database {
    /// Makes a database; gives its URL too.
    pub(crate) async fn create(server: &str) -> anyhow::Result<(Self, String)> {
        let mut admin = PgConnection::connect(server).await?;
        let name = format!("bench_{:032x}", u128::from_be_bytes(random()?));
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut admin).await?;
        let (backend,): (i32,) = sqlx::query_as("SELECT pg_backend_pid()")
            .fetch_one(&mut admin)
            .await?;
        let postmaster = u32::try_from(backend).ok().and_then(postmaster);
        let (base, _) = server.rsplit_once('/').context("a URL without a path")?;
        let url = format!("{base}/{name}");
        let database = Self {
            admin,
            name,
            postmaster,
        };
        Ok((database, url))
    }

    pub(crate) async fn drop(mut self) -> anyhow::Result<()> {
        let name = &self.name;
        let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        sqlx::raw_sql(drop).execute(&mut self.admin).await?;
        self.admin.close().await?;
        Ok(())
    }
}

/// Has a database do at once what it puts off, so that it does none of it beside what is measured next: a table that grew
/// by many rows is vacuumed within a minute or so, slowly, and pages that changed are written over minutes.
pub(crate) async fn settle(url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    for statement in ["VACUUM (ANALYZE)", "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

/// The parent of a backend, if both are processes of this machine.
fn postmaster(backend: u32) -> Option<u32> {
    let parent = cpu::times(backend).ok()?.parent;
    let name = std::fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
    (name.trim() == "postgres").then_some(parent)
}
