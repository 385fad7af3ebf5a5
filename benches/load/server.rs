//! The servers under test: each a process, on a free port, with a database of its own.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use lead_intake::{cli::say, seal::random};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use super::{Subject, cpu};

/// How long a server may take to listen, its migrations included.
const START_MAX: Duration = Duration::from_mins(1);

/// A running server. Dropped without [`Server::stop`], the process is killed all the same.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where its metrics are; an echo has none.
    admin: Option<SocketAddr>,
    /// A token of role `intake`.
    pub(crate) token: String,
    database: Option<Database>,
    /// On disk, beside the build: a temporary directory may be memory.
    _dir: TempDir,
}

/// A database in a PostgreSQL server.
struct Database {
    admin: PgConnection,
    name: String,
    /// The server's first process, if it runs on this machine.
    postmaster: Option<u32>,
}

/// What was used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Processor time of the server.
    pub(crate) server: Duration,
    /// Processor time of PostgreSQL, if it can be measured.
    pub(crate) database: Option<Duration>,
    /// Transactions that stored submissions.
    pub(crate) batches: Option<u64>,
}

impl Used {
    pub(crate) fn since(self, before: Self) -> Self {
        let database = self.database.zip(before.database);
        let batches = self.batches.zip(before.batches);
        Self {
            server: self.server.saturating_sub(before.server),
            database: database.map(|(now, before)| now.saturating_sub(before)),
            batches: batches.map(|(now, before)| now.saturating_sub(before)),
        }
    }
}

impl Server {
    pub(crate) async fn start(subject: &Subject) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let data = dir.path().join("data");
        let mut database = None;
        let mut command = match subject {
            Subject::Echo => Command::new(std::env::current_exe()?),
            Subject::Sqlite | Subject::Postgres(_) => {
                Command::new(env!("CARGO_BIN_EXE_lead-intake"))
            }
            Subject::Beside(program, _) => Command::new(program),
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LEAD_INTAKE_") {
                command.env_remove(name);
            }
        }
        if let Subject::Echo = subject {
            command.arg("--echo");
        } else {
            command.arg("serve").arg("--data-dir").arg(&data);
            command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
            // One client calls as often as it can: that is what is measured.
            command.env("LEAD_INTAKE_LIMITS", "false");
        }
        if let Some(url) = subject.postgres() {
            let (made, url) = Database::create(url).await?;
            command.env("LEAD_INTAKE_DATABASE_URL", url);
            database = Some(made);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let (address, admin) = timeout(START_MAX, listening(&mut lines)).await??;
        tokio::spawn(pass_on_warnings(lines));
        let token = if let Subject::Echo = subject {
            // As long as a real one, so that both servers read as much.
            format!("li_intake_{}", "x".repeat(63))
        } else {
            std::fs::read_to_string(data.join("tokens/intake"))?
                .trim()
                .to_owned()
        };
        Ok(Self {
            child,
            address,
            admin,
            token,
            database,
            _dir: dir,
        })
    }

    /// What it has used so far.
    pub(crate) async fn used(&self) -> anyhow::Result<Used> {
        let pid = self.child.id().context("the server has ended")?;
        let postmaster = self.database.as_ref().and_then(|d| d.postmaster);
        let batches = match self.admin {
            Some(admin) => Some(batches(admin).await?),
            None => None,
        };
        Ok(Used {
            server: cpu::times(pid)?.own,
            database: postmaster.map(cpu::family).transpose()?,
            batches,
        })
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "the server ended by itself");
        self.child.kill().await?;
        if let Some(database) = self.database.take() {
            database.drop().await?;
        }
        Ok(())
    }
}

/// Reads what a server says until it says where it listens: `listening on A`, and `(API) and B (…)` where it
/// has metrics.
async fn listening(
    lines: &mut Lines<BufReader<ChildStderr>>,
) -> anyhow::Result<(SocketAddr, Option<SocketAddr>)> {
    let mut said = String::new();
    while let Some(line) = lines.next_line().await? {
        if let Some(rest) = line.strip_prefix("listening on ") {
            let mut addresses = rest.split(' ').filter_map(|word| word.parse().ok());
            let address = addresses.next().context("no address")?;
            return Ok((address, addresses.next()));
        }
        said.push('\n');
        said.push_str(&line);
    }
    anyhow::bail!("the server did not start:{said}")
}

/// Transactions that stored submissions so far, from the server's metrics.
async fn batches(admin: SocketAddr) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = "GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let count = answer
        .lines()
        .find_map(|line| line.strip_prefix("lead_intake_submit_batch_size_count "));
    // Absent until the first submission.
    count.map_or(Ok(0), |count| Ok(count.trim().parse()?))
}

async fn pass_on_warnings(mut lines: Lines<BufReader<ChildStderr>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains("WARN") || line.contains("ERROR") {
            say(&line);
        }
    }
}

impl Database {
    /// Makes a database; gives its URL too.
    async fn create(server: &str) -> anyhow::Result<(Self, String)> {
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

    async fn drop(mut self) -> anyhow::Result<()> {
        let name = &self.name;
        let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        sqlx::raw_sql(drop).execute(&mut self.admin).await?;
        self.admin.close().await?;
        Ok(())
    }
}

/// The parent of a backend, if both are processes of this machine.
fn postmaster(backend: u32) -> Option<u32> {
    let parent = cpu::times(backend).ok()?.parent;
    let name = std::fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
    (name.trim() == "postgres").then_some(parent)
}
