//! The server: wiring, listeners, health, shutdown.
//!
//! [`Server::bind`] takes addresses (port 0 for any) and makes everything ready; [`Server::run`] serves until
//! its token is cancelled. Then, in this order: health goes to `NOT_SERVING`; for a while calls are still taken, so that
//! a balancer can look ([`Ending::wait`]); no connection is accepted any more, streams end with a cursor to resume from, calls
//! under way finish; who is still there at the drain's deadline is cut; what was accepted is written; the database is
//! closed. A database that is not to be trusted any more ends it sooner (`store/broken.rs`).

mod admin;
mod ending;
mod services;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper::body::Incoming;
use metrics_exporter_prometheus::PrometheusHandle;
use prost_reflect::DescriptorPool;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, service::Routes};
use tower_http::catch_panic::CatchPanicLayer;

pub use self::ending::{DRAIN_MAX, Ended, Ending};
use self::services::{Ours, Services};
use crate::{
    clock::SharedClock,
    domain::notice::NoticeRegistry,
    door::{self, Door, Drained, Peer, Stage, Tls},
    export::Exporter,
    jobs,
    ledger::{mirror::Witness, prover::SharedProver},
    pb::{
        self, crm_service_server::CrmServiceServer, intake_service_server::IntakeServiceServer,
        ledger_service_server::LedgerServiceServer, privacy_service_server::PrivacyServiceServer,
    },
    rpc::{
        auth::{
            Access, AuthLayer, Authenticator,
            certificate::{Certificates, OfPeer},
        },
        crm::Crm,
        intake::{Intake, IntakeSettings},
        ledger::{Evidence, Ledger},
        limits::{AdmitLayer, Limits, UnderWay},
        observe::ObserveLayer,
        privacy::{Privacy, Receipts},
        proof::Proofs,
        status::Refusal,
        web::{Origin, WebLayer, cors},
    },
    seal::{LiveKeyRing, Sealer, Unsealer},
    store::SharedStore,
};

/// Our services, for health.
pub const SERVICES: [&str; 4] = [
    "leadintake.v1.IntakeService",
    "leadintake.v1.CrmService",
    "leadintake.v1.PrivacyService",
    "leadintake.v1.LedgerService",
];

/// The largest request of a website: a form is less than 4 KiB.
const INTAKE_MESSAGE_MAX: usize = 64 * 1024;
/// The largest request of the others: a thousand identifiers.
const MESSAGE_MAX: usize = 64 * 1024;
/// The largest answer to a CRM: a stream's page of a thousand leads.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// The largest answer to privacy tooling: a copy of ten thousand leads with their recipients.
const EXPORT_MAX: usize = 64 * 1024 * 1024;
/// How long what runs beside the calls may take to end.
const JOBS_END_MAX: Duration = Duration::from_secs(20);

/// What a server is made of.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub store: SharedStore,
    /// The keys, which follow their file.
    pub keys: Arc<LiveKeyRing>,
    /// The time.
    pub clock: SharedClock,
    /// Who keeps the tree of the mirror and signs it. Without one there are no checkpoints.
    pub witness: Option<Witness>,
    /// What gives those to callers. Without one there are no proofs.
    pub prover: Option<SharedProver>,
    /// The notices.
    pub notices: Arc<NoticeRegistry>,
    /// What the operator decides.
    pub settings: IntakeSettings,
    /// What calls and clients may take.
    pub limits: Limits,
    /// Metrics to show, if this process collects them.
    pub metrics: Option<PrometheusHandle>,
    /// Origins whose pages may call.
    pub cors_origins: Vec<Origin>,
    /// Whether strangers may ask for the contract: beyond loopback only if asked for.
    pub reflection: bool,
    /// The wait between two rounds of the sweep: [`crate::domain::sweep::SWEEP_EVERY`], but for tests.
    pub sweep_every: Duration,
    /// The longest wait of a lead until it is put into the look-up indexes: [`jobs::INDEX_EVERY`], but for tests.
    pub index_every: Duration,
    /// TLS, if the service has it.
    pub tls: Option<Arc<Tls>>,
    /// Whose certificates stand for a client.
    pub certificates: Arc<Certificates>,
    /// What connections may do.
    pub connections: door::Limits,
    /// How it ends.
    pub ending: Ending,
}

