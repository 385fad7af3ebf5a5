//! A rotation that breaks off between any two of its writes goes on when the step is run again, and no key and no
//! lead is lost on the way.

use std::path::Path;

use lead_intake::{
    pb,
    seal::{KeyFile, KeyName, KeyPurpose},
};
use tokio::task::JoinSet;

use super::{Fleet, generation, key};
use crate::support::{
    binary::{run, start},
    *,
};

/// Changes the file and nothing else, as a command does that is killed before it tells the database.
fn change(path: &Path, change: impl FnOnce(&mut KeyFile)) {
    let before = KeyFile::load(path).unwrap();
    let mut file = before.next(before.generation());
    change(&mut file);
    file.replace(path).unwrap();
}

impl Fleet {
    /// The service starts with what a crash left, and answers.
    async fn starts(&mut self) {
        let replica = self.serve(0).await;
        self.replicas.push(replica);
        let mail = format!("{}@example.no", new_id().simple());
        self.intake(0)
            .submit_lead(form("Kari Nordmann", &mail))
            .await
            .unwrap();
        let find = pb::FindSubjectRequest {
            request: subject(&mail),
        };
        let found = self.privacy(0).find_subject(find).await.unwrap();
        assert_eq!(found.into_inner().leads.len(), 1);
        self.stop().await;
    }
}

on_both! {
    /// After each write of each step the service starts, and the step, run again, comes to its end.
    async fn every_step_goes_on_after_a_crash(backend: Backend) {
        let mut fleet = Fleet::new(backend).await;
        fleet.stop().await;
        fleet.starts().await;
        let ring = fleet.ring(0);

        // The new keys are in the file; the database does not know of them.
        change(&ring, |file| {
            for purpose in KeyPurpose::ALL {
                file.add(purpose, 0, "").unwrap();
            }
        });
        let refused = fleet.keys_at(0, &["rotate"]).await.with_code(1);
        assert!(refused.err.contains("waits: promote it first"), "{}", refused.err);
        assert_eq!(fleet.list().await["generation_newest"], 2);
        fleet.starts().await;

        // Promoting: old rings are shut out; the file is as it was.
        let mut raw = fleet.raw().await;
        raw.execute("UPDATE ledger_head SET ring_min = 2").await;
        fleet.starts().await;
        fleet.keys(&["promote", "sealing-2"]).await;
        // The file is changed; the database does not know of it.
        change(&ring, |file| file.promote("index-2".parse().unwrap()).unwrap());
        let refused = fleet.keys_at(0, &["promote"]).await.with_code(1);
        assert!(refused.err.contains("no key waits"), "{}", refused.err);
        assert_eq!(fleet.list().await["generation_newest"], 4);
        fleet.starts().await;
        fleet.keys(&["reseal"]).await;

        // Retiring: the database has taken note; the file still has the keys.
        raw.execute("UPDATE key_commitment SET retired_at = 1 WHERE key_id = 1").await;
        fleet.starts().await;
        assert_eq!(key(&fleet.list().await, "sealing-1")["state"], "old");
        fleet.keys(&["retire", "sealing-1", "--forget"]).await;
        // The file is changed; the database does not know of it.
        let index = KeyName { purpose: KeyPurpose::Index, id: 1 };
        change(&ring, |file| file.remove(index).unwrap());
        fleet.starts().await;
        let refused = fleet.keys_at(0, &["retire", "--forget"]).await.with_code(1);
        assert!(refused.err.contains("no old key"), "{}", refused.err);
        let list = fleet.list().await;
        assert_eq!(list["generation_newest"], generation(&ring));
        for name in ["sealing-1", "index-1"] {
            assert_eq!(key(&list, name)["state"], "retired");
        }
        raw.close().await;
    }

    /// A resealing that is killed in its middle, twice, goes on with what is left; every lead is there, opens, is found
    /// and is known when it comes again.
    async fn a_killed_resealing_goes_on(backend: Backend) {
        const LEADS: usize = 1500;
        let mut fleet = Fleet::new(backend).await;
        let mut callers = JoinSet::new();
        for caller in 0..10 {
            let mut intake = fleet.intake(0);
            callers.spawn(async move {
                let mut sent = Vec::new();
                for number in 0..LEADS / 10 {
                    let form = form("Kari Nordmann", &format!("k{caller}-{number}@example.no"));
                    let stored = intake.submit_lead(form.clone()).await.unwrap();
                    sent.push((form, stored.into_inner().lead_id));
                }
                sent
            });
        }
        let leads = callers.join_all().await.concat();
        fleet.keys(&["rotate"]).await;
        fleet.roll_out().await;
        fleet.keys(&["promote"]).await;
        fleet.roll_out().await;

        let mut raw = fleet.raw().await;
        let old = "SELECT COUNT(*) FROM lead WHERE key_id = 1";
        let data = fleet.data(0);
        for target in [1200, 700] {
            let mut envs = fleet.envs();
            envs.push(("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap()));
            let mut resealing = start(&envs, &["keys", "reseal"]);
            eventually(async || (raw.numbers(old).await[0] < target).then_some(())).await;
            resealing.start_kill().unwrap();
            resealing.wait().await.unwrap();
        }
        let left = raw.numbers(old).await[0];
        // On a machine that stands still for a moment it may be done before it is killed.
        if left > 0 {
            let refused = fleet.keys_at(0, &["retire", "--forget"]).await.with_code(1);
            let says = format!("{left} lead(s) still lie under it");
            assert!(refused.err.contains(&says), "{}", refused.err);
        }
        let done = fleet.keys(&["reseal"]).await;
        assert!(done.err.contains(&format!("resealed {left} of {left} lead(s)")), "{}", done.err);
        fleet.keys(&["retire", "--forget"]).await;
        fleet.roll_out().await;

        for (form, id) in &leads {
            let again = fleet.intake(0).submit_lead(form.clone()).await.unwrap();
            assert_eq!(again.into_inner().lead_id, *id);
        }
        let mut crm = fleet.crm(0);
        let (changes, _) = crate::steps::pull_all(&mut crm, "", 1000).await;
        let mails: std::collections::BTreeSet<_> =
            changes.iter().map(|change| change.lead.as_ref().unwrap().email.clone()).collect();
        assert_eq!(mails.len(), LEADS);
        for (form, id) in leads.iter().step_by(50) {
            let find = pb::FindSubjectRequest { request: subject(&form.email) };
            let found = fleet.privacy(0).find_subject(find).await.unwrap().into_inner();
            assert_eq!(found.leads[0].lead_id, *id);
        }
        raw.close().await;
        fleet.stop().await;
    }
}

/// While one command changes a ring, another one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn one_command_at_a_time_changes_a_ring() {
    let mut fleet = Fleet::new(Backend::Sqlite).await;
    let ring = fleet.ring(0);
    let mut lock = KeyFile::lock(&ring).unwrap();
    let held = lock.try_write().unwrap();
    let data = fleet.data(0);
    let rotate = ["keys", "--data-dir", data.to_str().unwrap(), "rotate"];
    let refused = run(&[], &rotate, "").await.with_code(1);
    assert!(
        refused.err.contains("another command is changing it"),
        "{}",
        refused.err
    );
    drop(held);
    fleet.keys(&["rotate"]).await;
    fleet.stop().await;
}
