//! What runs beside the calls. The retention sweep and resealing join it with their issues.

mod duties;

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

pub use self::duties::{show_duties, tell_duties};
use crate::store::SharedStore;

/// How often the database is asked whether it still takes writes.
const CHECK: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const CHECK_MAX: Duration = Duration::from_secs(2);
/// How soon after an erasure what it leaves behind is removed, so that a run of them is one effort.
const CLEAN_UP: Duration = Duration::from_millis(100);

/// Keeps health and readiness in step with the database until `stopping`.
pub async fn watch_health(
    store: SharedStore,
    health: HealthReporter,
    ready: tokio::sync::watch::Sender<bool>,
    services: &'static [&'static str],
    stopping: CancellationToken,
) {
    let mut tick = tokio::time::interval(CHECK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let answers = tokio::select! {
            () = stopping.cancelled() => false,
            answers = async {
                tick.tick().await;
                matches!(tokio::time::timeout(CHECK_MAX, store.ping()).await, Ok(Ok(())))
            } => answers,
        };
        let changed = ready.send_if_modified(|known| std::mem::replace(known, answers) != answers);
        if changed {
            let status = if answers {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            for service in services.iter().chain([&""]) {
                health.set_service_status(*service, status).await;
            }
            if !answers && !stopping.is_cancelled() {
                tracing::error!("not serving: the database does not take writes");
            }
        }
        if stopping.is_cancelled() {
            return;
        }
    }
}

/// Removes what erasures leave in the database's log, soon after each.
pub async fn clean_up(store: SharedStore, stopping: CancellationToken) {
    let mut erasures = store.erasures();
    // What was erased just before the last stop may still be there.
    erasures.mark_changed();
    loop {
        let wake = async {
            erasures.changed().await?;
            tokio::time::sleep(CLEAN_UP).await;
            Ok::<(), tokio::sync::watch::error::RecvError>(())
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            woken = wake => if woken.is_err() { return },
        }
        // A reader may hold the log: the next round tries again.
        if !matches!(store.clean_up().await, Ok(true)) {
            erasures.mark_changed();
        }
    }
}
