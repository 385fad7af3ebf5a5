//! The real program: a server as a process of its own, and commands beside it.
//!
//! Nothing of the tests' own environment reaches it, nothing outlives the test, and nothing waits for ever.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines,
    },
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tonic::{
    metadata::AsciiMetadataValue, service::interceptor::InterceptedService, transport::Endpoint,
};

use super::{
    Bearer, Caller,
    trace::{self, Recorded},
};

/// The longest that a command, a start or a stop may take, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running server; killed when dropped.
pub struct Binary {
    pub child: Child,
    /// Address of the API.
    pub api: SocketAddr,
    /// Address of metrics and probes.
    pub admin: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    out: Arc<Mutex<Vec<String>>>,
    reading: [JoinHandle<()>; 2],
}

/// What a command did.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("not JSON: {}", self.all()))
    }

    /// The same, if the command has this exit code.
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.all());
        self
    }

    fn all(&self) -> String {
        format!("exit code {:?}\n{}\n{}", self.code, self.out, self.err)
    }
}

impl Binary {
    /// Starts `serve` over this data directory and waits until it listens. Ports are free ones.
    pub async fn serve(data_dir: &Path, envs: &[(&str, &str)]) -> Self {
        Self::serve_at("127.0.0.1:0", data_dir, envs).await
    }

    /// The same with this address of the API: for a server that comes back.
    pub async fn serve_at(api: &str, data_dir: &Path, envs: &[(&str, &str)]) -> Self {
        Self::serve_by(command(envs), api, data_dir).await
    }

    /// The same by this command: [`command`], changed.
    pub async fn serve_by(command: Command, api: &str, data_dir: &Path) -> Self {
        let started = Self::try_serve_by(command, api, data_dir).await;
        started.unwrap_or_else(|log| panic!("the server did not start:\n{log}"))
    }

    /// The same for one that may refuse to start; gives what it wrote then.
    pub async fn try_serve_by(
        mut command: Command,
        api: &str,
        data_dir: &Path,
    ) -> Result<Self, String> {
        let mut child = command
            .args(["serve", "--listen", api, "--admin-listen", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (found, listening) = oneshot::channel();
        let mut found = Some(found);
        let (lines, reading) = keep(child.stderr.take().unwrap(), move |line| {
            if let Some(addresses) = addresses(line)
                && let Some(found) = found.take()
            {
                let _ = found.send(addresses);
            }
        });
        let (out, reading_out) = keep(child.stdout.take().unwrap(), |_| {});
        let Ok(Ok((api, admin))) = timeout(PATIENCE, listening).await else {
            return Err(lines.lock().unwrap().join("\n"));
        };
        Ok(Self {
            child,
            api,
            admin,
            lines,
            out,
            reading: [reading, reading_out],
        })
    }

    /// For `--url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// A caller with the token of a role, as the first run wrote it into this data directory.
    pub fn caller(&self, data: &Path, role: &str) -> Caller {
        self.caller_by(data, role, |endpoint| endpoint)
    }

    /// The same, by a connection of its own kind.
    pub fn caller_by(
        &self,
        data: &Path,
        role: &str,
        kind: impl FnOnce(Endpoint) -> Endpoint,
    ) -> Caller {
        let token = std::fs::read_to_string(data.join("tokens").join(role)).unwrap();
        let header: AsciiMetadataValue = format!("Bearer {}", token.trim()).parse().unwrap();
        let channel = kind(Endpoint::from_shared(self.url()).unwrap()).connect_lazy();
        InterceptedService::new(Recorded::new(channel), Bearer::new(header))
    }

    /// The first line of the answer to a probe, such as `/readyz`.
    pub async fn probe(&self, path: &str) -> String {
        let answer = self.get(path).await;
        let first = answer.lines().next();
        first
            .unwrap_or_else(|| panic!("no answer\n{}", self.log()))
            .to_owned()
    }

    /// Waits until it says that it is ready; `false`: it never does.
    pub async fn is_ready(&self) -> bool {
        let polling = async {
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            while !self.probe("/readyz").await.contains(" 200 ") {
                tick.tick().await;
            }
        };
        timeout(PATIENCE, polling).await.is_ok()
    }

    /// The whole answer of the admin listener, headers included.
    pub async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
        read.expect("no answer").unwrap();
        answer
    }

    /// What the server wrote so far on standard output, where it has nothing to say.
    pub fn out(&self) -> String {
        self.out.lock().unwrap().join("\n")
    }

    /// What the server wrote so far.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for an end that nobody asked for here; gives the exit code, and `log` has all that the server wrote.
    pub async fn end(&mut self) -> Option<i32> {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("it does not end").unwrap();
        for reading in &mut self.reading {
            reading.await.unwrap();
        }
        status.code()
    }

    /// Sends a signal by its name, such as `TERM`, and waits for the end. Gives all that the server wrote.
    pub async fn signal(mut self, name: &str) -> (ExitStatus, String) {
        assert!(send_signal(self.child.id().expect("it still runs"), name).await);
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("it did not stop").unwrap();
        for reading in &mut self.reading {
            reading.await.unwrap();
        }
        assert_eq!(self.out(), "", "a server writes to its log only");
        let log = self.log();
        (status, log)
    }
}

/// Sends a process a signal by its name; gives whether the process was there. By the shell's own `kill`: a machine may
/// lack the program, as Debian's container images do.
pub async fn send_signal(process: u32, name: &str) -> bool {
    let script = r#"kill -s "$1" "$2""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh", name, &process.to_string()]);
    shell
        .stderr(Stdio::null())
        .status()
        .await
        .unwrap()
        .success()
}

/// Keeps the lines of an output. Read to the end, or the server would block on a full pipe.
fn keep(
    output: impl AsyncRead + Send + Unpin + 'static,
    mut look: impl FnMut(&str) + Send + 'static,
) -> (Arc<Mutex<Vec<String>>>, JoinHandle<()>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = lines.clone();
    let reading = tokio::spawn(async move {
        let mut reader = BufReader::new(output);
        let mut bytes = Vec::new();
        while reader
            .read_until(b'\n', &mut bytes)
            .await
            .is_ok_and(|read| read > 0)
        {
            let line = String::from_utf8_lossy(&bytes)
                .trim_end_matches('\n')
                .to_owned();
            look(&line);
            trace::add(&bytes);
            kept.lock().unwrap().push(line);
            bytes.clear();
        }
    });
    (lines, reading)
}

/// The addresses in `listening on API (API) and ADMIN (metrics, probes)`.
pub fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (api, rest) = line
        .strip_prefix("listening on ")?
        .split_once(" (API) and ")?;
    let (admin, _) = rest.split_once(' ')?;
    Some((api.parse().ok()?, admin.parse().ok()?))
}

