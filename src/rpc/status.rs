//! The one mapping of errors to the wire.
//!
//! Each error has its canonical code, a reason in capitals and a constant text; bad input lists every
//! violation; what may be tried again says when. Nothing here can carry a submitted value. To add an error,
//! add a [`Refusal`]; the compiler then asks for its row in the table.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use validator::{ValidationErrors, ValidationErrorsKind};

use crate::store::StoreError;

/// The domain of every reason.
const DOMAIN: &str = "lead-intake";

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each has its text in the table below")]
pub enum Refusal {
    MalformedMessage,
    MessageTooLarge,
    UnknownField,
    UnknownMethod,
    NotYetImplemented,
    TokenMissing,
    TokenInvalid,
    TokenExpired,
    TokenRevoked,
    RoleNotAllowed,
    NoticeUnknown,
    NoticeNotFound,
    NoticeSuperseded,
    LeadErased,
    LeadNotFound,
    RequestIdReused,
    NotACandidate,
    TooManyCandidates,
    CursorInvalid,
    CursorExpired,
    CursorNotDelivered,
    QueueFull,
    Contended,
    Stopping,
    Unavailable,
    Internal,
}

/// What a refusal looks like on the wire.
struct Row(Code, &'static str, &'static str, Option<Duration>);

impl Refusal {
    const fn row(self) -> Row {
        use Code::{
            Aborted, AlreadyExists, FailedPrecondition, Internal, InvalidArgument, NotFound,
            OutOfRange, PermissionDenied, ResourceExhausted, Unauthenticated, Unavailable,
            Unimplemented,
        };
        const SOON: Option<Duration> = Some(Duration::from_millis(200));
        const LATER: Option<Duration> = Some(Duration::from_secs(1));
        match self {
            Self::MalformedMessage => Row(
                InvalidArgument,
                "MALFORMED_MESSAGE",
                "the message is not well-formed protobuf of this contract",
                None,
            ),
            Self::MessageTooLarge => Row(
                OutOfRange,
                "MESSAGE_TOO_LARGE",
                "the message is larger than this method takes",
                None,
            ),
            Self::UnknownField => Row(
                InvalidArgument,
                "UNKNOWN_FIELD",
                "the message has a field that this contract does not have; nothing was stored",
                None,
            ),
            Self::UnknownMethod => Row(
                Unimplemented,
                "UNKNOWN_METHOD",
                "there is no such method",
                None,
            ),
            Self::NotYetImplemented => Row(
                Unimplemented,
                "NOT_YET_IMPLEMENTED",
                "this method is part of the contract and not yet of this server",
                None,
            ),
            Self::TokenMissing => Row(
                Unauthenticated,
                "TOKEN_MISSING",
                "send one header: authorization: Bearer <token>",
                None,
            ),
            Self::TokenInvalid => Row(
                Unauthenticated,
                "TOKEN_INVALID",
                "the token is not valid",
                None,
            ),
            Self::TokenExpired => Row(
                Unauthenticated,
                "TOKEN_EXPIRED",
                "the token has expired; ask the operator for a new one",
                None,
            ),
            Self::TokenRevoked => Row(
                Unauthenticated,
                "TOKEN_REVOKED",
                "the token was revoked",
                None,
            ),
            Self::RoleNotAllowed => Row(
                PermissionDenied,
                "ROLE_NOT_ALLOWED",
                "the token's role may not call this method",
                None,
            ),
            Self::NoticeUnknown => Row(
                FailedPrecondition,
                "NOTICE_UNKNOWN",
                "there is no privacy notice of this version in force; see GetPrivacyNotice",
                None,
            ),
            Self::NoticeNotFound => Row(
                NotFound,
                "NOTICE_UNKNOWN",
                "there is no privacy notice of this version",
                None,
            ),
            Self::NoticeSuperseded => Row(
                FailedPrecondition,
                "NOTICE_SUPERSEDED",
                "a newer privacy notice is in force; show that one and submit again",
                None,
            ),
            Self::LeadErased => Row(
                FailedPrecondition,
                "LEAD_ERASED",
                "the lead of this request_id was erased; nothing was stored",
                None,
            ),
            Self::LeadNotFound => Row(
                NotFound,
                "LEAD_NOT_FOUND",
                "no lead with this identifier may be read",
                None,
            ),
            Self::RequestIdReused => Row(
                AlreadyExists,
                "REQUEST_ID_REUSED",
                "this request_id was used for something else; use a new one",
                None,
            ),
            Self::NotACandidate => Row(
                FailedPrecondition,
                "NOT_A_CANDIDATE",
                "a lead in lead_ids is not among this person's candidates; nothing was done",
                None,
            ),
            Self::TooManyCandidates => Row(
                FailedPrecondition,
                "TOO_MANY_CANDIDATES",
                "more than 10000 leads match; name the person more closely",
                None,
            ),
            Self::CursorInvalid => Row(
                InvalidArgument,
                "CURSOR_INVALID",
                "the cursor is none that this service issued",
                None,
            ),
            Self::CursorExpired => Row(
                OutOfRange,
                "CURSOR_EXPIRED",
                "the cursor is from before a restored backup; start again without one",
                None,
            ),
            Self::CursorNotDelivered => Row(
                FailedPrecondition,
                "CURSOR_NOT_DELIVERED",
                "the client was not given this position yet",
                None,
            ),
            Self::QueueFull => Row(
                ResourceExhausted,
                "QUEUE_FULL",
                "too many submissions are waiting; nothing was stored, try again",
                SOON,
            ),
            Self::Contended => Row(
                Aborted,
                "CONTENDED",
                "another call changed the same leads; nothing was done, try again",
                SOON,
            ),
            Self::Stopping => Row(
                Unavailable,
                "STOPPING",
                "the server is stopping; connect again and go on from the last cursor",
                SOON,
            ),
            Self::Unavailable => Row(
                Unavailable,
                "STORE_UNAVAILABLE",
                "the database does not answer; try again with the same request_id",
                LATER,
            ),
            Self::Internal => Row(
                Internal,
                "INTERNAL",
                "something is wrong in the server; the operator's log says what",
                None,
            ),
        }
    }

