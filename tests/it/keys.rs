//! Rotation of keys, through the real program: replicas as processes, each with a data directory of its own, and the
//! operator's commands beside them. [`Fleet`] is where a test lives.

mod crash;
mod damage;
mod fence;
mod order;
mod rotation;
mod traffic;

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use lead_intake::{
    pb::{
        crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
        privacy_service_client::PrivacyServiceClient,
    },
    store::StoreUrl,
};
use serde_json::Value;
use tempfile::TempDir;
use tonic::{service::interceptor::InterceptedService, transport::Endpoint};

use crate::{
    raw::Raw,
    support::{
        binary::{Binary, Ran, add_replica, run, this},
        *,
    },
};

/// Replicas over one database: two on PostgreSQL, one on SQLite.
struct Fleet {
    dir: TempDir,
    database: Option<String>,
    replicas: Vec<Binary>,
}

impl Fleet {
    async fn new(backend: Backend) -> Self {
        let (database, replicas) = match backend {
            Backend::Sqlite => (None, 1),
            Backend::Postgres => (Some(new_postgres_database().await), 2),
        };
        let mut fleet = Self {
            dir: tempfile::tempdir().unwrap(),
            database,
            replicas: Vec::new(),
        };
        for place in 0..replicas {
            let data = fleet.data(place);
            if place > 0 {
                add_replica(this(), &fleet.data(0), &data, &fleet.envs()).await;
            }
            let replica = fleet.serve(place).await;
            fleet.replicas.push(replica);
        }
        fleet
    }

    async fn serve(&self, place: usize) -> Binary {
        Binary::serve(&self.data(place), &self.envs()).await
    }

    fn envs(&self) -> Vec<(&str, &str)> {
        let url = self.database.as_deref();
        url.map(|url| ("LEAD_INTAKE_DATABASE_URL", url))
            .into_iter()
            .collect()
    }

    fn data(&self, place: usize) -> PathBuf {
        self.dir.path().join(format!("data-{place}"))
    }

    /// The key ring's file of a replica.
    fn ring(&self, place: usize) -> PathBuf {
        self.data(place).join("keys.toml")
    }

    async fn raw(&self) -> Raw {
        let url = match &self.database {
            Some(url) => StoreUrl::from_str(url).unwrap(),
            None => StoreUrl::Sqlite(self.data(0).join("lead-intake.db")),
        };
        Raw::at(&url).await
    }

    /// Starts a server that must refuse to.
    async fn refused_start(&self, place: usize) -> String {
        let data = self.data(place);
        let serve = [
            "serve",
            "--data-dir",
            data.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ];
        run(&self.envs(), &serve, "").await.with_code(1).err
    }

    /// `keys …` on the machine of a replica.
    async fn keys_at(&self, place: usize, args: &[&str]) -> Ran {
        let data = self.data(place);
        let mut envs = self.envs();
        envs.push(("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap()));
        let ran = run(&envs, &[&["keys"], args].concat(), "").await;
        self.names_no_key(&ran);
        ran
    }

    /// The same on the first machine, which must succeed.
    async fn keys(&self, args: &[&str]) -> Ran {
        self.keys_at(0, args).await.with_code(0)
    }

    async fn list(&self) -> Value {
        self.keys(&["list", "--json"]).await.json()
    }

    /// A command's output holds none of the file's keys.
    fn names_no_key(&self, ran: &Ran) {
        for secret in secrets(&self.ring(0)) {
            assert!(!ran.out.contains(&secret) && !ran.err.contains(&secret));
        }
    }

    /// Copies the first replica's ring to another, as an operator would, and waits until it is in use there.
    async fn roll_out(&self) {
        for place in 1..self.replicas.len() {
            fs::copy(self.ring(0), self.ring(place)).unwrap();
        }
        let wanted = generation(&self.ring(0));
        for replica in &self.replicas {
            eventually(async || (generation_in_use(replica).await == wanted).then_some(())).await;
        }
    }

    fn caller(&self, place: usize, role: &str) -> Caller {
        let token = fs::read_to_string(self.data(0).join("tokens").join(role)).unwrap();
        let header = format!("Bearer {}", token.trim()).parse().unwrap();
        let channel = Endpoint::from_shared(self.replicas[place].url()).unwrap();
        InterceptedService::new(
            trace::Recorded::new(channel.connect_lazy()),
            Bearer::new(header),
        )
    }

    fn intake(&self, place: usize) -> IntakeServiceClient<Caller> {
        IntakeServiceClient::new(self.caller(place, "intake"))
    }

    fn crm(&self, place: usize) -> CrmServiceClient<Caller> {
        CrmServiceClient::new(self.caller(place, "crm"))
    }

    fn privacy(&self, place: usize) -> PrivacyServiceClient<Caller> {
        PrivacyServiceClient::new(self.caller(place, "privacy"))
    }

    /// Stops every replica; gives their logs.
    async fn stop(&mut self) -> Vec<String> {
        let mut logs = Vec::new();
        for replica in self.replicas.drain(..) {
            let (status, log) = replica.signal("TERM").await;
            assert_eq!(status.code(), Some(0), "{log}");
            logs.push(log);
        }
        logs
    }
}

/// The keys in a ring's file, as they are written there.
fn secrets(ring: &Path) -> Vec<String> {
    let text = fs::read_to_string(ring).unwrap();
    let keys = text.lines().filter_map(|line| line.strip_prefix("key = "));
    keys.map(|key| key.trim_matches('"').to_owned()).collect()
}

fn generation(ring: &Path) -> i64 {
    let text = fs::read_to_string(ring).unwrap();
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("generation = "));
    line.map_or(1, |number| number.parse().unwrap())
}

async fn generation_in_use(replica: &Binary) -> i64 {
    number(
        &replica.get("/metrics").await,
        "lead_intake_key_ring_generation",
    )
    .unwrap_or(0)
}

/// The value of a metric without labels.
fn number(metrics: &str, name: &str) -> Option<i64> {
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}

/// The line of a key in `keys list --json`.
fn key<'a>(list: &'a Value, name: &str) -> &'a Value {
    let keys = list["keys"].as_array().unwrap();
    let found = keys.iter().find(|key| key["key"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list}"))
}