/// Runs a command to its end, with this standard input.
pub async fn run(envs: &[(&str, &str)], args: &[&str], stdin: &str) -> Ran {
    let mut child = start(envs, args);
    // A command that does not read it may be gone already.
    let _ = child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .await;
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("the command hangs").unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The commands that `--help` lists, of the program or of a command.
pub async fn listed(of: &[&str]) -> Vec<String> {
    let help = run(&[], &[of, &["--help"]].concat(), "").await.with_code(0);
    let Some((_, commands)) = help.out.split_once("Commands:\n") else {
        return Vec::new();
    };
    let lines = commands.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// What an operator does for one replica more of this program: the keys of the first, and a mirror of its own.
pub async fn add_replica(program: &Path, first: &Path, data: &Path, envs: &[(&str, &str)]) {
    fs::create_dir(data).unwrap();
    for key in ["keys.toml", "checkpoint.key"] {
        fs::copy(first.join(key), data.join(key)).unwrap();
    }
    let mut init = command_of(program, envs);
    init.args(["mirror", "init", "--data-dir"]).arg(data);
    let ran = timeout(PATIENCE, init.output()).await;
    let ran = ran.expect("it hangs").unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
}

/// Starts a command that does not end by itself; killed when dropped.
pub fn start(envs: &[(&str, &str)], args: &[&str]) -> Child {
    command(envs)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The next line that a command writes.
pub async fn next_line(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = timeout(PATIENCE, lines.next_line()).await;
    line.expect("no line came").unwrap().expect("it ended")
}

/// The program of this version.
pub fn this() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lead-intake"))
}

/// The program, with these variables and none of the tests' own.
pub fn command(envs: &[(&str, &str)]) -> Command {
    command_of(this(), envs)
}

/// The same of a copy of the program.
pub fn command_of(program: &Path, envs: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LEAD_INTAKE_") {
            command.env_remove(name);
        }
    }
    if trace::is_on() {
        command.env("RUST_LOG", "trace");
    }
    // No balancer looks at a test's server.
    command.env("LEAD_INTAKE_STOP_WAIT_SECONDS", "0");
    command.envs(envs.iter().copied()).kill_on_drop(true);
    command
}