/// A server that is bound and ready to run.
#[derive(Debug)]
pub struct Server {
    parts: Parts,
    api: TcpListener,
    admin: TcpListener,
    access: Arc<Access>,
    web: WebLayer,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", refused(*.said))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        said: std::io::ErrorKind,
    },
    /// The contract is not usable.
    #[error(transparent)]
    Unguarded(#[from] crate::rpc::auth::Unguarded),
    /// The contract does not decode.
    #[error("the contract's descriptors do not decode")]
    Descriptors,
}

/// Why an address cannot be had, and what to do about it.
fn refused(said: std::io::ErrorKind) -> String {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    let next = match said {
        AddrInUse => "another program has it, or this service runs already",
        AddrNotAvailable => "it is none of this machine",
        PermissionDenied => "a port below 1024 is for root only",
        _ => return said.to_string(),
    };
    format!("{next}\n  another one is given by --listen or --admin-listen")
}

impl Server {
    /// Binds both listeners.
    pub async fn bind(
        parts: Parts,
        api: SocketAddr,
        admin: SocketAddr,
    ) -> Result<Self, StartError> {
        let pool = DescriptorPool::decode(pb::DESCRIPTORS).map_err(|_| StartError::Descriptors)?;
        let access = Arc::new(Access::from_descriptors(&pool)?);
        let bind = async |address| {
            TcpListener::bind(address)
                .await
                .map_err(|error| StartError::Bind {
                    address,
                    said: error.kind(),
                })
        };
        Ok(Self {
            api: bind(api).await?,
            admin: bind(admin).await?,
            access,
            web: WebLayer::new(&pool, MESSAGE_MAX),
            parts,
        })
    }

    /// The addresses of the API and of the admin listener.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.api.local_addr()?, self.admin.local_addr()?))
    }

    /// Serves until `stop` is cancelled, then finishes what is under way. Cancels it itself when the database is not to be
    /// trusted any more, and then leaves everything as it is.
    pub async fn run(mut self, stop: CancellationToken) -> Ended {
        let (reporter, health) = tonic_health::server::health_reporter();
        let (ready, is_ready) = watch::channel(false);
        let store = self.parts.store.clone();
        let broken = store.broken();
        // Cancelled when nothing new is begun any more.
        let draining = CancellationToken::new();
        // Ends after everything else, so that the mirror has it all.
        let served = CancellationToken::new();
        let follower = jobs::Follower::new(store.clone(), self.parts.witness.take());
        let follower = follower.map(|it| tokio::spawn(it.run(served.clone())));
        let jobs = start_jobs(&self.parts, &draining);
        // The first to hear of the end.
        let watcher = tokio::spawn(jobs::watch_health(
            store.clone(),
            self.parts.keys.clone(),
            reporter,
            ready,
            &SERVICES,
            stop.clone(),
        ));
        let under_way = UnderWay::default();
        let admin_routes = admin::routes(self.parts.metrics.clone(), is_ready, under_way.clone());
        // Probes and metrics are there to the end.
        let (admin_stage, admin) = admin::serve(self.admin, &self.parts.connections, admin_routes);
        let services = services(&self.parts, health, &draining);
        let certificates = self.parts.certificates.clone();
        let authenticator = Arc::new(Authenticator::new(
            store.clone(),
            self.parts.clock.clone(),
            certificates.clone(),
            &self.parts.limits,
        ));
        let service = tower::ServiceBuilder::new()
            .map_request(|request: http::Request<Incoming>| {
                request.map(|body| Body::new(Drained::new(body)))
            })
            .option_layer(cors(&self.parts.cors_origins))
            .layer(self.web)
            .layer(ObserveLayer::new(&self.access))
            .layer(CatchPanicLayer::custom(|_| {
                tonic::Status::from(Refusal::Internal).into_http::<Body>()
            }))
            .layer(AdmitLayer::new(&self.parts.limits, under_way))
            .layer(AuthLayer::new(self.access, authenticator))
            .service(services);
        let (api_stage, stage) = watch::channel(Stage::Open);
        let api = Door::new("api", self.api, self.parts.connections.clone());
        let make = move |peer: Peer| OfPeer::new(service.clone(), certificates.of(&peer.names));
        let serving = api.with_tls(self.parts.tls.clone()).serve(make, stage);
        tokio::join!(
            serving,
            ending::end(self.parts.ending, &stop, &broken, &draining, &api_stage)
        );

        if broken.is_cancelled() {
            return Ended::Broken;
        }
        finish(jobs.into_iter().chain([watcher])).await;
        served.cancel();
        finish(follower).await;
        store.close().await;
        // Who asks for metrics now is not waited for.
        admin_stage.send_replace(Stage::Cut);
        let _ = admin.await;
        if broken.is_cancelled() {
            Ended::Broken
        } else {
            Ended::Stopped
        }
    }
}

