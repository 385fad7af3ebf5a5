//! The real program from the outside: commands, exit codes, files. [`House`] is where a test lives; the tests are in
//! a file for each group of commands.

mod backup;
mod errors;
mod guide;
mod leads;
mod opendsr;
mod operator;
mod progress;
mod refusals;
mod rights;
mod shell;
mod verify;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use lead_intake::store::StoreUrl;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Backend,
    binary::{Binary, Ran, run},
    new_postgres_database,
};

/// A data directory, a server over it, and the environment of the commands.
pub struct House {
    pub dir: TempDir,
    pub server: Binary,
    pub url: String,
    data: PathBuf,
    database: Option<String>,
}

impl House {
    pub async fn new(backend: Backend) -> Self {
        Self::below(tempfile::tempdir().unwrap(), "data", backend, &[]).await
    }

    /// The same, with a data directory of this name, and this in the server's environment too.
    pub async fn below(dir: TempDir, name: &str, backend: Backend, envs: &[(&str, &str)]) -> Self {
        let database = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(new_postgres_database().await),
        };
        let data = dir.path().join(name);
        let all = [&database_env(database.as_deref())[..], envs].concat();
        let server = Binary::serve(&data, &all).await;
        let url = server.url();
        Self {
            dir,
            server,
            url,
            data,
            database,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    pub fn database_url(&self) -> StoreUrl {
        let file = || StoreUrl::Sqlite(self.data.join("lead-intake.db"));
        self.database
            .as_deref()
            .map_or_else(file, |url| url.parse().unwrap())
    }

    /// A command with the server and the data directory of this house.
    pub async fn run(&self, args: &[&str]) -> Ran {
        self.run_with(&[], args, "").await
    }

    pub async fn run_with(&self, envs: &[(&str, &str)], args: &[&str], stdin: &str) -> Ran {
        let data = self.data();
        let mut all = database_env(self.database.as_deref());
        all.push(("LEAD_INTAKE_URL", &self.url));
        all.push(("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap()));
        all.extend(envs);
        run(&all, args, stdin).await
    }

    /// Hands over a lead on Art. 6(1)(b); gives its identifier.
    async fn submit(&self, email: &str) -> String {
        self.submit_with(email, &["--basis", "pre-contract"]).await
    }

    async fn submit_with(&self, email: &str, basis: &[&str]) -> String {
        let args = ["submit", "--json", "--name", "Berit Moe", "--email", email];
        let answer = self.run(&[&args[..], basis].concat()).await;
        let answer = answer.with_code(0).json();
        answer["leadId"].as_str().unwrap().to_owned()
    }

    /// Stops the server; gives its log.
    async fn stop(self) -> String {
        let (status, log) = self.server.signal("TERM").await;
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }
}

fn database_env(database: Option<&str>) -> Vec<(&str, &str)> {
    database
        .map(|url| ("LEAD_INTAKE_DATABASE_URL", url))
        .into_iter()
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn lines(ran: &Ran) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("a line of JSON");
    ran.out.lines().map(parse).collect()
}
