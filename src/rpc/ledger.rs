//! `LedgerService`: what an auditor calls.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use tonic::{Request, Response, Status};

use super::{
    convert::timestamp,
    status::{Fault, Refusal, Violations},
};
use crate::{
    clock::from_micros,
    domain::lead::LeadId,
    pb::{self, ledger_service_server::LedgerService},
    store::{LedgerStore, NamedEntry},
};

/// Entries in a page if the caller does not say.
const PAGE_DEFAULT: i64 = 100;
/// What a chain alone cannot show, without a copy of its head outside the database.
const BLIND_TO: [&str; 4] = [
    "entries removed from the end together with the head",
    "a ledger emptied together with the head",
    "a ledger rewritten from some entry to its end, hashes and head included",
    "a ledger replaced as a whole, store identity included",
];

/// The service.
#[derive(Debug)]
pub struct Ledger {
    store: Arc<dyn LedgerStore>,
}

impl Ledger {
    /// A service over this ledger.
    #[must_use]
    pub fn new(store: Arc<dyn LedgerStore>) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl LedgerService for Ledger {
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
        let found = self.store.verify().await?;
        Ok(Response::new(pb::VerifyLedgerResponse {
            intact: found.fault.is_none(),
            fault: found.fault.map_or(0, |(fault, _)| fault as i32),
            faulty_sequence: found.fault.map_or(0, |(_, sequence)| sequence),
            entries_checked: found.entries_checked,
            head_sequence: found.head.sequence,
            head_hash: HEXLOWER.encode(&found.head.hash),
            blind_to: BLIND_TO.map(str::to_owned).to_vec(),
        }))
    }

    async fn get_checkpoint(
        &self,
        _: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        Err(Refusal::NotYetImplemented.into())
    }

    async fn get_processing_record(
        &self,
        _: Request<pb::GetProcessingRecordRequest>,
    ) -> Result<Response<pb::GetProcessingRecordResponse>, Status> {
        Err(Refusal::NotYetImplemented.into())
    }

    async fn get_statistics(
        &self,
        _: Request<pb::GetStatisticsRequest>,
    ) -> Result<Response<pb::GetStatisticsResponse>, Status> {
        Err(Refusal::NotYetImplemented.into())
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
