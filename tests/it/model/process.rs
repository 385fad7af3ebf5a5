//! A replica as a process of its own, so that it can be killed: this test program again, with one test in it.
//!
//! The process has a clock that its parent moves, and rounds of the sweep that its parent asks for: a line on its
//! standard input each, answered by a line on its standard output. When the parent is gone, so is the process.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use lead_intake::{
    clock::{Clock as _, ManualClock, from_micros},
    ledger::notary::SigningKey,
    rpc::intake::IntakeSettings,
    seal::KeyFile,
    store::StoreUrl,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
    time::timeout,
};

use super::rules::Policy;
use crate::{
    rounds,
    support::{binary::PATIENCE, *},
};

/// Tells the child what it serves.
const SITE: &str = "LEAD_INTAKE_MODEL_SITE";
/// Begins each line that is for the parent: the test runner writes lines of its own.
const SAYS: &str = "model: ";
/// No round comes by itself in the life of a world.
const SWEEP_EVERY: Duration = Duration::from_hours(24);
/// Lines of a replica's log that a failure shows.
const WORDS: usize = 20;
const KEYS: &str = "keys.toml";
const SIGNER: &str = "checkpoint.key";

/// What a replica serves.
#[derive(Serialize, Deserialize)]
struct Site {
    database: String,
    /// Where the keys are.
    keys: PathBuf,
    /// Its own directory, with its mirror.
    dir: PathBuf,
    origin: String,
    policy: Policy,
    /// Microseconds since 1970.
    now: i64,
}

/// A replica.
pub struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    pub api: SocketAddr,
}

/// Writes the keys of a world where its replicas find them.
pub fn hand_over_keys(world: &World) {
    let dir = world.dir.path();
    world.key_file.create(&dir.join(KEYS)).unwrap();
    world.signer.create(&dir.join(SIGNER)).unwrap();
}

/// Sets a world's rules.
pub fn set_policy(settings: &mut IntakeSettings, policy: Policy) {
    settings.retention.max_age_days = policy.max_age;
    settings.retention.grace = lead_intake::domain::retention::GraceDays {
        answered: policy.grace[0],
        not_relevant: policy.grace[1],
        converted: policy.grace[2],
    };
}

impl Process {
    /// Starts a replica over a world's database and waits until it serves.
    pub async fn start(world: &World, dir: &Path, policy: Policy) -> Self {
        let site = Site {
            database: match &world.url {
                StoreUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
                StoreUrl::Postgres(url) => url.expose_secret().to_owned(),
            },
            keys: world.dir.path().to_owned(),
            dir: dir.to_owned(),
            origin: world.signer.verifier().name().to_owned(),
            policy,
            now: world.clock.now().as_microsecond(),
        };
        let log = dir.join("log");
        let stderr = File::options().create(true).append(true).open(&log);
        let name = format!(
            "{}::part_of_a_child",
            module_path!().split_once("::").unwrap().1
        );
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture"])
            .env(SITE, serde_json::to_string(&site).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut process = Self {
            orders: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
            log,
            api: SocketAddr::from(([0; 4], 0)),
        };
        let serving = process.answer().await;
        process.api = serving.strip_prefix("serving ").unwrap().parse().unwrap();
        process
    }

    /// Moves its clock.
    pub async fn wait(&mut self, seconds: i64) {
        assert_eq!(self.tell(&format!("wait {seconds}")).await, "waited");
    }

    /// Has it run a round of the sweep; gives how many leads that erased.
    pub async fn sweep(&mut self) -> u64 {
        let swept = self.tell("sweep").await;
        swept.strip_prefix("swept ").unwrap().parse().unwrap()
    }

    /// Ends it in good order.
    pub async fn stop(mut self) {
        assert_eq!(self.tell("stop").await, "stopped");
        let ended = timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.expect("it did not stop").unwrap().success());
    }

    /// Ends it at once, whatever it is doing.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }

    async fn tell(&mut self, order: &str) -> String {
        self.orders
            .write_all(format!("{order}\n").as_bytes())
            .await
            .unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> String {
        let reading = async {
            while let Some(line) = self.answers.next_line().await.unwrap() {
                if let Some((_, said)) = line.split_once(SAYS) {
                    return said.to_owned();
                }
            }
            panic!("a replica ended: {}", self.last_words())
        };
        let Ok(said) = timeout(PATIENCE, reading).await else {
            panic!("a replica hangs: {}", self.last_words())
        };
        said
    }

    /// The end of its log, from what it died of, if that is there: no content of leads is in it, as other tests hold.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        // A backtrace is longer than what is shown.
        let died = lines.iter().rposition(|line| line.contains("panicked at"));
        let from = died.unwrap_or(lines.len().saturating_sub(WORDS));
        lines[from..]
            .iter()
            .take(WORDS)
            .copied()
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn say(text: &str) {
    println!("{SAYS}{text}");
}

/// The child's part: a server that does what it is told.
#[tokio::test(flavor = "multi_thread")]
async fn part_of_a_child() {
    let Ok(site) = env::var(SITE) else {
        return;
    };
    let site: Site = serde_json::from_str(&site).unwrap();
    if trace::is_on() {
        lead_intake::telemetry::trace_to(std::io::stderr);
    }
    let key_file = KeyFile::load(&site.keys.join(KEYS)).unwrap();
    let signer = SigningKey::load(&site.keys.join(SIGNER), &site.origin).unwrap();
    let mut settings = IntakeSettings::default();
    set_policy(&mut settings, site.policy);
    let world = World {
        backend: if site.database.starts_with("sqlite:") {
            Backend::Sqlite
        } else {
            Backend::Postgres
        },
        clock: Arc::new(ManualClock::new(from_micros(site.now))),
        keys: Arc::new(key_file.ring(Path::new("")).unwrap()),
        signer: Arc::new(signer),
        signs: true,
        key_file,
        url: site.database.parse().unwrap(),
        tokens: Vec::new(),
        settings,
        sweep_every: SWEEP_EVERY,
        tail_max: lead_intake::store::TAIL_MAX,
        dir: DataDir::Found(site.dir),
    };
    let replica = world.start().await;
    say(&format!("serving {}", replica.api));
    let (orders, mut ordered) = mpsc::channel(1);
    // A thread that nobody waits for: it may be reading when everything else has ended.
    std::thread::spawn(move || {
        for order in std::io::stdin().lines() {
            let _ = orders.blocking_send(order.unwrap());
        }
    });
    while let Some(order) = ordered.recv().await {
        match order.split_once(' ') {
            Some(("wait", seconds)) => {
                world.clock.advance_seconds(seconds.parse().unwrap());
                say("waited");
            }
            None if order == "sweep" => {
                let erased = rounds::sweep(&world, &replica).await;
                say(&format!("swept {erased}"));
            }
            None if order == "stop" => {
                replica.stop().await;
                say("stopped");
                return;
            }
            _ => panic!("no such order: {order}"),
        }
    }
}
