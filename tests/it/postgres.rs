//! PostgreSQL that fails: it falls silent, restarts, is a standby, holds a lock, has no room.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lead_intake::pb::{self, intake_service_client::IntakeServiceClient};
use tokio::{sync::mpsc, task::JoinSet};
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    raw::Raw,
    steps::{erasure, pull, pull_all, submit_mail, verify},
    support::{cluster::Cluster, deaf_proxy::DeafProxy, pki::Authority, *},
};

const CLIENTS: usize = 16;

/// What one client did: its leads' identifiers, and how often each error came.
#[derive(Default)]
struct Journal {
    stored: Vec<String>,
    errors: BTreeMap<(i32, String), usize>,
}

impl Journal {
    fn add(&mut self, other: Self) {
        self.stored.extend(other.stored);
        for (error, times) in other.errors {
            *self.errors.entry(error).or_default() += times;
        }
    }
}

/// Submits a form under one key until it is stored, however often it fails in a way that may be tried again.
async fn submit_until_stored(
    intake: &mut IntakeServiceClient<Caller>,
    form: &pb::SubmitLeadRequest,
    journal: &mut Journal,
) {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        pause.tick().await;
        match intake.submit_lead(form.clone()).await {
            Ok(stored) => return journal.stored.push(stored.into_inner().lead_id),
            Err(status) => {
                assert!(may_be_tried_again(&status), "{status:?}");
                let error = (status.code() as i32, reason(&status));
                *journal.errors.entry(error).or_default() += 1;
            }
        }
    }
}

fn may_be_tried_again(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Aborted)
        || (status.code() == Code::ResourceExhausted && reason(status) == "QUEUE_FULL")
}

/// Clients that submit one lead after the other until they are told to stop.
struct Load {
    stopping: Arc<AtomicBool>,
    clients: JoinSet<Journal>,
}

impl Load {
    fn start(replica: &Replica) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (mut intake, stopping) = (replica.intake(), stopping.clone());
            clients.spawn(async move {
                let mut journal = Journal::default();
                for number in 0.. {
                    if stopping.load(Ordering::Relaxed) {
                        break;
                    }
                    let form = form("Kari", &format!("load-{client}-{number}@example.no"));
                    submit_until_stored(&mut intake, &form, &mut journal).await;
                }
                journal
            });
        }
        Self { stopping, clients }
    }

    async fn stop(self) -> Journal {
        self.stopping.store(true, Ordering::Relaxed);
        let mut all = Journal::default();
        for journal in self.clients.join_all().await {
            all.add(journal);
        }
        all
    }
}

/// Every acknowledged lead is in the feed, once, and nothing else is.
async fn assert_told(test: &str, replica: &Replica, journal: &Journal) {
    println!(
        "{test}: {} stored, errors {:?}",
        journal.stored.len(),
        journal.errors
    );
    let (changes, _) = pull_all(&mut replica.crm(), "", 1000).await;
    let told: HashSet<&String> = changes.iter().map(|change| &change.lead_id).collect();
    assert_eq!(told.len(), changes.len(), "a lead was told twice");
    assert_eq!(told, journal.stored.iter().collect());
    verify(replica).await;
}

async fn is_ready(replica: &Replica) -> bool {
    let mut health = HealthClient::new(replica.channel());
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let answer = health.check(request).await;
    answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}

