//! The whole suite at the finest level of its log (L1): with `LEAD_INTAKE_TEST_TRACE=1` everything that servers log is
//! looked at for every value and token that was ever sent to one.
//!
//! Nothing has to be registered: each caller's connection is a [`Recorded`] one, which reads what passes it, by the contract's
//! descriptors. In-process servers share one sink, programs of their own add their logs to it ([`add`]). Each world, at its
//! end, scans what has come since the last scan; a value is known before it is sent, so no line is scanned too early. The
//! test that fails is the one that ended then; the line says what leaked. `scripts/test` looks for the same values in
//! PostgreSQL's log, which has every statement.

use std::{
    collections::BTreeSet,
    env,
    io::{self, Write as _},
    sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError},
    task::{Context, Poll},
};

use aho_corasick::AhoCorasick;
use http_body_util::BodyExt as _;
use lead_intake::{pb, telemetry};
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use tonic::{body::Body, transport::Channel};
use tower::Service;

use crate::scan::Needles;

/// Says that the suite is traced.
pub const TRACE: &str = "LEAD_INTAKE_TEST_TRACE";
/// Where `scripts/test` reads the values.
const VALUES: &str = "LEAD_INTAKE_TEST_VALUES";
/// Shorter ones are parts of words.
const VALUE_LEN_MIN: usize = 6;
/// Values that are looked for in every form; the others as they are, in capitals or not.
const IN_EVERY_FORM: usize = 150;
/// Fields with what a person submitted.
const FIELDS: [&str; 4] = ["name", "company", "phone", "email"];

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(pb::DESCRIPTORS).unwrap());
static SINK: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static KNOWN: Mutex<Known> = Mutex::new(Known {
    values: BTreeSet::new(),
    told: 0,
    needles: None,
});

struct Known {
    values: BTreeSet<String>,
    /// How many of them the needles have.
    told: usize,
    needles: Option<(Needles, AhoCorasick)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn is_on() -> bool {
    static ON: LazyLock<bool> = LazyLock::new(|| env::var_os(TRACE).is_some());
    *ON
}

/// Begins to log into the sink, if the suite is traced. Again and again does no harm.
pub fn start() {
    static START: Once = Once::new();
    if is_on() {
        START.call_once(|| telemetry::trace_to(|| Sink));
    }
}

struct Sink;

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&SINK).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Adds what a server of another process logged.
pub fn add(log: &[u8]) {
    if is_on() {
        let mut sink = lock(&SINK);
        sink.extend_from_slice(log);
        sink.push(b'\n');
    }
}

/// Looks through what was logged since the last time; fails if a value that was sent is there.
pub fn scan() {
    let log = std::mem::take(&mut *lock(&SINK));
    let mut known = lock(&KNOWN);
    if known.told < known.values.len() {
        let values: Vec<_> = known.values.iter().map(String::as_str).collect();
        let most = &values[..values.len().min(IN_EVERY_FORM)];
        let plain = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(&values);
        let needles = (Needles::of_values(most), plain.unwrap());
        hand_over(&values);
        known.told = values.len();
        known.needles = Some(needles);
    }
    let Some((needles, plain)) = &known.needles else {
        return;
    };
    let leaks = |line: &[u8]| plain.is_match(line) || !needles.found_in(line).is_empty();
    // The whole first: it is nearly always clean.
    if leaks(&log) && !std::thread::panicking() {
        let lines = log.split(|byte| *byte == b'\n').filter(|line| leaks(line));
        let lines: Vec<_> = lines.take(5).map(String::from_utf8_lossy).collect();
        panic!(
            "what was sent to a server is in its log:\n{}",
            lines.join("\n")
        );
    }
}

/// Tells `scripts/test` the values, one a line.
fn hand_over(values: &[&str]) {
    if let Some(path) = env::var_os(VALUES) {
        let lines = values.iter().filter(|value| !value.contains('\n'));
        let lines = lines.copied().collect::<Vec<_>>().join("\n") + "\n";
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path);
        file.unwrap().write_all(lines.as_bytes()).unwrap();
    }
}

/// A connection that knows what was sent over it.
#[derive(Clone)]
pub struct Recorded(Channel);

impl Recorded {
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }
}

impl Service<http::Request<Body>> for Recorded {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if !is_on() {
            return self.0.call(request);
        }
        if let Some(token) = request.headers().get("authorization") {
            let token = token.to_str().unwrap_or_default();
            know(token.trim_start_matches("Bearer "));
        }
        let path = request.uri().path().to_owned();
        let request = request.map(|body| {
            Body::new(body.map_frame(move |frame| {
                if let Some(data) = frame.data_ref() {
                    know_request(&path, data);
                }
                frame
            }))
        });
        self.0.call(request)
    }
}

fn know(value: &str) {
    // A plain word says nothing of anybody, and stands in comments of statements.
    let is_word = value.bytes().all(|byte| byte.is_ascii_alphabetic());
    if value.len() >= VALUE_LEN_MIN && !is_word {
        lock(&KNOWN).values.insert(value.to_owned());
    }
}

/// Reads a request as it lies on the wire: a flag, a length, a message.
fn know_request(path: &str, frame: &[u8]) {
    let mut names = path.trim_start_matches('/').split('/');
    let (Some(service), Some(method)) = (names.next(), names.next()) else {
        return;
    };
    let service = POOL.get_service_by_name(service);
    let method = service.and_then(|it| it.methods().find(|it| it.name() == method));
    if let (Some(method), Some(message)) = (method, frame.get(5..))
        && let Ok(message) = DynamicMessage::decode(method.input(), message)
    {
        know_fields(&message);
    }
}

fn know_fields(message: &DynamicMessage) {
    for (field, value) in message.fields() {
        match value {
            Value::String(text) if FIELDS.contains(&field.name()) => know(text),
            Value::Message(inner) => know_fields(inner),
            _ => {}
        }
    }
}
