//! What keeps an old ring out, whoever still has it: the fence in the ledger's head.

use std::{path::Path, sync::Arc};

use lead_intake::{
    domain::lead::LeadId,
    pb,
    seal::{KeyFile, KeyName, KeyPurpose, KeyRing, LiveKeyRing, NewSeal, OldSeal, Resealer},
    store::{StoreError, Walk},
};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{raw::Raw, rights::correction, steps::*, support::*};

/// Calls that wait for a lock.
const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity \
                       WHERE wait_event_type = 'Lock' AND datname = current_database()";

fn ring(file: &KeyFile) -> KeyRing {
    file.ring(Path::new("")).unwrap()
}

/// A ring after each of the two roll-outs: with new keys, and with the new keys primary.
fn rotated(file: &KeyFile) -> (KeyFile, KeyFile) {
    let mut first = file.next(1);
    let keys = KeyPurpose::ALL.map(|purpose| first.add(purpose, 0, "").unwrap());
    let mut second = first.next(1);
    for key in keys {
        second.promote(key).unwrap();
    }
    (first, second)
}

fn refused(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

async fn find(replica: &Replica, email: &str) -> Result<Vec<String>, Status> {
    let find = pb::FindSubjectRequest {
        request: subject(email),
    };
    let found = replica.privacy().find_subject(find).await?.into_inner();
    Ok(found.leads.into_iter().map(|lead| lead.lead_id).collect())
}

on_both! {
    /// K1: a replica with a ring that the database no longer allows writes nothing sealed and looks nobody up: it
    /// would seal with a key that goes, or overlook leads. It says so in a way that is to be tried again, on
    /// another replica too, and reports not to serve. What needs no key goes on; with the ring it needs, all does.
    async fn an_old_ring_writes_nothing_and_finds_nobody(backend: Backend) {
        let world = World::new(backend).await;
        let live = LiveKeyRing::fixed(world.keys.clone());
        let replica = world.start_with_keys(live.clone()).await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let (first, _) = rotated(&world.key_file);
        replica.store.check_keys(ring(&first).facts()).await.unwrap();
        submit_mail(&replica, "ola@example.no").await;
        replica.store.raise_ring_min(first.generation()).await.unwrap();

        let before = ledger(&replica).await;
        let export = pb::ExportSubjectRequest {
            request: subject("kari@example.no"),
            kind: pb::ExportKind::Access.into(),
            ..Default::default()
        };
        let object = pb::ObjectToProcessingRequest {
            request: subject("kari@example.no"),
            kind: pb::ObjectionKind::DirectMarketing.into(),
            ..Default::default()
        };
        let mut privacy = replica.privacy();
        let answers = [
            replica.intake().submit_lead(form("Per Moe", "per@example.no")).await.map(drop),
            find(&replica, "kari@example.no").await.map(drop),
            privacy.export_subject(export).await.map(drop),
            privacy.erase_subject(erasure("kari@example.no")).await.map(drop),
            privacy.object_to_processing(object).await.map(drop),
            privacy.rectify_lead(correction(&id, 1, "email", "kari.n@example.no")).await.map(drop),
        ];
        for answer in answers {
            let stale = (Code::Unavailable, "KEY_RING_STALE".to_owned());
            assert_eq!(refused(&answer.unwrap_err()), stale);
        }
        assert_eq!(ledger(&replica).await, before);
        eventually(async || (replica.health().await == ServingStatus::NotServing).then_some(())).await;
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap().email, "kari@example.no");

        live.replace(ring(&first));
        assert_eq!(find(&replica, "kari@example.no").await.unwrap(), [&*id]);
        submit_mail(&replica, "per@example.no").await;
        eventually(async || (replica.health().await == ServingStatus::Serving).then_some(())).await;
        // And the old ring starts no more.
        let old = replica.store.check_keys(world.keys.facts()).await.unwrap_err();
        assert!(matches!(old, StoreError::MissingKey(..)), "{old:?}");
        let mut emptied = ring(&first).facts().clone();
        emptied.generation = 1;
        let old = replica.store.check_keys(&emptied).await.unwrap_err();
        assert!(matches!(old, StoreError::StaleRing), "{old:?}");
        replica.stop().await;
    }

    /// A lead under a key that this replica does not have is an error to be tried again, not one of the service; and
    /// its ring is read again. With the ring, it is given.
    async fn a_key_that_is_not_here_yet_is_no_fault(backend: Backend) {
        let world = World::new(backend).await;
        let (first, second) = rotated(&world.key_file);
        let live = LiveKeyRing::fixed(Arc::new(ring(&second)));
        let replica = world.start_with_keys(live.clone()).await;
        replica.store.check_keys(ring(&first).facts()).await.unwrap();
        replica.store.check_keys(ring(&second).facts()).await.unwrap();
        let id = submit_mail(&replica, "kari@example.no").await;
        live.replace(ring(&world.key_file));
        // Waits for whoever follows the ring: what the calls below have it do, comes after.
        let unavailable = (Code::Unavailable, "KEY_RING_STALE".to_owned());
        let read = get_lead(&mut replica.crm(), &id).await.unwrap_err();
        assert_eq!(refused(&read), unavailable);
        let pulled = pull(&mut replica.crm(), "", 0).await.unwrap_err();
        assert_eq!(refused(&pulled), unavailable);
        live.replace(ring(&first));
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap().email, "kari@example.no");
        assert_eq!(find(&replica, "kari@example.no").await.unwrap(), [&*id]);
        replica.stop().await;
    }

    /// A lead that was corrected, or is gone, since resealing read it is left as it is: its old content does not come
    /// back.
    async fn a_lead_that_moved_on_is_not_overwritten(backend: Backend) {
        let world = World::new(backend).await;
        let (first, second) = rotated(&world.key_file);
        let live = LiveKeyRing::fixed(world.keys.clone());
        let replica = world.start_with_keys(live.clone()).await;
        let corrected = submit_mail(&replica, "kari@example.no").await;
        let gone = submit_mail(&replica, "ola@example.no").await;
        let second = Arc::new(ring(&second));
        let store = &replica.store;
        store.check_keys(ring(&first).facts()).await.unwrap();
        store.check_keys(second.facts()).await.unwrap();
        let seals = seals(&replica, &second).await;
        assert_eq!(seals.len(), 2);
        let right = correction(&corrected, 1, "email", "kari.n@example.no");
        replica.privacy().rectify_lead(right).await.unwrap();
        erase(&replica, "ola@example.no").await;
        let batch = store.write_seals(&seals, second.facts()).await.unwrap();
        assert_eq!((batch.written, batch.moved_on), (0, 2));
        assert_eq!(get_lead(&mut replica.crm(), &corrected).await.unwrap().email, "kari.n@example.no");
        assert_eq!(get_lead(&mut replica.crm(), &gone).await.unwrap_err().code(), Code::NotFound);
        replica.stop().await;
    }

    /// A resealing that was stopped in its middle and goes on after the next rotation writes nothing under keys that
    /// may be gone by then.
    async fn an_old_resealing_writes_nothing(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        let (first, second) = rotated(&world.key_file);
        let (first, second) = (ring(&first), Arc::new(ring(&second)));
        let store = &replica.store;
        store.check_keys(first.facts()).await.unwrap();
        store.check_keys(second.facts()).await.unwrap();
        let seals = seals(&replica, &second).await;
        store.raise_ring_min(second.facts().generation + 1).await.unwrap();
        let refused = store.write_seals(&seals, second.facts()).await.unwrap_err();
        assert!(matches!(refused, StoreError::StaleRing), "{refused:?}");
        let mut raw = Raw::open(&world).await;
        assert_eq!(raw.numbers("SELECT key_id * 10 + index_key_id FROM lead").await, [11]);
        raw.close().await;
        replica.stop().await;
    }
}

