//! `IntakeService`: what a website backend calls. It holds a sealer and a store that cannot read leads.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tonic::{Request, Response, Status};

use super::{
    auth::Caller,
    convert::{self, timestamp},
    status::{Fault, Refusal, Violations},
};
use crate::{
    clock::{SharedClock, from_micros},
    domain::{
        contact::Region,
        erasure::{ErasurePolicy, WithdrawalOutcome},
        lead::{LawfulBasis, LeadId, NewLead},
        notice::{
            Acceptance, Complaint, Controller, Notice, NoticeRegistry, NoticeVersion, Rights,
            TIME_ZONE,
        },
        retention::RetentionPolicy,
    },
    export::{Receipts, Withdrawn},
    pb::{self, intake_service_server::IntakeService},
    seal::Sealer,
    store::{IntakeStore, Submission, Withdrawal},
};

/// What a person may still ask for a lead that stays after a withdrawal: access, rectification, erasure,
/// restriction, portability, complaint. Art. 21(1) does not reach its basis.
const RIGHTS_THAT_REMAIN: [&str; 6] = [
    "eu-gdpr:A15",
    "eu-gdpr:A16",
    "eu-gdpr:A17",
    "eu-gdpr:A18",
    "eu-gdpr:A20",
    "eu-gdpr:A77",
];

/// The service.
#[derive(Debug)]
pub struct Intake {
    store: Arc<dyn IntakeStore>,
    sealer: Sealer,
    clock: SharedClock,
    notices: Arc<NoticeRegistry>,
    receipts: Receipts,

    settings: IntakeSettings,
    time_zone: TimeZone,
}

/// What the operator decides.
#[derive(Clone, Debug, Default)]
pub struct IntakeSettings {
    /// The controller, as the notice names it.
    pub controller: Controller,
    /// Region of phone numbers without a prefix.
    pub region: Region,
    /// Days for which a superseded notice is still accepted.
    pub notice_grace_days: u32,
    /// The retention rules.
    pub retention: RetentionPolicy,
    /// What is expected of those who had an erased lead.
    pub erasure: ErasurePolicy,
}

impl Intake {
    /// A service over these parts.
    #[must_use]
    pub fn new(
        store: Arc<dyn IntakeStore>,
        sealer: Sealer,
        clock: SharedClock,
        notices: Arc<NoticeRegistry>,
        settings: IntakeSettings,
    ) -> Self {
        let time_zone = TimeZone::get(TIME_ZONE).unwrap_or(TimeZone::UTC);
        let receipts = Receipts::new(&notices, &settings.controller, &settings.retention);
        Self {
            store,
            sealer,
            clock,
            notices,
            receipts,
            settings,
            time_zone,
        }
    }

    fn today(&self) -> Date {
        self.clock.now().to_zoned(self.time_zone.clone()).date()
    }

    fn check_notice(&self, version: &str) -> Result<(), Refusal> {
        match self
            .notices
            .acceptance(version, self.today(), self.settings.notice_grace_days)
        {
            Acceptance::Current => Ok(()),
            Acceptance::Superseded => Err(Refusal::NoticeSuperseded),
            Acceptance::Unknown | Acceptance::NotYet => Err(Refusal::NoticeUnknown),
        }
    }

    /// Proof of the consent that a lead rests on. Empty where another basis carries it.
    fn consent_receipt(
        &self,
        lead: &NewLead,
        id: LeadId,
        submitted_at: Timestamp,
        erase_by: Timestamp,
    ) -> String {
        match lead.basis {
            LawfulBasis::Consent => {
                let version = lead.notice_version.as_str();
                self.receipts.given(id, version, submitted_at, erase_by)
            }
            LawfulBasis::PreContract => String::new(),
        }
    }

    /// Proof of a withdrawal. Where none is recorded there is nothing to prove.
    fn withdrawal_receipt(&self, lead: LeadId, done: &Withdrawal) -> String {
        done.entry.as_ref().map_or_else(String::new, |entry| {
            self.receipts.withdrawn(&Withdrawn {
                lead,
                at: from_micros(entry.at),
                outcome: done.outcome,
                entry: Some((entry.sequence, HEXLOWER.encode(&entry.hash))),
            })
        })
    }
}

#[tonic::async_trait]
impl IntakeService for Intake {
    async fn submit_lead(
        &self,
        request: Request<pb::SubmitLeadRequest>,
    ) -> Result<Response<pb::SubmitLeadResponse>, Status> {
        let client_id = Caller::of(&request)?.client().id;
        let lead = convert::new_lead(request.get_ref(), self.settings.region)?;
        let sealed = self
            .sealer
            .seal(&lead, self.clock.now())
            .map_err(|_| Refusal::Internal)?;
        let submission = match self.check_notice(lead.notice_version.as_str()) {
            Ok(()) => self.store.submit(client_id, sealed).await?,
            // A repeat is answered as it was the first time, whatever notice is in force by now.
            Err(refusal) => self
                .store
                .repeat(client_id, &sealed)
                .await?
                .ok_or(refusal)?,
        };
        match submission {
            Submission::Stored { id, submitted_at } => {
                let erase_by = self.settings.retention.erase_new_by(submitted_at);
                Ok(Response::new(pb::SubmitLeadResponse {
                    lead_id: id.to_string(),
                    submitted_at: Some(timestamp(submitted_at)),
                    erase_by: Some(timestamp(erase_by)),
                    lawful_basis: lead.basis as i32,
                    consent_receipt: self.consent_receipt(&lead, id, submitted_at, erase_by),
                }))
            }
            Submission::RequestIdReused => Err(Refusal::RequestIdReused.into()),
            Submission::LeadErased => Err(Refusal::LeadErased.into()),
        }
    }

