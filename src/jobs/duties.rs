//! Shows on `/metrics` what is to be done: tombstones that CRM clients have not acknowledged (Art. 19), and
//! requests of people that are open or overdue (Art. 12(3)); and how each client stands. Labels are names of systems,
//! never input.

use std::time::Duration;

use jiff::Timestamp;
use metrics::gauge;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{SharedClock, unix_seconds},
    store::{Cleared, Duties, SharedStore, Standing, Store, StoreError},
    token::Role,
};

/// How often it is counted.
const COUNT: Duration = Duration::from_secs(15);

/// Counts what is to be done, and shows it, until `stopping`.
pub async fn tell_duties(store: SharedStore, clock: SharedClock, stopping: CancellationToken) {
    let mut tick = tokio::time::interval(COUNT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cleared = Cleared::default();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = tick.tick() => {}
        }
        let now = clock.now();
        // Stopping does not wait for it: it only reads.
        let counted = tokio::select! {
            () = stopping.cancelled() => return,
            counted = count(&*store, &mut cleared, now) => counted,
        };
        match counted {
            Ok((duties, standings)) => {
                show_duties(&duties, now);
                show_standings(&standings, now);
            }
            // The last counts stay; that the database does not answer is told by health.
            Err(error) => tracing::warn!(%error, "what is to be done was not counted"),
        }
    }
}

async fn count(
    store: &dyn Store,
    cleared: &mut Cleared,
    now: Timestamp,
) -> Result<(Duties, Vec<Standing>), StoreError> {
    Ok((
        store.duties(cleared, now).await?,
        store.standings(now).await?,
    ))
}

/// Sets the gauges of what is to be done.
pub fn show_duties(duties: &Duties, now: Timestamp) {
    for backlog in &duties.backlogs {
        let age = backlog.open_since.map_or(0.0, |since| {
            now.duration_since(since).as_secs_f64().max(0.0)
        });
        let client = backlog.client.clone();
        gauge!("lead_intake_tombstones_unacknowledged", "client" => client.clone())
            .set(number(backlog.unacknowledged));
        gauge!("lead_intake_tombstone_oldest_unacknowledged_seconds", "client" => client).set(age);
    }
    gauge!("lead_intake_requests_open").set(number(duties.requests.open));
    gauge!("lead_intake_requests_overdue").set(number(duties.requests.overdue));
}

/// Sets the gauges of the clients.
pub fn show_standings(standings: &[Standing], now: Timestamp) {
    for standing in standings {
        let client = || standing.client.clone();
        // A client that has no token any more is no alert: not a number is above nothing and below nothing.
        let until = standing.token_until.map_or(f64::NAN, unix_seconds);
        gauge!("lead_intake_token_expiry_timestamp_seconds", "client" => client()).set(until);
        let (behind, age) = standing.feed.map_or((0.0, 0.0), |feed| {
            let age = feed
                .waiting_since
                .map_or(0.0, |since| now.duration_since(since).as_secs_f64());
            (number(feed.behind), age.max(0.0))
        });
        if standing.role == Role::Crm {
            gauge!("lead_intake_feed_behind_entries", "client" => client()).set(behind);
            gauge!("lead_intake_feed_oldest_lead_seconds", "client" => client()).set(age);
        }
    }
}

/// A count as a metric: exact to four thousand million, far beyond what is counted.
fn number(count: i64) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}