/// The leads that are not under the ring's primary keys, as they are and as they are to be.
async fn seals(replica: &Replica, ring: &Arc<KeyRing>) -> Vec<(OldSeal, NewSeal)> {
    let start = LeadId::from(uuid::Uuid::nil());
    let (old, walk) = replica.store.old_seals(start, ring.facts()).await.unwrap();
    assert_eq!(walk, Walk::End);
    let resealer = Resealer::new(ring.clone());
    let seal = |old: OldSeal| {
        let new = resealer.reseal(&old).unwrap();
        (old, new)
    };
    old.into_iter().map(seal).collect()
}

async fn until_waiting(raw: &mut Raw, count: i64) {
    eventually(async || (raw.numbers(WAITING).await == [count]).then_some(())).await;
}

/// The fence holds for what is under way when it is raised: a submission that waits for the head sees the new value,
/// not the one of when it began to wait.
#[tokio::test(flavor = "multi_thread")]
async fn the_fence_holds_for_what_is_under_way() {
    let world = World::new(Backend::Postgres).await;
    let replica = world.start().await;
    let (mut holder, mut watcher) = (Raw::open(&world).await, Raw::open(&world).await);
    holder.execute("BEGIN").await;
    holder
        .execute("UPDATE ledger_head SET ring_min = 2 WHERE id = 1")
        .await;
    let mut intake = replica.intake();
    let form = form("Kari Nordmann", "kari@example.no");
    let submitted = tokio::spawn(async move { intake.submit_lead(form).await });
    until_waiting(&mut watcher, 1).await;
    holder.execute("COMMIT").await;
    let submitted = submitted.await.unwrap().unwrap_err();
    assert_eq!(reason(&submitted), "KEY_RING_STALE");
    let leads = "SELECT COUNT(*) FROM lead";
    assert_eq!(watcher.numbers(leads).await, [0]);
    holder.close().await;
    watcher.close().await;
    replica.stop().await;
}

