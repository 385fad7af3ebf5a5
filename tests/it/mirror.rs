//! The ledger's mirror (design, section 6): what is in it, when, and what a start makes of it.

use std::{path::Path, sync::Arc};

use lead_intake::{
    clock::Clock as _,
    domain::{erasure::ErasureCause, lead::LeadId, lifecycle::Event, lifecycle::FieldSet},
    ledger::{
        Entry, Head, NewEntry,
        mirror::{Line, Lines, Mirror, WrittenAhead},
    },
    pb,
};

use crate::{rights, steps::*, support::*};

/// What the mirror of a stopped replica has, in order.
fn mirrored(dir: &Path) -> Vec<Entry> {
    let lines = Lines::after(dir, 0).unwrap();
    lines.map(|line| line.unwrap().entry).collect()
}

/// Writes an entry ahead that no transaction follows, as a crash would leave it.
async fn written_ahead(world: &World, head: Head, new: NewEntry) -> (Entry, WrittenAhead) {
    let store = world.open().await;
    let (mirror, _) = Mirror::open(&world.mirror(1), store.store_id()).unwrap();
    store.close().await;
    let mut end = head;
    let entry = end.append(new, world.clock.now().as_microsecond());
    let lines = vec![Line::from(entry)];
    let ahead = Arc::new(mirror)
        .write_ahead(head.hash, lines)
        .await
        .unwrap();
    (entry, ahead)
}

async fn head(world: &World) -> Head {
    let store = world.open().await;
    let head = store.ledger_head().await.unwrap();
    store.close().await;
    head
}

/// A lead, and the number of its submission.
async fn stopped_with_a_lead(world: &World) -> (LeadId, i64) {
    let replica = world.start().await;
    let id = submit_mail(&replica, "kari@example.no").await;
    let submission = ledger(&replica).await.last().unwrap().sequence;
    replica.stop().await;
    (id.parse().unwrap(), submission)
}

/// Leaves of a mirror what a power cut may: the entries up to this one, and what was written ahead.
fn power_cut(dir: &Path, last: i64, ahead: &[u8]) {
    for file in files(dir) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name.starts_with("entries-") {
            let text = std::fs::read_to_string(&file).unwrap();
            let kept = usize::try_from(last).unwrap();
            let kept: String = text.split_inclusive('\n').take(kept).collect();
            std::fs::write(&file, kept).unwrap();
        } else if name != "mirror.json" {
            std::fs::remove_file(&file).unwrap();
        }
    }
    std::fs::write(dir.join("ahead-0000000001.jsonl"), ahead).unwrap();
}

fn erased(lead: LeadId, submission: i64) -> NewEntry {
    NewEntry::of(Event::Erased(ErasureCause::Request), 3, lead, submission)
}

