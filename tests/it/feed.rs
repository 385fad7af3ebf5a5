//! The feed: what a client hears, and from where it can go on.

use lead_intake::{
    pb::{self, ChangeKind},
    rpc::cursor,
    token::Role,
};
use tonic::Code;

use crate::{steps::*, support::*};

/// A second client of the feed.
async fn second_crm(world: &World, replica: &Replica, name: &str) -> Crm {
    let token = world.new_token(&replica.store, name, Role::Crm).await;
    replica.crm_as(token.expose())
}

on_both! {
    /// F1: every submitted lead is in the feed exactly once, in the order of the ledger, with what was
    /// submitted; a page holds what was asked for, and at most that.
    async fn f1_every_lead_once_and_in_ledger_order(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut ids = Vec::new();
        for number in 0..7 {
            ids.push(submit_mail(&replica, &format!("f1-{number}@example.no")).await);
        }
        for page_size in [0, 1, 2, 6, 7, 8, 1000] {
            let (changes, _) = pull_all(&mut replica.crm(), "", page_size).await;
            let found: Vec<&str> = changes.iter().map(|change| &*change.lead_id).collect();
            assert_eq!(found, ids);
            for (number, change) in changes.iter().enumerate() {
                assert_eq!(change.kind(), ChangeKind::Submitted);
                let lead = change.lead.as_ref().unwrap();
                assert_eq!(lead.email, format!("f1-{number}@example.no"));
                assert_eq!(lead.lead_id, change.lead_id);
            }
            let page = pull(&mut replica.crm(), "", page_size).await.unwrap();
            let wanted = if page_size == 0 { 100 } else { page_size.unsigned_abs() as usize };
            assert_eq!(page.changes.len(), wanted.min(7));
            assert_eq!(page.has_more, wanted < 7);
        }
        let in_ledger: Vec<String> = ledger(&replica).await.into_iter()
            .filter(|entry| entry.kind() == pb::EntryKind::Submitted)
            .map(|entry| entry.lead_id)
            .collect();
        assert_eq!(in_ledger, ids);
        for page_size in [-1, 1001, i32::MIN, i32::MAX] {
            let refused = pull(&mut replica.crm(), "", page_size).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
            assert_eq!(violations(&refused), [("page_size".to_owned(), "OUT_OF_RANGE".to_owned())]);
        }
        replica.stop().await;
    }

    /// F2: going on from every cursor that was ever given, of a page or of a change, gives exactly what
    /// came after it, in pages of any size, also after a restart.
    async fn f2_every_cursor_resumes_to_the_suffix(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        for number in 0..9 {
            submit_mail(&replica, &format!("f2-{number}@example.no")).await;
        }
        let mut crm = replica.crm();
        let (before, _) = pull_all(&mut crm, "", 4).await;
        erase(&replica, "f2-3@example.no").await;
        submit_mail(&replica, "f2-9@example.no").await;
        let (whole, end) = pull_all(&mut crm, "", 2).await;
        // Position and content of each suffix, by the cursor before it.
        let mut suffixes: Vec<(&str, &[pb::LeadChange])> = vec![(&end, &[])];
        for (place, change) in whole.iter().enumerate() {
            suffixes.push((&change.cursor, &whole[place + 1..]));
        }
        let erased = before.iter().position(|change| !whole.contains(change)).unwrap();
        suffixes.push((&before[erased].cursor, &whole[erased..]));
        for (cursor, suffix) in &suffixes {
            for page_size in [1, 3, 1000] {
                assert_eq!(pull_all(&mut crm, cursor, page_size).await.0, *suffix);
            }
        }
        replica.stop().await;
        let replica = world.start().await;
        for (cursor, suffix) in &suffixes {
            assert_eq!(pull_all(&mut replica.crm(), cursor, 5).await.0, *suffix);
        }
        replica.stop().await;
    }

    /// An empty cursor is the acknowledged position. That is durable, never moves back, and belongs to
    /// one client.
    async fn acknowledging_is_durable_and_never_moves_back(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(submit_mail(&replica, &format!("ack-{number}@example.no")).await);
        }
        let mut crm = replica.crm();
        let (changes, end) = pull_all(&mut crm, "", 0).await;
        let done = acknowledge(&mut crm, &changes[1].cursor).await.unwrap();
        assert_eq!(done.acknowledged_cursor, changes[1].cursor);
        assert_eq!(done.changes_behind, 1);
        assert_eq!(pull_all(&mut crm, "", 0).await.0, changes[2..]);
        // An earlier position changes nothing.
        let again = acknowledge(&mut crm, &changes[0].cursor).await.unwrap();
        assert_eq!(again, done);
        let mut other = second_crm(&world, &replica, "other-crm").await;
        assert_eq!(pull_all(&mut other, "", 0).await.0, changes);
        replica.stop().await;

        let replica = world.start().await;
        let mut crm = replica.crm();
        assert_eq!(pull_all(&mut crm, "", 0).await.0, changes[2..]);
        let done = acknowledge(&mut crm, &end).await.unwrap();
        assert_eq!(done.acknowledged_cursor, end);
        assert_eq!(pull_all(&mut crm, "", 0).await.0, []);
        replica.stop().await;
    }

    /// Only a position that the client was given can be acknowledged or gone on from; a forged cursor, and
    /// one of another epoch, are refused by every call that takes one.
    async fn a_cursor_is_refused_unless_it_was_given(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "given-0@example.no").await;
        submit_mail(&replica, "given-1@example.no").await;
        let mut crm = replica.crm();
        let epoch = lead_intake::store::FeedStore::epoch(&*replica.store);
        let first = pull(&mut crm, "", 1).await.unwrap();
        let (_, end) = pull_all(&mut second_crm(&world, &replica, "other-crm").await, "", 0).await;
        let far = cursor::encode(epoch, i64::MAX);
        let mut letters = first.next_cursor.clone().into_bytes();
        letters[5] = if letters[5] == b'a' { b'b' } else { b'a' };
        let forged = String::from_utf8(letters).unwrap();
        for (cursor, code, expected) in [
            (&*end, Code::FailedPrecondition, "CURSOR_NOT_DELIVERED"),
            (&*far, Code::FailedPrecondition, "CURSOR_NOT_DELIVERED"),
            (&*forged, Code::InvalidArgument, "CURSOR_INVALID"),
            ("1", Code::InvalidArgument, "CURSOR_INVALID"),
            ("' OR 1=1", Code::InvalidArgument, "CURSOR_INVALID"),
            (&*cursor::encode(epoch, -1), Code::InvalidArgument, "CURSOR_INVALID"),
            (&*cursor::encode(epoch + 1, 1), Code::OutOfRange, "CURSOR_EXPIRED"),
            (&*cursor::encode(epoch - 1, 1), Code::OutOfRange, "CURSOR_EXPIRED"),
        ] {
            let stream = pb::StreamLeadsRequest { cursor: cursor.to_owned(), follow: false };
            let streamed = match crm.stream_leads(stream).await {
                Ok(stream) => stream.into_inner().message().await.unwrap_err(),
                Err(refused) => refused,
            };
            let refused = [
                pull(&mut crm, cursor, 0).await.unwrap_err(),
                acknowledge(&mut crm, cursor).await.unwrap_err(),
                streamed,
            ];
            for status in refused {
                assert_eq!((status.code(), &*reason(&status)), (code, expected), "{cursor}");
            }
        }
        let nothing = acknowledge(&mut crm, "").await.unwrap_err();
        assert_eq!(nothing.code(), Code::InvalidArgument);
        // None of that moved anything.
        assert_eq!(pull_all(&mut crm, "", 0).await.0.len(), 2);
        replica.stop().await;
    }

    /// A client that skips ahead with somebody else's cursor cannot read on unrecorded: what it is given
    /// afterwards is a disclosure, and its tombstone arrives.
    async fn no_disclosure_is_unrecorded(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "unrecorded@example.no").await;
        let (_, end) = pull_all(&mut replica.crm(), "", 0).await;
        let mut other = second_crm(&world, &replica, "other-crm").await;
        let _ = pull(&mut other, &end, 0).await;
        let (changes, cursor) = pull_all(&mut other, "", 0).await;
        assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), [(ChangeKind::Submitted, &*id)]);
        erase(&replica, "unrecorded@example.no").await;
        let (changes, _) = pull_all(&mut other, &cursor, 0).await;
        assert_eq!(changes.iter().map(heard).collect::<Vec<_>>(), [(ChangeKind::Erased, &*id)]);
        replica.stop().await;
    }

    /// Several readers of one client at once, each from the start: every one gets the whole feed, and none
    /// is told to try again.
    async fn readers_of_one_client_do_not_fail_each_other(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        for number in 0..40 {
            submit_mail(&replica, &format!("readers-{number}@example.no")).await;
        }
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let mut crm = replica.crm();
            readers.spawn(async move { pull_all(&mut crm, "", 1).await.0.len() });
        }
        assert_eq!(readers.join_all().await, [40; 8]);
        replica.stop().await;
    }
}
