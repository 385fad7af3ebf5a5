//! D4: a disk that fails to flush, and one that is full for a moment, under the real program. What is injected into a
//! call is its answer only: the call itself is not made.

use std::{collections::HashSet, path::Path, process::Stdio};

use lead_intake::pb::{
    self, crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
    ledger_service_client::LedgerServiceClient, privacy_service_client::PrivacyServiceClient,
};
use tokio::time::timeout;
use tonic::{Code, Status, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    steps::{erasure, pull_all},
    support::{
        binary::{Binary, PATIENCE},
        strace, *,
    },
};

/// The most submissions until the fault is met.
const SUBMITS_MAX: usize = 200;

/// A data directory with everything that the first run makes.
pub async fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let first = Binary::serve(dir.path(), &[]).await;
    let (ended, log) = first.signal("TERM").await;
    assert!(ended.success(), "{log}");
    dir
}

async fn submit(server: &Binary, dir: &Path, number: usize) -> Result<String, Status> {
    let mut intake = IntakeServiceClient::new(server.caller(dir, "intake"));
    let form = form("Kari Nordmann", &format!("kari{number}@example.no"));
    let stored = intake.submit_lead(form).await?;
    Ok(stored.into_inner().lead_id)
}

/// The leads of the database, after a look at the ledger.
pub async fn leads(dir: &Path) -> HashSet<String> {
    let server = Binary::serve(dir, &[]).await;
    let mut crm = CrmServiceClient::new(server.caller(dir, "crm"));
    let (changes, _) = pull_all(&mut crm, "", 1000).await;
    let mut ledger = LedgerServiceClient::new(server.caller(dir, "auditor"));
    let verified = ledger.verify_ledger(pb::VerifyLedgerRequest {}).await;
    assert!(verified.unwrap().into_inner().intact);
    let (ended, log) = server.signal("TERM").await;
    assert!(ended.success(), "{log}");
    changes.into_iter().map(|change| change.lead_id).collect()
}

/// A disk that still fails stops the next start: what the log says is on the disk anew before anybody hears of it.
async fn a_start_is_refused(dir: &Path) {
    let database = dir.join("lead-intake.db");
    let mut serve = strace::command(&[], &["inject=fsync:error=EIO"], &[&database]);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen"]);
    serve.args(["127.0.0.1:0", "--data-dir"]).arg(dir);
    let run = timeout(PATIENCE, serve.stdin(Stdio::null()).output()).await;
    let ran = run.expect("it starts").unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot open") && said.contains("1034"),
        "{said}"
    );
}

/// D4: from the first flush that fails on nothing is acknowledged, health says so at once, and the process ends by itself with
/// exit code 1 and a line that says what to do. The next start has everything that was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn d4_a_failed_flush_ends_the_process() {
    let dir = data_dir().await;
    // The writer flushes some times at its start, and then once for each submission.
    let failing = strace::command(&[], &["inject=fsync:error=EIO:when=40+"], &[]);
    let mut server = Binary::serve_by(failing, "127.0.0.1:0", dir.path()).await;
    let channel = Endpoint::from_shared(server.url()).unwrap().connect_lazy();
    let asked = HealthCheckRequest::default();
    let health = HealthClient::new(channel).watch(asked).await;
    let mut health = health.unwrap().into_inner();
    eventually(async || {
        let answer = server.probe("/readyz").await;
        answer.contains(" 200 ").then_some(())
    })
    .await;
    let mut next = async || {
        let next = timeout(PATIENCE, health.message()).await;
        let next = next.expect("health is silent").unwrap();
        next.expect("health ended").status()
    };
    let mut acknowledged = Vec::new();
    let refused = loop {
        match submit(&server, dir.path(), acknowledged.len()).await {
            Ok(lead) => acknowledged.push(lead),
            Err(refused) => break refused,
        }
        assert!(acknowledged.len() < SUBMITS_MAX, "the fault was never met");
    };
    assert!(!acknowledged.is_empty());
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::Unavailable, "STORE_UNAVAILABLE")
    );
    // Refused, or nobody there any more.
    let later = submit(&server, dir.path(), SUBMITS_MAX).await;
    assert_eq!(later.unwrap_err().code(), Code::Unavailable);
    // It says more than once that all is well, and then that it is not.
    while next().await != ServingStatus::NotServing {}

    assert_eq!(server.end().await, Some(1));
    let log = server.log();
    let told = log.lines().filter(|line| line.contains("A failing disk"));
    assert_eq!(told.count(), 1, "{log}");
    assert!(!log.contains("panicked"), "{log}");
    a_start_is_refused(dir.path()).await;
    let leads = leads(dir.path()).await;
    for lead in &acknowledged {
        assert!(leads.contains(lead), "{lead} was acknowledged");
    }
    // The one whose end nobody knows may be there.
    assert!(leads.len() <= acknowledged.len() + 1);
}

