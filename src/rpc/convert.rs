//! Between the wire and the domain. Inbound, every fault is reported at once; outbound, nothing fails.

use jiff::{Timestamp, tz::TimeZone};
use tonic::Status;
use uuid::Uuid;

use super::{
    cursor,
    status::{Fault, Violations},
};
use crate::{
    clock::from_micros,
    domain::{
        contact::{Email, EmailError, Line, Phone, PhoneError, Region, TextError},
        lead::{Content, LawfulBasis, LeadFacts, LeadId, LeadState, NewContent, NewLead},
        notice::{Language, NoticeVersion},
        retention::RetentionPolicy,
        subject::{SubjectQuery, UnconfirmedReason},
    },
    pb,
    seal::{UnsealError, Unsealer},
    store::{Candidate, FeedChange, StoredLead},
};

impl From<TextError> for Fault {
    fn from(error: TextError) -> Self {
        match error {
            TextError::TooLong => Self::TooLong,
            TextError::ControlCharacter => Self::ControlCharacter,
        }
    }
}

impl From<EmailError> for Fault {
    fn from(error: EmailError) -> Self {
        match error {
            EmailError::TooLong => Self::TooLong,
            EmailError::ControlCharacter => Self::ControlCharacter,
            EmailError::Invalid => Self::EmailInvalid,
        }
    }
}

impl From<PhoneError> for Fault {
    fn from(error: PhoneError) -> Self {
        match error {
            PhoneError::TooLong => Self::TooLong,
            PhoneError::ControlCharacter => Self::ControlCharacter,
            PhoneError::Invalid => Self::PhoneInvalid,
        }
    }
}

/// A time on the wire.
#[must_use]
pub fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.as_microsecond();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        // Less than a million microseconds are less than a billion nanoseconds, which fits.
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// Whole seconds since a time; 0 for one that another clock, ahead of this one, has written.
#[must_use]
pub fn age_seconds(since: Timestamp, now: Timestamp) -> i64 {
    (now.as_microsecond() - since.as_microsecond()).max(0) / 1_000_000
}

/// A time from the wire, cut to whole microseconds.
pub fn time(
    field: &str,
    given: &prost_types::Timestamp,
    violations: &mut Violations,
) -> Option<Timestamp> {
    let time = Timestamp::new(given.seconds, given.nanos).map_err(|_| Fault::TimeInvalid);
    violations
        .keep(field, time)
        .map(|time| from_micros(time.as_microsecond()))
}

/// When a person asked: now if not given, never in the future.
pub fn received_at(
    field: &str,
    given: Option<&prost_types::Timestamp>,
    now: Timestamp,
    violations: &mut Violations,
) -> Timestamp {
    let given = given.and_then(|given| time(field, given, violations));
    if given.is_some_and(|time| time > now) {
        violations.add(field, Fault::TimeInFuture);
    }
    given.unwrap_or(now)
}

/// A checked submission.
pub fn new_lead(request: &pb::SubmitLeadRequest, region: Region) -> Result<NewLead, Status> {
    let mut violations = Violations::of_shape(request);
    let content = NewContent {
        name: violations
            .keep("name", Line::parse(&request.name))
            .flatten(),
        company: violations
            .keep("company", Line::parse(&request.company))
            .flatten(),
        phone: violations
            .keep("phone", Phone::parse(&request.phone, region))
            .flatten(),
        email: violations
            .keep("email", Email::parse(&request.email))
            .flatten(),
    };
    let basis = LawfulBasis::from_number(request.lawful_basis.into());
    if basis.is_none() {
        violations.add("lawful_basis", Fault::UnknownValue);
    }
    if basis == Some(LawfulBasis::Consent) && !request.consent {
        violations.add("consent", Fault::ConsentRequired);
    }
    let request_id = Uuid::try_parse(&request.request_id);
    let version = request.notice_version.parse::<NoticeVersion>();
    if version.is_err() {
        violations.add("notice_version", Fault::UnknownValue);
    }
    if content.name.is_none() && content.company.is_none() {
        violations.require_one(["name", "company"], Fault::NameOrCompanyRequired);
    }
    if content.phone.is_none() && content.email.is_none() {
        violations.require_one(["email", "phone"], Fault::PhoneOrEmailRequired);
    }
    match (basis, request_id, version) {
        (Some(basis), Ok(request_id), Ok(notice_version)) if violations.is_empty() => Ok(NewLead {
            request_id,
            content,
            basis,
            consent: request.consent,
            notice_version,
        }),
        _ => Err(violations.into()),
    }
}

/// A checked request of a person.
#[derive(Debug)]
pub struct SubjectCall {
    /// Idempotency key.
    pub request_id: Uuid,
    /// When the person asked.
    pub received_at: Timestamp,
    /// How identity was checked, as numbered in the contract.
    pub verification: i64,
    /// The person.
    pub query: SubjectQuery,
}

