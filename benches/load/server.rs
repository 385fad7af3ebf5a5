//! The servers under test: each a process, on a free port, with a database of its own.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use lead_intake::cli::say;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    time::{sleep, timeout},
};

use super::{
    Subject, cpu,
    home::{Home, Limits},
};

/// How long a server may take to listen, its migrations included.
const START_MAX: Duration = Duration::from_mins(1);
/// Between two questions whether it is ready.
const LOOK: Duration = Duration::from_millis(1);

/// A running server. Dropped without [`Server::stop`], the process is killed all the same.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where its metrics are; an echo has none.
    admin: Option<SocketAddr>,
    /// A token of role `intake`.
    pub(crate) token: String,
    home: Home,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is asked to, and finishes what it has.
    Asked,
    /// It is not asked.
    Killed,
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
    pub(crate) async fn start(subject: &Subject, limits: Limits) -> anyhow::Result<Self> {
        Self::launch(Home::make(subject, limits).await?).await
    }

    /// The same, by another command made of the server's.
    pub(crate) async fn start_within(
        subject: &Subject,
        limits: Limits,
        within: impl FnOnce(Command) -> Command,
    ) -> anyhow::Result<Self> {
        let home = Home::make(subject, limits).await?;
        let command = within(home.serve()?);
        Self::run(home, command).await
    }

    async fn launch(home: Home) -> anyhow::Result<Self> {
        let command = home.serve()?;
        Self::run(home, command).await
    }

    async fn run(home: Home, mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| command.as_std().get_program().display().to_string())?;
        let stderr = child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let (address, admin) = timeout(START_MAX, listening(&mut lines)).await??;
        tokio::spawn(pass_on_warnings(lines));
        Ok(Self {
            child,
            address,
            admin,
            token: home.token("intake")?,
            home,
        })
    }

    /// Ends it and starts it again on what it left; says how long it took to be ready.
    pub(crate) async fn restart(mut self, end: End) -> anyhow::Result<(Self, Duration)> {
        self.end(end).await?;
        let begun = Instant::now();
        let server = Self::launch(self.home).await?;
        server.ready().await?;
        Ok((server, begun.elapsed()))
    }

    /// Another server on the same database.
    pub(crate) async fn replica(&self) -> anyhow::Result<Self> {
        let replica = Self::launch(self.home.replica()?).await?;
        replica.ready().await?;
        Ok(replica)
    }

    /// Waits until it says that it is ready.
    async fn ready(&self) -> anyhow::Result<()> {
        let admin = self.admin.context("an echo is never ready")?;
        let deadline = Instant::now() + START_MAX;
        while !get(admin, "/readyz").await?.starts_with("HTTP/1.1 200 ") {
            ensure!(Instant::now() < deadline, "the server is not ready");
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// The URL of its database, if that is PostgreSQL.
    pub(crate) fn database_url(&self) -> Option<&str> {
        self.home.database_url()
    }

    /// The first process of PostgreSQL, if it runs on this machine.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        self.home.postmaster()
    }

    /// A token of a new client.
    pub(crate) async fn client(&self, name: &str, role: &str) -> anyhow::Result<String> {
        self.home.client(name, role).await
    }

    /// The first token of a role.
    pub(crate) fn token_of(&self, role: &str) -> anyhow::Result<String> {
        self.home.token(role)
    }

    /// Tokens of so many clients that may submit, the first of them included.
    pub(crate) async fn clients(&self, count: u16) -> anyhow::Result<Vec<String>> {
        let mut tokens = vec![self.token.clone()];
        // An echo knows no clients.
        for number in (1..count).take_while(|_| self.admin.is_some()) {
            tokens.push(self.client(&format!("load-{number}"), "intake").await?);
        }
        Ok(tokens)
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server has ended")
    }

    /// Its resident memory in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        cpu::memory(self.pid()?)
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
        let pid = self.pid()?;
        let postmaster = self.home.postmaster();
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

    async fn end(&mut self, end: End) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "the server ended by itself");
        if end == End::Asked {
            let pid = self.child.id().and_then(|id| id.try_into().ok());
            let pid = pid
                .and_then(Pid::from_raw)
                .context("the server has ended")?;
            kill_process(pid, Signal::TERM)?;
            timeout(START_MAX, self.child.wait()).await??;
            return Ok(());
        }
        Ok(self.child.kill().await?)
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.end(End::Killed).await?;
        self.home.leave().await
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
    get(admin, "/metrics").await
}

/// An answer of the server's admin listener, with its head.
async fn get(admin: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
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
