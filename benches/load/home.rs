//! Where a server lives: its data directory, its database, and the program that is called on them. It outlives the
//! process, which may be started again on it.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use tempfile::TempDir;
use tokio::process::Command;

use super::{Subject, database::Database};

/// What a server needs to begin.
const INSTALLED: &str = r#"
[controller]
name = "Bench AS"
address = "Benkeveien 1, 0001 Oslo"
organisation_number = "917 899 142"
phone = "4060 5600"
email = "bench@example.no"
[retention]
max_age = "P180D"
"#;
const ANY_RATE: &str = "
[limits]
client_calls_per_second = 1000000
client_calls_burst = 1000000
";

/// Whether a server refuses anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    /// It takes what comes.
    Off,
    /// It is as it would be installed.
    Usual,
    /// The same, except that each client may call as often as it can, and how many connections there may be.
    AnyRate { connections_max: usize },
}

impl Limits {
    /// The configuration, if any is needed.
    fn configuration(self) -> Option<String> {
        match self {
            Self::Off => None,
            Self::Usual => Some(INSTALLED.to_owned()),
            Self::AnyRate { connections_max } => Some(format!(
                "{INSTALLED}{ANY_RATE}[server]\nconnections_max = {connections_max}\n"
            )),
        }
    }
}

/// The place of one server.
pub(crate) struct Home {
    /// What is run; an echo is this program.
    program: Option<PathBuf>,
    data: PathBuf,
    limits: Limits,
    database_url: Option<String>,
    /// The replica that made the database drops it.
    database: Option<Database>,
    /// On disk, beside the build: a temporary directory may be memory.
    _dir: TempDir,
}

impl Home {
    pub(crate) async fn make(subject: &Subject, limits: Limits) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let (database, database_url) = match subject.postgres() {
            Some(url) => Some(Database::create(url).await?).unzip(),
            None => (None, None),
        };
        Ok(Self {
            program: subject.program(),
            data: dir.path().join("data"),
            limits,
            database_url,
            database,
            _dir: dir,
        })
    }

    /// A place for another server on the same database: with the same keys, and a mirror to begin with.
    pub(crate) fn replica(&self) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let data = dir.path().join("data");
        for (from, is_taken) in [
            ("", is_key as fn(&str) -> bool),
            ("ledger", is_mirror),
            ("tokens", |_| true),
        ] {
            copy_dir(&self.data.join(from), &data.join(from), is_taken)?;
        }
        Ok(Self {
            program: self.program.clone(),
            data,
            limits: self.limits,
            database_url: self.database_url.clone(),
            database: None,
            _dir: dir,
        })
    }

    /// The server, as a command.
    pub(crate) fn serve(&self) -> anyhow::Result<Command> {
        let Some(program) = &self.program else {
            let mut echo = clean(&std::env::current_exe()?);
            echo.arg("--echo");
            return Ok(echo);
        };
        let mut command = self.command(program, "serve");
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        if let Some(configuration) = self.limits.configuration() {
            let file = self.data.with_extension("toml");
            fs::write(&file, configuration)?;
            command.arg("--config").arg(file);
        } else {
            // One client calls as often as it can: that is what is measured.
            command.env("LEAD_INTAKE_LIMITS", "false");
        }
        Ok(command)
    }

    /// The program, in no environment that would change what it does.
    fn command(&self, program: &Path, name: &str) -> Command {
        let mut command = clean(program);
        command.arg(name).arg("--data-dir").arg(&self.data);
        if let Some(url) = &self.database_url {
            command.env("LEAD_INTAKE_DATABASE_URL", url);
        }
        command
    }

    /// The token that the first start made for a role.
    pub(crate) fn token(&self, role: &str) -> anyhow::Result<String> {
        if self.program.is_none() {
            // As long as a real one, so that both servers read as much.
            return Ok(format!("li_{role}_{}", "x".repeat(63)));
        }
        let token = fs::read_to_string(self.data.join("tokens").join(role))?;
        Ok(token.trim().to_owned())
    }

    /// Adds a client; gives its token.
    pub(crate) async fn client(&self, name: &str, role: &str) -> anyhow::Result<String> {
        let Some(program) = &self.program else {
            return self.token(role);
        };
        let mut command = self.command(program, "client");
        command.args(["add", name, "--role", role]);
        let output = command.output().await?;
        ensure!(output.status.success(), "no token for a client");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    pub(crate) fn database_url(&self) -> Option<&str> {
        self.database_url.as_deref()
    }

    /// The first process of PostgreSQL, if it runs on this machine.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        self.database.as_ref().and_then(|it| it.postmaster)
    }

    /// Drops the database; the directory goes too.
    pub(crate) async fn leave(self) -> anyhow::Result<()> {
        match self.database {
            Some(database) => database.drop().await,
            None => Ok(()),
        }
    }
}

fn is_key(name: &str) -> bool {
    ["keys.toml", "checkpoint.key"].contains(&name)
}

fn is_mirror(name: &str) -> bool {
    name == "mirror.json" || name.starts_with("entries-")
}

/// Copies the files of these names into a new directory, for its owner only: another one is refused. They are on disk
/// before anything is measured, or what is flushed meanwhile waits for them.
fn copy_dir(from: &Path, to: &Path, is_taken: fn(&str) -> bool) -> std::io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if is_taken(&entry.file_name().to_string_lossy()) {
            let copy = to.join(entry.file_name());
            fs::copy(entry.path(), &copy)?;
            fs::File::open(copy)?.sync_all()?;
        }
    }
    Ok(())
}

fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LEAD_INTAKE_") {
            command.env_remove(name);
        }
    }
    command
}
