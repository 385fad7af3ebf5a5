//! What the tests share: a world with its own database, servers over it, and callers with tokens.
//! [`binary`] runs the real program instead.

pub mod backup;
pub mod binary;
pub mod cluster;
pub mod collector;
pub mod deaf_proxy;
pub mod h2_frames;

pub mod cutting_proxy;
pub mod pki;

pub mod plain;
pub mod prover;

pub mod random;
pub mod raw;
pub mod slow_mirror;
pub mod small_disk;
pub mod strace;

pub mod trace;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
    time::Duration,
};

use self::prover::SwitchedProver;
use lead_intake::{
    cli::setup,
    clock::{Clock as _, ManualClock},
    domain::{notice::NoticeRegistry, sweep::SWEEP_EVERY},
    door,
    jobs::INDEX_EVERY,
    ledger::{
        mirror::{Mirror, MirrorError},
        notary::{SigningKey, origin},
        prover::SharedProver,
    },
    pb::{
        self, crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
        ledger_service_client::LedgerServiceClient, privacy_service_client::PrivacyServiceClient,
    },
    rpc::{intake::IntakeSettings, limits::Limits},
    seal::{KeyFile, KeyRing, LiveKeyRing},
    server::{Ended, Ending, Parts, Server},
    store::{self, MirrorOptions, OpenOptions, SharedStore, StoreError, StoreUrl},
    token::{Role, Token},
};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use uuid::Uuid;

/// Where a world keeps its leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Runs each test on both databases.
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($backend:ident: Backend) $body:block)*) => {
        $($(#[$meta])* mod $name {
            use super::*;

            async fn test($backend: Backend) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                test(Backend::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                test(Backend::Postgres).await;
            }
        })*
    };
}

/// The server that `scripts/test` starts: a URL of a role that may create databases.
pub const POSTGRES_URL: &str = "LEAD_INTAKE_TEST_POSTGRES_URL";

/// A database of its own, keys, a clock, and a client with a token for each role.
pub struct World {
    pub backend: Backend,
    pub clock: Arc<ManualClock>,
    pub keys: Arc<KeyRing>,
    /// Signs the ledger's checkpoints, if its servers do.
    pub signer: Arc<SigningKey>,
    pub signs: bool,
    /// The same ring as its file has it: what a rotation changes.
    pub key_file: KeyFile,
    pub url: StoreUrl,
    pub tokens: Vec<(Role, Token)>,
    pub settings: IntakeSettings,
    pub sweep_every: Duration,
    pub tail_max: i64,
    /// The data directory.
    pub dir: DataDir,
}

/// A world's directory.
pub enum DataDir {
    /// Gone with its world.
    Own(tempfile::TempDir),
    /// That of another process's world.
    Found(PathBuf),
}

impl Drop for DataDir {
    /// The end of a world.
    fn drop(&mut self) {
        if matches!(self, Self::Own(_)) {
            trace::scan();
        }
    }
}

impl DataDir {
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(dir) => dir.path(),
            Self::Found(dir) => dir,
        }
    }
}

/// A server over a world's database.
pub struct Replica {
    pub api: SocketAddr,
    pub admin: SocketAddr,
    pub store: SharedStore,
    pub prover: Arc<SwitchedProver>,
    pub stop: CancellationToken,
    serving: JoinHandle<Ended>,
    tokens: Vec<(Role, String)>,
}

/// The clock of every new world.
pub const START: &str = "2026-11-23T12:00:00Z";

