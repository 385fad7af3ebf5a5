//! Whether the service can do its work, for whoever asks: the database takes writes, and the key ring is not too old.

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    seal::LiveKeyRing,
    store::{SharedStore, StoreError},
};

/// How often the database is asked whether it still takes writes.
const CHECK: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const CHECK_MAX: Duration = Duration::from_secs(2);

/// Keeps health and readiness in step with the database until `stopping`.
pub async fn watch_health(
    store: SharedStore,
    keys: Arc<LiveKeyRing>,
    health: HealthReporter,
    ready: tokio::sync::watch::Sender<bool>,
    services: &'static [&'static str],
    stopping: CancellationToken,
) {
    let shown = metrics::gauge!("lead_intake_ready");
    shown.set(0.0);
    let full = metrics::gauge!("lead_intake_disk_full");
    full.set(0.0);
    let mut tick = tokio::time::interval(CHECK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut why = String::new();
        let answers = tokio::select! {
            () = stopping.cancelled() => false,
            answers = async {
                tick.tick().await;
                match tokio::time::timeout(CHECK_MAX, store.ping()).await {
                    Ok(Ok(())) => {
                        full.set(0.0);
                        true
                    }
                    Ok(Err(error)) => {
                        if matches!(error, StoreError::NoRoom(_)) {
                            full.set(1.0);
                        }
                        why = error.to_string();
                        false
                    }
                    Err(_) => {
                        "it does not answer".clone_into(&mut why);
                        false
                    }
                }
            } => answers,
        };
        // Another replica can do what this one cannot; the job that follows the key ring says why.
        let answers = answers && !keys.is_stale();
        let changed = ready.send_if_modified(|known| std::mem::replace(known, answers) != answers);
        if changed {
            shown.set(f64::from(u8::from(answers)));
            let status = if answers {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            for service in services.iter().chain([&""]) {
                health.set_service_status(*service, status).await;
            }
            if !answers && !stopping.is_cancelled() {
                tracing::error!(
                    %why,
                    "not serving: the database or the ledger's mirror does not take writes, or the key ring is too old"
                );
            }
        }
        if stopping.is_cancelled() {
            return;
        }
    }
}
