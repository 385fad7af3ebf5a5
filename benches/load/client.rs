//! The callers: a fixed number of calls in flight, each with a form of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    form::{Keys, form},
    server::{Server, Used},
};
use hdrhistogram::Histogram;
use lead_intake::pb::{self, intake_service_client::IntakeServiceClient};
use tokio::{task::JoinSet, time::sleep_until};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

/// How much to ask of a server.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: u16,
    /// Calls in flight on each connection.
    pub(crate) calls: u16,
    pub(crate) keys: Keys,
    pub(crate) warm_up: Duration,
    /// After the warm-up.
    pub(crate) duration: Duration,
}

/// What came of it.
pub(crate) struct Outcome {
    /// Of each call that was answered within the duration, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) duration: Duration,
    pub(crate) used: Used,
    /// Calls that failed, in the warm-up too.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
}

/// When calls count.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

pub(crate) async fn run(server: &Server, load: Load) -> anyhow::Result<Outcome> {
    let token = bearer(&server.token)?;
    let version = notice_version(server).await?;
    let mut channels = Vec::new();
    for _ in 0..load.connections {
        channels.push(connect(server).await?);
    }
    let start = Instant::now() + load.warm_up;
    let window = Window {
        start,
        end: start + load.duration,
    };
    let mut callers = JoinSet::new();
    for channel in &channels {
        for _ in 0..load.calls {
            callers.spawn(call(
                channel.clone(),
                token.clone(),
                version.clone(),
                load.keys,
                window,
            ));
        }
    }
    sleep_until(window.start.into()).await;
    let before = server.used().await?;
    sleep_until(window.end.into()).await;
    let after = server.used().await?;
    let mut outcome = Outcome {
        latencies: Histogram::new(3)?,
        duration: load.duration,
        used: after.since(before),
        errors: 0,
        first_error: None,
    };
    while let Some(done) = callers.join_next().await {
        let (latencies, error) = done??;
        outcome.latencies.add(&latencies)?;
        outcome.errors += u64::from(error.is_some());
        outcome.first_error = outcome.first_error.or(error);
    }
    Ok(outcome)
}

pub(crate) fn bearer(token: &str) -> anyhow::Result<MetadataValue<Ascii>> {
    Ok(format!("Bearer {token}").parse()?)
}

pub(crate) async fn connect(server: &Server) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address))?;
    Ok(endpoint.connect().await?)
}

/// A message of who has this token.
pub(crate) fn request<T>(message: T, token: &MetadataValue<Ascii>) -> Request<T> {
    let mut request = Request::new(message);
    let headers = request.metadata_mut();
    headers.insert("authorization", token.clone());
    request
}

/// The version that a form must name today.
pub(crate) async fn notice_version(server: &Server) -> anyhow::Result<Arc<str>> {
    let asked = pb::GetPrivacyNoticeRequest::default();
    let notice = IntakeServiceClient::new(connect(server).await?)
        .get_privacy_notice(request(asked, &bearer(&server.token)?))
        .await?;
    Ok(notice.into_inner().version.into())
}

/// One caller: one call after the other until the end, or until one fails.
async fn call(
    channel: Channel,
    token: MetadataValue<Ascii>,
    version: Arc<str>,
    keys: Keys,
    window: Window,
) -> anyhow::Result<(Histogram<u64>, Option<String>)> {
    let mut client = IntakeServiceClient::new(channel);
    let mut latencies = Histogram::new(3)?;
    loop {
        let request = request(form(&version, keys)?, &token);
        let sent = Instant::now();
        if sent >= window.end {
            return Ok((latencies, None));
        }
        let answer = client.submit_lead(request).await;
        let answered = Instant::now();
        if let Err(status) = answer {
            let error = format!("{:?}: {}", status.code(), status.message());
            return Ok((latencies, Some(error)));
        }
        if answered >= window.start && answered < window.end {
            let nanos = u64::try_from((answered - sent).as_nanos())?;
            latencies.record(nanos.max(1))?;
        }
    }
}