impl World {
    pub async fn new(backend: Backend) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = match backend {
            Backend::Sqlite => StoreUrl::Sqlite(dir.path().join("lead-intake.db")),
            Backend::Postgres => StoreUrl::from_str(&new_postgres_database().await).unwrap(),
        };
        Self::over(url, dir).await
    }

    /// A world over an empty database of a PostgreSQL server of its own.
    pub async fn at(url: &str) -> Self {
        let url = StoreUrl::from_str(url).unwrap();
        Self::over(url, tempfile::tempdir().unwrap()).await
    }

    async fn over(url: StoreUrl, dir: tempfile::TempDir) -> Self {
        trace::start();
        let backend = match &url {
            StoreUrl::Sqlite(_) => Backend::Sqlite,
            StoreUrl::Postgres(_) => Backend::Postgres,
        };
        let key_file = KeyFile::generate("").unwrap();
        let mut world = Self {
            backend,
            clock: Arc::new(ManualClock::new(START.parse().unwrap())),
            // Of no ledger; the store, once it is there, says of which it is.
            signer: Arc::new(SigningKey::generate("").unwrap()),
            signs: true,
            keys: Arc::new(key_file.ring(Path::new("")).unwrap()),
            key_file,
            url,
            tokens: Vec::new(),
            settings: IntakeSettings::default(),
            sweep_every: SWEEP_EVERY,
            tail_max: store::TAIL_MAX,
            dir: DataDir::Own(dir),
        };
        let store = world.open().await;
        world.signer = Arc::new(SigningKey::generate(&origin(store.store_id())).unwrap());
        store.check_keys(world.keys.facts()).await.unwrap();
        for role in Role::ALL {
            let token = world.new_token(&store, role.name(), role).await;
            world.tokens.push((role, token));
        }
        store.close().await;
        world
    }

    /// A token for a client of this name, which is added if it is new. It lives for a year of the
    /// world's clock.
    pub async fn new_token(&self, store: &SharedStore, name: &str, role: Role) -> Token {
        let now = self.clock.now();
        let made = setup::add_token(&**store, name, role, setup::Relation::Internal as i64, now);
        made.await.unwrap().unwrap().1
    }

    /// The store without a mirror: for looking, and for clients.
    pub async fn open(&self) -> SharedStore {
        self.try_open(None).await.unwrap()
    }

    /// The store with this mirror.
    pub async fn try_open(&self, mirror: Option<PathBuf>) -> Result<SharedStore, StoreError> {
        self.open_with(mirror.map(|dir| MirrorOptions {
            dir,
            takes_other_history: false,
        }))
        .await
    }

    pub async fn open_with(
        &self,
        mirror: Option<MirrorOptions>,
    ) -> Result<SharedStore, StoreError> {
        let options = OpenOptions {
            url: self.url.clone(),
            connections_max: 12,
            clock: self.clock.clone(),
            migrate: true,
            tail_max: self.tail_max,
            ballast: false,
            mirror,
        };
        store::open(options).await
    }

    /// Where the mirror of the first replica is, and of the second, and so on.
    pub fn mirror(&self, number: usize) -> PathBuf {
        self.dir.path().join(match number {
            1 => "ledger".to_owned(),
            _ => format!("ledger-{number}"),
        })
    }

    /// The store with the first mirror that no other replica writes.
    async fn open_to_serve(&self) -> SharedStore {
        for number in 1.. {
            let dir = self.mirror(number);
            match self.try_open(Some(dir.clone())).await {
                // Another replica's: the next one.
                Err(StoreError::Mirror(MirrorError::Locked(_))) => {}
                Err(StoreError::Mirror(MirrorError::Missing(_))) if number > 1 => {
                    let store = self.open().await;
                    Mirror::create(&dir, store.store_id()).unwrap();
                    store.close().await;
                    return self.try_open(Some(dir)).await.unwrap();
                }
                opened => return opened.unwrap(),
            }
        }
        unreachable!()
    }

    /// A server over the database. PostgreSQL takes several at once.
    pub async fn start(&self) -> Replica {
        self.start_with(|parts| parts).await
    }

    /// The same with this key ring.
    pub async fn start_with_keys(&self, keys: Arc<LiveKeyRing>) -> Replica {
        self.start_with(|parts| Parts { keys, ..parts }).await
    }

    /// The same with other parts.
    pub async fn start_with(&self, other: impl FnOnce(Parts) -> Parts) -> Replica {
        let store = self.open_to_serve().await;
        let witness = setup::witness(&store, self.signer.clone())
            .await
            .unwrap()
            .unwrap();
        let prover = Arc::new(SwitchedProver {
            store: store.clone(),
            inner: witness.prover(),
            signs: true.into(),
        });
        let parts = Parts {
            store: store.clone(),
            keys: LiveKeyRing::fixed(self.keys.clone()),
            prover: self.signs.then(|| prover.clone() as SharedProver),
            witness: Some(witness),
            clock: self.clock.clone(),
            notices: Arc::new(NoticeRegistry::shipped(&self.settings.controller).unwrap()),
            settings: self.settings.clone(),
            limits: Limits::default(),
            metrics: None,
            cors_origins: Vec::new(),
            reflection: true,
            sweep_every: self.sweep_every,
            index_every: INDEX_EVERY,
            tls: None,
            certificates: Arc::default(),
            connections: door::Limits::default(),
            ending: Ending::default(),
        };
        let parts = other(parts);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(parts, any, any).await.unwrap();
        let (api, admin) = server.addresses().unwrap();
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let serving = tokio::spawn(server.run(stopping));
        let tokens = self
            .tokens
            .iter()
            .map(|(role, token)| (*role, token.expose().to_owned()))
            .collect();
        Replica {
            api,
            admin,
            store,
            prover,
            stop,
            serving,
            tokens,
        }
    }
}

/// Gives each test a database of its own: its URL.
pub async fn new_postgres_database() -> String {
    make_postgres_database("template1").await
}

/// A copy of a database to which nobody is connected: its URL.
pub async fn copy_postgres_database(url: &str) -> String {
    let (_, name) = url.rsplit_once('/').unwrap();
    make_postgres_database(name).await
}

