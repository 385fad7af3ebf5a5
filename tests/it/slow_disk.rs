//! D8: a disk whose flushes take long, under the real program on SQLite. strace holds each flush up for so long.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    time::{Duration, Instant},
};

use lead_intake::pb::{
    GetPrivacyNoticeRequest, crm_service_client::CrmServiceClient,
    intake_service_client::IntakeServiceClient, ledger_service_client::LedgerServiceClient,
    privacy_service_client::PrivacyServiceClient,
};
use tokio::task::JoinSet;
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    failed_flush::data_dir,
    steps::{erasure, pull_all, verify_by},
    support::{
        binary::{Binary, run},
        strace, *,
    },
};

/// The metric of refusals.
const REFUSALS: &str = "lead_intake_refusals_total";
/// Submissions of one caller.
const ALONE: usize = 40;
/// Websites, and callers of each: more than there are places for.
const WEBSITES: usize = 6;
const CALLERS: usize = 200;
/// Connections of each website.
const CONNECTIONS: usize = 4;
/// Calls of each of them.
const CALLS: usize = 3;

/// A server whose flushes are held up, with a record of them.
async fn slow(dir: &Path, record: &Path, delay: Duration) -> Binary {
    let micros = delay.as_micros();
    let held_up = format!("inject=fsync,fdatasync:delay_enter={micros}");
    let command = strace::recorded(record, &["trace=fsync,fdatasync", &held_up]);
    let server = Binary::serve_by(command, "127.0.0.1:0", dir).await;
    assert!(server.is_ready().await);
    server
}

/// Flushes of SQLite's log in a record, which has every name in hexadecimal.
fn flushes(record: &Path) -> usize {
    let text = fs::read_to_string(record).unwrap();
    let lines = text.lines();
    lines
        .filter(|line| line.contains("sync(") && line.contains(r"\x2d\x77\x61\x6c>"))
        .count()
}

/// What a sorted list has at this part of it.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// D8: who submits alone waits for one flush of the database, not for several.
#[tokio::test(flavor = "multi_thread")]
async fn d8_a_submission_waits_for_one_flush() {
    let (dir, delay) = (data_dir().await, Duration::from_millis(50));
    let records = tempfile::tempdir().unwrap();
    let mut flushed = Vec::new();
    for submissions in [0, ALONE] {
        let record = records.path().join(submissions.to_string());
        let server = slow(dir.path(), &record, delay).await;
        let mut intake = IntakeServiceClient::new(server.caller(dir.path(), "intake"));
        let mut times = Vec::new();
        for number in 0..submissions {
            let form = form("Kari Nordmann", &format!("alone-{number}@example.no"));
            let started = Instant::now();
            intake.submit_lead(form).await.unwrap();
            times.push(started.elapsed());
        }
        if submissions > 0 {
            times.sort();
            println!(
                "D8: a flush takes {delay:?} longer; a submission alone {:?} (median), {:?} (95 %), {:?} (worst)",
                at(&times, 50),
                at(&times, 95),
                at(&times, 100)
            );
        }
        let (code, log) = strace::stop(server).await;
        assert_eq!(code, Some(0), "{log}");
        flushed.push(flushes(&record));
    }
    let own = flushed[1].saturating_sub(flushed[0]);
    println!("D8: {own} flushes of the log for {ALONE} submissions");
    // One each, and those of the jobs beside.
    assert!((ALONE..2 * ALONE).contains(&own), "{flushed:?}");
}

/// How a call ended, and after how long.
type End = (Result<String, Status>, Duration);

/// A website's callers, on connections of its own. The token is known before they come: one that is new is looked up for each
/// call that comes before the first answer.
async fn website(server: &Binary, token: &str, website: usize, callers: &mut JoinSet<Vec<End>>) {
    let bearer = Bearer::new(format!("Bearer {token}").parse().unwrap());
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let channel = Endpoint::from_shared(server.url()).unwrap().connect_lazy();
            InterceptedService::new(trace::Recorded::new(channel), bearer.clone())
        })
        .collect();
    let mut first = IntakeServiceClient::new(connections[0].clone());
    let notice = GetPrivacyNoticeRequest::default();
    first.get_privacy_notice(notice).await.unwrap();
    for caller in 0..CALLERS {
        let mut intake = IntakeServiceClient::new(connections[caller % CONNECTIONS].clone());
        callers.spawn(async move {
            let mut ends = Vec::new();
            for call in 0..CALLS {
                let mail = format!("many-{website}-{caller}-{call}@example.no");
                let started = Instant::now();
                let answer = intake.submit_lead(form("Kari Nordmann", &mail)).await;
                let answer = answer.map(|stored| stored.into_inner().lead_id);
                ends.push((answer, started.elapsed()));
            }
            ends
        });
    }
}