    /// The reason in capitals.
    #[must_use]
    pub fn reason(self) -> &'static str {
        self.row().1
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let Row(code, reason, text, retry) = refusal.row();
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        if let Some(delay) = retry {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(code, text, details)
    }
}

/// What is wrong with one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each has its text in the table below")]
pub enum Fault {
    Required,
    TooLong,
    ControlCharacter,
    EmailInvalid,
    PhoneInvalid,
    UuidInvalid,
    OutOfRange,
    UnknownValue,
    TooMany,
    NameOrCompanyRequired,
    PhoneOrEmailRequired,
    ConsentRequired,
    LanguageUnknown,
    TimeInvalid,
    TimeInFuture,
    FormatNotForKind,
}

impl Fault {
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Required => ("REQUIRED", "is required"),
            Self::TooLong => ("TOO_LONG", "is too long"),
            Self::ControlCharacter => (
                "CONTROL_CHARACTER",
                "must be a single line without control characters",
            ),
            Self::EmailInvalid => ("EMAIL_INVALID", "is not an e-mail address"),
            Self::PhoneInvalid => (
                "PHONE_INVALID",
                "is not a phone number; a foreign number needs its prefix",
            ),
            Self::UuidInvalid => ("UUID_INVALID", "is not a UUID"),
            Self::OutOfRange => ("OUT_OF_RANGE", "is out of range"),
            Self::UnknownValue => ("UNKNOWN_VALUE", "is none of the values there are"),
            Self::TooMany => ("TOO_MANY", "has too many items"),
            Self::NameOrCompanyRequired => {
                ("NAME_OR_COMPANY_REQUIRED", "name or company is required")
            }
            Self::PhoneOrEmailRequired => ("PHONE_OR_EMAIL_REQUIRED", "phone or email is required"),
            Self::ConsentRequired => ("CONSENT_REQUIRED", "must be true with LAWFUL_BASIS_CONSENT"),
            Self::LanguageUnknown => ("LANGUAGE_UNKNOWN", "is neither nb nor en"),
            Self::TimeInvalid => ("TIME_INVALID", "is not a time"),
            Self::TimeInFuture => ("TIME_IN_FUTURE", "is in the future"),
            Self::FormatNotForKind => (
                "FORMAT_NOT_FOR_KIND",
                "is not offered for this kind of export",
            ),
        }
    }
}

/// Everything that is wrong with a request.
#[derive(Debug, Default)]
pub struct Violations(Vec<(String, Fault)>);

impl Violations {
    /// What the message's shape breaks.
    #[must_use]
    pub fn of_shape(message: &impl validator::Validate) -> Self {
        let mut violations = Self::default();
        if let Err(errors) = message.validate() {
            violations.collect(&errors, "");
        }
        // `validator` reports in no order; people read in one.
        violations.0.sort_by(|a, b| a.0.cmp(&b.0));
        violations
    }

