//! `CrmService`: the feed, and single leads.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    auth::Caller,
    convert::{self, timestamp},
    cursor,
    status::{Fault, Refusal, Violations},
};
use crate::{
    clock::SharedClock,
    domain::{lead::CloseOutcome, retention::RetentionPolicy},
    pb::{self, crm_service_server::CrmService},
    seal::Unsealer,
    store::{FeedPage, FeedStore},
};

/// Changes in a page if the caller does not say.
const PAGE_DEFAULT: i64 = 100;
/// Changes in one message of a stream: some 250 KiB.
const STREAM_PAGE: i64 = 1000;
/// Messages that wait for a slow reader; none of them holds a database connection.
const STREAM_BUFFER: usize = 4;
/// A reader that takes nothing for this long is cut off.
const STALL_MAX: Duration = Duration::from_secs(30);
/// A stream ends by itself, to be resumed, so that replicas can be drained and tokens expire.
const STREAM_LIFE: Duration = Duration::from_mins(5);
/// How often an idle stream says so, with the newest cursor.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often an open stream's token is checked again: a revocation acts within 5 s.
const RECHECK: Duration = Duration::from_secs(1);

/// The service.
#[derive(Clone, Debug)]
pub struct Crm {
    store: Arc<dyn FeedStore>,
    unsealer: Unsealer,
    clock: SharedClock,
    stopping: CancellationToken,

    retention: RetentionPolicy,
}

impl Crm {
    /// A service over these parts. Its streams end when `stopping` is cancelled.
    #[must_use]
    pub fn new(
        store: Arc<dyn FeedStore>,
        unsealer: Unsealer,
        clock: SharedClock,
        stopping: CancellationToken,
        retention: RetentionPolicy,
    ) -> Self {
        Self {
            store,
            unsealer,
            clock,
            stopping,
            retention,
        }
    }

    /// A position from a cursor: `None` for the acknowledged one.
    fn position(&self, text: &str) -> Result<Option<i64>, Refusal> {
        cursor::decode(text, self.store.epoch())
    }

    fn changes(&self, page: FeedPage) -> Result<(Vec<pb::LeadChange>, String), Status> {
        let epoch = self.store.epoch();
        let next = cursor::encode(epoch, page.next);
        let changes = page
            .changes
            .into_iter()
            .map(|change| convert::change(change, epoch, &self.unsealer, &self.retention))
            .collect::<Result<_, _>>()
            .map_err(crate::store::StoreError::from)?;
        Ok((changes, next))
    }
}

#[tonic::async_trait]
impl CrmService for Crm {
    type StreamLeadsStream = ReceiverStream<Result<pb::StreamLeadsResponse, Status>>;

    async fn pull_leads(
        &self,
        request: Request<pb::PullLeadsRequest>,
    ) -> Result<Response<pb::PullLeadsResponse>, Status> {
        let client_id = Caller::of(&request)?.client().id;
        let request = request.into_inner();
        Violations::of_shape(&request).check()?;
        let after = self.position(&request.cursor)?;
        let limit = if request.page_size == 0 {
            PAGE_DEFAULT
        } else {
            request.page_size.into()
        };
        let page = self.store.page(client_id, after, limit).await?;
        let has_more = page.has_more;
        let (changes, next_cursor) = self.changes(page)?;
        Ok(Response::new(pb::PullLeadsResponse {
            changes,
            next_cursor,
            has_more,
        }))
    }

