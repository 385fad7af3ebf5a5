//! The operator's commands in the wrong order, on the wrong machine, with the wrong file: refused, in words that say
//! what to do, and nothing is changed.

use std::fs;

use super::{Fleet, generation, generation_in_use, key, number, secrets};
use crate::support::{binary::run, *};

on_both! {
    /// Each step is refused before its time, and what it would have changed is as it was.
    async fn a_step_before_its_time_is_refused(backend: Backend) {
        let mut fleet = Fleet::new(backend).await;
        fleet.intake(0).submit_lead(form("Kari Nordmann", "kari@example.no")).await.unwrap();
        let before = fs::read(fleet.ring(0)).unwrap();
        for (step, says) in [
            (&["promote"][..], "keys rotate"),
            (&["promote", "sealing-2"], "the ring has no sealing-2"),
            (&["retire", "--forget"], "no old key"),
            (&["retire", "sealing-1", "--forget"], "sealing-1 is the primary key"),
            (&["retire", "index-7", "--forget"], "the ring has no index-7"),
        ] {
            let refused = fleet.keys_at(0, step).await.with_code(1);
            assert!(refused.err.contains(says), "{step:?}: {}", refused.err);
        }
        fleet.keys_at(0, &["promote", "2"]).await.with_code(2);
        fleet.keys_at(0, &["rotate", "--purpose", "signing"]).await.with_code(2);
        assert!(fs::read(fleet.ring(0)).unwrap() == before);

        fleet.keys(&["rotate"]).await;
        let rotated = fs::read(fleet.ring(0)).unwrap();
        let refused = fleet.keys_at(0, &["rotate"]).await.with_code(1);
        assert!(refused.err.contains("sealing-2 was added before and waits"), "{}", refused.err);
        let refused = fleet.keys_at(0, &["retire", "sealing-2", "--forget"]).await.with_code(1);
        assert!(refused.err.contains("waits to be"), "{}", refused.err);
        assert!(fs::read(fleet.ring(0)).unwrap() == rotated);
        fleet.roll_out().await;
        fleet.keys(&["promote", "sealing-2"]).await;
        fleet.roll_out().await;
        let refused = fleet.keys_at(0, &["promote", "sealing-1"]).await.with_code(1);
        assert!(refused.err.contains("older than the primary key"), "{}", refused.err);
        let refused = fleet.keys_at(0, &["retire", "--forget"]).await.with_code(1);
        assert!(refused.err.contains("sealing-1: 1 lead(s) still lie under it"), "{}", refused.err);
        let list = fleet.list().await;
        assert_eq!(key(&list, "sealing-1")["state"], "old");
        assert_eq!(key(&list, "index-2")["state"], "waiting");
        // One purpose at a time is as good.
        let resealed = fleet.keys(&["reseal"]).await;
        assert!(resealed.err.contains("resealed 1 of 1 lead(s)"), "{}", resealed.err);
        fleet.keys(&["retire", "sealing-1", "--forget"]).await;
        fleet.roll_out().await;
        fleet.keys(&["promote"]).await;
        fleet.roll_out().await;
        let again = fleet.keys(&["reseal"]).await;
        assert!(again.err.contains("resealed 1 of 1 lead(s)"), "{}", again.err);
        let once_more = fleet.keys(&["reseal"]).await;
        assert!(once_more.err.contains("resealed 0 of 0 lead(s)"), "{}", once_more.err);
        fleet.keys(&["retire", "--forget"]).await;
        let text = fleet.keys(&["list"]).await.out;
        assert!(text.contains("index-2") && text.contains("retired"), "{text}");
        fleet.stop().await;
    }

    /// A file that is no ring, or another's, or torn, changes nothing: the ring before it stays in use, the log says
    /// so and names no key, a counter rises; and the right file is taken when it is back.
    async fn a_ring_that_cannot_be_used_changes_nothing(backend: Backend) {
        let mut fleet = Fleet::new(backend).await;
        let right = fs::read_to_string(fleet.ring(0)).unwrap();
        let other = another(&secrets(&fleet.ring(0))[0]);
        let foreign = right.replace(&secrets(&fleet.ring(0))[0], &other);
        assert_ne!(foreign, right);
        let refused = async || {
            let metrics = fleet.replicas[0].get("/metrics").await;
            number(&metrics, "lead_intake_key_ring_refused_total").unwrap_or(0)
        };
        for (count, wrong) in [(1, "not a ring"), (2, &*foreign), (3, &right[..right.len() / 2])] {
            fs::write(fleet.ring(0), wrong).unwrap();
            eventually(async || (refused().await == count).then_some(())).await;
            let form = form("Kari Nordmann", "kari@example.no");
            fleet.intake(0).submit_lead(form).await.unwrap();
        }
        fs::write(fleet.ring(0), &right).unwrap();
        fleet.keys(&["rotate"]).await;
        fleet.roll_out().await;
        let keys = secrets(&fleet.ring(0));
        for log in fleet.stop().await {
            assert!(log.contains("the key ring changed"), "{log}");
            assert!(!keys.iter().any(|key| log.contains(key)) && !log.contains(&other));
        }
    }

    /// K3: another key under the same number is a definite error at start, which names the key and shows none.
    async fn k3_a_wrong_key_with_the_right_number_stops_the_start(backend: Backend) {
        let mut fleet = Fleet::new(backend).await;
        fleet.stop().await;
        let right = fs::read_to_string(fleet.ring(0)).unwrap();
        for (key, name) in secrets(&fleet.ring(0)).iter().zip(["sealing", "index"]) {
            let other = another(key);
            fs::write(fleet.ring(0), right.replace(&**key, &other)).unwrap();
            let refused = fleet.refused_start(0).await;
            let says = format!("{name} key 1 is another key");
            assert!(refused.contains(&says) && !refused.contains(&other), "{refused}");
        }
        fs::write(fleet.ring(0), right).unwrap();
        let back = fleet.serve(0).await;
        fleet.replicas.push(back);
        fleet.stop().await;
    }
}

