//! Three replicas of the real program over one PostgreSQL, each at an address that it comes back to.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use lead_intake::{
    pb::{
        crm_service_client::CrmServiceClient, ledger_service_client::LedgerServiceClient,
        privacy_service_client::PrivacyServiceClient,
    },
    store::StoreUrl,
};
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::{service::interceptor::InterceptedService, transport::Endpoint};

use crate::{
    raw::Raw,
    steps::{Auditor, Crm},
    support::{
        binary::{Binary, PATIENCE, add_replica, command_of, send_signal},
        trace::Recorded,
        *,
    },
};

pub const REPLICAS: usize = 3;

/// Another program to have beside this one: of an older version with the same schema.
const OLDER: &str = "LEAD_INTAKE_TEST_OLDER";

/// The program of an older version, if there is one at hand.
pub fn older() -> Option<PathBuf> {
    env::var_os(OLDER).map(PathBuf::from)
}

pub struct Fleet {
    dir: TempDir,
    database: String,
    /// Where callers find each replica, whether it is there or not.
    pub apis: Vec<String>,
    /// Those that run.
    replicas: Vec<Option<Binary>>,
}

impl Fleet {
    /// Three replicas of this program, ready.
    pub async fn start(program: &Path) -> Self {
        let mut fleet = Self {
            dir: tempfile::tempdir().unwrap(),
            database: new_postgres_database().await,
            // Of its own, where no other test's connection begins or ends: so each comes back to it.
            apis: (0..REPLICAS)
                .map(|it| format!("127.0.0.{}:0", it + 2))
                .collect(),
            replicas: Vec::new(),
        };
        for place in 0..REPLICAS {
            if place > 0 {
                add_replica(program, &fleet.data(0), &fleet.data(place), &fleet.envs()).await;
            }
            fleet.replicas.push(None);
            fleet.start_at(place, program).await;
        }
        fleet
    }

    /// Starts the replica of a place, which is down, and waits until it is ready.
    pub async fn start_at(&mut self, place: usize, program: &Path) {
        let command = command_of(program, &self.envs());
        let replica = Binary::serve_by(command, &self.apis[place], &self.data(place)).await;
        self.apis[place] = replica.api.to_string();
        assert!(replica.is_ready().await, "{}", replica.log());
        self.replicas[place] = Some(replica);
    }

    /// Ends a replica at once.
    pub async fn kill(&mut self, place: usize) {
        let mut replica = self.replicas[place].take().expect("it runs");
        replica.child.start_kill().unwrap();
        replica.child.wait().await.unwrap();
    }

    /// Stops a replica in good order.
    pub async fn stop_at(&mut self, place: usize) {
        let replica = self.replicas[place].take().expect("it runs");
        let (status, log) = replica.signal("TERM").await;
        assert!(status.success(), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }

    pub async fn stop(mut self) {
        for place in 0..REPLICAS {
            self.stop_at(place).await;
        }
    }

    /// Sends the process of a replica a signal.
    pub async fn signal(&self, place: usize, name: &str) {
        assert!(send_signal(self.process(place), name).await);
    }

    pub fn process(&self, place: usize) -> u32 {
        let id = self.replica(place).child.id();
        id.expect("it runs")
    }

    pub fn replica(&self, place: usize) -> &Binary {
        self.replicas[place].as_ref().expect("it runs")
    }

    /// Whether this program takes the database, which it brings up to its schema; one that is older than that refuses.
    pub async fn is_taken_by(&self, program: &Path) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let mut migrate = command_of(program, &self.envs());
        migrate.arg("migrate").arg("--data-dir").arg(dir.path());
        let ran = timeout(PATIENCE, migrate.output()).await;
        let ran = ran.expect("it hangs").unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        let is_refused = said.contains("made by a newer lead-intake");
        assert!(ran.status.success() || is_refused, "{said}");
        !is_refused
    }

    fn envs(&self) -> Vec<(&str, &str)> {
        vec![("LEAD_INTAKE_DATABASE_URL", &self.database)]
    }

    fn data(&self, place: usize) -> PathBuf {
        self.dir.path().join(format!("data-{place}"))
    }

    /// A look into the database.
    pub async fn raw(&self) -> Raw {
        Raw::at(&self.database.parse::<StoreUrl>().unwrap()).await
    }

    pub fn caller(&self, place: usize, role: &str) -> Caller {
        let token = fs::read_to_string(self.data(0).join("tokens").join(role)).unwrap();
        let header = format!("Bearer {}", token.trim()).parse().unwrap();
        let channel = Endpoint::from_shared(format!("http://{}", self.apis[place])).unwrap();
        InterceptedService::new(Recorded::new(channel.connect_lazy()), Bearer::new(header))
    }

    pub fn crm(&self, place: usize) -> Crm {
        CrmServiceClient::new(self.caller(place, "crm"))
    }

    pub fn privacy(&self, place: usize) -> PrivacyServiceClient<Caller> {
        PrivacyServiceClient::new(self.caller(place, "privacy"))
    }

    pub fn auditor(&self, place: usize) -> Auditor {
        LedgerServiceClient::new(self.caller(place, "auditor"))
    }
}