/// P3, P4: a database that is cut off without a word holds no call, no writer and no listener for longer than the limits
/// say; when it is there again, all of them are, without a restart. Nothing is lost, nothing stored twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_holds_nobody() {
    let mut world = World::new(Backend::Postgres).await;
    let mut raw = Raw::open(&world).await;
    let proxy = DeafProxy::between(&mut world).await;
    let replica = world.start().await;
    // Two writers, of which each has a batch under way.
    let load = Load::start(&replica);
    let mut journal = Journal::default();
    let first = form("Kari", "first@example.no");
    submit_until_stored(&mut replica.intake(), &first, &mut journal).await;
    proxy.falls_silent();
    let form = form("Kari", "unknown@example.no");
    let nobody = erasure("nobody@example.no");
    let (mut intake, mut crm, mut privacy) = (replica.intake(), replica.crm(), replica.privacy());
    let (erased, pulled, submitted) = tokio::join!(
        privacy.erase_subject(nobody.clone()),
        pull(&mut crm, "", 0),
        intake.submit_lead(form.clone()),
    );
    for failed in [erased.map(drop), pulled.map(drop), submitted.map(drop)] {
        let status = failed.unwrap_err();
        assert_eq!(reason(&status), "STORE_UNAVAILABLE", "{status:?}");
    }
    eventually(async || (!is_ready(&replica).await).then_some(())).await;
    proxy.hears_again();
    eventually(async || is_ready(&replica).await.then_some(())).await;
    submit_until_stored(&mut intake, &form, &mut journal).await;
    privacy.erase_subject(nobody).await.unwrap();
    // A second listener: the first hangs on a connection that nobody will ever hear of again.
    let listeners = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    eventually(async || (raw.numbers(listeners).await == [2]).then_some(())).await;
    journal.add(load.stop().await);
    assert_told("silence", &replica, &journal).await;
    raw.close().await;
    replica.stop().await;
}

/// P7: who waits for a lock that is not to be had is told so, as soon as the wait is over, that nothing was done.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_to_be_had_is_contended() {
    let world = World::new(Backend::Postgres).await;
    let replica = world.start().await;
    submit_mail(&replica, "before@example.no").await;
    let mut holder = Raw::open(&world).await;
    holder.execute("BEGIN").await;
    holder
        .execute("UPDATE ledger_head SET sequence = sequence WHERE id = 1")
        .await;
    let form = form("Kari", "behind@example.no");
    let (mut intake, mut privacy) = (replica.intake(), replica.privacy());
    let again = form.clone();
    // One after the other: of two that wait, the second waits for the first too.
    let submitted = intake.submit_lead(form).await.map(drop);
    let erased = privacy.erase_subject(erasure("before@example.no")).await;
    for refused in [submitted, erased.map(drop)] {
        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::Aborted, "{status:?}");
        assert_eq!(reason(&status), "CONTENDED");
    }
    holder.execute("ROLLBACK").await;
    intake.submit_lead(again).await.unwrap();
    let (changes, _) = pull_all(&mut replica.crm(), "", 0).await;
    assert_eq!(changes.len(), 2);
    holder.close().await;
    replica.stop().await;
}

/// P6: a CRM whose calls hold every connection they can get keeps forms, people's requests and health from none.
#[tokio::test(flavor = "multi_thread")]
async fn p6_a_crm_that_waits_keeps_nobody_else_waiting() {
    const CALLS: usize = 40;
    let world = World::new(Backend::Postgres).await;
    let replica = world.start().await;
    pull(&mut replica.crm(), "", 0).await.unwrap();
    submit_mail(&replica, "before@example.no").await;
    let mut holder = Raw::open(&world).await;
    holder.execute("BEGIN").await;
    holder
        .execute("UPDATE consumer SET delivered = delivered")
        .await;
    let stopping = Arc::new(AtomicBool::new(false));
    let (told, mut hears) = mpsc::channel(1);
    let mut pulls = JoinSet::new();
    for _ in 0..CALLS {
        let (mut crm, stopping, told) = (replica.crm(), stopping.clone(), told.clone());
        pulls.spawn(async move {
            while !stopping.load(Ordering::Relaxed) {
                if let Err(status) = pull(&mut crm, "", 0).await {
                    let _ = told.try_send(reason(&status));
                }
            }
        });
    }
    // One that came too late for a connection has been told so: the others hold all there are, and more wait.
    assert_eq!(hears.recv().await.unwrap(), "STORE_UNAVAILABLE");
    submit_mail(&replica, "meanwhile@example.no").await;
    let erased = replica
        .privacy()
        .erase_subject(erasure("before@example.no"))
        .await;
    assert_eq!(erased.unwrap().into_inner().leads.len(), 1);
    assert!(is_ready(&replica).await);
    stopping.store(true, Ordering::Relaxed);
    holder.execute("ROLLBACK").await;
    pulls.join_all().await;
    assert_eq!(pull_all(&mut replica.crm(), "", 0).await.0.len(), 2);
    holder.close().await;
    replica.stop().await;
}

