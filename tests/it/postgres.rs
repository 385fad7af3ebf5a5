//! PostgreSQL that fails: it falls silent, restarts, is a standby, holds a lock, has no room.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use lead_intake::{
    pb::{self, intake_service_client::IntakeServiceClient},
    rpc::limits::Limits,
    server::Parts,
};
use tokio::{sync::mpsc, task::JoinSet};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    raw::Raw,
    steps::{erasure, pull, pull_all, submit_mail, submit_until_stored, verify},
    support::{cluster::Cluster, deaf_proxy::DeafProxy, pki::Authority, *},
};

const CLIENTS: usize = 16;
/// Calls of a CRM at once.
const PULLS: usize = 40;
/// Leads by which a rate is taken.
const SAMPLE: usize = 300;

/// What one client did.
#[derive(Default)]
struct Journal {
    /// Its leads' identifiers, and when each was acknowledged.
    stored: Vec<(String, Instant)>,
    /// How often each error came.
    errors: BTreeMap<(i32, String), usize>,
    /// The longest wait for one.
    longest: Duration,
}

impl Journal {
    async fn submit(
        &mut self,
        intake: &mut IntakeServiceClient<Caller>,
        form: &pb::SubmitLeadRequest,
    ) {
        let mut asked = Instant::now();
        let lead = submit_until_stored(intake, form, |status| {
            assert!(may_be_tried_again(status), "{status:?}");
            let error = (status.code() as i32, reason(status));
            *self.errors.entry(error).or_default() += 1;
            self.longest = self.longest.max(asked.elapsed());
            asked = Instant::now();
        });
        self.stored.push((lead.await, Instant::now()));
    }

    fn add(&mut self, other: Self) {
        self.stored.extend(other.stored);
        for (error, times) in other.errors {
            *self.errors.entry(error).or_default() += times;
        }
        self.longest = self.longest.max(other.longest);
    }

    /// Leads acknowledged in a second of this time.
    fn rate(&self, (start, end): (Instant, Instant)) -> f64 {
        let stored = self
            .stored
            .iter()
            .filter(|(_, at)| (start..end).contains(at));
        let stored = u32::try_from(stored.count()).unwrap();
        f64::from(stored) / (end - start).as_secs_f64()
    }
}

fn may_be_tried_again(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Aborted)
        || (status.code() == Code::ResourceExhausted && reason(status) == "QUEUE_FULL")
}

/// A replica whose clients may call as often as they can.
async fn start(world: &World) -> Replica {
    let limits = Limits {
        client_rate: None,
        ..Limits::default()
    };
    world.start_with(|parts| Parts { limits, ..parts }).await
}

/// Clients that submit one lead after the other until they are told to stop.
struct Load {
    stopping: Arc<AtomicBool>,
    stored: Arc<AtomicUsize>,
    clients: JoinSet<Journal>,
}

impl Load {
    fn start(replica: &Replica) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let stored = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (mut intake, stopping, stored) =
                (replica.intake(), stopping.clone(), stored.clone());
            clients.spawn(async move {
                let mut journal = Journal::default();
                for number in 0.. {
                    if stopping.load(Ordering::Relaxed) {
                        break;
                    }
                    let form = form("Kari", &format!("load-{client}-{number}@example.no"));
                    journal.submit(&mut intake, &form).await;
                    stored.fetch_add(1, Ordering::Relaxed);
                }
                journal
            });
        }
        Self {
            stopping,
            stored,
            clients,
        }
    }

    /// Waits until so many leads more are stored; gives the time it took.
    async fn goes_on(&self) -> (Instant, Instant) {
        let (start, before) = (Instant::now(), self.stored.load(Ordering::Relaxed));
        eventually(async || {
            let now = self.stored.load(Ordering::Relaxed);
            (now >= before + SAMPLE).then_some(())
        })
        .await;
        (start, Instant::now())
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

/// More calls of a CRM than there are connections for them, each again as soon as it is answered.
struct Pulls {
    stopping: Arc<AtomicBool>,
    refused: mpsc::Receiver<String>,
    calls: JoinSet<()>,
}

impl Pulls {
    fn start(replica: &Replica) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let (tells, refused) = mpsc::channel(1);
        let mut calls = JoinSet::new();
        for _ in 0..PULLS {
            let (mut crm, stopping, tells) = (replica.crm(), stopping.clone(), tells.clone());
            calls.spawn(async move {
                while !stopping.load(Ordering::Relaxed) {
                    if let Err(status) = pull(&mut crm, "", 0).await {
                        let _ = tells.try_send(reason(&status));
                    }
                }
            });
        }
        Self {
            stopping,
            refused,
            calls,
        }
    }

    /// The reason of the first refusal.
    async fn refused(&mut self) -> String {
        self.refused.recv().await.unwrap()
    }

    async fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.calls.join_all().await;
    }
}

