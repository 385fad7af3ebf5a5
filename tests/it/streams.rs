//! `StreamLeads`: the feed, open.

use std::time::Duration;

use lead_intake::{
    pb::{self, ChangeKind, StreamLeadsResponse},
    store::StoreUrl,
    token::Role,
};
use secrecy::ExposeSecret as _;
use sqlx::postgres::PgListener;
use tonic::{Code, Status, Streaming};

use crate::{steps::*, support::*};

/// A stream and everything it has told so far.
struct Follower {
    stream: Streaming<StreamLeadsResponse>,
    changes: Vec<pb::LeadChange>,
    cursor: String,
}

impl Follower {
    async fn open(crm: &mut Crm, cursor: &str, follow: bool) -> Self {
        let request = pb::StreamLeadsRequest {
            cursor: cursor.to_owned(),
            follow,
        };
        Self {
            stream: crm.stream_leads(request).await.unwrap().into_inner(),
            changes: Vec::new(),
            cursor: String::new(),
        }
    }

    /// Reads on until there are this many changes in all.
    async fn read_to(&mut self, count: usize) {
        bounded(async {
            while self.changes.len() < count {
                let message = self.stream.message().await.unwrap();
                self.take(message.expect("the stream goes on"));
            }
        })
        .await;
        assert_eq!(self.changes.len(), count);
    }

    /// Reads to the end: `None` if it ended well.
    async fn read_to_end(&mut self) -> Option<Status> {
        bounded(async {
            loop {
                match self.stream.message().await {
                    Ok(Some(message)) => self.take(message),
                    Ok(None) => return None,
                    Err(status) => return Some(status),
                }
            }
        })
        .await
    }

    fn take(&mut self, message: StreamLeadsResponse) {
        if let Some(last) = message.changes.last() {
            assert_eq!(message.next_cursor, last.cursor);
        }
        self.changes.extend(message.changes);
        self.cursor = message.next_cursor;
    }
}

/// Fails instead of hanging. The whole of it: a stream that goes on has a heartbeat now and then.
async fn bounded<T>(work: impl Future<Output = T>) -> T {
    let limit = std::time::Duration::from_mins(1);
    tokio::time::timeout(limit, work).await.expect("it hung")
}