/// P1: PostgreSQL that is ended at once and comes back, again and again, costs errors that may be tried again, and nothing
/// else: no lead, no restart of ours.
#[tokio::test(flavor = "multi_thread")]
async fn p1_postgresql_restarts_immediately() {
    let mut cluster = Cluster::start(&["fsync=off"]).await;
    cluster.execute("CREATE DATABASE leads").await;
    let world = World::at(&cluster.url("leads")).await;
    let replica = world.start().await;
    let load = Load::start(&replica);
    let mut journal = Journal::default();
    for round in 0..10 {
        cluster.restart_immediately().await;
        let form = form("Ola", &format!("round-{round}@example.no"));
        submit_until_stored(&mut replica.intake(), &form, &mut journal).await;
    }
    journal.add(load.stop().await);
    assert_told("P1", &replica, &journal).await;
    let unavailable = (Code::Unavailable as i32, "STORE_UNAVAILABLE".to_owned());
    assert!(journal.errors.keys().all(|error| *error == unavailable));
    replica.stop().await;
}

/// P2: a switchover under load. The address leads to the new primary, the old one still answers on the connections that
/// lead there and takes no writes: the service moves over by itself, and no acknowledged lead is missing.
#[tokio::test(flavor = "multi_thread")]
async fn p2_a_switchover_to_the_standby() {
    let primary = Cluster::start(&["fsync=off"]).await;
    primary.execute("CREATE DATABASE leads").await;
    let standby = primary.standby().await;
    // What is acknowledged is on both.
    primary
        .execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        .await;
    primary.execute("SELECT pg_reload_conf()").await;
    let proxy = DeafProxy::start(primary.address).await;
    let mut world = World::at(&primary.url_at(proxy.address, "leads")).await;
    let replica = world.start().await;
    let load = Load::start(&replica);
    let (mut intake, mut journal) = (replica.intake(), Journal::default());
    let before = form("Ola", "before@example.no");
    submit_until_stored(&mut intake, &before, &mut journal).await;
    primary
        .execute("ALTER SYSTEM SET default_transaction_read_only = on")
        .await;
    primary.execute("SELECT pg_reload_conf()").await;
    standby.execute("SELECT pg_promote()").await;
    proxy.leads_to(standby.address);
    // Each client goes on, so each connection has moved.
    let after = form("Ola", "after@example.no");
    submit_until_stored(&mut intake, &after, &mut journal).await;
    journal.add(load.stop().await);
    assert_told("P2", &replica, &journal).await;
    // A start that is led to a standby says so.
    world.url = primary.url("leads").parse().unwrap();
    let told = world
        .try_open(None)
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(told.contains("the URL must lead to the primary"), "{told}");
    replica.stop().await;
}

/// `sslmode=verify-full`: a server is talked to if the authority that the URL names signed its certificate for the name
/// that the URL has, and otherwise not a password is sent. The text says which part of the URL to look at.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_server_of_the_named_authority_is_talked_to() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Authority::new(dir.path(), "ours");
    let other = Authority::new(dir.path(), "other");
    let cluster = Cluster::start_with_tls(&ours.issue("server", &["localhost"])).await;
    cluster.execute("CREATE DATABASE leads").await;
    let plain = Cluster::start(&["fsync=off"]).await;
    let verified = |cluster: &Cluster, host: &str, authority: &Authority| {
        let url = cluster.url("leads").replace("127.0.0.1", host);
        let ca = authority.ca();
        format!("{url}?sslmode=verify-full&sslrootcert={}", ca.display())
    };
    let mut world = World::at(&verified(&cluster, "localhost", &ours)).await;
    let replica = world.start().await;
    submit_mail(&replica, "kari@example.no").await;
    let mut raw = Raw::open(&world).await;
    let unprotected = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                       WHERE datname = 'leads' AND NOT ssl";
    assert_eq!(raw.numbers(unprotected).await, [0]);
    raw.close().await;
    for (case, url) in [
        ("another authority", verified(&cluster, "localhost", &other)),
        ("another name", verified(&cluster, "127.0.0.1", &ours)),
        ("no TLS", verified(&plain, "localhost", &ours)),
    ] {
        world.url = url.parse().unwrap();
        let told = world
            .try_open(None)
            .await
            .map(drop)
            .unwrap_err()
            .to_string();
        assert!(told.contains("sslmode and sslrootcert"), "{case}: {told}");
    }
    replica.stop().await;
}
