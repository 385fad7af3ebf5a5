//! A lead read while it is being erased, or copied for its person, on PostgreSQL, where both can be under way at once.

use std::collections::BTreeSet;

use lead_intake::{
    pb::{self, EntryKind},
    token::Role,
};
use tonic::Code;

use crate::{raw::Raw, steps::*, support::*};

/// Calls that wait for the ledger's head.
const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity \
                       WHERE wait_event_type = 'Lock' AND datname = current_database()";

async fn until_waiting(raw: &mut Raw, count: i64) {
    eventually(async || (raw.numbers(WAITING).await == [count]).then_some(())).await;
}

fn access(email: &str) -> pb::ExportSubjectRequest {
    pb::ExportSubjectRequest {
        request: subject(email),
        kind: pb::ExportKind::Access.into(),
        ..Default::default()
    }
}

/// A lead is never given, nor recorded as given, after its tombstone: its reader might have passed the
/// tombstone already, and would never hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lead_is_not_given_after_its_tombstone() {
    let world = World::new(Backend::Postgres).await;
    let replica = world.start().await;
    let id = submit_mail(&replica, "race@example.no").await;
    let (mut holder, mut watcher) = (Raw::open(&world).await, Raw::open(&world).await);
    holder.execute("BEGIN").await;
    holder
        .execute("UPDATE ledger_head SET sequence = sequence WHERE id = 1")
        .await;
    let mut privacy = replica.privacy();
    let order = erasure("race@example.no");
    let erased = tokio::spawn(async move { privacy.erase_subject(order).await.unwrap() });
    until_waiting(&mut watcher, 1).await;
    let (mut crm, wanted) = (replica.crm(), id.clone());
    let read = tokio::spawn(async move { get_lead(&mut crm, &wanted).await });
    until_waiting(&mut watcher, 2).await;
    holder.execute("ROLLBACK").await;
    assert_eq!(erased.await.unwrap().into_inner().leads[0].lead_id, id);
    let refused = read.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let entries = ledger(&replica).await;
    let last = entries.iter().rfind(|entry| entry.lead_id == id).unwrap();
    assert_eq!(last.kind(), EntryKind::Erased);
    verify(&replica).await;
    holder.close().await;
    watcher.close().await;
    replica.stop().await;
}

/// The same for a copy: it has no lead whose tombstone comes before it in the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_no_lead_after_its_tombstone() {
    let world = World::new(Backend::Postgres).await;
    let replica = world.start().await;
    let id = submit_mail(&replica, "race@example.no").await;
    let (mut holder, mut watcher) = (Raw::open(&world).await, Raw::open(&world).await);
    holder.execute("BEGIN").await;
    holder
        .execute("UPDATE ledger_head SET sequence = sequence WHERE id = 1")
        .await;
    let mut privacy = replica.privacy();
    let order = erasure("race@example.no");
    let erased = tokio::spawn(async move { privacy.erase_subject(order).await.unwrap() });
    until_waiting(&mut watcher, 1).await;
    let mut privacy = replica.privacy();
    let request = access("race@example.no");
    let copied = tokio::spawn(async move { privacy.export_subject(request).await.unwrap() });
    until_waiting(&mut watcher, 2).await;
    holder.execute("ROLLBACK").await;
    erased.await.unwrap();
    assert_eq!(copied.await.unwrap().into_inner().leads, 0);
    let entries = ledger(&replica).await;
    let last = entries.iter().rfind(|entry| entry.lead_id == id).unwrap();
    assert_eq!(last.kind(), EntryKind::Erased);
    holder.close().await;
    watcher.close().await;
    replica.stop().await;
}

/// Art. 15(1)(c): whoever was given a lead before its copy is recorded stands in the copy, by the feed or by its
/// identifier. Of several leads the recipients are those of one time, so none is told of one lead and missing of another.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_names_who_was_given_a_lead_until_then() {
    let world = World::new(Backend::Postgres).await;
    let replica = world.start().await;
    let read = submit_mail(&replica, "race@example.no").await;
    let unread = submit_mail(&replica, "race@example.no").await;
    let reader = world.new_token(&replica.store, "reader", Role::Crm).await;
    let (mut holder, mut watcher) = (Raw::open(&world).await, Raw::open(&world).await);
    holder.execute("BEGIN").await;
    holder
        .execute("UPDATE ledger_head SET sequence = sequence WHERE id = 1")
        .await;
    let (mut crm, wanted) = (replica.crm_as(reader.expose()), read.clone());
    let reading = tokio::spawn(async move { get_lead(&mut crm, &wanted).await });
    until_waiting(&mut watcher, 1).await;
    let mut privacy = replica.privacy();
    let request = access("race@example.no");
    let copied = tokio::spawn(async move { privacy.export_subject(request).await.unwrap() });
    until_waiting(&mut watcher, 2).await;
    let page = pull(&mut replica.crm(), "", 10).await.unwrap();
    assert_eq!(page.changes.len(), 2);
    holder.execute("ROLLBACK").await;
    reading.await.unwrap().unwrap();
    let copy = copied.await.unwrap().into_inner().content;
    let copy: serde_json::Value = serde_json::from_slice(&copy).unwrap();
    let disclosures = copy["15_1_c_recipients"]["disclosures"].as_array().unwrap();
    let told = disclosures.iter().map(|told| {
        (
            told["lead"].as_str().unwrap(),
            told["recipient"].as_str().unwrap(),
        )
    });
    let expected = [(&*read, "crm"), (&*read, "reader"), (&*unread, "crm")];
    assert_eq!(told.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    holder.close().await;
    watcher.close().await;
    replica.stop().await;
}