on_both! {
    /// Without `follow` a stream is the pages, then ends; its last cursor is the end of the feed.
    async fn a_stream_is_the_pages(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        for number in 0..5 {
            submit_mail(&replica, &format!("pages-{number}@example.no")).await;
        }
        let mut crm = replica.crm();
        let (pages, end) = pull_all(&mut crm, "", 2).await;
        erase(&replica, "pages-1@example.no").await;
        let (pages_now, end_now) = pull_all(&mut crm, "", 2).await;
        for (cursor, expected) in [
            ("", &pages_now[..]),
            (&pages[2].cursor, &pages_now[2..]),
            (&end, &pages_now[4..]),
            (&end_now, &[]),
        ] {
            let mut stream = Follower::open(&mut crm, cursor, false).await;
            assert!(stream.read_to_end().await.is_none());
            assert_eq!(stream.changes, expected);
            assert_eq!(stream.cursor, end_now);
        }
        replica.stop().await;
    }

    /// With `follow` a stream tells what happens from then on, as it happens. F5: on a stream that was open
    /// before an erasure nothing of the person follows the tombstone.
    async fn f5_a_stream_follows_and_ends_each_lead_with_its_tombstone(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let first = submit_mail(&replica, "f5-first@example.no").await;
        let mut stream = Follower::open(&mut replica.crm(), "", true).await;
        stream.read_to(1).await;
        let second = submit_mail(&replica, "f5-second@example.no").await;
        stream.read_to(2).await;
        erase(&replica, "f5-first@example.no").await;
        let third = submit_mail(&replica, "f5-third@example.no").await;
        stream.read_to(4).await;
        let told: Vec<_> = stream.changes.iter().map(heard).collect();
        let submitted = ChangeKind::Submitted;
        let erased = (ChangeKind::Erased, &*first);
        assert_eq!(told, [(submitted, &*first), (submitted, &*second), erased, (submitted, &*third)]);
        assert!(stream.changes[2].lead.is_none());
        // The cursors of a stream are those of the pages.
        let (pages, _) = pull_all(&mut replica.crm(), "", 0).await;
        assert_eq!(pages, stream.changes[1..]);
        drop(stream);
        replica.stop().await;
    }

    /// A server that stops ends its streams with UNAVAILABLE and STOPPING; the last cursor goes on where
    /// the stream ended.
    async fn a_stopping_server_ends_its_streams(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let first = submit_mail(&replica, "stop-first@example.no").await;
        let mut stream = Follower::open(&mut replica.crm(), "", true).await;
        stream.read_to(1).await;
        assert_eq!(stream.changes[0].lead_id, first);
        let stopping = tokio::spawn(replica.stop());
        let end = stream.read_to_end().await.expect("not a good end");
        assert_eq!((end.code(), &*reason(&end)), (Code::Unavailable, "STOPPING"));
        stopping.await.unwrap();

        let replica = world.start().await;
        let second = submit_mail(&replica, "stop-second@example.no").await;
        let mut stream = Follower::open(&mut replica.crm(), &stream.cursor, true).await;
        stream.read_to(1).await;
        assert_eq!(stream.changes[0].lead_id, second);
        drop(stream);
        replica.stop().await;
    }

    /// R3: the open stream of a revoked token ends, and says why; another client's stream goes on.
    async fn r3_a_revoked_token_ends_its_streams(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let token = world.new_token(&replica.store, "leaving-crm", Role::Crm).await;
        let mut leaving = Follower::open(&mut replica.crm_as(token.expose()), "", true).await;
        let mut staying = Follower::open(&mut replica.crm(), "", true).await;
        submit_mail(&replica, "r3-before@example.no").await;
        leaving.read_to(1).await;
        replica.store.revoke("leaving-crm", START.parse().unwrap()).await.unwrap();
        let end = leaving.read_to_end().await.expect("not a good end");
        assert_eq!((end.code(), &*reason(&end)), (Code::Unauthenticated, "TOKEN_REVOKED"));
        assert_eq!(leaving.changes.len(), 1);
        submit_mail(&replica, "r3-after@example.no").await;
        staying.read_to(2).await;
        drop(staying);
        replica.stop().await;
    }
}

/// A stream tells what another replica wrote, submissions and tombstones.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_follows_other_replicas() {
    let world = World::new(Backend::Postgres).await;
    let (here, there) = (world.start().await, world.start().await);
    let mut stream = Follower::open(&mut here.crm(), "", true).await;
    let id = submit_mail(&there, "elsewhere@example.no").await;
    stream.read_to(1).await;
    erase(&there, "elsewhere@example.no").await;
    stream.read_to(2).await;
    let told: Vec<_> = stream.changes.iter().map(heard).collect();
    assert_eq!(
        told,
        [(ChangeKind::Submitted, &*id), (ChangeKind::Erased, &*id)]
    );
    drop(stream);
    here.stop().await;
    there.stop().await;
}

/// What a replica commits it announces to the others, with the head that it makes: they look only at what is news.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_announced() {
    let world = World::new(Backend::Postgres).await;
    let replica = world.start().await;
    let StoreUrl::Postgres(url) = &world.url else {
        panic!("not on PostgreSQL")
    };
    let mut listener = PgListener::connect(url.expose_secret()).await.unwrap();
    listener.listen("lead_intake_head").await.unwrap();
    submit_mail(&replica, "announced@example.no").await;
    let head = replica.store.head().borrow().to_string();
    let announced = async { while listener.recv().await.unwrap().payload() != head {} };
    tokio::time::timeout(Duration::from_mins(1), announced)
        .await
        .expect("it was never announced");
    replica.stop().await;
}
