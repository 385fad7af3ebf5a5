//! The servers under test: each a process, on a free port, with a database of its own.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use lead_intake::cli::say;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use super::{Subject, cpu, database::Database};

/// How long a server may take to listen, its migrations included.
const START_MAX: Duration = Duration::from_mins(1);

/// One client may call as often as it can: the overload is everybody's. All other limits are the defaults.
const LIMITED: &str = r#"
[controller]
name = "Bench AS"
address = "Benkeveien 1, 0001 Oslo"
organisation_number = "917 899 142"
phone = "4060 5600"
email = "bench@example.no"
[retention]
max_age = "P180D"
[limits]
client_calls_per_second = 1000000
client_calls_burst = 1000000
"#;

/// Whether a server refuses anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    /// It takes what comes.
    Off,
    /// It is as it would be installed, except that each client may call as often as it can.
    On,
}

/// A running server. Dropped without [`Server::stop`], the process is killed all the same.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where its metrics are; an echo has none.
    admin: Option<SocketAddr>,
    /// A token of role `intake`.
    pub(crate) token: String,
    database: Option<Database>,
    /// How commands on its data are called; an echo has none.
    commands: Option<Commands>,
    /// On disk, beside the build: a temporary directory may be memory.
    _dir: TempDir,
}

/// The program with a server's data.
struct Commands {
    program: PathBuf,
    data: PathBuf,
    database_url: Option<String>,
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

impl Commands {
    /// The program, in no environment that would change what it does.
    fn command(&self, name: &str) -> Command {
        let mut command = clean(&self.program);
        command.arg(name).arg("--data-dir").arg(&self.data);
        if let Some(url) = &self.database_url {
            command.env("LEAD_INTAKE_DATABASE_URL", url);
        }
        command
    }

    fn serve(&self, limits: Limits) -> anyhow::Result<Command> {
        let mut command = self.command("serve");
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        match limits {
            // One client calls as often as it can: that is what is measured.
            Limits::Off => {
                command.env("LEAD_INTAKE_LIMITS", "false");
            }
            Limits::On => {
                let file = self.data.with_extension("toml");
                std::fs::write(&file, LIMITED)?;
                command.arg("--config").arg(file);
            }
        }
        Ok(command)
    }
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

impl Server {
    pub(crate) async fn start(subject: &Subject, limits: Limits) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let data = dir.path().join("data");
        let (database, database_url) = match subject.postgres() {
            Some(url) => Some(Database::create(url).await?).unzip(),
            None => (None, None),
        };
        let commands = subject.program().map(|program| Commands {
            program,
            data: data.clone(),
            database_url,
        });
        let mut command = if let Some(commands) = &commands {
            commands.serve(limits)?
        } else {
            let mut echo = clean(&std::env::current_exe()?);
            echo.arg("--echo");
            echo
        };
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
        let token = if commands.is_none() {
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
            commands,
            _dir: dir,
        })
    }

    /// Tokens of so many clients that may submit, the first of them included.
    pub(crate) async fn clients(&self, count: u16) -> anyhow::Result<Vec<String>> {
        let mut tokens = vec![self.token.clone()];
        let Some(commands) = &self.commands else {
            return Ok(tokens);
        };
        for number in 1..count {
            let mut command = commands.command("client");
            command.args(["add", &format!("load-{number}"), "--role", "intake"]);
            let output = command.output().await?;
            ensure!(output.status.success(), "no token for a client");
            tokens.push(String::from_utf8(output.stdout)?.trim().to_owned());
        }
        Ok(tokens)
    }

    /// Its resident memory in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        cpu::memory(self.child.id().context("the server has ended")?)
    }

    /// How many calls it has refused so far, by reason.
    pub(crate) async fn refusals(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut refusals = BTreeMap::new();
        let Some(admin) = self.admin else {
            return Ok(refusals);
        };
        for line in metrics(admin).await?.lines() {
            if let Some(rest) = line.strip_prefix("lead_intake_refusals_total{")
                && let Some((labels, count)) = rest.rsplit_once("} ")
                && let Some((_, reason)) = labels.split_once("reason=\"")
            {
                let reason = reason.split('"').next().unwrap_or_default();
                *refusals.entry(reason.to_owned()).or_default() += count.trim().parse::<u64>()?;
            }
        }
        Ok(refusals)
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
    let metrics = metrics(admin).await?;
    let count = metrics
        .lines()
        .find_map(|line| line.strip_prefix("lead_intake_submit_batch_size_count "));
    // Absent until the first submission.
    count.map_or(Ok(0), |count| Ok(count.trim().parse()?))
}

async fn metrics(admin: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = "GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn pass_on_warnings(mut lines: Lines<BufReader<ChildStderr>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains("WARN") || line.contains("ERROR") {
            say(&line);
        }
    }
}
