//! From a form to an open follower of the feed, while nothing else happens.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use lead_intake::pb::{
    self, crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
};
use tokio::time::sleep;
use tonic::{Streaming, transport::Channel};

use super::{
    super::{
        Subject,
        client::{bearer, connect, notice_version, request},
        figures::{Column, LATENCY_MAX},
        form::{Keys, form},
        server::Server,
    },
    People, micros,
};

const FORMS: u64 = 300;
/// From one form to the next: a prime, so that they meet the server's timers at every point of theirs.
const PAUSE: Duration = Duration::from_millis(23);

/// Follows at the server that takes the forms and, if there can be one, at another replica.
pub(super) async fn measure(
    server: &Server,
    subject: &Subject,
    end: &str,
    people: &mut People,
    size: &mut Column,
) -> anyhow::Result<()> {
    let here = follow(server, server, end).await?;
    size.add_latencies("form to follower", &here);
    if subject.postgres().is_some() {
        let replica = server.replica().await?;
        let there = follow(server, &replica, end).await?;
        size.add_latencies("form to follower at another replica", &there);
        replica.stop().await?;
    }
    people.grow();
    Ok(())
}

async fn follow(intake: &Server, crm: &Server, end: &str) -> anyhow::Result<Histogram<u64>> {
    let mut website = IntakeServiceClient::new(connect(intake).await?);
    let version = notice_version(intake).await?;
    let mut messages = open(crm, &intake.token_of("crm")?, end).await?;
    let mut latencies = Histogram::new_with_max(LATENCY_MAX, 3)?;
    // The first one ends what came since: erasures, and forms of an earlier follower.
    let id = submit(&mut website, intake, &version).await?;
    heard(&mut messages, &id).await?;
    for _ in 0..FORMS {
        sleep(PAUSE).await;
        let sent = Instant::now();
        // Who follows may hear of it before who submits.
        let (id, (first, at)) =
            tokio::try_join!(submit(&mut website, intake, &version), next(&mut messages))?;
        ensure!(first == id, "another lead than the one submitted");
        latencies.saturating_record(micros(at - sent));
    }
    Ok(latencies)
}

async fn open(
    server: &Server,
    token: &str,
    cursor: &str,
) -> anyhow::Result<Streaming<pb::StreamLeadsResponse>> {
    let mut client = CrmServiceClient::new(connect(server).await?);
    let asked = pb::StreamLeadsRequest {
        cursor: cursor.to_owned(),
        follow: true,
    };
    let stream = client.stream_leads(request(asked, &bearer(token)?)).await?;
    Ok(stream.into_inner())
}

async fn submit(
    website: &mut IntakeServiceClient<Channel>,
    server: &Server,
    version: &Arc<str>,
) -> anyhow::Result<String> {
    let form = request(form(version, Keys::V4)?, &bearer(&server.token)?);
    Ok(website.submit_lead(form).await?.into_inner().lead_id)
}

/// The lead of the next message, and when it came.
async fn next(
    messages: &mut Streaming<pb::StreamLeadsResponse>,
) -> anyhow::Result<(String, Instant)> {
    loop {
        let message = messages.message().await?.context("the stream ended")?;
        // One without changes is a heartbeat.
        if let Some(change) = message.changes.into_iter().next() {
            return Ok((change.lead_id, Instant::now()));
        }
    }
}

/// Reads on to the message whose last change is of this lead.
async fn heard(messages: &mut Streaming<pb::StreamLeadsResponse>, id: &str) -> anyhow::Result<()> {
    loop {
        let message = messages.message().await?.context("the stream ended")?;
        if message.changes.iter().any(|change| change.lead_id == id) {
            return Ok(());
        }
    }
}