    async fn withdraw_consent(
        &self,
        request: Request<pb::WithdrawConsentRequest>,
    ) -> Result<Response<pb::WithdrawConsentResponse>, Status> {
        let client_id = Caller::of(&request)?.client().id;
        let request = request.into_inner();
        let mut violations = Violations::of_shape(&request);
        let id = request.lead_id.parse().map_err(|_| Fault::UuidInvalid);
        let id = violations.keep("lead_id", id);
        violations.check()?;
        let id = id.ok_or(Refusal::MalformedMessage)?;
        let policy = &self.settings.retention;
        let done = self.store.withdraw(client_id, id, policy).await?;
        let stays = matches!(
            done.outcome,
            WithdrawalOutcome::FlagWithdrawn | WithdrawalOutcome::ErasedWhenLifted
        );
        let rights = if stays { &RIGHTS_THAT_REMAIN[..] } else { &[] };
        Ok(Response::new(pb::WithdrawConsentResponse {
            outcome: done.outcome as i32,
            applicable_rights: rights.iter().copied().map(str::to_owned).collect(),
            receipt: self.withdrawal_receipt(id, &done),
        }))
    }

    async fn get_privacy_notice(
        &self,
        request: Request<pb::GetPrivacyNoticeRequest>,
    ) -> Result<Response<pb::GetPrivacyNoticeResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::of_shape(&request);
        let language = convert::language(&request.language, &mut violations);
        violations.check()?;
        let current = self
            .notices
            .current(self.today())
            .map(NoticeVersion::as_str);
        let version = Some(&*request.version)
            .filter(|v| !v.is_empty())
            .or(current);
        version
            .and_then(|version| self.notices.get(version, language))
            .map(|notice| Response::new(notice_response(notice, &self.settings.controller)))
            .ok_or_else(|| Refusal::NoticeNotFound.into())
    }
}

fn notice_response(notice: &Notice, controller: &Controller) -> pb::GetPrivacyNoticeResponse {
    let facts = &notice.facts;
    let text = |fact: &Option<String>| fact.clone().unwrap_or_default();
    pb::GetPrivacyNoticeResponse {
        version: notice.version.to_string(),
        language: notice.language.to_string(),
        effective_from: notice.effective_from.to_string(),
        controller: Some(pb::Controller {
            name: controller.name.clone(),
            address: controller.address.clone(),
            organisation_number: controller.organisation_number.clone(),
            phone: controller.phone.clone(),
            email: controller.email.clone(),
        }),
        purposes: facts.purposes.clone(),
        data_categories: facts.data_categories.clone(),
        lawful_bases: facts
            .lawful_bases
            .iter()
            .map(|basis| format!("{} (Art. {})", basis.text, basis.article.as_str()))
            .collect(),
        source: text(&facts.source),
        recipients: facts
            .recipients
            .as_ref()
            .map_or_else(String::new, |r| r.text.clone()),
        transfers: text(&facts.transfers),
        retention: facts
            .retention
            .as_ref()
            .map_or_else(String::new, |r| r.criteria.clone()),
        rights: rights(&facts.rights),
        complaint: facts
            .complaint
            .as_ref()
            .map_or_else(String::new, Complaint::line),
        provision_required: text(&facts.provision_required),
        automated_decisions: text(&facts.automated_decisions),
        data_protection_officer: text(&facts.data_protection_officer),
        text: notice.text.clone(),
        sha256: notice.sha256_hex(),
    }
}

/// The rights that the notice names, with their IRIs in the Data Privacy Vocabulary.
fn rights(rights: &Rights) -> Vec<pb::PrivacyRight> {
    let objection = rights.objection.as_ref();
    let general = objection.map(|objection| objection.general.clone());
    let marketing = objection.and_then(|objection| objection.direct_marketing.clone());
    [
        ("eu-gdpr:A15", rights.access.clone()),
        ("eu-gdpr:A16", rights.rectification.clone()),
        ("eu-gdpr:A17", rights.erasure.clone()),
        ("eu-gdpr:A18", rights.restriction.clone()),
        ("eu-gdpr:A20", rights.portability.clone()),
        ("eu-gdpr:A21", general),
        ("eu-gdpr:A21", marketing),
        ("eu-gdpr:A7-3", rights.withdrawal.clone()),
    ]
    .into_iter()
    .filter_map(|(iri, text)| {
        Some(pb::PrivacyRight {
            iri: iri.to_owned(),
            text: text?,
        })
    })
    .collect()
}