/// A key that differs in its first letter.
fn another(key: &str) -> String {
    let first = if key.starts_with('A') { "B" } else { "A" };
    format!("{first}{}", &key[1..])
}

/// Two machines that change the ring in two ways do not get two rings: the second is refused, whatever it did, and its
/// file is as it was. The same step on each machine, in the place of copying, is as good as copying.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_changed_on_one_machine() {
    let mut fleet = Fleet::new(Backend::Postgres).await;
    let before = fs::read(fleet.ring(1)).unwrap();
    fleet.keys(&["rotate", "--purpose", "sealing"]).await;
    for purpose in ["sealing", "index"] {
        let step = ["rotate", "--purpose", purpose];
        let refused = fleet.keys_at(1, &step).await.with_code(1);
        let says = "another machine added sealing-2";
        assert!(refused.err.contains(says), "{}", refused.err);
        assert!(fs::read(fleet.ring(1)).unwrap() == before);
    }
    fleet.roll_out().await;
    for place in [0, 1] {
        fleet.keys_at(place, &["promote"]).await.with_code(0);
    }
    assert!(fs::read(fleet.ring(0)).unwrap() == fs::read(fleet.ring(1)).unwrap());
    // Now in two ways from the same ring.
    fleet.keys(&["rotate", "--purpose", "index"]).await;
    fleet.roll_out().await;
    fleet.keys(&["promote"]).await;
    for step in [&["rotate"][..], &["reseal"], &["retire", "--forget"]] {
        let refused = fleet.keys_at(1, step).await.with_code(1);
        let says = "another machine promoted a key";
        assert!(refused.err.contains(says), "{step:?}: {}", refused.err);
    }
    let data = fleet.data(1);
    let mut envs = fleet.envs();
    envs.push(("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap()));
    let checked = run(&envs, &["check"], "").await.with_code(3);
    assert!(checked.out.contains("not the newest"), "{}", checked.out);
    fleet.roll_out().await;
    run(&envs, &["check"], "").await.with_code(0);
    fleet.stop().await;
}

/// Two commands at the same moment on two machines: whoever tells the database second is refused, and its file is as it
/// was.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_rings_at_once_one_is_taken() {
    let mut fleet = Fleet::new(Backend::Postgres).await;
    let before = [0, 1].map(|place| fs::read(fleet.ring(place)).unwrap());
    let ran = tokio::join!(fleet.keys_at(0, &["rotate"]), fleet.keys_at(1, &["rotate"]));
    let ran = [ran.0, ran.1];
    let after = [0, 1].map(|place| fs::read(fleet.ring(place)).unwrap());
    let done: Vec<bool> = ran.iter().map(|ran| ran.code == Some(0)).collect();
    assert_eq!(
        done.iter().filter(|done| **done).count(),
        1,
        "{}{}",
        ran[0].err,
        ran[1].err
    );
    for place in [0, 1] {
        assert_eq!(after[place] != before[place], done[place]);
    }
    fleet.stop().await;
}

