//! K1: a whole rotation, beside callers that never stop.

use lead_intake::pb;

use super::{Fleet, generation, key, traffic::Traffic};
use crate::{scan::Needles, support::*};

/// Everything of a lead that a stolen key opens, or finds.
const SEALED: &str = "SELECT sealed FROM lead UNION ALL SELECT email_index FROM lead \
                      UNION ALL SELECT phone_index FROM lead UNION ALL SELECT content_mac FROM lead";

on_both! {
    /// K1: both keys are rotated by the book (new ring everywhere, then new primary keys everywhere, then every lead
    /// resealed, then the old keys retired) while callers submit, find, correct, copy, repeat, pull and erase on
    /// every replica. No call fails; no lead is left under an old key; nothing of what lay under it is left in
    /// SQLite's files; and the old ring is refused.
    async fn k1_a_rotation_fails_no_call(backend: Backend) {
        let mut fleet = Fleet::new(backend).await;
        let mut leads = Vec::new();
        for number in 0..250 {
            let form = form("Ola Nordmann", &format!("before-{number}@example.no"));
            let stored = fleet.intake(0).submit_lead(form.clone()).await.unwrap();
            leads.push((form, stored.into_inner().lead_id));
        }
        let mut raw = fleet.raw().await;
        let under_old_keys = raw.bytes(SEALED).await;
        let old_ring = std::fs::read(fleet.ring(0)).unwrap();
        let traffic = Traffic::start(&fleet);
        traffic.go_on().await;

        fleet.keys(&["rotate"]).await;
        traffic.go_on().await;
        let list = fleet.list().await;
        for name in ["sealing", "index"] {
            assert_eq!(key(&list, &format!("{name}-1"))["state"], "primary");
            let waits = key(&list, &format!("{name}-2"));
            assert_eq!((&waits["state"], &waits["leads"]), (&"waiting".into(), &0.into()));
        }
        if backend == Backend::Postgres {
            let refused = fleet.keys_at(0, &["promote"]).await.with_code(1);
            assert!(refused.err.contains("a running replica has an older key ring"), "{}", refused.err);
        }
        fleet.roll_out().await;
        fleet.keys(&["promote"]).await;
        traffic.go_on().await;
        if backend == Backend::Postgres {
            let refused = fleet.keys_at(0, &["reseal"]).await.with_code(1);
            assert!(refused.err.contains("a running replica has an older key ring"), "{}", refused.err);
        }
        fleet.roll_out().await;
        traffic.go_on().await;
        let refused = fleet.keys_at(0, &["retire", "--forget"]).await.with_code(1);
        assert!(refused.err.contains("still lie under it"), "{}", refused.err);
        assert!(key(&fleet.list().await, "sealing-1")["leads"].as_i64().unwrap() >= 250);

        fleet.keys(&["reseal"]).await;
        traffic.go_on().await;
        fleet.keys(&["retire", "--forget"]).await;
        fleet.roll_out().await;
        traffic.go_on().await;
        let (failed, rounds) = traffic.stop().await;
        assert!(failed.is_empty(), "of {rounds} rounds failed: {failed:#?}");

        let left = "SELECT COUNT(*) FROM lead WHERE key_id = 1 OR index_key_id = 1";
        assert_eq!(raw.numbers(left).await, [0]);
        let list = fleet.list().await;
        for (name, state) in [("sealing-1", "retired"), ("index-1", "retired"), ("sealing-2", "primary"), ("index-2", "primary")] {
            assert_eq!(key(&list, name)["state"], state, "{name}");
        }
        for (form, id) in leads {
            // A repeat is known by the new key's hash, and the person is found by its look-up value.
            let again = fleet.intake(0).submit_lead(form.clone()).await.unwrap();
            assert_eq!(again.into_inner().lead_id, id);
            let other = pb::SubmitLeadRequest { name: "Another".to_owned(), ..form.clone() };
            let refused = fleet.intake(0).submit_lead(other).await.unwrap_err();
            assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
            let find = pb::FindSubjectRequest { request: subject(&form.email) };
            let found = fleet.privacy(0).find_subject(find).await.unwrap().into_inner();
            assert_eq!(found.leads[0].lead_id, id);
        }
        let needles = Needles::of_bytes(&under_old_keys);
        eventually(async || needles.found_below(fleet.dir.path()).is_empty().then_some(())).await;

        // The ring of before, as it may come back with a machine or a backup of one.
        assert_eq!(generation(&fleet.ring(0)), 4);
        fleet.stop().await;
        std::fs::write(fleet.ring(0), old_ring).unwrap();
        let refused = fleet.refused_start(0).await;
        assert!(refused.contains("sealing-1 was retired"), "{refused}");
        raw.close().await;
    }
}

/// What lay under the old keys is gone from SQLite's files when resealing says that it is done: a ring that was stolen
/// together with an old copy opens that copy, and nothing of the database from then on.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_resealed_is_gone_from_the_files() {
    let mut fleet = Fleet::new(Backend::Sqlite).await;
    for number in 0..50 {
        let form = form("Ola Nordmann", &format!("ola-{number}@example.no"));
        fleet.intake(0).submit_lead(form).await.unwrap();
    }
    let mut raw = fleet.raw().await;
    let needles = Needles::of_bytes(&raw.bytes(SEALED).await);
    raw.close().await;
    assert!(!needles.found_below(fleet.dir.path()).is_empty());
    for step in ["rotate", "promote"] {
        fleet.keys(&[step]).await;
        fleet.roll_out().await;
    }
    fleet.keys(&["reseal"]).await;
    assert_eq!(needles.found_below(fleet.dir.path()), Vec::<String>::new());
    fleet.stop().await;
}
