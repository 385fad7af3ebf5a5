//! Every call of the contract as it is meant to be made, about one person, and some that are refused for what they say.

use lead_intake::{
    pb::{self, ExportFormat as Format, ExportKind as Kind},
    token::Role,
};

use super::{COMPANY, EMAIL, NAME, PHONE, scenario::Scenario};
use crate::support::{eventually, new_id};

/// A form of the person.
pub fn form() -> pb::SubmitLeadRequest {
    pb::SubmitLeadRequest {
        company: COMPANY.to_owned(),
        phone: PHONE.to_owned(),
        ..crate::support::form(NAME, EMAIL)
    }
}

fn person() -> pb::SubjectRequest {
    pb::SubjectRequest {
        request_id: new_id().to_string(),
        subject: Some(pb::Subject {
            email: EMAIL.to_owned(),
            phone: PHONE.to_owned(),
            name: NAME.to_owned(),
            lead_ids: Vec::new(),
        }),
        verification: pb::Verification::EmailReply.into(),
        ..Default::default()
    }
}

async fn submit(scenario: &mut Scenario, form: &pb::SubmitLeadRequest) -> String {
    let stored: pb::SubmitLeadResponse = scenario.done(Role::Intake, "SubmitLead", form).await;
    stored.lead_id
}

/// Leads of the person are stored and reach the CRM; forms that cannot be stored are refused.
pub async fn stored(scenario: &mut Scenario) {
    for role in Role::ALL {
        let request = pb::GetPrivacyNoticeRequest::default();
        let _: pb::GetPrivacyNoticeResponse =
            scenario.done(role, "GetPrivacyNotice", &request).await;
    }
    let first = form();
    submit(scenario, &first).await;
    submit(scenario, &first).await;
    for (basis, email) in [
        (pb::LawfulBasis::Consent, EMAIL),
        (pb::LawfulBasis::PreContract, ""),
    ] {
        let other = pb::SubmitLeadRequest {
            lawful_basis: basis.into(),
            consent: true,
            email: email.to_owned(),
            ..form()
        };
        submit(scenario, &other).await;
    }
    let twice = |text: &str| text.repeat(20);
    for wrong in [
        pb::SubmitLeadRequest {
            company: format!("{COMPANY} x"),
            ..first.clone()
        },
        pb::SubmitLeadRequest {
            name: format!("{NAME}\r\n\u{1b}[31m{NAME}\u{2028}"),
            ..form()
        },
        pb::SubmitLeadRequest {
            name: twice(NAME),
            company: twice(COMPANY),
            ..form()
        },
        pb::SubmitLeadRequest {
            email: format!("{NAME} <{EMAIL}"),
            ..form()
        },
        pb::SubmitLeadRequest {
            phone: format!("{PHONE} {PHONE}"),
            ..form()
        },
        pb::SubmitLeadRequest {
            notice_version: EMAIL[..16].to_owned(),
            ..form()
        },
        pb::SubmitLeadRequest {
            request_id: EMAIL.to_owned(),
            ..form()
        },
        pb::SubmitLeadRequest {
            lawful_basis: 9,
            ..form()
        },
        pb::SubmitLeadRequest {
            name: String::new(),
            company: String::new(),
            ..form()
        },
    ] {
        scenario.refused(Role::Intake, "SubmitLead", &wrong).await;
    }
    given(scenario).await;
}

/// The CRM has them.
async fn given(scenario: &mut Scenario) {
    let page = pb::PullLeadsRequest::default();
    let page: pb::PullLeadsResponse = scenario.done(Role::Crm, "PullLeads", &page).await;
    assert_eq!(page.changes.len(), 3);
    let stream = pb::StreamLeadsRequest::default();
    let _: pb::StreamLeadsResponse = scenario.done(Role::Crm, "StreamLeads", &stream).await;
    let get = pb::GetLeadRequest {
        lead_id: page.changes[0].lead_id.clone(),
    };
    let _: pb::GetLeadResponse = scenario.done(Role::Crm, "GetLead", &get).await;
    let done = pb::AcknowledgeLeadsRequest {
        cursor: page.next_cursor,
    };
    let _: pb::AcknowledgeLeadsResponse = scenario.done(Role::Crm, "AcknowledgeLeads", &done).await;
}

/// The person uses every right but the last.
pub async fn rights(scenario: &mut Scenario) {
    let find = pb::FindSubjectRequest {
        request: Some(person()),
    };
    let found: pb::FindSubjectResponse = scenario.done(Role::Privacy, "FindSubject", &find).await;
    assert!(found.leads.len() >= 2);
    for (kind, format) in [
        (Kind::Access, Format::Json),
        (Kind::Access, Format::Html),
        (Kind::Portability, Format::Json),
        (Kind::Portability, Format::Jcard),
        (Kind::Portability, Format::Csv),
    ] {
        let export = pb::ExportSubjectRequest {
            request: Some(person()),
            kind: kind.into(),
            format: format.into(),
            ..Default::default()
        };
        let file: pb::ExportSubjectResponse =
            scenario.done(Role::Privacy, "ExportSubject", &export).await;
        assert!(!file.content.is_empty());
    }
    let contested = submit(scenario, &form()).await;
    one_lead(scenario, &contested).await;
    for kind in [
        pb::ObjectionKind::DirectMarketing,
        pb::ObjectionKind::General,
    ] {
        let object = pb::ObjectToProcessingRequest {
            request: Some(person()),
            kind: kind.into(),
            ..Default::default()
        };
        let _: pb::ObjectToProcessingResponse = scenario
            .done(Role::Privacy, "ObjectToProcessing", &object)
            .await;
    }
    let withdrawn = pb::SubmitLeadRequest {
        lawful_basis: pb::LawfulBasis::Consent.into(),
        consent: true,
        ..form()
    };
    for role in [Role::Intake, Role::Privacy] {
        let again = pb::SubmitLeadRequest {
            request_id: new_id().to_string(),
            ..withdrawn.clone()
        };
        let withdraw = pb::WithdrawConsentRequest {
            lead_id: submit(scenario, &again).await,
        };
        let _: pb::WithdrawConsentResponse =
            scenario.done(role, "WithdrawConsent", &withdraw).await;
    }
    let close = pb::CloseLeadRequest {
        lead_id: submit(scenario, &form()).await,
        outcome: pb::CloseOutcome::Converted.into(),
    };
    let _: pb::CloseLeadResponse = scenario.done(Role::Crm, "CloseLead", &close).await;
}