on_both! {
    /// After a stop the mirror has the whole ledger, entry for entry, whoever made it: this replica, another
    /// one, a command.
    async fn the_mirror_has_every_entry(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut submissions = tokio::task::JoinSet::new();
        for number in 0..40 {
            let mut intake = replica.intake();
            submissions.spawn(async move {
                intake.submit_lead(form("Kari", &format!("{number}@example.no"))).await.unwrap();
            });
        }
        submissions.join_all().await;
        erase(&replica, "1@example.no").await;
        let other = if backend == Backend::Postgres {
            let other = world.start().await;
            erase(&other, "2@example.no").await;
            submit_mail(&other, "more@example.no").await;
            other.stop().await;
            Some(world.mirror(2))
        } else {
            None
        };
        replica.stop().await;
        let store = world.open().await;
        let entries = store.entries(0, 1000, None).await.unwrap();
        store.close().await;
        let hashes: Vec<_> = entries.iter().map(|named| named.entry.hash).collect();
        for dir in [Some(world.mirror(1)), other].into_iter().flatten() {
            let copy: Vec<_> = mirrored(&dir).iter().map(|entry| entry.hash).collect();
            assert_eq!(copy, hashes, "{}", dir.display());
        }
    }

    /// An act that ends or limits processing is in the mirror when its caller hears of it, whatever becomes of
    /// the process; and a restore needs no more than that.
    async fn an_act_is_written_ahead(backend: Backend) {
        let mut world = World::new(backend).await;
        stopped_with_a_lead(&world).await;
        let backup = world.back_up().await;
        let replica = world.start().await;
        let now = head(&world).await.sequence;
        erase(&replica, "kari@example.no").await;
        // A copy of the directory as it is now: what a power cut would leave.
        let ahead = std::fs::read(world.mirror(1).join("ahead-0000000001.jsonl")).unwrap();
        replica.stop().await;
        world.restore(&backup).await;
        power_cut(&world.mirror(1), now, &ahead);
        let replica = world.start().await;
        assert!(rights::theirs(&replica, "kari@example.no").await.is_empty());
        verify(&replica).await;
        replica.stop().await;
    }

    /// An act that a crash cut off between the mirror and the commit is completed at the next start, with its
    /// number and its hash; it is no restore, and cursors stay good.
    async fn d3_an_act_that_was_cut_off_is_completed(backend: Backend) {
        let world = World::new(backend).await;
        let (lead, submission) = stopped_with_a_lead(&world).await;
        let (entry, ahead) = written_ahead(&world, head(&world).await, erased(lead, submission)).await;
        drop(ahead.committing());
        for _ in 0..2 {
            let replica = world.start().await;
            assert!(rights::theirs(&replica, "kari@example.no").await.is_empty());
            let entries = ledger(&replica).await;
            let completed = &entries[usize::try_from(entry.sequence).unwrap() - 1];
            assert_eq!(completed.hash, data_encoding::HEXLOWER.encode(&entry.hash));
            assert!(entries.iter().all(|it| it.kind() != pb::EntryKind::Restored));
            pull(&mut replica.crm(), &lead_intake::rpc::cursor::encode(1, 0), 0).await.unwrap();
            verify(&replica).await;
            replica.stop().await;
        }
    }

    /// An act that was given up, or whose number another one has, does not come back: nothing is erased that
    /// nobody was told is erased.
    async fn d3_an_act_that_was_given_up_stays_undone(backend: Backend) {
        let world = World::new(backend).await;
        let (lead, submission) = stopped_with_a_lead(&world).await;
        let before = head(&world).await;
        // Dropped: the transaction was given up.
        drop(written_ahead(&world, before, erased(lead, submission)).await);
        let replica = world.start().await;
        assert_eq!(rights::theirs(&replica, "kari@example.no").await.len(), 1);
        replica.stop().await;
        // Nobody said so, but the number was given to something else.
        let now = head(&world).await;
        let store = world.open().await;
        world.new_token(&store, "another", lead_intake::token::Role::Crm).await;
        store.close().await;
        drop(written_ahead(&world, now, erased(lead, submission)).await.1.committing());
        let replica = world.start().await;
        assert_eq!(rights::theirs(&replica, "kari@example.no").await.len(), 1);
        verify(&replica).await;
        replica.stop().await;
    }

    /// A correction that was cut off is given up, since its values are nowhere: the caller that repeats it is
    /// answered by doing it.
    async fn d3_a_correction_that_was_cut_off_is_given_up(backend: Backend) {
        let world = World::new(backend).await;
        let (lead, _) = stopped_with_a_lead(&world).await;
        let request = rights::correction(&lead.to_string(), 1, "email", "right@example.no");
        let event = Event::Rectified(FieldSet::EMAIL);
        let new = NewEntry::of(event, 3, lead, 0).request(request.request_id.parse().unwrap());
        drop(written_ahead(&world, head(&world).await, new).await.1.committing());
        let replica = world.start().await;
        assert_eq!(rights::rectify(&replica, &request).await.revision, 2);
        assert_eq!(rights::theirs(&replica, "right@example.no").await, [lead.to_string()]);
        assert_eq!(ledger(&replica).await.iter().filter(|it| it.kind() == pb::EntryKind::Rectified).count(), 1);
        replica.stop().await;
    }

    /// A correction that was committed, and that a restored backup lost before anything followed it, is no
    /// correction that was cut off: what it corrected is known to be wrong, so nobody may use it.
    async fn e4_a_correction_that_a_restore_lost_restricts(backend: Backend) {
        let world = World::new(backend).await;
        let (lead, _) = stopped_with_a_lead(&world).await;
        let new = NewEntry::of(Event::Rectified(FieldSet::EMAIL), 3, lead, 0).request(new_id());
        written_ahead(&world, head(&world).await, new).await.1.committing().committed();
        let replica = world.start().await;
        let found = rights::find(&replica, "kari@example.no").await;
        assert_eq!(found.leads[0].state(), pb::LeadState::Restricted);
        assert!(ledger(&replica).await.iter().any(|it| it.kind() == pb::EntryKind::Restored));
        verify(&replica).await;
        replica.stop().await;
    }

    /// A tail that a crash tore is cut and written again; a byte that was changed in what was signed is not
    /// passed over.
    async fn a_torn_tail_is_written_again(backend: Backend) {
        let world = World::new(backend).await;
        stopped_with_a_lead(&world).await;
        let whole = mirrored(&world.mirror(1));
        let file = entries_file(&world.mirror(1));
        let bytes = std::fs::read(&file).unwrap();
        for keep in [bytes.len() - 1, bytes.len() - 40, bytes.len() / 2, 0] {
            std::fs::write(&file, &bytes[..keep]).unwrap();
            world.start().await.stop().await;
            let hashes = |entries: &[Entry]| entries.iter().map(|it| it.hash).collect::<Vec<_>>();
            let now = mirrored(&world.mirror(1));
            assert_eq!(hashes(&now[..whole.len()]), hashes(&whole), "{keep} bytes kept");
        }
    }
}

/// E4: an act that only its own replica had written ahead, and whose number was used again after another replica put a
/// backup right, is done again.
#[tokio::test(flavor = "multi_thread")]
async fn e4_what_was_only_written_ahead_outlives_anothers_restore() {
    let mut world = World::new(Backend::Postgres).await;
    let (lead, _) = stopped_with_a_lead(&world).await;
    let backup = world.back_up().await;
    let (first, second) = (world.start().await, world.start().await);
    submit_mail(&first, "ola@example.no").await;
    first.stop().await;
    let now = head(&world).await.sequence;
    erase(&second, "kari@example.no").await;
    let ahead = std::fs::read(world.mirror(2).join("ahead-0000000001.jsonl")).unwrap();
    second.stop().await;
    world.restore(&backup).await;
    power_cut(&world.mirror(2), now, &ahead);
    let first = world.start().await;
    submit_mail(&first, "per@example.no").await;
    let id = lead.to_string();
    assert_eq!(rights::theirs(&first, "kari@example.no").await, [&*id]);
    let second = world.start().await;
    assert!(rights::theirs(&first, "kari@example.no").await.is_empty());
    verify(&second).await;
    first.stop().await;
    second.stop().await;
}