/// D4: the same for the flushes of a clean-up, which come after an erasure was acknowledged: of the connection that copies the
/// log, or of the one that then empties it.
#[tokio::test(flavor = "multi_thread")]
async fn d4_a_failed_flush_of_a_clean_up_ends_the_process() {
    let dir = data_dir().await;
    // The database's file is flushed by them alone, since nothing else fills the log here.
    let database = dir.path().join("lead-intake.db");
    let failing = strace::command(&[], &["inject=fsync:error=EIO:when=2+"], &[&database]);
    let mut server = Binary::serve_by(failing, "127.0.0.1:0", dir.path()).await;
    let mut privacy = PrivacyServiceClient::new(server.caller(dir.path(), "privacy"));
    let (mut kept, mut erased) = (Vec::new(), Vec::new());
    let mut round = async |number: usize| {
        kept.push(submit(&server, dir.path(), number).await?);
        let gone = submit(&server, dir.path(), SUBMITS_MAX + number).await?;
        let mail = format!("kari{}@example.no", SUBMITS_MAX + number);
        privacy.erase_subject(erasure(&mail)).await?;
        erased.push(gone);
        Ok::<_, Status>(())
    };
    let mut rounds = 0;
    while round(rounds).await.is_ok() {
        rounds += 1;
        assert!(rounds < SUBMITS_MAX, "the fault was never met");
    }
    assert_ne!(rounds, 0);

    assert_eq!(server.end().await, Some(1));
    let log = server.log();
    let told = log.lines().filter(|line| line.contains("A failing disk"));
    assert_eq!(told.count(), 1, "{log}");
    assert!(!log.contains("panicked"), "{log}");
    let leads = leads(dir.path()).await;
    assert!(kept.iter().all(|lead| leads.contains(lead)));
    assert!(erased.iter().all(|lead| !leads.contains(lead)));
}

/// D4: while a disk has no room, nothing is acknowledged that is not there; afterwards it goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn d4_a_full_disk_for_a_moment_loses_nothing() {
    let dir = data_dir().await;
    let full = "inject=pwrite64:error=ENOSPC:when=300..303";
    let full = strace::command(&[], &[full], &[]);
    let server = Binary::serve_by(full, "127.0.0.1:0", dir.path()).await;
    let mut acknowledged = HashSet::new();
    let (mut tries, mut refused, mut after) = (0, 0, 0);
    // Its look of each second meets one of the four writes that fail.
    eventually(async || {
        tries += 1;
        match submit(&server, dir.path(), tries).await {
            Ok(lead) => {
                assert!(acknowledged.insert(lead));
                after += usize::from(refused > 0);
            }
            Err(status) => {
                let refusal = (status.code(), &*reason(&status));
                assert_eq!(refusal, (Code::ResourceExhausted, "STORE_FULL"));
                refused += 1;
            }
        }
        (after == 20).then_some(())
    })
    .await;
    let (code, log) = strace::stop(server).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    // All of them, and nothing of those that were refused.
    assert_eq!(leads(dir.path()).await, acknowledged);
}
