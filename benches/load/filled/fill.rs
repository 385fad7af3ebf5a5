//! Leads until there are so many, as fast as the server takes them.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::task::JoinSet;

use super::{
    super::{
        client::notice_version,
        database,
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
/// Sent on a connection before the next one: the server ends those that are half an hour old.
const CALLS_OF_CONNECTION: u64 = 100_000;

/// Fills the store, and waits until what server and database put off is done.
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
        let share = missing / CONNECTIONS + u64::from(place < missing % CONNECTIONS);
        let caller = Caller {
            address: server.address,
            token: server.token.clone(),
            version: version.clone(),
            keys,
        };
        callers.spawn(caller.submit(share));
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
    if let Some(url) = server.database_url() {
        database::settle(url).await?;
    }
    Ok(())
}

struct Caller {
    address: SocketAddr,
    token: String,
    version: Arc<str>,
    keys: Keys,
}

impl Caller {
    async fn submit(self, mut left: u64) -> anyhow::Result<()> {
        while left > 0 {
            let count = left.min(CALLS_OF_CONNECTION);
            let wire = Wire::connect(self.address, &self.token).await?;
            self.submit_on(wire, count).await?;
            left -= count;
        }
        Ok(())
    }

    async fn submit_on(&self, mut wire: Wire, count: u64) -> anyhow::Result<()> {
        let mut sent = 0;
        let mut is_refused = false;
        while sent < count || wire.in_flight() > 0 {
            while sent < count && wire.in_flight() < CALLS && wire.is_free() {
                wire.call(&form(&self.version, self.keys)?, Instant::now())?;
                sent += 1;
            }
            wire.flush()?;
            wire.ready().await?;
            wire.read(|call| is_refused |= !call.is_accepted)?;
            ensure!(!is_refused, "a submission was refused");
        }
        Ok(())
    }
}
