//! A form that is sent again, as by a website whose answer was lost, one call after the other.

use std::time::Instant;

use anyhow::ensure;
use hdrhistogram::Histogram;
use lead_intake::pb::intake_service_client::IntakeServiceClient;

use super::{
    super::{
        client::{bearer, connect, notice_version, request},
        figures::{Column, LATENCY_MAX},
        form::{Keys, form},
        server::Server,
    },
    People, micros,
};

const REPEATS: u64 = 300;

pub(super) async fn measure(
    server: &Server,
    people: &mut People,
    size: &mut Column,
) -> anyhow::Result<()> {
    let mut website = IntakeServiceClient::new(connect(server).await?);
    let form = form(&notice_version(server).await?, Keys::V4)?;
    let token = bearer(&server.token)?;
    let mut latencies = Histogram::new_with_max(LATENCY_MAX, 3)?;
    let mut first = None;
    for _ in 0..=REPEATS {
        let request = request(form.clone(), &token);
        let sent = Instant::now();
        let answer = website.submit_lead(request).await?.into_inner();
        let took = sent.elapsed();
        if let Some(first) = &first {
            ensure!(*first == answer, "another answer than the first time");
            latencies.saturating_record(micros(took));
        }
        first.get_or_insert(answer);
    }
    people.grow();
    size.add_latencies("the same form again", &latencies);
    Ok(())
}
