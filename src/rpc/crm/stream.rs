//! `StreamLeads`: the feed, open. It reads a page, gives its connection back, and sends; while it sends one that is not
//! the last, it reads the next.

use std::time::Duration;

use futures_util::future::join;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tonic::Status;

use super::{
    super::{
        auth::Caller,
        limits::Taken,
        status::Refusal,
        told::{End, RECHECK, Told},
    },
    Crm,
};
use crate::{pb, store::FeedPage};

/// Changes in one message of a stream: some 250 KiB.
const STREAM_PAGE: i64 = 1000;
/// Messages that wait for a slow reader; none of them holds a database connection.
const STREAM_BUFFER: usize = 4;
/// A page that was read ahead and had to wait longer for a slow reader is read again.
const AHEAD_MAX: Duration = Duration::from_millis(100);
/// How often an idle stream says so, with the newest cursor.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One open stream.
pub(super) struct LeadStream {
    crm: Crm,
    caller: Caller,
    after: Option<i64>,
    messages: mpsc::Sender<pb::StreamLeadsResponse>,
}

impl LeadStream {
    /// Opens a stream of what comes after a position.
    pub(super) fn open(
        crm: Crm,
        caller: Caller,
        after: Option<i64>,
        follow: bool,
        place: Taken,
    ) -> Told<pb::StreamLeadsResponse> {
        let stopping = crm.stopping.clone();
        Told::by(STREAM_BUFFER, place, stopping, |messages| {
            let mut stream = Self {
                crm,
                caller,
                after,
                messages,
            };
            async move { stream.deliver(follow).await }
        })
    }

    async fn deliver(&mut self, follow: bool) -> End {
        let end = Instant::now() + self.crm.stream_max;
        let mut head = self.crm.store.head();
        let epoch = self.crm.store.epoch();
        let mut ahead = None;
        // What was read ahead is recorded as delivered: it is told, also if the stream's life is over by then.
        while ahead.is_some() || Instant::now() < end {
            self.caller.check().await?;
            // Another replica restored: this position means what it meant no more.
            if self.crm.store.epoch() != epoch {
                return Err(Refusal::CursorExpired.into());
            }
            let page = match ahead.take() {
                Some((page, at)) if Instant::now() < at + AHEAD_MAX => page,
                // Who is erased by now is not in it any more.
                _ => self.read(&mut head).await?,
            };
            self.after = Some(page.next);
            let has_more = page.has_more;
            if has_more && !page.changes.is_empty() && Instant::now() < end {
                // The database reads the next page while this one is unsealed and sent.
                let at = Instant::now();
                let (next, sent) = join(self.read(&mut head), self.send(page)).await;
                sent?;
                ahead = Some((next?, at));
            } else if !page.changes.is_empty() || !follow && !has_more {
                self.send(page).await?;
            }
            if !has_more {
                if !follow {
                    return Ok(());
                }
                self.wait(&mut head, end).await?;
            }
        }
        Ok(())
    }

    /// Reads the next page.
    async fn read(&self, head: &mut watch::Receiver<i64>) -> Result<FeedPage, Status> {
        // Marked as seen before the page is read: what comes in between wakes the next wait.
        head.borrow_and_update();
        let client_id = self.caller.client().id;
        let page = self.crm.store.page(client_id, self.after, STREAM_PAGE);
        Ok(page.await?)
    }

    /// Waits until the ledger moves, or the stream's life is over; says so now and then.
    async fn wait(&self, head: &mut watch::Receiver<i64>, end: Instant) -> End {
        let mut heartbeat = Instant::now() + HEARTBEAT;
        while Instant::now() < end {
            let next = end.min(Instant::now() + RECHECK);
            match tokio::time::timeout_at(next, head.changed()).await {
                Ok(Ok(())) => return Ok(()),
                // The store closes.
                Ok(Err(_)) => return Err(Refusal::Stopping.into()),
                Err(_) => self.caller.check().await?,
            }
            if Instant::now() >= heartbeat {
                heartbeat = Instant::now() + HEARTBEAT;
                let next = self.after.unwrap_or(0);
                self.send(FeedPage {
                    changes: Vec::new(),
                    next,
                    has_more: false,
                })
                .await?;
            }
        }
        Ok(())
    }

    async fn send(&self, page: FeedPage) -> End {
        let (changes, next_cursor) = self.crm.changes(page).await?;
        let message = pb::StreamLeadsResponse {
            changes,
            next_cursor,
        };
        match timeout(self.crm.stall_max, self.messages.send(message)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::ReaderStalled.into()),
        }
    }
}