/// Checks what every subject call carries. `violations` holds what the call's own fields break.
pub fn subject_call(
    request: Option<&pb::SubjectRequest>,
    now: Timestamp,
    region: Region,
    mut violations: Violations,
) -> Result<SubjectCall, Status> {
    if request.is_none_or(|request| request.subject.is_none()) {
        violations.add("request.subject", Fault::Required);
    }
    let empty = pb::SubjectRequest::default();
    let request = request.unwrap_or(&empty);
    let nobody = pb::Subject::default();
    let subject = request.subject.as_ref().unwrap_or(&nobody);
    let field = |name: &str| format!("request.subject.{name}");
    let email = violations
        .keep(&field("email"), Email::parse(&subject.email))
        .flatten();
    let phone = violations
        .keep(&field("phone"), Phone::parse(&subject.phone, region))
        .flatten();
    let name = violations
        .keep(&field("name"), Line::parse(&subject.name))
        .flatten();
    if email.is_none() && phone.is_none() {
        let fields = [&*field("email"), &*field("phone")];
        violations.require_one(fields, Fault::PhoneOrEmailRequired);
    }
    let mut lead_ids = Vec::with_capacity(subject.lead_ids.len());
    for (place, id) in subject.lead_ids.iter().enumerate() {
        match id.parse::<LeadId>() {
            Ok(id) => lead_ids.push(id),
            Err(_) => violations.add(&field(&format!("lead_ids[{place}]")), Fault::UuidInvalid),
        }
    }
    if pb::Verification::try_from(request.verification).is_err() {
        violations.add("request.verification", Fault::UnknownValue);
    }
    let field = "request.received_at";
    let received_at = received_at(field, request.received_at.as_ref(), now, &mut violations);
    let request_id = Uuid::try_parse(&request.request_id);
    if request_id.is_err() {
        violations.add("request.request_id", Fault::UuidInvalid);
    }
    violations.check()?;
    Ok(SubjectCall {
        request_id: request_id.unwrap_or_default(),
        received_at,
        verification: request.verification.into(),
        query: SubjectQuery {
            email,
            phone,
            name,
            lead_ids,
        },
    })
}

/// A language; Norwegian if not given.
pub fn language(text: &str, violations: &mut Violations) -> Language {
    if text.is_empty() {
        return Language::Nb;
    }
    text.parse().unwrap_or_else(|_| {
        violations.add("language", Fault::LanguageUnknown);
        Language::Nb
    })
}

/// A lead for a CRM.
#[must_use]
pub fn lead(facts: &LeadFacts, mut content: Content, retention: &RetentionPolicy) -> pb::Lead {
    pb::Lead {
        lead_id: facts.id.to_string(),
        name: std::mem::take(&mut content.name),
        company: std::mem::take(&mut content.company),
        phone: std::mem::take(&mut content.phone),
        email: std::mem::take(&mut content.email),
        lawful_basis: facts.basis as i32,
        consent: facts.consent,
        notice_version: facts.notice_version.clone(),
        submitted_at: Some(timestamp(facts.submitted_at)),
        erase_by: Some(timestamp(retention.erase_by(facts))),
        revision: facts.revision,
    }
}

/// A change for a CRM.
pub fn change(
    change: FeedChange,
    epoch: i64,
    unsealer: &Unsealer,
    retention: &RetentionPolicy,
) -> Result<pb::LeadChange, UnsealError> {
    let open = |stored: StoredLead| {
        let content = unsealer.unseal(stored.facts.id, &stored.sealed)?;
        Ok(lead(&stored.facts, content, retention))
    };
    Ok(pb::LeadChange {
        cursor: cursor::encode(epoch, change.sequence),
        // The changes have the same numbers in the ledger and in the contract.
        kind: change.kind as i32,
        lead_id: change.lead_id.to_string(),
        changed_at: Some(timestamp(change.at)),
        lead: change.lead.map(open).transpose()?,
    })
}

/// A state on the wire.
#[must_use]
pub fn state(state: LeadState) -> pb::LeadState {
    match state {
        LeadState::Available => pb::LeadState::Available,
        LeadState::Restricted => pb::LeadState::Restricted,
        LeadState::Closed => pb::LeadState::Closed,
    }
}

fn month(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string()
}

/// A lead that is the person's.
#[must_use]
pub fn matched(candidate: &Candidate) -> pb::MatchedLead {
    let facts = &candidate.lead.facts;
    pb::MatchedLead {
        lead_id: facts.id.to_string(),
        state: state(facts.state()).into(),
        submitted_month: month(facts.submitted_at),
        revision: facts.revision,
    }
}

/// A lead that may be the person's.
#[must_use]
pub fn unconfirmed((candidate, reason): &(Candidate, UnconfirmedReason)) -> pb::UnconfirmedLead {
    let facts = &candidate.lead.facts;
    pb::UnconfirmedLead {
        lead_id: facts.id.to_string(),
        state: state(facts.state()).into(),
        submitted_month: month(facts.submitted_at),
        reason: *reason as i32,
    }
}
