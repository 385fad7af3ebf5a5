//! A program under callgrind, which counts when it is told to. It is told by vgdb, through pipes in a directory of ours.

use std::{
    fs::File,
    io::BufReader,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use super::{parts::Costs, profile::read};

/// One run of a program under callgrind.
pub(crate) struct Callgrind {
    dir: TempDir,
    pid: u32,
    profiles: u32,
    since: Instant,
}

/// What was counted, and for how long.
pub(crate) struct Profile {
    pub(crate) costs: Costs,
    pub(crate) during: Duration,
}

impl Callgrind {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            dir: tempfile::tempdir()?,
            pid: 0,
            profiles: 0,
            since: Instant::now(),
        })
    }

    /// The command, under callgrind. What valgrind says goes into a file: standard error is the program's.
    pub(crate) fn within(&self, command: &Command) -> Command {
        let command = command.as_std();
        let file = |name| self.dir.path().join(name).display().to_string();
        let mut within = Command::new("valgrind");
        within
            .arg("--tool=callgrind")
            .arg("--instr-atstart=no")
            // Threads in turn, so that the batches of two runs are alike.
            .arg("--fair-sched=yes")
            .arg(format!("--callgrind-out-file={}", file("profile")))
            .arg(format!("--log-file={}", file("log")))
            .arg(self.pipes())
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => within.env(name, value),
                None => within.env_remove(name),
            };
        }
        within
    }

    /// The process of the program. Valgrind has become it.
    pub(crate) fn watch(&mut self, pid: u32) {
        self.pid = pid;
    }

    /// Begins to count.
    pub(crate) async fn count(&mut self) -> anyhow::Result<()> {
        self.tell("instrumentation on").await?;
        self.since = Instant::now();
        Ok(())
    }

    /// Stops counting, and gives what was counted since it began.
    pub(crate) async fn profile(&mut self) -> anyhow::Result<Profile> {
        self.tell("instrumentation off").await?;
        let during = self.since.elapsed();
        self.tell("dump").await?;
        self.profiles += 1;
        let name = format!("profile.{}", self.profiles);
        let file = File::open(self.dir.path().join(name))?;
        Ok(Profile {
            costs: read(BufReader::new(file))?,
            during,
        })
    }

    async fn tell(&self, what: &str) -> anyhow::Result<()> {
        let mut vgdb = Command::new("vgdb");
        // A server lets nobody but root interrupt it (`process::close`). It looks into its pipe by itself, too.
        vgdb.arg("--max-invoke-ms=0").arg(self.pipes());
        vgdb.arg(format!("--pid={}", self.pid));
        let said = vgdb.args(what.split(' ')).output().await;
        let said = said.context("vgdb, which comes with valgrind")?;
        let error = String::from_utf8_lossy(&said.stderr);
        ensure!(said.status.success(), "vgdb: {what}: {error}");
        Ok(())
    }

    fn pipes(&self) -> String {
        format!("--vgdb-prefix={}", self.dir.path().join("vgdb").display())
    }
}
