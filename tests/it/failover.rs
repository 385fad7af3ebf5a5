//! P2: a failover to a standby that followed asynchronously, and lacks what was acknowledged.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::time::{Duration, Instant};

use lead_intake::pb::{ChangeKind, EntryKind, FindSubjectRequest};

use tonic::Code;

use crate::{
    raw::Raw,
    rights,
    steps::{
        erase, erasure, heard, ledger, pull, pull_all, submit_mail, submit_until_stored, verify,
    },
    support::{cluster::Cluster, deaf_proxy::DeafProxy, *},
};

/// A primary, and a standby for which nobody waits.
struct Pair {
    primary: Cluster,
    standby: Cluster,
}

impl Pair {
    async fn start() -> Self {
        let primary = Cluster::start(&["fsync=off"]).await;
        primary.execute("CREATE DATABASE leads").await;
        let standby = primary.standby().await;
        Self { primary, standby }
    }

    /// The way to the database: it leads to the primary.
    async fn way(&self) -> DeafProxy {
        DeafProxy::start(self.primary.address).await
    }

    fn url_by(&self, way: &DeafProxy) -> String {
        self.primary.url_at(way.address, "leads")
    }

    /// From here on the standby hears of nothing. It has all there is.
    async fn falls_behind(&self) {
        let head = "SELECT sequence FROM ledger_head";
        let mut raw = Raw::at(&self.primary.url("leads").parse().unwrap()).await;
        let all = raw.numbers(head).await;
        let mut standby = Raw::at(&self.standby.url("leads").parse().unwrap()).await;
        eventually(async || (standby.numbers(head).await == all).then_some(())).await;
        let reload = "SELECT pg_reload_conf()";
        let deaf = "ALTER SYSTEM SET primary_conninfo = ''";
        for statement in [deaf, reload] {
            self.standby.execute(statement).await;
        }
        let followed = "SELECT count(*) FROM pg_stat_replication";
        eventually(async || (raw.numbers(followed).await == [0]).then_some(())).await;
        standby.close().await;
        raw.close().await;
    }

    /// The primary dies, and the standby takes its place; nobody's way leads there yet.
    async fn fails_over(self) -> Cluster {
        drop(self.primary);
        self.standby.execute("SELECT pg_promote()").await;
        self.standby
    }
}

/// P2: a replica does not go on with a database that lost what it had acknowledged: nobody is shown who was erased, and the
/// process ends by itself. Its next start has everything back that can be had, under the same numbers.
#[tokio::test(flavor = "multi_thread")]
async fn p2_a_failover_that_lost_something_ends_the_replica() {
    let pair = Pair::start().await;
    let way = pair.way().await;
    let world = World::at(&pair.url_by(&way)).await;
    let replica = world.start().await;
    let kari = submit_mail(&replica, "kari@example.no").await;
    pair.falls_behind().await;
    let lost = submit_mail(&replica, "ola@example.no").await;
    erase(&replica, "kari@example.no").await;
    let before = ledger(&replica).await;
    let standby = pair.fails_over().await;
    let (there, broken) = (Instant::now(), replica.store.broken());
    let noticed = tokio::spawn(async move {
        broken.cancelled().await;
        there.elapsed()
    });
    way.leads_to(standby.address);
    // However long it takes, nobody is told of her.
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while !replica.has_ended() {
            tick.tick().await;
            let request = FindSubjectRequest {
                request: subject("kari@example.no"),
            };
            if let Ok(found) = replica.privacy().find_subject(request).await {
                assert_eq!(found.into_inner().leads.len(), 0);
            }
        }
    };
    let ended = tokio::time::timeout(binary::PATIENCE, asking).await;
    ended.expect("it goes on");
    println!(
        "P2: noticed {:?} after the new primary was there, ended {:?}",
        noticed.await.unwrap(),
        there.elapsed()
    );
    replica.broke().await;
    let replica = world.start().await;
    let after = ledger(&replica).await;
    assert_eq!(after[..before.len()], before);
    assert_eq!(after[before.len()].kind(), EntryKind::Restored);
    assert!(rights::theirs(&replica, "kari@example.no").await.is_empty());
    let (changes, _) = pull_all(&mut replica.crm(), "", 0).await;
    let told: Vec<_> = changes.iter().map(heard).collect();
    let tombstones = [(ChangeKind::Erased, &*kari), (ChangeKind::Erased, &*lost)];
    assert_eq!(told, tombstones);
    verify(&replica).await;
    replica.stop().await;
}