/// Waits for tasks that were told to end, for a while.
async fn finish(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        let _ = timeout(JOBS_END_MAX, task).await;
    }
}

/// Starts what runs beside the calls and ends with them.
fn start_jobs(parts: &Parts, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    let (store, keys, clock) = (&parts.store, &parts.keys, &parts.clock);
    let sweeper = jobs::Sweeper {
        store: store.clone(),
        clock: clock.clone(),
        policy: parts.settings.retention,
    };
    vec![
        tokio::spawn(jobs::follow_key_ring(
            store.clone(),
            keys.clone(),
            stop.clone(),
        )),
        tokio::spawn(jobs::tell_duties(
            store.clone(),
            clock.clone(),
            stop.clone(),
        )),
        tokio::spawn(follow_tls(parts.tls.clone(), stop.clone())),
        tokio::spawn(sweeper.run(parts.sweep_every, stop.clone())),
        tokio::spawn(jobs::clean_up(store.clone(), stop.clone())),
        tokio::spawn(jobs::index(store.clone(), parts.index_every, stop.clone())),
    ]
}

async fn follow_tls(tls: Option<Arc<Tls>>, stop: CancellationToken) {
    if let Some(tls) = tls {
        tls.follow(stop).await;
    }
}

fn ledger(parts: &Parts, proofs: &Proofs, exporter: &Exporter, stop: &CancellationToken) -> Ledger {
    let mirror = parts.store.mirror();
    let evidence = Evidence {
        store: parts.store.clone(),
        proofs: proofs.clone(),
        mirror: mirror.map(|mirror| mirror.dir().to_owned()),
        turn: Arc::default(),
    };
    Ledger::new(
        evidence,
        parts.store.clone(),
        parts.clock.clone(),
        exporter.clone(),
        stop.clone(),
        &parts.limits,
    )
}

/// Every service of the API.
fn services<H: tonic_health::pb::health_server::Health>(
    parts: &Parts,
    health: tonic_health::pb::health_server::HealthServer<H>,
    stop: &CancellationToken,
) -> Services {
    let retention = parts.settings.retention;
    let intake = Intake::new(
        parts.store.clone(),
        Sealer::new(parts.keys.clone()),
        parts.clock.clone(),
        parts.notices.clone(),
        parts.settings.clone(),
    );
    let crm = Crm::new(
        parts.store.clone(),
        Unsealer::new(parts.keys.clone()),
        parts.clock.clone(),
        stop.clone(),
        retention,
        &parts.limits,
    );
    let exporter = Exporter {
        notices: parts.notices.clone(),
        controller: parts.settings.controller.clone(),
        retention,
    };
    let proofs = Proofs::new(parts.prover.clone());
    let ledger = ledger(parts, &proofs, &exporter, stop);
    let privacy = Privacy::new(
        parts.store.clone(),
        Receipts::new(parts.store.clone(), proofs, parts.settings.erasure),
        parts.keys.clone(),
        parts.clock.clone(),
        exporter,
        parts.settings.region,
    );
    let ours = Ours {
        intake: IntakeServiceServer::new(intake).max_decoding_message_size(INTAKE_MESSAGE_MAX),
        crm: CrmServiceServer::new(crm)
            .max_decoding_message_size(MESSAGE_MAX)
            .max_encoding_message_size(ANSWER_MAX),
        privacy: PrivacyServiceServer::new(privacy)
            .max_decoding_message_size(MESSAGE_MAX)
            .max_encoding_message_size(EXPORT_MAX),
        ledger: LedgerServiceServer::new(ledger).max_decoding_message_size(MESSAGE_MAX),
    };
    let mut others = Routes::default().add_service(health);
    if parts.reflection {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // The same bytes decoded when the server was bound. Older clients, Python's among them, ask for v1alpha.
        if let (Ok(v1), Ok(v1alpha)) = (reflection().build_v1(), reflection().build_v1alpha()) {
            others = others.add_service(v1).add_service(v1alpha);
        }
    }
    Services::new(ours, others)
}
