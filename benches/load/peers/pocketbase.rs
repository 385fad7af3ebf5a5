//! PocketBase: its HTTP API, a collection with the fields of a lead, one connection for each call in flight.

use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use lead_intake::pb;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinSet,
    time::{sleep, sleep_until},
};

use super::{
    super::{
        WARM_UP, cpu,
        form::{Keys, form},
    },
    CALLS, Pace,
};

/// How long it may take to listen.
const START_MAX: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
/// What takes longer counts as this, in microseconds: a minute.
const LATENCY_MAX: u64 = 60_000_000;
/// Who makes the collection; the directory is gone with the run.
const OPERATOR: (&str, &str) = ("bench@example.no", "bench-of-an-hour");

/// When calls count.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

pub(super) async fn measure(program: &Path, duration: Duration) -> anyhow::Result<Pace> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    // It writes down beside its data what it was told, and would do that again at the next start.
    let (mut child, address) = start(program, &dir.path().join("data")).await?;
    make_collection(address).await?;
    let start = Instant::now() + WARM_UP;
    let window = Window {
        start,
        end: start + duration,
    };
    let mut callers = JoinSet::new();
    for _ in 0..CALLS {
        callers.spawn(call(address, window));
    }
    let pid = child.id().context("PocketBase has ended")?;
    sleep_until(window.start.into()).await;
    let before = cpu::times(pid)?.own;
    sleep_until(window.end.into()).await;
    let used = cpu::times(pid)?.own.saturating_sub(before);
    let (mut latencies, mut failed) = (Histogram::new_with_max(LATENCY_MAX, 3)?, 0);
    while let Some(done) = callers.join_next().await {
        let (answered, refused) = done??;
        latencies.add(&answered)?;
        failed += refused;
    }
    child.kill().await?;
    Pace::new(&latencies, failed, duration, Some(used))
}

async fn start(program: &Path, dir: &Path) -> anyhow::Result<(Child, SocketAddr)> {
    let (email, password) = OPERATOR;
    let operator = ["superuser", "upsert", email, password];
    let made = command(program, dir).args(operator).status().await?;
    ensure!(made.success(), "no operator for PocketBase");
    // It does not say which port it has, so it is told one that is free.
    let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let mut command = command(program, dir);
    let child = command
        .arg("serve")
        .args(["--http", &address.to_string()])
        .spawn()?;
    let deadline = Instant::now() + START_MAX;
    while TcpStream::connect(address).await.is_err() {
        ensure!(Instant::now() < deadline, "PocketBase does not listen");
        sleep(LOOK).await;
    }
    Ok((child, address))
}

fn command(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg("--dir")
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A collection that anybody may add to: a token would cost it more.
async fn make_collection(address: SocketAddr) -> anyhow::Result<()> {
    let mut wire = Wire::connect(address).await?;
    let (identity, password) = OPERATOR;
    let path = "/api/collections/_superusers/auth-with-password";
    let login = json!({ "identity": identity, "password": password });
    let answer: Value = serde_json::from_slice(&wire.post(path, "", &login).await?)?;
    let token = answer["token"].as_str().context("no token")?;
    let text = |name: &str, max: u32| json!({ "name": name, "type": "text", "max": max });
    let collection = json!({
        "name": "leads",
        "type": "base",
        "createRule": "",
        "fields": [
            text("request_id", 36),
            text("name", 200),
            text("company", 200),
            text("phone", 200),
            { "name": "email", "type": "email" },
            { "name": "lawful_basis", "type": "number", "onlyInt": true },
            { "name": "consent", "type": "bool" },
            text("notice_version", 20),
        ],
        "indexes": ["CREATE UNIQUE INDEX leads_request ON leads (request_id)"],
    });
    let authorization = format!("authorization: {token}\r\n");
    wire.post("/api/collections", &authorization, &collection)
        .await?;
    Ok(())
}

/// One caller: latencies of records that were created, and how many were not.
async fn call(address: SocketAddr, window: Window) -> anyhow::Result<(Histogram<u64>, u64)> {
    let mut wire = Wire::connect(address).await?;
    let (mut latencies, mut failed) = (Histogram::new_with_max(LATENCY_MAX, 3)?, 0);
    loop {
        let record = record(&form("1.1", Keys::V4)?);
        let sent = Instant::now();
        if sent >= window.end {
            return Ok((latencies, failed));
        }
        let path = "/api/collections/leads/records";
        let (is_created, _) = wire.send(path, "", &record).await?;
        let answered = Instant::now();
        if !is_created {
            failed += 1;
        } else if answered >= window.start && answered < window.end {
            let micros = u64::try_from((answered - sent).as_micros())?;
            latencies.saturating_record(micros);
        }
    }
}

fn record(form: &pb::SubmitLeadRequest) -> Value {
    json!({
        "request_id": form.request_id,
        "name": form.name,
        "company": form.company,
        "phone": form.phone,
        "email": form.email,
        "lawful_basis": form.lawful_basis,
        "consent": form.consent,
        "notice_version": form.notice_version,
    })
}

/// A connection of HTTP/1.1, with what a generator of load needs of it.
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Posts; gives the body of an answer that says that all is well.
    async fn post(&mut self, path: &str, head: &str, body: &Value) -> anyhow::Result<Vec<u8>> {
        let (is_well, body) = self.send(path, head, body).await?;
        ensure!(is_well, "{}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// Posts; whether all is well, and the answer's body.
    async fn send(
        &mut self,
        path: &str,
        head: &str,
        body: &Value,
    ) -> anyhow::Result<(bool, Vec<u8>)> {
        let body = body.to_string();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             {head}content-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the connection was ended");
            if let Some((head, body)) = split(&self.buffer)? {
                return Ok((head.starts_with("HTTP/1.1 200 "), body.to_vec()));
            }
        }
    }
}

/// Head and body of an answer, once it is whole.
fn split(answer: &[u8]) -> anyhow::Result<Option<(&str, &[u8])>> {
    const BETWEEN: &[u8] = b"\r\n\r\n";
    let Some(end) = answer.windows(4).position(|it| it == BETWEEN) else {
        return Ok(None);
    };
    let (head, body) = answer.split_at(end);
    let (head, body) = (std::str::from_utf8(head)?, &body[BETWEEN.len()..]);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse::<usize>())
    });
    let length = length.context("an answer without a length")??;
    Ok((body.len() >= length).then_some((head, body)))
}
