//! Replicas of the real program, three over one PostgreSQL, that are killed, restarted, replaced by another version and
//! stopped in mid-air, while websites submit, as `docs/operations.md` asks of clients, and a CRM follows the feed.
//!
//! `LEAD_INTAKE_TEST_KILLS`, `LEAD_INTAKE_TEST_ROLLS` and `LEAD_INTAKE_TEST_PAUSE` (seconds) make them longer, as
//! `.ci/soak` does; `LEAD_INTAKE_TEST_SEED` chooses other replicas.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

mod fleet;
mod follower;
mod website;

use std::{env, fs, future::pending, time::Duration};

use lead_intake::pb::{self, ChangeKind, EntryKind};
use tokio::time::timeout;

use self::{
    fleet::{Fleet, REPLICAS},
    follower::{Follower, assert_agreed},
    website::Load,
};
use crate::{
    raw::Raw,
    rights::{correction, restriction},
    steps::{erasure, heard, ledger_after, pull_all},
    support::{binary::this, random::Random, *},
};

/// Leads between two troubles.
const SAMPLE: usize = 150;

fn setting(name: &str, default: u32) -> u32 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn random() -> Random {
    Random::new(setting("LEAD_INTAKE_TEST_SEED", 1).into())
}

/// D2: a replica is killed, whichever, again and again. The others go on; what was acknowledged is there once, in the feed
/// of each and for a CRM that went on from its cursor.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_replica_is_killed_again_and_again() {
    let kills = setting("LEAD_INTAKE_TEST_KILLS", 5);
    let mut fleet = Fleet::start(this()).await;
    let (load, follower) = (Load::start(&fleet), Follower::start(&fleet));
    let (mut whole, mut missing) = (Vec::new(), Vec::new());
    let mut random = random();
    for _ in 0..kills {
        whole.push(load.goes_on(SAMPLE).await);
        let place = random.below(REPLICAS);
        fleet.kill(place).await;
        let (killed, _) = load.goes_on(SAMPLE).await;
        fleet.start_at(place, this()).await;
        missing.push((killed, std::time::Instant::now()));
    }
    whole.push(load.goes_on(SAMPLE).await);
    let journal = load.stop().await;
    let leads = assert_agreed(&fleet, &journal, follower).await;
    let (before, after) = (journal.rate(&whole), journal.rate(&missing));
    println!(
        "D2: {leads} leads over {kills} kills; {before:.0}/s with all, {after:.0}/s without one ({:.0} %); failed tries {:?}, \
         told to a website {:?}",
        100.0 * after / before,
        journal.tries,
        journal.errors
    );
    fleet.stop().await;
}

/// P8, P9: each replica is stopped and started again, one after the other, by this version; and by another one and back, if
/// `LEAD_INTAKE_TEST_OLDER` names its program. No website is told of an error, nothing is lost; what one version wrote, the
/// other opens, corrects, restricts, finds and erases.
#[tokio::test(flavor = "multi_thread")]
async fn p8_p9_a_rolling_restart_is_not_noticed() {
    let rolls = setting("LEAD_INTAKE_TEST_ROLLS", 1);
    let mut programs = vec![this().to_owned()];
    programs.extend(fleet::older());
    let mut fleet = Fleet::start(programs.last().unwrap()).await;
    let (load, follower) = (Load::start(&fleet), Follower::start(&fleet));
    load.goes_on(SAMPLE).await;
    let (mut restarts, mut cursor) = (0, String::new());
    for program in (0..rolls).flat_map(|_| &programs) {
        if !fleet.is_taken_by(program).await {
            println!("P9: no way back, the older program refuses this one's schema");
            break;
        }
        for place in 0..REPLICAS {
            fleet.stop_at(place).await;
            load.goes_on(SAMPLE).await;
            fleet.start_at(place, program).await;
            load.goes_on(SAMPLE).await;
            rights_across(&fleet, place, &mut cursor).await;
            restarts += 1;
        }
    }
    let journal = load.stop().await;
    let leads = assert_agreed(&fleet, &journal, follower).await;
    println!(
        "P8: {leads} leads over {restarts} restarts by {} version(s); failed tries {:?}",
        programs.len(),
        journal.tries
    );
    assert_eq!(journal.errors, [""; 0]);
    fleet.stop().await;
}

