//! `serve`: the service.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::anyhow;
use fd_lock::RwLock;
use metrics_exporter_prometheus::PrometheusHandle;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Verdict, say, setup};
use crate::{
    clock::{Clock as _, SystemClock},
    config::{Config, ConfigArgs, ListenArgs},
    domain::{
        contact::{Phone, Region},
        notice::NoticeRegistry,
        sweep::SWEEP_EVERY,
    },
    door::{self, Tls},
    jobs::INDEX_EVERY,
    ledger::prover::SharedProver,
    seal::LiveKeyRing,
    server::{Ended, Parts, Server},
    store::StoreUrl,
    telemetry,
};

/// How long the process may live when its database is not to be trusted: two seconds are the server's own.
const BROKEN_END_MAX: Duration = Duration::from_secs(4);

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    listen: ListenArgs,
}

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<Verdict> {
    let config = Config::load(&args.config, &args.listen)?;
    telemetry::start_logs(config.log_format);
    let metrics = telemetry::start_metrics();
    let traces = config.traces.as_ref();
    let traces = traces.map(|to| telemetry::traces::start(&to.endpoint, to.sample_ratio));
    let traces = traces.transpose()?;
    telemetry::show_start(SystemClock.now());
    let notices = setup::notices(&config)?;
    setup::data_dir(&config.data_dir)?;
    // One server for a SQLite file. The lock goes with the process, however that ends.
    let lock_path = config.data_dir.join("lock");
    let mut lock = RwLock::new(
        std::fs::File::create(&lock_path)
            .map_err(|error| setup::unwritable(&config.data_dir, error))?,
    );
    let _held = lock.try_write().map_err(|_| {
        anyhow!(
            "another lead-intake uses {}\n  stop that one, or give this one a directory of its own: --data-dir",
            config.data_dir.display()
        )
    })?;
    let (parts, made) = parts(&config, notices, metrics).await?;
    let (followed, tls) = (parts.keys.clone(), parts.tls.clone());
    let broken = parts.store.broken();
    let server = Server::bind(parts, config.listen, config.admin_listen).await?;
    let (api, admin) = server.addresses()?;
    // Before anybody hears that the service runs: a signal from then on must find it listening.
    let signals = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let hangup = signal(SignalKind::hangup())?;
    for line in made.iter().chain(&listening(&config, api, admin)) {
        say(line);
    }
    tracing::info!(%api, %admin, "listening");
    notify(NotifyState::Ready);
    tokio::spawn(exit_when_broken(broken));
    tokio::spawn(look_on_hangup(hangup, followed, tls));
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(signals, stop.clone()));
    if server.run(stop).await == Ended::Broken {
        // At once: to close the database would be to write to it.
        std::process::exit(1);
    }
    if let Some(traces) = traces {
        traces.stop().await;
    }
    tracing::info!("stopped");
    Ok(Verdict::Yes)
}

/// What the server is made of, and what of it the first run made.
async fn parts(
    config: &Config,
    notices: Arc<NoticeRegistry>,
    metrics: Option<PrometheusHandle>,
) -> anyhow::Result<(Parts, Vec<String>)> {
    let store = setup::open_to_serve(config).await?;
    let (keys, keys_are_new) = setup::key_ring(config, &store).await?;
    let (signer, signer_is_new) = setup::signing_key(config, &store).await?;
    let witness = setup::witness(&store, signer).await?;
    let tokens_are_new = setup::first_tokens(&*store, &config.data_dir).await?;
    let made = made(
        &config.data_dir,
        [keys_are_new, signer_is_new, tokens_are_new],
    );
    setup::check_recipients(&*store, &notices).await?;
    let tls = config.tls.clone().map(Tls::load).transpose()?;
    // The phone library's first use takes 8 ms: better now than in somebody's call.
    let _ = Phone::parse("40605600", Region::default());
    let parts = Parts {
        store,
        keys,
        prover: witness.as_ref().map(|it| it.prover() as SharedProver),
        witness,
        clock: Arc::new(SystemClock),
        notices,
        settings: config.settings.clone(),
        limits: config.limits.clone(),
        metrics,
        cors_origins: config.cors_origins.clone(),
        reflection: config.listen.ip().is_loopback(),
        sweep_every: SWEEP_EVERY,
        index_every: INDEX_EVERY,
        tls,
        certificates: config.certificates.clone(),
        connections: door::Limits {
            connections_max: door::connections(config.api_connections_max)?,
            ..door::Limits::default()
        },
        ending: config.ending,
    };
    Ok((parts, made))
}

/// What the first run made, for whoever must look after it.
fn made(dir: &Path, [keys, signer, tokens]: [bool; 3]) -> Vec<String> {
    let dir = dir.display();
    let lines = [
        keys.then(|| {
            format!("made {dir}/keys.toml: keep a copy apart from every copy of the database")
        }),
        signer.then(|| {
            format!(
                "made {dir}/checkpoint.key, which signs checkpoints; publish {dir}/checkpoint.pub, \
                 which verifies them"
            )
        }),
        tokens.then(|| {
            format!("made {dir}/tokens/{{intake,crm,privacy,auditor}}: one token for each role")
        }),
    ];
    lines.into_iter().flatten().collect()
}

/// Where everything is.
fn listening(config: &Config, api: SocketAddr, admin: SocketAddr) -> Vec<String> {
    let stores = match &config.database {
        StoreUrl::Sqlite(path) => Some(format!("stores leads in {}", path.display())),
        StoreUrl::Postgres(_) => None,
    };
    let addresses = format!("listening on {api} (API) and {admin} (metrics, probes)");
    stores
        .into_iter()
        .chain([addresses, next_command(config, api)])
        .collect()
}

/// Tells the service manager, if one has started this and asked to be told (systemd's `Type=notify`).
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// A command to try, which finds this service and its tokens.
fn next_command(config: &Config, api: SocketAddr) -> String {
    let mut line = vec![
        // Of nobody else's examples: whoever looks through a log for people must not find them here.
        "next: lead-intake submit --name \"Kim Eksempel\" --email kim.eksempel@example.no \
         --basis pre-contract"
            .to_owned(),
    ];
    if config.data_dir != Path::new("data") {
        line.push(format!("--data-dir '{}'", config.data_dir.display()));
    }
    if api != SocketAddr::from(([127, 0, 0, 1], 50051)) || config.tls.is_some() {
        let scheme = if config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        line.push(format!("--url {scheme}://{api}"));
    }
    line.join(" ")
}

/// SIGHUP has the key ring and the certificates read again, as any change of their files does within a second.
async fn look_on_hangup(mut hangup: Signal, keys: Arc<LiveKeyRing>, tls: Option<Arc<Tls>>) {
    while hangup.recv().await.is_some() {
        keys.look_again();
        if let Some(tls) = &tls {
            tls.look_again();
        }
    }
}

/// With a database that is not to be trusted the process ends, whatever still holds it.
async fn exit_when_broken(broken: CancellationToken) {
    broken.cancelled().await;
    tokio::time::sleep(BROKEN_END_MAX).await;
    std::process::exit(1);
}

/// The first signal stops gently, the second at once.
async fn stop_on_signal((mut terminate, mut interrupt): (Signal, Signal), stop: CancellationToken) {
    let mut next =
        async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
    next().await;
    tracing::info!("stopping: finishing what is under way");
    notify(NotifyState::Stopping);
    stop.cancel();
    next().await;
    std::process::exit(1);
}