    async fn stream_leads(
        &self,
        request: Request<pb::StreamLeadsRequest>,
    ) -> Result<Response<Self::StreamLeadsStream>, Status> {
        let caller = Caller::of(&request)?.clone();
        let request = request.into_inner();
        Violations::of_shape(&request).check()?;
        let after = self.position(&request.cursor)?;
        let (sender, receiver) = mpsc::channel(STREAM_BUFFER);
        let stream = LeadStream {
            crm: self.clone(),
            caller,
            after,
            sender,
        };
        tokio::spawn(stream.run(request.follow));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn acknowledge_leads(
        &self,
        request: Request<pb::AcknowledgeLeadsRequest>,
    ) -> Result<Response<pb::AcknowledgeLeadsResponse>, Status> {
        let client_id = Caller::of(&request)?.client().id;
        let request = request.into_inner();
        Violations::of_shape(&request).check()?;
        let position = self
            .position(&request.cursor)?
            .ok_or(Refusal::CursorInvalid)?;
        let acknowledged = self
            .store
            .acknowledge(client_id, position, self.clock.now())
            .await?
            .ok_or(Refusal::CursorNotDelivered)?;
        Ok(Response::new(pb::AcknowledgeLeadsResponse {
            acknowledged_cursor: cursor::encode(self.store.epoch(), acknowledged.position),
            changes_behind: acknowledged.behind,
        }))
    }

    async fn get_lead(
        &self,
        request: Request<pb::GetLeadRequest>,
    ) -> Result<Response<pb::GetLeadResponse>, Status> {
        let client_id = Caller::of(&request)?.client().id;
        let request = request.into_inner();
        Violations::of_shape(&request).check()?;
        let id = Uuid::try_parse(&request.lead_id).map_err(|_| Refusal::LeadNotFound)?;
        let stored = self
            .store
            .lead(client_id, id.into())
            .await?
            .ok_or(Refusal::LeadNotFound)?;
        let content = self
            .unsealer
            .unseal(stored.facts.id, &stored.sealed)
            .map_err(crate::store::StoreError::from)?;
        let lead = convert::lead(&stored.facts, content, &self.retention);
        Ok(Response::new(pb::GetLeadResponse { lead: Some(lead) }))
    }

    async fn close_lead(
        &self,
        request: Request<pb::CloseLeadRequest>,
    ) -> Result<Response<pb::CloseLeadResponse>, Status> {
        let client_id = Caller::of(&request)?.client().id;
        let request = request.into_inner();
        let mut violations = Violations::of_shape(&request);
        let outcome = CloseOutcome::from_number(request.outcome.into()).ok_or(Fault::UnknownValue);
        let outcome = violations.keep("outcome", outcome);
        let id = request.lead_id.parse().map_err(|_| Fault::UuidInvalid);
        let id = violations.keep("lead_id", id);
        violations.check()?;
        let (Some(id), Some(outcome)) = (id, outcome) else {
            return Err(Refusal::MalformedMessage.into());
        };
        let closed = self
            .store
            .close_lead(client_id, id, outcome, &self.retention)
            .await?
            .ok_or(Refusal::LeadNotFound)?;
        Ok(Response::new(pb::CloseLeadResponse {
            outcome: closed.outcome as i32,
            erase_by: Some(timestamp(closed.erase_by)),
        }))
    }
}

/// One open stream: a task that reads a page, gives its connection back, and sends.
struct LeadStream {
    crm: Crm,
    caller: Caller,
    after: Option<i64>,
    sender: mpsc::Sender<Result<pb::StreamLeadsResponse, Status>>,
}

impl LeadStream {
    async fn run(mut self, follow: bool) {
        metrics::gauge!("lead_intake_streams_open").increment(1);
        let sender = self.sender.clone();
        let stopping = self.crm.stopping.clone();
        let end = tokio::select! {
            // First, so that a stream with much to send ends too.
            biased;
            () = stopping.cancelled() => Err(Refusal::Stopping.into()),
            // The reader went away: nothing is left to tell.
            () = sender.closed() => Ok(()),
            end = self.deliver(follow) => end,
        };
        if let Err(status) = end {
            // A reader that takes nothing does not hear why, either.
            let _ = timeout(RECHECK, sender.send(Err(status))).await;
        }
        metrics::gauge!("lead_intake_streams_open").decrement(1);
    }

    async fn deliver(&mut self, follow: bool) -> Result<(), Status> {
        let end = Instant::now() + STREAM_LIFE;
        let mut head = self.crm.store.head();
        let epoch = self.crm.store.epoch();
        while Instant::now() < end {
            // Marked as seen before the page is read: what comes in between wakes the next wait.
            head.borrow_and_update();
            self.caller.check().await?;
            // Another replica restored: this position means what it meant no more.
            if self.crm.store.epoch() != epoch {
                return Err(Refusal::CursorExpired.into());
            }
            let page = self
                .crm
                .store
                .page(self.caller.client().id, self.after, STREAM_PAGE)
                .await?;
            let has_more = page.has_more;
            let idle = page.changes.is_empty();
            self.after = Some(page.next);
            if !idle || !follow && !has_more {
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

    /// Waits until the ledger moves, or the stream's life is over; says so now and then.
    async fn wait(
        &self,
        head: &mut tokio::sync::watch::Receiver<i64>,
        end: Instant,
    ) -> Result<(), Status> {
        let mut heartbeat = Instant::now() + HEARTBEAT;
        while Instant::now() < end {
            match timeout(RECHECK, head.changed()).await {
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

    async fn send(&self, page: FeedPage) -> Result<(), Status> {
        let (changes, next_cursor) = self.crm.changes(page)?;
        let message = pb::StreamLeadsResponse {
            changes,
            next_cursor,
        };
        match timeout(STALL_MAX, self.sender.send(Ok(message))).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::ReaderStalled.into()),
        }
    }
}