async fn make_postgres_database(template: &str) -> String {
    let url = std::env::var(POSTGRES_URL)
        .unwrap_or_else(|_| panic!("{POSTGRES_URL} is not set: run the tests by scripts/test"));
    let name = format!("t_{}", new_id().simple());
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
    // A session that has just ended may still be seen in the template: then it is asked again.
    for attempt in 1.. {
        tick.tick().await;
        let create = sqlx::AssertSqlSafe(create.clone());
        match sqlx::raw_sql(create).execute(&mut admin).await {
            Ok(_) => break,
            Err(error) => assert!(attempt < 1000, "{error}"),
        }
    }
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// Removes a test's database, whoever is connected to it.
pub async fn drop_postgres_database(url: &str) {
    let server = std::env::var(POSTGRES_URL).unwrap();
    let (_, name) = url.rsplit_once('/').unwrap();
    let mut admin = PgConnection::connect(&server).await.unwrap();
    let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::raw_sql(drop).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
}

impl Replica {
    pub fn token(&self, role: Role) -> &str {
        &self.tokens.iter().find(|(of, _)| *of == role).unwrap().1
    }

    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.api))
            .unwrap()
            .connect_lazy()
    }

    pub fn intake(&self) -> IntakeServiceClient<Caller> {
        IntakeServiceClient::new(self.caller(self.token(Role::Intake)))
    }

    pub fn crm(&self) -> CrmServiceClient<Caller> {
        self.crm_as(self.token(Role::Crm))
    }

    pub fn crm_as(&self, token: &str) -> CrmServiceClient<Caller> {
        CrmServiceClient::new(self.caller(token)).max_decoding_message_size(64 * 1024 * 1024)
    }

    pub fn privacy(&self) -> PrivacyServiceClient<Caller> {
        PrivacyServiceClient::new(self.caller(self.token(Role::Privacy)))
    }

    pub fn ledger(&self) -> LedgerServiceClient<Caller> {
        LedgerServiceClient::new(self.caller(self.token(Role::Auditor)))
    }

    /// What health says of the whole.
    pub async fn health(&self) -> ServingStatus {
        let asked = HealthCheckRequest::default();
        let answer = HealthClient::new(self.channel()).check(asked).await;
        answer.unwrap().into_inner().status()
    }

    pub fn caller(&self, token: &str) -> Caller {
        let header = format!("Bearer {token}").parse().unwrap();
        InterceptedService::new(trace::Recorded::new(self.channel()), Bearer(header))
    }

    /// Stops gently and waits until everything is closed.
    pub async fn stop(self) {
        self.stop.cancel();
        assert_eq!(self.serving.await.unwrap(), Ended::Stopped);
    }

    /// Whether it ended by itself.
    pub fn has_ended(&self) -> bool {
        self.serving.is_finished()
    }

    /// Waits until it ends because its database is not to be trusted. What its process would leave behind is let go of.
    pub async fn broke(self) {
        let ended = tokio::time::timeout(binary::PATIENCE, self.serving).await;
        assert_eq!(ended.expect("it goes on").unwrap(), Ended::Broken);
        self.store.close().await;
    }
}

/// A channel that sends a token.
pub type Caller = InterceptedService<trace::Recorded, Bearer>;

#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    pub fn new(header: MetadataValue<Ascii>) -> Self {
        Self(header)
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub fn new_id() -> Uuid {
    Uuid::from_bytes(lead_intake::seal::random().unwrap())
}

/// A form that every rule accepts.
pub fn form(name: &str, email: &str) -> pb::SubmitLeadRequest {
    pb::SubmitLeadRequest {
        request_id: new_id().to_string(),
        name: name.to_owned(),
        email: email.to_owned(),
        lawful_basis: pb::LawfulBasis::PreContract.into(),
        notice_version: "1.1".to_owned(),
        ..Default::default()
    }
}

/// A new request of a person known by e-mail.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the field it is for is optional on the wire"
)]
pub fn subject(email: &str) -> Option<pb::SubjectRequest> {
    Some(pb::SubjectRequest {
        request_id: new_id().to_string(),
        subject: Some(pb::Subject {
            email: email.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// The reason in an error's `ErrorInfo`; empty if it has none.
pub fn reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    status
        .get_error_details()
        .error_info()
        .map_or_else(String::new, |info| info.reason.clone())
}

/// Field and reason of each violation in an error, in order of the field.
pub fn violations(status: &Status) -> Vec<(String, String)> {
    use tonic_types::StatusExt as _;
    let details = status.get_error_details();
    let mut list: Vec<_> = details
        .bad_request()
        .map(|bad| {
            bad.field_violations
                .iter()
                .map(|v| (v.field.clone(), v.reason.clone()))
                .collect()
        })
        .unwrap_or_default();
    list.sort();
    list
}

/// Waits until `check` gives something: at most 30 s, far beyond what any test waits for.
pub async fn eventually<T>(mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Duration::from_secs(30);
    let polling = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        loop {
            tick.tick().await;
            if let Some(value) = check().await {
                return value;
            }
        }
    };
    tokio::time::timeout(deadline, polling)
        .await
        .expect("it never became true")
}

/// The file of a small mirror that has its entries.
pub fn entries_file(mirror: &Path) -> PathBuf {
    let is_entries = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.starts_with("entries-")
    };
    files(mirror).into_iter().find(is_entries).unwrap()
}

/// Every file below a directory.
pub fn files(dir: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