/// A new key whose ring was lost before it was copied stops nothing: it is given up, and the next one has another number.
/// One that was in use is not given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_ring_is_given_up() {
    let mut fleet = Fleet::new(Backend::Sqlite).await;
    let right = fs::read(fleet.ring(0)).unwrap();
    fleet.keys(&["rotate"]).await;
    fs::write(fleet.ring(0), &right).unwrap();
    assert_eq!(key(&fleet.list().await, "sealing-2")["state"], "not here");
    for name in ["sealing-2", "index-2"] {
        let refused = fleet.keys_at(0, &["rotate"]).await.with_code(1);
        let says = format!("lead-intake keys retire {name} --forget");
        assert!(refused.err.contains(&says), "{}", refused.err);
        fleet.keys(&["retire", name, "--forget"]).await;
    }
    fleet.keys(&["rotate"]).await;
    fleet.roll_out().await;
    fleet.keys(&["promote"]).await;
    fleet.roll_out().await;
    let list = fleet.list().await;
    assert_eq!(key(&list, "sealing-3")["state"], "primary");
    assert_eq!(key(&list, "sealing-2")["state"], "retired");
    fleet.stop().await;

    fs::write(fleet.ring(0), &right).unwrap();
    let refused = fleet
        .keys_at(0, &["retire", "sealing-3", "--forget"])
        .await
        .with_code(1);
    assert!(refused.err.contains("key 3 is missing"), "{}", refused.err);
}

/// Retiring asks what becomes of the ring that backups need, and keeps it where it is told to; that one still opens
/// what it opened, and a ring that would seal with a retired key is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_retired_key_is_kept_or_forgotten_on_purpose() {
    let mut fleet = Fleet::new(Backend::Sqlite).await;
    let first = fs::read_to_string(fleet.ring(0)).unwrap();
    fleet.keys(&["rotate"]).await;
    fleet.roll_out().await;
    fleet.keys(&["promote"]).await;
    fleet.roll_out().await;
    let before = fs::read(fleet.ring(0)).unwrap();
    fleet.keys_at(0, &["retire"]).await.with_code(2);
    let kept = fleet.dir.path().join("kept.toml");
    let keep = kept.to_str().unwrap();
    // A file that is there already is not written over, unless it is what an attempt before this one kept.
    fs::write(&kept, "").unwrap();
    let refused = fleet
        .keys_at(0, &["retire", "--keep", keep])
        .await
        .with_code(1);
    assert!(refused.err.contains("exists"), "{}", refused.err);
    fs::copy(fleet.ring(0), &kept).unwrap();
    fleet.keys(&["retire", "--keep", keep]).await;
    assert!(fs::read(&kept).unwrap() == before);
    assert_eq!(super::secrets(&kept).len(), 4);
    fleet.stop().await;

    // Somebody puts the old key first again, by hand.
    let old = before.clone();
    let old = String::from_utf8(old).unwrap();
    let old = old.replace("primary_sealing = 2", "primary_sealing = 1");
    let old = old.replace("generation = 3", "generation = 9");
    assert!(old.contains(&super::secrets(&kept)[0]) && first.contains(&super::secrets(&kept)[0]));
    fs::write(fleet.ring(0), old).unwrap();
    let refused = fleet.refused_start(0).await;
    assert!(refused.contains("sealing-1 was retired"), "{refused}");
}

/// A ring is read again on SIGHUP, and a hang-up ends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_has_the_ring_read() {
    let mut fleet = Fleet::new(Backend::Sqlite).await;
    fleet.keys(&["rotate"]).await;
    let process = fleet.replicas[0].child.id().unwrap();
    assert!(binary::send_signal(process, "HUP").await);
    let wanted = generation(&fleet.ring(0));
    let in_use = async || generation_in_use(&fleet.replicas[0]).await;
    eventually(async || (in_use().await == wanted).then_some(())).await;
    fleet.stop().await;
}

/// A ring that others can read is refused by the commands too, and one that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_want_a_ring() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let list = ["keys", "--data-dir", data, "list"];
    let refused = run(&[], &list, "").await.with_code(1);
    assert!(refused.err.contains("keys.toml"), "{}", refused.err);
    assert_eq!(files(dir.path()), Vec::<std::path::PathBuf>::new());
}
