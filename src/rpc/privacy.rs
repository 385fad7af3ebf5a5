//! `PrivacyService`: the rights of people. Acts on one lead are in [`act`], receipts in [`receipt`].

mod act;
mod asked;
mod receipt;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use tonic::{Request, Response, Status};

pub use self::receipt::Receipts;
use super::{
    auth::Caller,
    convert::{self, SubjectCall, timestamp},
    status::{Fault, Refusal, Violations},
};
use crate::{
    clock::{SharedClock, due_at},
    domain::{contact::Region, erasure::ErasureGround, notice::Language, subject::Match},
    export::{Document, ExportedLead, Exporter},
    pb::{self, privacy_service_server::PrivacyService},
    seal::{LiveKeyRing, Sealer, UnsealError, Unsealer},
    store::{
        Erasure, ErasureOrder, Judge, PrivacyStore, RightsCall, StoreError, StoredLead,
        SubjectLookup,
    },
};

/// The service.
#[derive(Debug)]
pub struct Privacy {
    store: Arc<dyn PrivacyStore>,
    receipts: Receipts,
    sealer: Sealer,
    unsealer: Unsealer,
    clock: SharedClock,
    exporter: Exporter,

    region: Region,
}

impl Privacy {
    /// A service over these parts. `region` is that of phone numbers without a prefix.
    #[must_use]
    pub fn new(
        store: Arc<dyn PrivacyStore>,
        receipts: Receipts,
        keys: Arc<LiveKeyRing>,
        clock: SharedClock,
        exporter: Exporter,
        region: Region,
    ) -> Self {
        Self {
            store,
            receipts,
            sealer: Sealer::new(keys.clone()),
            unsealer: Unsealer::new(keys),
            clock,
            exporter,
            region,
        }
    }

    fn check(
        &self,
        request: Option<&pb::SubjectRequest>,
        violations: Violations,
    ) -> Result<SubjectCall, Status> {
        convert::subject_call(request, self.clock.now(), self.region, violations)
    }

    fn lookup<'a>(
        &self,
        caller: &Caller,
        call: &'a SubjectCall,
        detail: i64,
        judge: Judge<'a>,
    ) -> SubjectLookup<'a> {
        SubjectLookup {
            call: RightsCall {
                client_id: caller.client().id,
                request_id: call.request_id,
                verification: call.verification,
                received_at: call.received_at,
                now: self.clock.now(),
            },
            detail,
            index: self.unsealer.subject_index(&call.query),
            named: &call.query.lead_ids,
            judge,
        }
    }

    /// Decides on a candidate from its content. The blind index only finds; this is what proves.
    fn judge(&self, stored: &StoredLead, call: &SubjectCall) -> Result<Match, UnsealError> {
        let content = self.unsealer.unseal(stored.facts.id, &stored.sealed)?;
        Ok(call.query.judge(&content))
    }
}

#[tonic::async_trait]
impl PrivacyService for Privacy {
    async fn find_subject(
        &self,
        request: Request<pb::FindSubjectRequest>,
    ) -> Result<Response<pb::FindSubjectResponse>, Status> {
        let caller = Caller::of(&request)?.clone();
        let request = request.into_inner();
        let call = self.check(request.request.as_ref(), Violations::of_shape(&request))?;
        let judge = |stored: &StoredLead| self.judge(stored, &call);
        let lookup = self.lookup(&caller, &call, 0, &judge);
        let found = self.store.find(&lookup).await?;
        Ok(Response::new(pb::FindSubjectResponse {
            leads: found.leads.iter().map(convert::matched).collect(),
            unconfirmed: found.unconfirmed.iter().map(convert::unconfirmed).collect(),
            due_at: Some(timestamp(due_at(call.received_at))),
        }))
    }

