//! `check` and `healthcheck`: is everything as it should be?

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    Verdict, connect, print,
    progress::{Unit, watching},
    say, setup,
    tls::TlsArgs,
};
use crate::{
    clock::{Clock as _, SystemClock},
    config::{Config, ConfigArgs},
    domain::notice::{Language, NoticeRegistry, lint},
    ledger::Progress,
    store::SharedStore,
};

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub(super) struct HealthArgs {
    /// Where the service listens
    #[arg(
        long,
        env = "LEAD_INTAKE_URL",
        default_value = "http://127.0.0.1:50051"
    )]
    url: String,
    #[command(flatten)]
    tls: TlsArgs,
}

/// How long the service may take to answer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn health(args: &HealthArgs) -> anyhow::Result<Verdict> {
    let endpoint = args
        .tls
        .endpoint(&args.url)?
        .connect_timeout(HEALTH_TIMEOUT)
        .timeout(HEALTH_TIMEOUT);
    let channel = endpoint
        .connect()
        .await
        .map_err(|_| connect::unreachable(&args.url))?;
    let answer = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await
        .map_err(|_| connect::another(&args.url))?;
    let serving = answer.into_inner().status() == ServingStatus::Serving;
    print(if serving { "serving" } else { "not serving" })?;
    Ok(if serving { Verdict::Yes } else { Verdict::No })
}

pub(super) async fn run(args: &ConfigArgs) -> anyhow::Result<Verdict> {
    let config = setup::config(args)?;
    say("configuration: ok");
    let notices = setup::notices(&config)?;
    anyhow::ensure!(
        config.data_dir.join("keys.toml").exists(),
        "{}/keys.toml is missing: start the service once, or put the key ring back",
        config.data_dir.display()
    );
    let store = setup::open(&config, false).await?;
    store.ping().await?;
    say("database: ok");
    let is_newest = keys(&config, &store).await?;
    setup::check_recipients(&*store, &notices).await?;
    say("recipients: ok, none that the privacy notice does not allow");
    let is_intact = ledger(&config, &store).await?;
    store.close().await;
    let is_complete = notices_told(&notices)?;
    Ok(if is_newest && is_intact && is_complete {
        Verdict::Yes
    } else {
        Verdict::No
    })
}

/// Whether the keys here are those of the database, and the newest.
async fn keys(config: &Config, store: &SharedStore) -> anyhow::Result<bool> {
    let (keys, _) = setup::key_ring(config, store).await?;
    let own = keys.current().facts().generation;
    let newest = store.ring_state().await?.generation;
    say("key ring: ok, and that of this database");
    if own < newest {
        print(&format!(
            "key ring: not the newest (generation {own} of {newest}): copy that one here"
        ))?;
    }
    if config.data_dir.join(setup::SIGNING_KEY).exists() || store.has_signing_key().await? {
        setup::signing_key(config, store).await?;
        say("signing key: ok, and that of this database");
    } else {
        say("signing key: none yet, the service makes it when it starts");
    }
    Ok(own >= newest)
}

/// Whether the ledger holds, and is what its mirror and its last checkpoint say.
async fn ledger(config: &Config, store: &SharedStore) -> anyhow::Result<bool> {
    let against = setup::against(config, store)?;
    let progress = Arc::new(Progress::default());
    let look = || {
        let number = |it| u64::try_from(it).unwrap_or(0);
        let (checked, total) = progress.reached()?;
        Some((number(checked), number(total)))
    };
    let verifying = store.verify(&against, &progress);
    let found = watching("verifying the ledger", Unit::Entries, look, verifying).await?;
    let state = found
        .fault
        .map_or("intact".to_owned(), |(fault, sequence)| {
            format!("NOT INTACT: {fault:?} at entry {sequence}")
        });
    say(&format!(
        "ledger: {state} ({} entries, {} of them in the mirror)",
        found.entries_checked, found.entries_mirrored
    ));
    Ok(found.fault.is_none())
}

/// Tells what each notice leaves out; gives whether the one in force leaves out nothing.
fn notices_told(notices: &NoticeRegistry) -> anyhow::Result<bool> {
    let today = SystemClock.now().to_zoned(TimeZone::UTC).date();
    let current = notices.current(today);
    let mut gaps_now = 0;
    for version in notices.versions() {
        let Some(notice) = notices.get(version.as_str(), Language::En) else {
            continue;
        };
        let gaps = lint(&notice.facts, Language::En);
        for gap in &gaps {
            print(&format!(
                "notice {version}: Art. {}: {}",
                gap.paragraph, gap.text
            ))?;
        }
        // Leads of a superseded notice may still be held: what it left out is told, and no fault of today.
        let standing = if current == Some(version) {
            gaps_now = gaps.len();
            "in force"
        } else {
            "not in force"
        };
        let count = gaps.len();
        say(&format!(
            "notice {version} ({standing}): {count} gap(s) against Art. 13"
        ));
    }
    Ok(gaps_now == 0)
}