/// One lead is contested, corrected and released.
async fn one_lead(scenario: &mut Scenario, id: &str) {
    let restrict = pb::RestrictLeadRequest {
        request_id: new_id().to_string(),
        lead_id: id.to_owned(),
        reason: pb::RestrictionReason::AccuracyContested.into(),
        ..Default::default()
    };
    let _: pb::RestrictLeadResponse = scenario
        .done(Role::Privacy, "RestrictLead", &restrict)
        .await;
    let rectify = |revision, email: &str| pb::RectifyLeadRequest {
        request_id: new_id().to_string(),
        lead_id: id.to_owned(),
        field_mask: Some(prost_types::FieldMask {
            paths: vec!["email".to_owned(), "name".to_owned()],
        }),
        fields: Some(pb::LeadFields {
            email: email.to_owned(),
            name: NAME.to_uppercase(),
            ..Default::default()
        }),
        expected_revision: revision,
        ..Default::default()
    };
    scenario
        .refused(Role::Privacy, "RectifyLead", &rectify(1, EMAIL))
        .await;
    scenario
        .refused(Role::Privacy, "RectifyLead", &rectify(2, NAME))
        .await;
    let right = rectify(2, &EMAIL.to_uppercase());
    let _: pb::RectifyLeadResponse = scenario.done(Role::Privacy, "RectifyLead", &right).await;
    let lift = pb::LiftRestrictionRequest {
        request_id: new_id().to_string(),
        lead_id: id.to_owned(),
        reason: restrict.reason,
        subject_informed_at: Some(prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 0,
        }),
    };
    let _: pb::LiftRestrictionResponse =
        scenario.done(Role::Privacy, "LiftRestriction", &lift).await;
}

/// The person is erased; who repeats anything of them hears nothing.
pub async fn erased(scenario: &mut Scenario) {
    let erase = |request: &pb::SubjectRequest, dry_run| pb::EraseSubjectRequest {
        request: Some(request.clone()),
        ground: pb::ErasureGround::Objection.into(),
        confirm_supersedes_restriction: true,
        dry_run,
        ..Default::default()
    };
    let _: pb::EraseSubjectResponse = scenario
        .done(Role::Privacy, "EraseSubject", &erase(&person(), true))
        .await;
    let request = person();
    let request_id = request.request_id.clone();
    for _ in 0..2 {
        let erased: pb::EraseSubjectResponse = scenario
            .done(Role::Privacy, "EraseSubject", &erase(&request, false))
            .await;
        assert!(erased.leads.len() >= 2);
    }
    // Whoever shares the number alone is only perhaps the person: named, they go too.
    let mut rest = person();
    rest.subject.as_mut().unwrap().name.clear();
    let find = pb::FindSubjectRequest {
        request: Some(rest.clone()),
    };
    let found: pb::FindSubjectResponse = scenario.done(Role::Privacy, "FindSubject", &find).await;
    let named = found.unconfirmed.iter().map(|lead| lead.lead_id.clone());
    rest.subject.as_mut().unwrap().lead_ids = named.collect();
    rest.request_id = new_id().to_string();
    let _: pb::EraseSubjectResponse = scenario
        .done(Role::Privacy, "EraseSubject", &erase(&rest, false))
        .await;
    let receipt = pb::GetErasureReceiptRequest {
        request_id,
        ..Default::default()
    };
    // Until the disk is clean, where the service itself cleans it.
    eventually(async || {
        let now: pb::GetErasureReceiptResponse = scenario
            .done(Role::Privacy, "GetErasureReceipt", &receipt)
            .await;
        (now.clean_up() != pb::CleanUp::Pending).then_some(())
    })
    .await;
}

/// The auditor looks at everything.
pub async fn account(scenario: &mut Scenario) {
    for role in [Role::Auditor, Role::Privacy] {
        let all = pb::ListEntriesRequest {
            page_size: 1000,
            ..Default::default()
        };
        let entries: pb::ListEntriesResponse = scenario.done(role, "ListEntries", &all).await;
        assert!(!entries.entries.is_empty());
        let verify = pb::VerifyLedgerRequest {};
        let verified: pb::VerifyLedgerResponse = scenario.done(role, "VerifyLedger", &verify).await;
        assert!(verified.intact);
        let verify = pb::StreamVerifyLedgerRequest {};
        let told: pb::StreamVerifyLedgerResponse =
            scenario.done(role, "StreamVerifyLedger", &verify).await;
        assert!(told.result.unwrap().intact);
        // Not every server has one to give.
        let checkpoint = pb::GetCheckpointRequest::default();
        let _ = scenario
            .call::<pb::GetCheckpointResponse>(role, "GetCheckpoint", &checkpoint)
            .await;
        let record = pb::GetProcessingRecordRequest::default();
        let _: pb::GetProcessingRecordResponse =
            scenario.done(role, "GetProcessingRecord", &record).await;
        let statistics = pb::GetStatisticsRequest {};
        let _: pb::GetStatisticsResponse = scenario.done(role, "GetStatistics", &statistics).await;
    }
}
