//! Bad input: every violation at once, by field.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use validator::{ValidationErrors, ValidationErrorsKind};

use super::DOMAIN;

/// Defines [`Fault`] and its table: name, reason, text.
macro_rules! faults {
    ($($name:ident = $reason:literal, $text:literal;)*) => {
        /// What is wrong with one field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = concat!("`", $reason, "`.")] $name,)*
        }

        impl Fault {
            /// Every reason.
            pub(super) const REASONS: &[&str] = &[$($reason),*];

            const fn row(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($reason, $text),)*
                }
            }
        }
    };
}

faults! {
    Required = "REQUIRED", "is required";
    TooLong = "TOO_LONG", "is too long";
    ControlCharacter = "CONTROL_CHARACTER", "must be a single line without control characters";
    EmailInvalid = "EMAIL_INVALID", "is not an e-mail address";
    PhoneInvalid = "PHONE_INVALID", "is not a phone number; a foreign number needs its prefix";
    UuidInvalid = "UUID_INVALID", "is not a UUID";
    OutOfRange = "OUT_OF_RANGE", "is out of range";
    UnknownValue = "UNKNOWN_VALUE", "is none of the values there are";
    WrongKind = "WRONG_KIND", "has a value of another kind than this field";
    TooMany = "TOO_MANY", "has too many items";
    NameOrCompanyRequired = "NAME_OR_COMPANY_REQUIRED", "name or company is required";
    PhoneOrEmailRequired = "PHONE_OR_EMAIL_REQUIRED", "phone or email is required";
    ConsentRequired = "CONSENT_REQUIRED", "must be true with LAWFUL_BASIS_CONSENT";
    LanguageUnknown = "LANGUAGE_UNKNOWN", "is neither nb nor en";
    TimeInvalid = "TIME_INVALID", "is not a time";
    TimeInFuture = "TIME_IN_FUTURE", "is in the future";
    NotInMask = "NOT_IN_MASK", "has a value and is not in the field mask";
    FormatNotForKind = "FORMAT_NOT_FOR_KIND", "is not offered for this kind of export";
}

/// The reason of a request with several different faults.
pub(super) const SEVERAL: &str = "SEVERAL_VIOLATIONS";

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
        .is_some_and(serde_json::Value::is_array);
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
            SEVERAL
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