/// The life of a lead, each step by another replica: the one of this place and its neighbour. A CRM goes on from its cursor.
async fn rights_across(fleet: &Fleet, place: usize, cursor: &mut String) {
    let mail = format!("{}@example.no", new_id().simple());
    for (here, there) in [(place, place + 1), (place + 1, place)] {
        let (here, there) = (here % REPLICAS, there % REPLICAS);
        let mut intake =
            pb::intake_service_client::IntakeServiceClient::new(fleet.caller(here, "intake"));
        let form = form("Kari Nordmann", &mail);
        let lead = intake.submit_lead(form).await.unwrap().into_inner().lead_id;
        // A client that was given a lead hears of its end.
        *cursor = pull_all(&mut fleet.crm(there), cursor, 1000).await.1;
        let request = correction(&lead, 1, "name", "Kari Ødegård");
        fleet.privacy(there).rectify_lead(request).await.unwrap();
        let request = restriction(&lead, pb::RestrictionReason::AccuracyContested);
        fleet.privacy(here).restrict_lead(request).await.unwrap();
        let find = pb::FindSubjectRequest {
            request: subject(&mail),
        };
        let found = fleet.privacy(there).find_subject(find).await.unwrap();
        let found = found.into_inner().leads;
        assert_eq!((found.len(), &found[0].lead_id), (1, &lead));
        assert_eq!(found[0].state(), pb::LeadState::Restricted);
        let request = pb::EraseSubjectRequest {
            confirm_supersedes_restriction: true,
            ..erasure(&mail)
        };
        let erased = fleet.privacy(there).erase_subject(request.clone()).await;
        let erased = erased.unwrap().into_inner();
        let again = fleet.privacy(here).erase_subject(request).await.unwrap();
        assert_eq!(again.into_inner().leads, erased.leads);
        for place in [here, there] {
            let (changes, _) = pull_all(&mut fleet.crm(place), cursor, 1000).await;
            let last = changes.iter().map(heard).rfind(|(_, id)| *id == lead);
            assert_eq!(last, Some((ChangeKind::Erased, &*lead)));
            let entries = ledger_after(&mut fleet.auditor(place), 0).await.unwrap();
            let last = entries.iter().rfind(|it| it.lead_id == lead);
            assert_eq!(last.unwrap().kind(), EntryKind::Erased);
        }
    }
}

/// D10, F10: a replica is stopped in the midst of a transaction that holds the ledger's head, and stays stopped. The others
/// go on all the same; when it wakes, it learns that it lost the head, and what it had begun becomes no second lead.
#[tokio::test(flavor = "multi_thread")]
async fn d10_f10_a_replica_that_stands_still_holds_nobody() {
    let pause = Duration::from_secs(setting("LEAD_INTAKE_TEST_PAUSE", 0).into());
    let fleet = Fleet::start(this()).await;
    let mut raw = fleet.raw().await;
    let (load, follower) = (Load::start(&fleet), Follower::start(&fleet));
    load.goes_on(SAMPLE).await;
    let (mut random, mut stopped_elsewhere) = (random(), 0);
    let place = loop {
        let place = random.below(REPLICAS);
        fleet.signal(place, "STOP").await;
        if holds_the_head(&mut raw, &fleet, place, &load).await {
            break place;
        }
        stopped_elsewhere += 1;
        fleet.signal(place, "CONT").await;
        load.goes_on(10).await;
    };
    let (stopped, went_on) = load.goes_on(1).await;
    let (_, later) = load.goes_on(SAMPLE).await;
    // Longer than any limit, in the soak.
    let _ = timeout(pause, pending::<()>()).await;
    fleet.signal(place, "CONT").await;
    assert!(fleet.replica(place).is_ready().await);
    load.goes_on(SAMPLE).await;
    rights_across(&fleet, place, &mut String::new()).await;
    let journal = load.stop().await;
    let leads = assert_agreed(&fleet, &journal, follower).await;
    println!(
        "D10: {leads} leads; stopped {stopped_elsewhere} times without the head, then with it: the others stored again after \
         {:?}, {SAMPLE} more after {:?}; failed tries {:?}, told to a website {:?}",
        went_on - stopped,
        later - went_on,
        journal.tries,
        journal.errors
    );
    // What was in the lost transaction was not acknowledged.
    assert!(!journal.tries.is_empty(), "nobody was told of the loss");
    fleet.stop().await;
}

/// Whether a replica that is stopped keeps the others from the head: their writers wait for a transaction of its own, and
/// not only until the database reads the commit that was sent before the stop.
async fn holds_the_head(raw: &mut Raw, fleet: &Fleet, place: usize, load: &Load) -> bool {
    let ports = ports_of(fleet.process(place)).join(",");
    let blocks = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE client_port IN ({ports}) AND state = 'idle in transaction' \
         AND state_change < clock_timestamp() - interval '500 ms' AND pid IN \
         (SELECT unnest(pg_blocking_pids(pid)) FROM pg_stat_activity WHERE datname = current_database())"
    );
    let before = load.stored();
    eventually(async || {
        if raw.numbers(&blocks).await != [0] {
            return Some(true);
        }
        // The others store what they have, and more: nothing holds them.
        (load.stored() > before + 60).then_some(false)
    })
    .await
}

/// The ports of a process's own ends of its connections.
fn ports_of(process: u32) -> Vec<String> {
    let dir = format!("/proc/{process}/fd");
    let links = fs::read_dir(dir).unwrap();
    let links = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
    let links: Vec<String> = links.map(|link| link.display().to_string()).collect();
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let rows = table.lines().skip(1).map(str::split_whitespace);
    rows.filter_map(|row| {
        let row: Vec<&str> = row.collect();
        let (_, port) = row[1].split_once(':').unwrap();
        let port = u16::from_str_radix(port, 16).unwrap().to_string();
        links
            .contains(&format!("socket:[{}]", row[9]))
            .then_some(port)
    })
    .collect()
}
