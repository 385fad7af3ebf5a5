//! What costs a server that holds it and does nothing with it: `--held N`.
//!
//! One caller submits, one form after the other: by itself, beside a client that asks for a thousand streams of the feed
//! and reads none of them, and beside N connections that are idle.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use lead_intake::{cli::say, rpc::limits};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use super::{
    Options, Subject, WARM_UP,
    client::{self, Load},
    figures::{Column, Sheet, mib},
    form::Keys,
    home::Limits,
    report::{float, quantile_ms},
    server::Server,
    wire::{
        DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PREFACE, SETTINGS,
        WINDOW_UPDATE, Wire, frame, head,
    },
};

/// Connections beside those that are held.
const SPARE: usize = 100;
/// Streams that one client asks for, on so many connections.
const STREAMS: u32 = 1000;
const STREAM_CONNECTIONS: u32 = 10;
/// RFC 9113, section 6.9.1: the largest window.
const WINDOW_MAX: u32 = (1 << 31) - 1;
/// The feed that they could read comes by so much of a load.
const FILL: Duration = Duration::from_secs(3);
/// How long what is held is left alone, until all that it takes is taken. Shorter than any deadline that ends it.
const SETTLE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

pub(crate) async fn run(subject: &Subject, options: &Options, idle: u16) -> anyhow::Result<Sheet> {
    raise_descriptors();
    let limits = Limits::AnyRate {
        connections_max: usize::from(idle) + SPARE,
    };
    let server = Server::start(subject, limits).await?;
    let crowd = Load {
        connections: 8,
        calls: 16,
        keys: Keys::V4,
        warm_up: WARM_UP,
        duration: FILL,
    };
    client::run(&server, crowd).await?;
    let bench = Bench { options, server };
    let mut columns = Vec::new();

    say(&format!("{}: by itself", subject.name()));
    columns.push(bench.column("alone", 0, bench.server.memory()?).await?);

    say(&format!("{}: {STREAMS} streams", subject.name()));
    let before = bench.server.memory()?;
    let streams = bench.streams().await?;
    let name = format!("{STREAMS} streams, unread");
    columns.push(bench.column(name, STREAMS.into(), before).await?);
    bench.check_refused().await?;
    drop(streams);

    say(&format!("{}: {idle} connections", subject.name()));
    let before = bench.server.memory()?;
    let mut connections = bench.idle(idle).await?;
    let name = format!("{idle} connections, idle");
    columns.push(bench.column(name, idle.into(), before).await?);
    ensure!(
        connections.try_join_next().is_none(),
        "an idle connection ended"
    );
    drop(connections);

    bench.server.stop().await?;
    Ok(Sheet {
        subject: subject.name(),
        columns,
    })
}

/// As many as this process may have.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it may not, connecting says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

struct Bench<'a> {
    options: &'a Options,
    server: Server,
}

impl Bench<'_> {
    /// What the server does for one caller, and what it has come to hold for so many since `before`.
    async fn column(
        &self,
        condition: impl Into<String>,
        held: u64,
        before: u64,
    ) -> anyhow::Result<Column> {
        let mut peak = self.server.memory()?;
        let settled = Instant::now() + SETTLE;
        while Instant::now() < settled {
            sleep(LOOK).await;
            peak = peak.max(self.server.memory()?);
        }
        let added = peak.saturating_sub(before);
        let each = if held == 0 {
            0.0
        } else {
            float(added) / 1024.0 / float(held)
        };
        let alone = Load {
            connections: 1,
            calls: 1,
            keys: Keys::V4,
            warm_up: WARM_UP,
            duration: Duration::from_secs(self.options.seconds),
        };
        let outcome = client::run(&self.server, alone).await?;
        ensure!(outcome.errors == 0, "a submission failed");
        let mut column = Column::new(condition);
        column.add("SubmitLead, p50 ms", quantile_ms(&outcome, 0.5), 2);
        column.add("SubmitLead, p99 ms", quantile_ms(&outcome, 0.99), 2);
        column.add("resident, MiB", mib(peak), 1);
        column.add("added, MiB", mib(added), 1);
        column.add("added for each, KiB", each, 1);
        Ok(column)
    }

    /// Connections on which somebody asks for streams, takes any amount of them, and reads nothing.
    async fn streams(&self) -> anyhow::Result<Vec<TcpStream>> {
        let address = self.server.address;
        let method = "/leadintake.v1.CrmService/StreamLeads";
        let head = head(&address.to_string(), method, &self.server.token_of("crm")?)?;
        let mut hello = PREFACE.to_vec();
        let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
        setting.extend(WINDOW_MAX.to_be_bytes());
        frame(&mut hello, SETTINGS, 0, 0, &setting)?;
        let more = WINDOW_MAX - 65_535;
        frame(&mut hello, WINDOW_UPDATE, 0, 0, &more.to_be_bytes())?;
        for number in 0..STREAMS / STREAM_CONNECTIONS {
            let stream = 2 * number + 1;
            frame(&mut hello, HEADERS, END_HEADERS, stream, &head)?;
            // A message of no bytes, not compressed.
            frame(&mut hello, DATA, END_STREAM, stream, &[0; 5])?;
        }
        let mut connections = Vec::new();
        for _ in 0..STREAM_CONNECTIONS {
            let mut connection = TcpStream::connect(address).await?;
            connection.write_all(&hello).await?;
            connections.push(connection);
        }
        Ok(connections)
    }

    /// The streams were asked for, and all but what one client may have were refused.
    async fn check_refused(&self) -> anyhow::Result<()> {
        let allowed = u64::try_from(limits::Limits::default().client_streams_max)?;
        let refusals = self.server.refusals().await?;
        let refused = refusals.get("CLIENT_STREAMS_MAX").copied();
        let expected = u64::from(STREAMS) - allowed;
        ensure!(
            refused == Some(expected),
            "{refused:?} streams were refused"
        );
        Ok(())
    }

    /// Connections that answer what HTTP/2 asks of them, and call nothing.
    async fn idle(&self, count: u16) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
        let mut connections = JoinSet::new();
        for _ in 0..count {
            let wire = Wire::connect(self.server.address, &self.server.token).await;
            let wire = wire.context("more descriptors are needed: ulimit -n")?;
            let _: AbortHandle = connections.spawn(hold(wire));
        }
        Ok(connections)
    }
}

async fn hold(mut wire: Wire) -> anyhow::Result<()> {
    loop {
        wire.ready().await?;
        wire.read(|_| {})?;
        wire.flush()?;
    }
}
