//! `CrmService`: the feed, and single leads.

mod stream;

use std::{sync::Arc, time::Duration};

use tokio::task::coop::consume_budget;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use self::stream::LeadStream;
use super::{
    auth::Caller,
    convert::{self, timestamp},
    cursor,
    limits::Limits,
    status::{Fault, Refusal, Violations},
    told::Told,
};
use crate::{
    clock::SharedClock,
    domain::{lead::CloseOutcome, retention::RetentionPolicy},
    pb::{self, crm_service_server::CrmService},
    seal::{UnsealError, Unsealer},
    store::{FeedChange, FeedPage, FeedStore},
};

/// Changes in a page if the caller does not say.
const PAGE_DEFAULT: i64 = 100;

/// The service.
#[derive(Clone, Debug)]
pub struct Crm {
    store: Arc<dyn FeedStore>,
    unsealer: Unsealer,
    clock: SharedClock,
    stopping: CancellationToken,
    retention: RetentionPolicy,
    /// The life of a stream, and for how long its reader may take nothing.
    stream_max: Duration,
    stall_max: Duration,
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
        limits: &Limits,
    ) -> Self {
        Self {
            store,
            unsealer,
            clock,
            stopping,
            retention,
            stream_max: limits.stream_max,
            stall_max: limits.stall_max,
        }
    }

    /// A position from a cursor: `None` for the acknowledged one.
    fn position(&self, text: &str) -> Result<Option<i64>, Refusal> {
        cursor::decode(text, self.store.epoch())
    }

    async fn changes(&self, page: FeedPage) -> Result<(Vec<pb::LeadChange>, String), Status> {
        let epoch = self.store.epoch();
        let next = cursor::encode(epoch, page.next);
        let changes = unsealed(page.changes, epoch, &self.unsealer, &self.retention).await;
        Ok((changes.map_err(crate::store::StoreError::from)?, next))
    }
}

/// Changes for the wire. To unseal a thousand leads takes longer than others should wait, among them what reads the next page: so
/// it pauses.
async fn unsealed(
    changes: Vec<FeedChange>,
    epoch: i64,
    unsealer: &Unsealer,
    retention: &RetentionPolicy,
) -> Result<Vec<pb::LeadChange>, UnsealError> {
    let mut told = Vec::with_capacity(changes.len());
    for change in changes {
        consume_budget().await;
        told.push(convert::change(change, epoch, unsealer, retention)?);
    }
    Ok(told)
}

#[tonic::async_trait]
impl CrmService for Crm {
    type StreamLeadsStream = Told<pb::StreamLeadsResponse>;

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
        let (changes, next_cursor) = self.changes(page).await?;
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
        let place = caller.open_stream()?;
        let told = LeadStream::open(self.clone(), caller, after, request.follow, place);
        Ok(Response::new(told))
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

#[cfg(test)]
mod tests {
    use futures_util::future::poll_immediate;
    use jiff::Timestamp;

    use super::*;
    use crate::{
        ledger::EntryKind,
        seal::{KeyRing, LiveKeyRing},
    };

    /// Of a page of 1000 nobody has to wait for all: neither another call, nor what reads the next page.
    #[tokio::test]
    async fn who_unseals_a_page_pauses() {
        let ring = KeyRing::generate().unwrap();
        let unsealer = Unsealer::new(LiveKeyRing::fixed(ring.into()));
        let retention = RetentionPolicy::default();
        for (count, pauses) in [(1, false), (1000, true)] {
            let changes = (1..=count).map(|sequence| FeedChange {
                sequence,
                kind: EntryKind::Erased,
                lead_id: Uuid::from_u128(7).into(),
                at: Timestamp::UNIX_EPOCH,
                lead: None,
            });
            let told = unsealed(changes.collect(), 1, &unsealer, &retention);
            let at_once = poll_immediate(told).await;
            assert_eq!(at_once.is_none(), pauses, "{count}");
        }
    }
}