/// A correction that meets a resealing gives the lead a look-up value of the key that the lead is under by then:
/// one of the key before would be of no use once that is retired, and the person would never be found again.
#[tokio::test(flavor = "multi_thread")]
async fn a_correction_and_a_resealing_agree_on_the_key() {
    let world = World::new(Backend::Postgres).await;
    let (first, second) = rotated(&world.key_file);
    let second_ring = Arc::new(ring(&second));
    let live = LiveKeyRing::fixed(world.keys.clone());
    let replica = world.start_with_keys(live.clone()).await;
    let id = submit_mail(&replica, "kari@example.no").await;
    let store = replica.store.clone();
    store.check_keys(ring(&first).facts()).await.unwrap();
    store.check_keys(second_ring.facts()).await.unwrap();
    live.replace(ring(&second));
    let seals = seals(&replica, &second_ring).await;

    let (mut holder, mut watcher) = (Raw::open(&world).await, Raw::open(&world).await);
    holder.execute("BEGIN").await;
    let lock = "UPDATE ledger_head SET sequence = sequence WHERE id = 1";
    holder.execute(lock).await;
    let facts = second_ring.facts().clone();
    let resealing = tokio::spawn(async move { store.write_seals(&seals, &facts).await.unwrap() });
    until_waiting(&mut watcher, 1).await;
    let mut privacy = replica.privacy();
    let right = correction(&id, 1, "email", "kari.n@example.no");
    let corrected = tokio::spawn(async move { privacy.rectify_lead(right).await.unwrap() });
    until_waiting(&mut watcher, 2).await;
    holder.execute("ROLLBACK").await;
    assert_eq!(resealing.await.unwrap().written, 1);
    assert_eq!(corrected.await.unwrap().into_inner().revision, 2);
    holder.close().await;
    watcher.close().await;

    // As after the old keys are retired.
    let mut last = second;
    for purpose in KeyPurpose::ALL {
        last.remove(KeyName { purpose, id: 1 }).unwrap();
    }
    live.replace(ring(&last));
    assert_eq!(find(&replica, "kari.n@example.no").await.unwrap(), [&*id]);
    replica.stop().await;
}