/// Every acknowledged lead is in the feed, once, and nothing else is.
async fn assert_told(replica: &Replica, journal: &Journal) {
    let (changes, _) = pull_all(&mut replica.crm(), "", 1000).await;
    let told: HashSet<&String> = changes.iter().map(|change| &change.lead_id).collect();
    assert_eq!(told.len(), changes.len(), "a lead was told twice");
    assert_eq!(told, journal.stored.iter().map(|(id, _)| id).collect());
    verify(replica).await;
}

/// Why the world's store is not opened.
async fn refusal(world: &World) -> String {
    let opened = world.try_open(None).await;
    opened.map(drop).unwrap_err().to_string()
}

/// P3, P4: a database that is cut off without a word holds no call, no writer and no listener for longer than the limits
/// say; when it is there again, all of them are, without a restart. Nothing is lost, nothing stored twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_holds_nobody() {
    let mut world = World::new(Backend::Postgres).await;
    let mut raw = Raw::open(&world).await;
    let proxy = DeafProxy::between(&mut world).await;
    let replica = start(&world).await;
    // Each connection of the writers, and each of those that a CRM may have, has something under way.
    let (load, pulls) = (Load::start(&replica), Pulls::start(&replica));
    load.goes_on().await;
    let mut journal = Journal::default();
    let first = form("Kari", "first@example.no");
    journal.submit(&mut replica.intake(), &first).await;
    let silent = Instant::now();
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
    eventually(async || (replica.health().await == ServingStatus::NotServing).then_some(())).await;
    println!(
        "P4: not ready {:?} after the silence began",
        silent.elapsed()
    );
    let healed = Instant::now();
    proxy.hears_again();
    eventually(async || (replica.health().await == ServingStatus::Serving).then_some(())).await;
    journal.submit(&mut intake, &form).await;
    let back = healed.elapsed();
    eventually(async || pull(&mut crm, "", 0).await.ok()).await;
    pulls.stop().await;
    privacy.erase_subject(nobody).await.unwrap();
    // A second listener: the first hangs on a connection that nobody will ever hear of again.
    let listeners = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    eventually(async || (raw.numbers(listeners).await == [2]).then_some(())).await;
    journal.add(load.stop().await);
    println!(
        "P3: {} stored, errors {:?}, the latest after {:?}; stored again {back:?} after the silence",
        journal.stored.len(),
        journal.errors,
        journal.longest
    );
    assert_told(&replica, &journal).await;
    raw.close().await;
    replica.stop().await;
}

