//! What one client that calls far beyond what it may costs the others: `--neighbour` (the noisy neighbour).
//!
//! The others call at half of what each may, in an open loop: first by themselves, then beside one that calls ten times as
//! often as it may. The limits are those of an installation.

use std::time::Duration;

use anyhow::Context as _;
use lead_intake::{cli::say, rpc::limits};

use super::{
    Options, Subject, WARM_UP,
    home::Limits,
    open::{Arrivals, CONNECTIONS_OF_CLIENT, Crowd, Outcome, Phase},
    overload::{Run, Step},
    server::Server,
};

/// So many times as often as it may.
const BEYOND: u64 = 10;

pub(crate) async fn run(subject: &Subject, options: &Options) -> anyhow::Result<Run> {
    say(&format!("{}: a noisy neighbour", subject.name()));
    let server = Server::start(subject, Limits::Usual).await?;
    let all = options.open_connections();
    let mut tokens = server.clients(all.div_ceil(CONNECTIONS_OF_CLIENT)).await?;
    let loud = tokens.pop().context("one client has no neighbour")?;
    let allowed = limits::Limits::default().client_rate.context("no limit")?;
    let others_rate = u64::from(allowed.steady) / 2 * u64::try_from(tokens.len())?;
    let loud_rate = u64::from(allowed.steady) * BEYOND;
    let connections = all.saturating_sub(CONNECTIONS_OF_CLIENT);
    let mut others = Crowd::of(&server, connections, &tokens).await?;
    let mut loud = Crowd::of(&server, CONNECTIONS_OF_CLIENT, &[loud]).await?;

    let phase = |rate, duration| Phase {
        arrivals: Arrivals::Open { rate },
        keys: options.keys,
        duration,
        normal: None,
    };
    let duration = Duration::from_secs(options.seconds);
    others.run(&server, phase(others_rate, WARM_UP)).await?;
    let alone = others.run(&server, phase(others_rate, duration)).await?;
    let (beside, noise) = tokio::try_join!(
        others.run(&server, phase(others_rate, duration)),
        loud.run(&server, phase(loud_rate, duration)),
    )?;
    server.stop().await?;
    let count = tokens.len();
    Ok(Run {
        subject: subject.name(),
        steps: vec![
            step(format!("{count} clients"), others_rate, alone),
            step(format!("{count} beside one"), others_rate, beside),
            step("the one".to_owned(), loud_rate, noise),
        ],
        recovery: None,
    })
}

fn step(name: String, rate: u64, outcome: Outcome) -> Step {
    Step {
        name,
        rate: Some(rate),
        outcome,
        reasons: std::collections::BTreeMap::new(),
    }
}