    async fn export_subject(
        &self,
        request: Request<pb::ExportSubjectRequest>,
    ) -> Result<Response<pb::ExportSubjectResponse>, Status> {
        let caller = Caller::of(&request)?.clone();
        let request = request.into_inner();
        let mut violations = Violations::of_shape(&request);
        let wanted = document(&request, &mut violations);
        let language = convert::language(&request.language, &mut violations);
        let call = self.check(request.request.as_ref(), violations)?;
        let wanted = wanted.ok_or(Refusal::MalformedMessage)?;
        let judge = |stored: &StoredLead| self.judge(stored, &call);
        let lookup = self.lookup(&caller, &call, request.kind.into(), &judge);
        let export = self.store.export(&lookup).await?;
        let leads = export.selection.leads.iter().zip(export.disclosures);
        let leads = leads
            .map(|(candidate, disclosures)| {
                let StoredLead { facts, sealed, .. } = &candidate.lead;
                let content = self.unsealer.unseal(facts.id, sealed)?;
                Ok(ExportedLead {
                    facts: facts.clone(),
                    content,
                    disclosures,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Response::new(self.answer(
            wanted,
            language,
            &leads,
            &export.selection.unconfirmed,
            &call,
        )))
    }

    async fn erase_subject(
        &self,
        request: Request<pb::EraseSubjectRequest>,
    ) -> Result<Response<pb::EraseSubjectResponse>, Status> {
        let caller = Caller::of(&request)?.clone();
        let request = request.into_inner();
        let mut violations = Violations::of_shape(&request);
        let ground = ErasureGround::from_number(request.ground.into());
        if ground.is_none() {
            violations.add("ground", Fault::UnknownValue);
        }
        let language = convert::language(&request.language, &mut violations);
        let call = self.check(request.request.as_ref(), violations)?;
        let order = ErasureOrder {
            ground: ground.ok_or(Refusal::MalformedMessage)?,
            dry_run: request.dry_run,
            confirmed: request.confirm_supersedes_restriction,
        };
        let judge = |stored: &StoredLead| self.judge(stored, &call);
        let lookup = self.lookup(&caller, &call, request.ground.into(), &judge);
        let erasure = self.store.erase(&lookup, order).await?;
        Ok(Response::new(self.erased(&erasure, &call, language)))
    }

    async fn get_erasure_receipt(
        &self,
        request: Request<pb::GetErasureReceiptRequest>,
    ) -> Result<Response<pb::GetErasureReceiptResponse>, Status> {
        let caller = Caller::of(&request)?.clone();
        let now = self.clock.now();
        let receipt = self.receipts.get(&caller, request.get_ref(), now).await?;
        Ok(Response::new(receipt))
    }

    async fn rectify_lead(
        &self,
        request: Request<pb::RectifyLeadRequest>,
    ) -> Result<Response<pb::RectifyLeadResponse>, Status> {
        let caller = Caller::of(&request)?.clone();
        let done = self.rectify(&caller, request.get_ref()).await?;
        Ok(Response::new(done))
    }

    async fn restrict_lead(
        &self,
        request: Request<pb::RestrictLeadRequest>,
    ) -> Result<Response<pb::RestrictLeadResponse>, Status> {
        let caller = Caller::of(&request)?.clone();
        let done = self.restrict(&caller, request.get_ref()).await?;
        Ok(Response::new(done))
    }

    async fn lift_restriction(
        &self,
        request: Request<pb::LiftRestrictionRequest>,
    ) -> Result<Response<pb::LiftRestrictionResponse>, Status> {
        let caller = Caller::of(&request)?.clone();
        let done = self.lift(&caller, request.get_ref()).await?;
        Ok(Response::new(done))
    }

    async fn object_to_processing(
        &self,
        request: Request<pb::ObjectToProcessingRequest>,
    ) -> Result<Response<pb::ObjectToProcessingResponse>, Status> {
        let caller = Caller::of(&request)?.clone();
        let done = self.object(&caller, request.get_ref()).await?;
        Ok(Response::new(done))
    }
}

impl Privacy {
    fn erased(
        &self,
        erasure: &Erasure,
        call: &SubjectCall,
        language: Language,
    ) -> pb::EraseSubjectResponse {
        let leads = erasure.outcomes.iter().map(|(id, outcome)| pb::ErasedLead {
            lead_id: id.to_string(),
            outcome: *outcome as i32,
            refusal: self
                .exporter
                .refusal(*outcome, language, self.clock.now())
                .map(|refusal| pb::Refusal {
                    reason: refusal.reason.to_owned(),
                    complaint: refusal.complaint,
                    judicial_remedy: refusal.judicial_remedy.to_owned(),
                }),
        });
        pb::EraseSubjectResponse {
            leads: leads.collect(),
            unconfirmed: erasure
                .unconfirmed
                .iter()
                .map(convert::unconfirmed)
                .collect(),
            receipt: receipt::told(&erasure.entries, erasure.ground, call.request_id),
            due_at: Some(timestamp(due_at(erasure.received_at))),
        }
    }

    fn answer(
        &self,
        wanted: Document,
        language: Language,
        leads: &[ExportedLead],
        unconfirmed: &[(
            crate::store::Candidate,
            crate::domain::subject::UnconfirmedReason,
        )],
        call: &SubjectCall,
    ) -> pb::ExportSubjectResponse {
        let file = self
            .exporter
            .export(wanted, language, leads, self.clock.now());
        let sha256 = HEXLOWER.encode(digest(&SHA256, &file.content).as_ref());
        pb::ExportSubjectResponse {
            content: file.content,
            content_type: file.content_type.to_owned(),
            file_name: file.name,
            sha256,
            leads: i32::try_from(leads.len()).unwrap_or(i32::MAX),
            unconfirmed: unconfirmed.iter().map(convert::unconfirmed).collect(),
            due_at: Some(timestamp(due_at(call.received_at))),
        }
    }
}

/// The document that is asked for. A kind or format out of range is a violation, and so is a format in
/// which that kind is not made.
fn document(request: &pb::ExportSubjectRequest, violations: &mut Violations) -> Option<Document> {
    use pb::{ExportFormat as Format, ExportKind as Kind};
    let format = Format::try_from(request.format);
    let kind = Kind::try_from(request.kind);
    if format.is_err() {
        violations.add("format", Fault::UnknownValue);
    }
    if kind.is_err() {
        violations.add("kind", Fault::UnknownValue);
    }
    match (kind.ok()?, format.ok()?) {
        // No kind is a violation already: the field is required.
        (Kind::Unspecified, _) => None,
        (Kind::Access, Format::Unspecified | Format::Json) => Some(Document::AccessJson),
        (Kind::Access, Format::Html) => Some(Document::AccessHtml),
        (Kind::Portability, Format::Unspecified | Format::Json) => Some(Document::PortabilityJson),
        (Kind::Portability, Format::Jcard) => Some(Document::PortabilityJcard),
        (Kind::Portability, Format::Csv) => Some(Document::PortabilityCsv),
        (Kind::Access, Format::Csv | Format::Jcard) | (Kind::Portability, Format::Html) => {
            violations.add("format", Fault::FormatNotForKind);
            None
        }
    }
}
