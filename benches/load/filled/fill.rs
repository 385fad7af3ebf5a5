//! Leads until there are so many, as fast as the server takes them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::task::JoinSet;

use super::{
    super::{
        client::notice_version,
        figures::Column,
        form::{Keys, form},
        report::float,
        server::Server,
        wire::Wire,
    },
    People, idle,
};

const CONNECTIONS: u64 = 8;
/// In flight on each connection.
const CALLS: usize = 32;

/// Fills the store, and waits until what the server puts off is done.
pub(super) async fn fill(
    server: &Server,
    leads: u64,
    people: &mut People,
    keys: Keys,
    size: &mut Column,
) -> anyhow::Result<()> {
    let missing = leads.saturating_sub(people.count());
    let version = notice_version(server).await?;
    let before = Instant::now();
    let mut callers = JoinSet::new();
    for place in 0..CONNECTIONS {
        let wire = Wire::connect(server.address, &server.token).await?;
        let share = missing / CONNECTIONS + u64::from(place < missing % CONNECTIONS);
        callers.spawn(submit(wire, share, version.clone(), keys));
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    let seconds = before.elapsed().as_secs_f64();
    people.grow();
    size.add("submissions, leads/s", float(missing) / seconds, 0);
    let before = Instant::now();
    idle(server).await?;
    let rest = before.elapsed().saturating_sub(Duration::from_millis(500));
    size.add("idle after it, s", rest.as_secs_f64(), 1);
    Ok(())
}

async fn submit(
    mut wire: Wire,
    share: u64,
    version: std::sync::Arc<str>,
    keys: Keys,
) -> anyhow::Result<()> {
    let mut sent = 0;
    let mut is_refused = false;
    while sent < share || wire.in_flight() > 0 {
        while sent < share && wire.in_flight() < CALLS && wire.is_free() {
            wire.call(&form(&version, keys)?, Instant::now())?;
            sent += 1;
        }
        wire.flush()?;
        wire.ready().await?;
        wire.read(|call| is_refused |= !call.is_accepted)?;
        ensure!(!is_refused, "a submission was refused");
    }
    Ok(())
}
