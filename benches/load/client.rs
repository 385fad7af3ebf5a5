//! The callers: a fixed number of calls in flight, each with a form of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use lead_intake::{
    pb::{self, intake_service_client::IntakeServiceClient},
    seal::random,
};
use tokio::{task::JoinSet, time::sleep_until};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use super::server::{Server, Used};

/// How much to ask of a server.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: u16,
    /// Calls in flight on each connection.
    pub(crate) calls: u16,
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

/// Distinguishes the forms of this process: each has an e-mail and a phone of its own.
static FORMS: AtomicU64 = AtomicU64::new(0);

pub(crate) async fn run(server: &Server, load: Load) -> anyhow::Result<Outcome> {
    let token: MetadataValue<Ascii> = format!("Bearer {}", server.token).parse()?;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address))?;
    let mut channels = Vec::new();
    for _ in 0..load.connections {
        channels.push(endpoint.connect().await?);
    }
    let first = channels.first().context("no connection")?;
    let version = notice_version(first.clone(), &token).await?;
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

/// The version that a form must name today.
async fn notice_version(
    channel: Channel,
    token: &MetadataValue<Ascii>,
) -> anyhow::Result<Arc<str>> {
    let mut request = Request::new(pb::GetPrivacyNoticeRequest::default());
    request
        .metadata_mut()
        .insert("authorization", token.clone());
    let notice = IntakeServiceClient::new(channel)
        .get_privacy_notice(request)
        .await?;
    Ok(notice.into_inner().version.into())
}

/// One caller: one call after the other until the end, or until one fails.
async fn call(
    channel: Channel,
    token: MetadataValue<Ascii>,
    version: Arc<str>,
    window: Window,
) -> anyhow::Result<(Histogram<u64>, Option<String>)> {
    let mut client = IntakeServiceClient::new(channel);
    let mut latencies = Histogram::new(3)?;
    loop {
        let mut request = Request::new(form(&version)?);
        request
            .metadata_mut()
            .insert("authorization", token.clone());
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

/// A form that no other is like, of an ordinary size.
fn form(version: &str) -> anyhow::Result<pb::SubmitLeadRequest> {
    let number = FORMS.fetch_add(1, Ordering::Relaxed);
    Ok(pb::SubmitLeadRequest {
        request_id: Uuid::from_bytes(random()?).to_string(),
        name: "Kari Nordmann".to_owned(),
        company: "Nordmann Bakeri AS".to_owned(),
        // Norwegian mobile numbers: 9 and seven digits. Ten million are enough for any one database.
        phone: format!("+47{:08}", 90_000_000 + number % 10_000_000),
        email: format!("kari.nordmann.{number}@example.no"),
        lawful_basis: pb::LawfulBasis::PreContract.into(),
        consent: false,
        notice_version: version.to_owned(),
    })
}