    /// Notes a fault, unless the field has one already.
    pub fn add(&mut self, field: &str, fault: Fault) {
        if !self.0.iter().any(|(known, _)| known == field) {
            self.0.push((field.to_owned(), fault));
        }
    }

    /// Notes that one of two fields is required, unless one of them was filled in wrongly.
    pub fn require_one(&mut self, fields: [&str; 2], fault: Fault) {
        if !self
            .0
            .iter()
            .any(|(known, _)| fields.contains(&known.as_str()))
        {
            self.add(fields[0], fault);
        }
    }

    /// Keeps a value, or notes what is wrong with it.
    pub fn keep<T, E: Into<Fault>>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.add(field, error.into())).ok()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Ok` if nothing is wrong.
    pub fn check(self) -> Result<(), Status> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.into())
        }
    }

    fn collect(&mut self, errors: &ValidationErrors, path: &str) {
        for (name, kind) in errors.errors() {
            let field = if path.is_empty() {
                name.to_string()
            } else {
                format!("{path}.{name}")
            };
            match kind {
                ValidationErrorsKind::Struct(inner) => self.collect(inner, &field),
                ValidationErrorsKind::List(items) => {
                    for (place, inner) in items {
                        self.collect(inner, &format!("{field}[{place}]"));
                    }
                }
                ValidationErrorsKind::Field(faults) => {
                    for fault in faults {
                        self.add(&field, shape_fault(fault));
                    }
                }
            }
        }
    }
}

/// The fault behind a `validator` code. Its text and parameters, which hold the value, stay here.
fn shape_fault(error: &validator::ValidationError) -> Fault {
    let empty = error
        .params
        .get("value")
        .is_some_and(|value| value.as_str() == Some(""));
    let list = error
        .params
        .get("value")
        .is_some_and(|value| value.is_array());
    match &*error.code {
        "required" => Fault::Required,
        "uuid" => Fault::UuidInvalid,
        "length" if empty => Fault::Required,
        "length" if list => Fault::TooMany,
        "length" => Fault::TooLong,
        _ => Fault::OutOfRange,
    }
}

impl From<Violations> for Status {
    /// `ErrorInfo` names the one reason there is, or says that there are several; its metadata has each
    /// field's, for callers that do not read `BadRequest`.
    fn from(violations: Violations) -> Self {
        let mut reasons: Vec<&str> = violations
            .0
            .iter()
            .map(|(_, fault)| fault.row().0)
            .collect();
        reasons.sort_unstable();
        reasons.dedup();
        let reason = if let [reason] = reasons[..] {
            reason
        } else {
            "SEVERAL_VIOLATIONS"
        };
        let metadata: HashMap<String, String> = violations
            .0
            .iter()
            .map(|(f, fault)| (f.clone(), fault.row().0.to_owned()))
            .collect();
        let fields = violations.0.into_iter().map(|(field, fault)| {
            let (reason, text) = fault.row();
            FieldViolation {
                field,
                description: text.to_owned(),
                reason: reason.to_owned(),
                ..FieldViolation::default()
            }
        });
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        details.set_bad_request(fields.collect::<Vec<_>>());
        let text = "the request is not valid; see the field violations";
        Status::with_error_details(Code::InvalidArgument, text, details)
    }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        store_status(&error)
    }
}

/// What the caller hears of a store's error; what happened is logged here, once.
fn store_status(error: &StoreError) -> Status {
    let refusal = match error {
        StoreError::QueueFull => Refusal::QueueFull,
        StoreError::Closing => Refusal::Stopping,
        StoreError::Contended => Refusal::Contended,
        StoreError::NotDelivered => Refusal::CursorNotDelivered,
        StoreError::RequestIdReused => Refusal::RequestIdReused,
        StoreError::NotACandidate => Refusal::NotACandidate,
        StoreError::TooManyCandidates => Refusal::TooManyCandidates,
        StoreError::Shared(error) => return store_status(error),
        StoreError::Database(_) | StoreError::Lost => {
            tracing::error!(%error, "the store failed");
            Refusal::Unavailable
        }
        StoreError::Corrupt(_)
        | StoreError::Unseal(_)
        | StoreError::ForeignKey(..)
        | StoreError::MissingKey(..)
        | StoreError::NewerSchema
        | StoreError::Migration(_)
        | StoreError::Setting(_) => {
            tracing::error!(%error, "the store cannot be used");
            Refusal::Internal
        }
    };
    refusal.into()
}
