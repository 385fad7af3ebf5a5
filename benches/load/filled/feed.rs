//! The whole feed, as a stream and in pages.

use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;
use lead_intake::pb::{self, crm_service_client::CrmServiceClient};
use tokio::time::interval;

use super::{
    super::{
        client::{bearer, connect, request},
        cpu,
        figures::{Column, LATENCY_MAX, mib},
        report::float,
        server::Server,
    },
    People, micros,
};

/// Between two looks at the server's memory.
const LOOK: Duration = Duration::from_millis(10);
/// Pages that are pulled at most.
const PAGES_MAX: usize = 1000;

/// A client that has never read reads all, and all once more; another one reads in pages. Gives the cursor of the end.
pub(super) async fn measure(
    server: &Server,
    people: &People,
    size: &mut Column,
) -> anyhow::Result<String> {
    let token = server
        .client(&format!("crm-{}", people.count()), "crm")
        .await?;
    // What is delivered for the first time is recorded.
    stream(server, &token, people, "feed", size).await?;
    stream(server, &token, people, "feed again", size).await?;
    let token = server
        .client(&format!("pull-{}", people.count()), "crm")
        .await?;
    for page in [100, 1000] {
        pull(server, &token, page, size).await?;
    }
    let token = server.token_of("crm")?;
    end(server, &token).await
}

async fn stream(
    server: &Server,
    token: &str,
    people: &People,
    name: &str,
    size: &mut Column,
) -> anyhow::Result<()> {
    let mut client = CrmServiceClient::new(connect(server).await?);
    let (before, own) = (server.used().await?, cpu::times(std::process::id())?.own);
    let memory = server.memory()?;
    let begun = Instant::now();
    let asked = request(pb::StreamLeadsRequest::default(), &bearer(token)?);
    let mut messages = client.stream_leads(asked).await?.into_inner();
    let (mut leads, mut peak) = (0, memory);
    let mut look = interval(LOOK);
    loop {
        tokio::select! {
            message = messages.message() => match message? {
                Some(message) => leads += u64::try_from(message.changes.len())?,
                None => break,
            },
            _ = look.tick() => peak = peak.max(server.memory()?),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let used = server.used().await?.since(before);
    let own = cpu::times(std::process::id())?.own.saturating_sub(own);
    ensure!(
        leads == people.here(),
        "the feed had {leads} leads of {}",
        people.here()
    );
    let each = |used: Duration| used.as_secs_f64() * 1e6 / float(leads);
    size.add(format!("{name}, leads/s"), float(leads) / seconds, 0);
    size.add(format!("{name}, server CPU µs/lead"), each(used.server), 1);
    if let Some(database) = used.database {
        size.add(format!("{name}, PostgreSQL CPU µs/lead"), each(database), 1);
    }
    size.add(format!("{name}, reader CPU µs/lead"), each(own), 1);
    let added = mib(peak.saturating_sub(memory));
    size.add(format!("{name}, resident MiB added"), added, 1);
    Ok(())
}

/// Reads to the end as the client of this token; gives the cursor of the end.
async fn end(server: &Server, token: &str) -> anyhow::Result<String> {
    let mut client = CrmServiceClient::new(connect(server).await?);
    let asked = request(pb::StreamLeadsRequest::default(), &bearer(token)?);
    let mut messages = client.stream_leads(asked).await?.into_inner();
    let mut cursor = String::new();
    while let Some(message) = messages.message().await? {
        cursor = message.next_cursor;
    }
    Ok(cursor)
}

async fn pull(
    server: &Server,
    token: &str,
    page_size: i32,
    size: &mut Column,
) -> anyhow::Result<()> {
    let mut client = CrmServiceClient::new(connect(server).await?);
    let mut latencies = Histogram::new_with_max(LATENCY_MAX, 3)?;
    let (mut cursor, mut leads) = (String::new(), 0);
    let begun = Instant::now();
    for _ in 0..PAGES_MAX {
        let message = pb::PullLeadsRequest { cursor, page_size };
        let sent = Instant::now();
        let page = client.pull_leads(request(message, &bearer(token)?)).await?;
        latencies.saturating_record(micros(sent.elapsed()));
        let page = page.into_inner();
        leads += u64::try_from(page.changes.len())?;
        cursor = page.next_cursor;
        if !page.has_more {
            break;
        }
    }
    let per_second = float(leads) / begun.elapsed().as_secs_f64();
    size.add(format!("pages of {page_size}, leads/s"), per_second, 0);
    size.add_latencies(&format!("page of {page_size}"), &latencies);
    Ok(())
}