/// What must be served in the midst of it: health, and the erasure of this person.
async fn is_served(server: &Binary, dir: &Path, mail: &str) {
    let started = Instant::now();
    let asked = HealthCheckRequest::default();
    let channel = Endpoint::from_shared(server.url()).unwrap().connect_lazy();
    let health = HealthClient::new(channel).check(asked).await.unwrap();
    assert_eq!(health.into_inner().status(), ServingStatus::Serving);
    let (healthy, started) = (started.elapsed(), Instant::now());
    let mut privacy = PrivacyServiceClient::new(server.caller(dir, "privacy"));
    let erased = privacy.erase_subject(erasure(mail)).await;
    assert_eq!(erased.unwrap().into_inner().leads.len(), 1);
    let erased = started.elapsed();
    println!("D8: meanwhile health after {healthy:?}, an erasure after {erased:?}");
}

/// The leads that were stored; whoever was not told so was refused.
fn stored(ends: Vec<End>) -> HashSet<String> {
    let (mut stored, mut times) = (HashSet::new(), BTreeMap::<String, Vec<Duration>>::new());
    for (answer, time) in ends {
        let end = match answer {
            Ok(lead) => {
                stored.insert(lead);
                "stored".to_owned()
            }
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                reason(&status)
            }
        };
        times.entry(end).or_default().push(time);
    }
    for (end, times) in &mut times {
        times.sort();
        let (half, worst) = (at(times, 50), at(times, 100));
        println!(
            "D8: {} {end}, {half:?} (median), {worst:?} (worst)",
            times.len()
        );
    }
    stored
}

/// D8: more callers than such a disk can serve are refused at once or served soon, and nobody waits for ever; what people are
/// owed and health are served in the midst of it, and nothing is told of a locked database.
#[tokio::test(flavor = "multi_thread")]
async fn d8_too_many_callers_are_refused_and_not_kept() {
    let (dir, delay) = (data_dir().await, Duration::from_millis(400));
    let records = tempfile::tempdir().unwrap();
    let mut tokens = Vec::new();
    for number in 0..WEBSITES {
        let name = format!("website-{number}");
        let data = dir.path().to_str().unwrap();
        let add = [
            "client",
            "add",
            &name,
            "--role",
            "intake",
            "--data-dir",
            data,
        ];
        tokens.push(run(&[], &add, "").await.with_code(0).out.trim().to_owned());
    }
    let server = slow(dir.path(), &records.path().join("record"), delay).await;
    let mut intake = IntakeServiceClient::new(server.caller(dir.path(), "intake"));
    let first = form("Kari Nordmann", "first@example.no");
    intake.submit_lead(first).await.unwrap();

    let mut callers = JoinSet::new();
    for (number, token) in tokens.iter().enumerate() {
        website(&server, token, number, &mut callers).await;
    }
    eventually(async || {
        let metrics = server.get("/metrics").await;
        let mut lines = metrics.lines();
        let overload = |line: &&str| line.starts_with(REFUSALS) && line.contains("OVERLOADED");
        lines.find(overload).map(drop)
    })
    .await;
    is_served(&server, dir.path(), "first@example.no").await;
    let stored = stored(callers.join_all().await.concat());

    let mut crm = CrmServiceClient::new(server.caller(dir.path(), "crm"));
    let (changes, _) = pull_all(&mut crm, "", 1000).await;
    let told = changes.into_iter().filter(|change| change.lead.is_some());
    let told: HashSet<String> = told.map(|change| change.lead_id).collect();
    assert!(
        told == stored,
        "{} told, {} stored",
        told.len(),
        stored.len()
    );
    verify_by(&mut LedgerServiceClient::new(
        server.caller(dir.path(), "auditor"),
    ))
    .await;
    let (code, log) = strace::stop(server).await;
    assert_eq!(code, Some(0), "{log}");
    for word in ["locked", "busy", "panicked"] {
        assert!(!log.contains(word), "{log}");
    }
}
