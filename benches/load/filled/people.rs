//! What people ask for, one request after the other and each of somebody else, who has one lead; then erasures of a
//! caller that has many in flight.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use lead_intake::{
    pb::{self, privacy_service_client::PrivacyServiceClient},
    seal::random,
};
use tokio::task::JoinSet;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use uuid::Builder;

use super::{
    super::{
        client::{bearer, connect, request},
        figures::{Column, LATENCY_MAX},
        form::{email, forms},
        report::float,
        server::Server,
    },
    micros,
};

/// Requests of each kind, unless there are fewer people.
const REQUESTS: u64 = 1000;
/// Erasures in flight, of the caller that has many.
const ERASURES: u64 = 32;
/// A prime: from one person to the next, so that neighbours in time are not asked for one after the other.
const STRIDE: u64 = 1_000_003;

/// Who sent the forms of one store.
pub(super) struct People {
    /// The numbers of their forms.
    first: u64,
    end: u64,
    erased: HashSet<u64>,
    /// How many were ever picked.
    picked: u64,
}

/// Who calls.
#[derive(Clone)]
struct Caller {
    client: PrivacyServiceClient<Channel>,
    token: MetadataValue<Ascii>,
}

impl People {
    /// Nobody yet: whoever sends a form from now on.
    pub(super) fn of_now() -> Self {
        Self {
            first: forms(),
            end: forms(),
            erased: HashSet::new(),
            picked: 0,
        }
    }

    /// Takes in who has sent a form meanwhile.
    pub(super) fn grow(&mut self) {
        self.end = forms();
    }

    /// All that there ever were.
    pub(super) fn count(&self) -> u64 {
        self.end - self.first
    }

    /// Those whose leads are there.
    pub(super) fn here(&self) -> u64 {
        self.count() - u64::try_from(self.erased.len()).unwrap_or(u64::MAX)
    }

    /// Somebody whose lead is there.
    fn pick(&mut self) -> u64 {
        loop {
            self.picked += 1;
            let number = self.first + self.picked * STRIDE % self.count();
            if !self.erased.contains(&number) {
                return number;
            }
        }
    }

    pub(super) async fn measure(
        &mut self,
        server: &Server,
        size: &mut Column,
    ) -> anyhow::Result<()> {
        let mut caller = Caller {
            client: PrivacyServiceClient::new(connect(server).await?),
            token: bearer(&server.token_of("privacy")?)?,
        };
        let requests = REQUESTS.min(self.here() / 4);
        let mut finding = Histogram::new_with_max(LATENCY_MAX, 3)?;
        let mut exporting = finding.clone();
        let mut erasing = finding.clone();
        for _ in 0..requests {
            let number = self.pick();
            finding.saturating_record(micros(caller.find(number).await?));
        }
        for _ in 0..requests {
            let number = self.pick();
            exporting.saturating_record(micros(caller.export(number).await?));
        }
        let begun = Instant::now();
        for _ in 0..requests {
            let number = self.pick();
            self.erased.insert(number);
            erasing.saturating_record(micros(caller.erase(number).await?));
        }
        let alone = float(requests) / begun.elapsed().as_secs_f64();
        size.add_latencies("FindSubject", &finding);
        size.add_latencies("ExportSubject", &exporting);
        size.add_latencies("EraseSubject", &erasing);
        size.add("erasures, one at a time, 1/s", alone, 0);
        let many = self.erase_many(&caller, requests).await?;
        size.add(format!("erasures, {ERASURES} in flight, 1/s"), many, 0);
        Ok(())
    }

    /// How many erasures a second a caller gets that has many in flight.
    async fn erase_many(&mut self, caller: &Caller, requests: u64) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..ERASURES {
            let numbers: Vec<_> = (0..requests / ERASURES)
                .map(|_| {
                    let number = self.pick();
                    self.erased.insert(number);
                    number
                })
                .collect();
            let mut caller = caller.clone();
            callers.spawn(async move {
                for number in numbers {
                    caller.erase(number).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = callers.join_next().await {
            done??;
        }
        let done = requests / ERASURES * ERASURES;
        Ok(float(done) / begun.elapsed().as_secs_f64())
    }
}

impl Caller {
    async fn find(&mut self, number: u64) -> anyhow::Result<Duration> {
        let message = pb::FindSubjectRequest {
            request: Some(of(number)?),
        };
        let request = request(message, &self.token);
        let sent = Instant::now();
        let found = self.client.find_subject(request).await?;
        let took = sent.elapsed();
        ensure!(found.get_ref().leads.len() == 1, "not found");
        Ok(took)
    }

    async fn export(&mut self, number: u64) -> anyhow::Result<Duration> {
        let message = pb::ExportSubjectRequest {
            request: Some(of(number)?),
            kind: pb::ExportKind::Access.into(),
            format: pb::ExportFormat::Json.into(),
            language: String::new(),
        };
        let request = request(message, &self.token);
        let sent = Instant::now();
        let export = self.client.export_subject(request).await?;
        let took = sent.elapsed();
        ensure!(export.get_ref().leads == 1, "not exported");
        Ok(took)
    }

    async fn erase(&mut self, number: u64) -> anyhow::Result<Duration> {
        let message = pb::EraseSubjectRequest {
            request: Some(of(number)?),
            ground: pb::ErasureGround::NoLongerNecessary.into(),
            ..pb::EraseSubjectRequest::default()
        };
        let request = request(message, &self.token);
        let sent = Instant::now();
        let erasure = self.client.erase_subject(request).await?;
        let took = sent.elapsed();
        let lead = erasure.get_ref().leads.first().context("nothing erased")?;
        ensure!(lead.outcome() == pb::ErasureOutcome::Erased, "not erased");
        Ok(took)
    }
}

/// A request of who sent this form.
fn of(number: u64) -> anyhow::Result<pb::SubjectRequest> {
    let request_id = Builder::from_random_bytes(random()?).into_uuid();
    Ok(pb::SubjectRequest {
        request_id: request_id.to_string(),
        received_at: None,
        verification: pb::Verification::EmailReply.into(),
        subject: Some(pb::Subject {
            email: email(number),
            ..pb::Subject::default()
        }),
    })
}