/// P7: who waits for a lock that is not to be had is told so, as soon as the wait is over, that nothing was done.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_to_be_had_is_contended() {
    let world = World::new(Backend::Postgres).await;
    let replica = start(&world).await;
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
    let world = World::new(Backend::Postgres).await;
    let replica = start(&world).await;
    pull(&mut replica.crm(), "", 0).await.unwrap();
    submit_mail(&replica, "before@example.no").await;
    let mut holder = Raw::open(&world).await;
    holder.execute("BEGIN").await;
    holder
        .execute("UPDATE consumer SET delivered = delivered")
        .await;
    let mut pulls = Pulls::start(&replica);
    // One that came too late for a connection has been told so: the others hold all there are, and more wait.
    assert_eq!(pulls.refused().await, "STORE_UNAVAILABLE");
    submit_mail(&replica, "meanwhile@example.no").await;
    let erased = replica
        .privacy()
        .erase_subject(erasure("before@example.no"))
        .await;
    assert_eq!(erased.unwrap().into_inner().leads.len(), 1);
    assert_eq!(replica.health().await, ServingStatus::Serving);
    holder.execute("ROLLBACK").await;
    pulls.stop().await;
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
    let replica = start(&world).await;
    let load = Load::start(&replica);
    let (mut journal, before) = (Journal::default(), load.goes_on().await);
    let mut back = Duration::ZERO;
    for round in 0..10 {
        cluster.restart_immediately().await;
        let answers = Instant::now();
        let form = form("Ola", &format!("round-{round}@example.no"));
        journal.submit(&mut replica.intake(), &form).await;
        back = back.max(answers.elapsed());
    }
    let after = load.goes_on().await;
    journal.add(load.stop().await);
    println!(
        "P1: {} stored, errors {:?}; stored again {back:?} after it answered (worst); {:.0}/s before, {:.0}/s after",
        journal.stored.len(),
        journal.errors,
        journal.rate(before),
        journal.rate(after)
    );
    assert_told(&replica, &journal).await;
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
    let replica = start(&world).await;
    let load = Load::start(&replica);
    let (mut intake, mut journal) = (replica.intake(), Journal::default());
    let before = load.goes_on().await;
    primary
        .execute("ALTER SYSTEM SET default_transaction_read_only = on")
        .await;
    primary.execute("SELECT pg_reload_conf()").await;
    standby.execute("SELECT pg_promote()").await;
    let promoted = Instant::now();
    proxy.leads_to(standby.address);
    journal
        .submit(&mut intake, &form("Ola", "after@example.no"))
        .await;
    let back = promoted.elapsed();
    let after = load.goes_on().await;
    journal.add(load.stop().await);
    println!(
        "P2: {} stored, errors {:?}; stored again {back:?} after the promotion; {:.0}/s before, {:.0}/s after",
        journal.stored.len(),
        journal.errors,
        journal.rate(before),
        journal.rate(after)
    );
    assert_told(&replica, &journal).await;
    world.url = primary.url("leads").parse().unwrap();
    let told = refusal(&world).await;
    assert!(told.contains("the URL must lead to the primary"), "{told}");
    replica.stop().await;
}

/// D11, D12: what a replica does to the schema may take its time, and who comes meanwhile waits for it: longer than any
/// statement of a call may take, and then goes on.
#[tokio::test(flavor = "multi_thread")]
async fn d12_a_start_waits_for_another_that_migrates() {
    let world = World::new(Backend::Postgres).await;
    let (mut holder, mut raw) = (Raw::open(&world).await, Raw::open(&world).await);
    holder.execute("BEGIN").await;
    // As the other one has it while it migrates.
    holder
        .execute("LOCK TABLE _sqlx_migrations IN ACCESS EXCLUSIVE MODE")
        .await;
    let starting = async {
        world
            .try_open(None)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let releasing = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > '5 s'";
        eventually(async || (raw.numbers(waits).await == [1]).then_some(())).await;
        holder.execute("ROLLBACK").await;
    };
    let (started, ()) = tokio::join!(starting, releasing);
    assert_eq!(started, Ok(()));
    holder.close().await;
    raw.close().await;
}

/// D12: of replicas that come first at the same time one makes the schema, and all of them start.
#[tokio::test(flavor = "multi_thread")]
async fn d12_replicas_that_come_first_together() {
    let mut world = World::new(Backend::Postgres).await;
    world.url = new_postgres_database().await.parse().unwrap();
    let (one, other, third) = tokio::join!(world.open(), world.open(), world.open());
    assert_eq!(one.store_id(), other.store_id());
    assert_eq!(one.store_id(), third.store_id());
    for store in [one, other, third] {
        store.close().await;
    }
}

/// `sslmode=verify-full`: a server is talked to if the authority that the URL names signed its certificate for the name
/// that the URL has. The text says which part of the URL to look at.
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
    let replica = start(&world).await;
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
        let told = refusal(&world).await;
        assert!(told.contains("sslmode and sslrootcert"), "{case}: {told}");
    }
    replica.stop().await;
}