/// P2: of two replicas one knew nothing of what is lost, and goes on. The other ends, and its next start is not refused, though
/// its mirror has another history by now: it does its acts again, and tells of the leads that only it knew.
#[tokio::test(flavor = "multi_thread")]
async fn p2_the_replica_that_knew_nothing_of_it_goes_on() {
    let pair = Pair::start().await;
    let (way, other_way) = (pair.way().await, pair.way().await);
    let mut world = World::at(&pair.url_by(&way)).await;
    let knows = world.start().await;
    world.url = pair.url_by(&other_way).parse().unwrap();
    let ignorant = world.start().await;
    world.url = pair.url_by(&way).parse().unwrap();
    let kari = submit_mail(&knows, "kari@example.no").await;
    pair.falls_behind().await;
    eventually(async || {
        let told = ignorant.store.head().borrow().to_owned();
        (told == knows.store.head().borrow().to_owned()).then_some(())
    })
    .await;
    other_way.falls_silent();
    let lost = submit_mail(&knows, "ola@example.no").await;
    erase(&knows, "kari@example.no").await;
    let (given, _) = pull_all(&mut knows.crm(), "", 0).await;
    assert_eq!(given.len(), 1);
    let standby = pair.fails_over().await;
    other_way.leads_to(standby.address);
    other_way.hears_again();
    let form = form("Per", "per@example.no");
    let per = submit_until_stored(&mut ignorant.intake(), &form, |_| ()).await;
    way.leads_to(standby.address);
    knows.broke().await;
    let knows = world.start().await;
    assert!(
        rights::theirs(&ignorant, "kari@example.no")
            .await
            .is_empty()
    );
    let told = rights::entries(&knows, &kari).await;
    assert_eq!(told.last().unwrap().0, EntryKind::Erased);
    let (changes, _) = pull_all(&mut ignorant.crm(), "", 0).await;
    let told: Vec<_> = changes.iter().map(heard).collect();
    assert_eq!(
        told,
        [
            (ChangeKind::Submitted, &*per),
            (ChangeKind::Erased, &*lost),
            (ChangeKind::Erased, &*kari),
        ]
    );
    for replica in [knows, ignorant] {
        verify(&replica).await;
        replica.stop().await;
    }
    // Once is enough: the next difference is one that nobody saw.
    assert!(!world.mirror(1).join("failover").exists());
}

/// P2, D10: an answer that comes late is no ledger that went back. A replica is given the head and stands still; the database ends
/// its transaction, and others go on. It hears of them first, and then that it had the head, as that was.
#[tokio::test(flavor = "multi_thread")]
async fn p2_a_head_that_was_lost_meanwhile_is_no_loss() {
    let mut world = World::new(Backend::Postgres).await;
    let other = world.start().await;
    let (mut holder, mut raw) = (Raw::open(&world).await, Raw::open(&world).await);
    let proxy = DeafProxy::between(&mut world).await;
    let replica = world.start().await;
    submit_mail(&other, "kari@example.no").await;
    let request = erasure("kari@example.no");
    for statement in ["BEGIN", "UPDATE ledger_head SET at = at"] {
        holder.execute(statement).await;
    }
    let mut privacy = replica.privacy();
    let asked = request.clone();
    let erasing = tokio::spawn(async move { privacy.erase_subject(asked).await });
    let waiting = "SELECT client_port::bigint FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let port = eventually(async || raw.numbers(waiting).await.pop()).await;
    proxy.keeps_back(Some(port.try_into().unwrap()));
    holder.execute("ROLLBACK").await;
    let has_it = format!("SELECT count(*) FROM pg_stat_activity WHERE client_port = {port}");
    eventually(async || (raw.numbers(&has_it).await == [0]).then_some(())).await;
    submit_mail(&other, "ola@example.no").await;
    let mut heads = [&replica, &other].map(|it| it.store.head());
    eventually(async || {
        let [here, there] = heads.each_mut().map(|head| *head.borrow_and_update());
        (here == there).then_some(())
    })
    .await;
    proxy.keeps_back(None);
    if let Err(status) = erasing.await.unwrap() {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
    assert!(!replica.store.broken().is_cancelled(), "a false alarm");
    replica.privacy().erase_subject(request).await.unwrap();
    for replica in [replica, other] {
        verify(&replica).await;
        replica.stop().await;
    }
    for raw in [holder, raw] {
        raw.close().await;
    }
}

on_both! {
    /// A backup that somebody restores under a running service ends it within a second or two, and not only a failover: its next
    /// start puts back what is missing.
    async fn a_ledger_that_goes_back_ends_the_replica(backend: Backend) {
        for is_written_to in [false, true] {
            goes_back(backend, is_written_to).await;
        }
    }
}

async fn goes_back(backend: Backend, is_written_to: bool) {
    let world = World::new(backend).await;
    let replica = world.start().await;
    submit_mail(&replica, "kari@example.no").await;
    let lost = submit_mail(&replica, "ola@example.no").await;
    let cursor = pull(&mut replica.crm(), "", 1).await.unwrap().next_cursor;
    pull(&mut replica.crm(), &cursor, 0).await.unwrap();
    let before = ledger(&replica).await;
    let mut raw = Raw::open(&world).await;
    for statement in [
        "BEGIN",
        "DELETE FROM lead WHERE id = (SELECT lead_id FROM ledger ORDER BY sequence DESC LIMIT 1)",
        "DELETE FROM ledger WHERE sequence = (SELECT sequence FROM ledger_head)",
        "UPDATE ledger_head SET sequence = sequence - 1, hash = \
             (SELECT hash FROM ledger ORDER BY sequence DESC LIMIT 1)",
        "COMMIT",
    ] {
        raw.execute(statement).await;
    }
    raw.close().await;
    if is_written_to {
        // At once, and not when it is noticed: nothing is written over what is missing.
        let form = form("Per", "per@example.no");
        let refused = replica.intake().submit_lead(form).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    }
    let broken = replica.store.broken();
    let noticed = tokio::time::timeout(binary::PATIENCE, broken.cancelled()).await;
    noticed.expect("it goes on");
    // Given once, it would be given again without a trace.
    let given_again = pull(&mut replica.crm(), &cursor, 0).await;
    assert_eq!(given_again.unwrap_err().code(), Code::Unavailable);
    replica.broke().await;
    let replica = world.start().await;
    let after = ledger(&replica).await;
    assert_eq!(after[..before.len()], before);
    let (changes, _) = pull_all(&mut replica.crm(), "", 0).await;
    let told = changes.last().map(heard);
    assert_eq!(told, Some((ChangeKind::Erased, &*lost)));
    verify(&replica).await;
    replica.stop().await;
}
