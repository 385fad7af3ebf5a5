//! `LedgerService`: what an auditor calls.

mod verify;

use std::{sync::Arc, time::Duration};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

pub use self::verify::Evidence;
use self::verify::VerifyStream;
use super::{
    auth::Caller,
    convert::{self, age_seconds, timestamp},
    limits::{Limits, Until},
    status::{Fault, Violations},
    told::Told,
};
use crate::{
    clock::{SharedClock, from_micros},
    domain::lead::LeadId,
    export::{self, Exporter, InventoryItem},
    pb::{self, ledger_service_server::LedgerService},
    store::{AccountStore, NamedEntry, Statistics},
};

/// Entries in a page if the caller does not say.
const PAGE_DEFAULT: i64 = 100;

/// The service.
#[derive(Debug)]
pub struct Ledger {
    evidence: Evidence,
    account: Arc<dyn AccountStore>,
    clock: SharedClock,
    exporter: Exporter,
    stopping: CancellationToken,
    /// For how long a stream's reader may take nothing.
    stall_max: Duration,
}

impl Ledger {
    /// A service over this ledger. `exporter` makes the record of processing activities. Its streams end when `stopping` is
    /// cancelled.
    #[must_use]
    pub fn new(
        evidence: Evidence,
        account: Arc<dyn AccountStore>,
        clock: SharedClock,
        exporter: Exporter,
        stopping: CancellationToken,
        limits: &Limits,
    ) -> Self {
        Self {
            evidence,
            account,
            clock,
            exporter,
            stopping,
            stall_max: limits.stall_max,
        }
    }
}

#[tonic::async_trait]
impl LedgerService for Ledger {
    type StreamVerifyLedgerStream = Told<pb::StreamVerifyLedgerResponse>;

    async fn list_entries(
        &self,
        request: Request<pb::ListEntriesRequest>,
    ) -> Result<Response<pb::ListEntriesResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::of_shape(&request);
        let lead = match &*request.lead_id {
            "" => None,
            id => violations.keep(
                "lead_id",
                id.parse::<LeadId>().map_err(|_| Fault::UuidInvalid),
            ),
        };
        violations.check()?;
        let limit = if request.page_size == 0 {
            PAGE_DEFAULT
        } else {
            request.page_size.into()
        };
        let mut entries = self
            .evidence
            .store
            .entries(request.after_sequence, limit + 1, lead)
            .await?;
        let has_more = i64::try_from(entries.len()).is_ok_and(|count| count > limit);
        entries.truncate(usize::try_from(limit).unwrap_or(0));
        let entries = entries.iter().map(entry).collect();
        Ok(Response::new(pb::ListEntriesResponse { entries, has_more }))
    }

    async fn verify_ledger(
        &self,
        _: Request<pb::VerifyLedgerRequest>,
    ) -> Result<Response<pb::VerifyLedgerResponse>, Status> {
        Ok(Response::new(self.evidence.verify(&Arc::default()).await?))
    }

    async fn stream_verify_ledger(
        &self,
        request: Request<pb::StreamVerifyLedgerRequest>,
    ) -> Result<Response<Self::StreamVerifyLedgerStream>, Status> {
        let caller = Caller::of(&request)?.clone();
        let until = Until::of(&request)?;
        let place = caller.open_stream()?;
        let (evidence, stall_max) = (self.evidence.clone(), self.stall_max);
        let stream = VerifyStream::new(evidence, caller, stall_max);
        let told = stream.open(place, self.stopping.clone(), until);
        Ok(Response::new(told))
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        let request = request.into_inner();
        Violations::of_shape(&request).check()?;
        let Evidence { store, proofs, .. } = &self.evidence;
        let head = store.ledger_head().await?.sequence;
        let checkpoint = proofs.checkpoint(head, request.since_size).await?;
        Ok(Response::new(checkpoint))
    }

    async fn get_processing_record(
        &self,
        request: Request<pb::GetProcessingRecordRequest>,
    ) -> Result<Response<pb::GetProcessingRecordResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::of_shape(&request);
        let language = convert::language(&request.language, &mut violations);
        violations.check()?;
        Ok(Response::new(pb::GetProcessingRecordResponse {
            record: self.exporter.record(language, self.clock.now()),
            inventory: export::inventory().iter().map(item).collect(),
        }))
    }

    async fn get_statistics(
        &self,
        _: Request<pb::GetStatisticsRequest>,
    ) -> Result<Response<pb::GetStatisticsResponse>, Status> {
        let now = self.clock.now();
        let policy = &self.exporter.retention;
        let found = self.account.statistics(policy, now).await?;
        Ok(Response::new(statistics(&found, now)))
    }
}

fn entry(named: &NamedEntry) -> pb::LedgerEntry {
    let NamedEntry { entry, client } = named;
    let new = &entry.new;
    pb::LedgerEntry {
        sequence: entry.sequence,
        kind: new.kind as i32,
        lead_id: new.lead_id.map_or_else(String::new, |id| id.to_string()),
        client: client.clone(),
        request_id: new.request_id.map_or_else(String::new, |id| id.to_string()),
        detail: i32::try_from(new.detail).unwrap_or(i32::MAX),
        submission_sequence: new.submission,
        recorded_at: Some(timestamp(from_micros(entry.at))),
        hash: HEXLOWER.encode(&entry.hash),
        client_number: new.client_id,
    }
}

fn statistics(found: &Statistics, now: Timestamp) -> pb::GetStatisticsResponse {
    let leads = found.leads.iter().map(|count| pb::LeadCount {
        state: convert::state(count.state).into(),
        lawful_basis: count.basis as i32,
        age_months: count.age_months,
        leads: count.leads,
    });
    let consumers = found.duties.backlogs.iter();
    let consumers = consumers.map(|backlog| pb::ConsumerStatus {
        client: backlog.client.clone(),
        unacknowledged_erasures: backlog.unacknowledged,
        oldest_unacknowledged_seconds: backlog
            .open_since
            .map_or(0, |since| age_seconds(since, now)),
    });
    pb::GetStatisticsResponse {
        leads: leads.collect(),
        overdue_requests: found.duties.requests.overdue,
        consumers: consumers.collect(),
        overdue_restricted: found.overdue_restricted,
        answered_late: found.answered_late,
        open_requests: found.duties.requests.open,
    }
}

fn item(item: &InventoryItem) -> pb::InventoryItem {
    pb::InventoryItem {
        table: item.table.clone(),
        column: item.column.clone(),
        reason: item.reason.clone(),
        lawful_basis: item.lawful_basis.clone(),
        retention: item.retention.clone(),
    }
}
