//! A request as OpenDSR 2.0 writes it (<https://github.com/opengdpr/OpenDSR>, sections 5 and 7), checked as a whole:
//! everything that is wrong is told at once. One more field is one more name in a list of fields and a line in [`read`].

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::{Uuid, Variant};

use super::{
    fault::{Fault, Violations},
    identity::{Identities, Place, identities},
};
use crate::clock::from_micros;

/// The name of our extension, in requests and in answers: the domain of our errors.
pub(super) const EXTENSION: &str = "lead-intake";

const FIELDS: &[&str] = &[
    "regulation",
    "subject_request_id",
    "subject_request_type",
    "subject_identities",
    "submitted_time",
    "api_version",
    "status_callback_urls",
    "extensions",
];

/// What the person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestType {
    Access,
    Portability,
    Erasure,
}

impl RequestType {
    /// As the specification writes it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Portability => "portability",
            Self::Erasure => "erasure",
        }
    }
}

/// A checked request.
pub(super) struct Request {
    pub(super) id: Uuid,
    pub(super) kind: RequestType,
    /// When the person asked.
    pub(super) submitted: Timestamp,
    pub(super) identities: Identities,
    /// How many addresses it wants to have called.
    pub(super) callbacks: usize,
}

/// Reads a request, or tells all that is wrong with it.
pub(super) fn read(document: &Value, now: Timestamp) -> Result<Request, Violations> {
    let mut violations = Violations::default();
    let none = Map::new();
    let object = document.as_object().unwrap_or_else(|| {
        violations.add("", Fault::WrongKind);
        &none
    });
    if document.is_object() {
        known(object, FIELDS, "", &mut violations);
    }
    let id = text(object, "subject_request_id", &mut violations);
    let id = id.and_then(|id| keep("subject_request_id", request_id(id), &mut violations));
    let kind = text(object, "subject_request_type", &mut violations);
    let kind =
        kind.and_then(|kind| keep("subject_request_type", request_type(kind), &mut violations));
    let submitted = text(object, "submitted_time", &mut violations);
    let submitted = submitted
        .and_then(|time| keep("submitted_time", submitted_time(time, now), &mut violations));
    match text(object, "regulation", &mut violations) {
        None | Some("gdpr") => {}
        Some(_) => violations.add("regulation", Fault::RegulationNotSupported),
    }
    if object.contains_key("api_version") {
        let version = text(object, "api_version", &mut violations);
        if version.is_some_and(|version| version != "2" && !version.starts_with("2.")) {
            violations.add("api_version", Fault::VersionNotSupported);
        }
    }
    let callbacks = callbacks(object, &mut violations);
    let places = places(object, &mut violations);
    let identities = identities(&places, &mut violations);
    match (id, kind, submitted) {
        (Some(id), Some(kind), Some(submitted)) if violations.0.is_empty() => Ok(Request {
            id,
            kind,
            submitted,
            identities,
            callbacks,
        }),
        _ => Err(violations),
    }
}

/// The identities of the request: the specification's list, and that of our extension, which is where its telephone
/// numbers may stand.
fn places<'a>(object: &'a Map<String, Value>, violations: &mut Violations) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    let mut take = |list: Option<&'a Value>, path: &str, violations: &mut Violations| match list {
        None => {}
        Some(Value::Array(items)) => {
            let numbered = items.iter().enumerate();
            places.extend(numbered.map(|(number, item)| Place {
                path: format!("{path}[{number}]"),
                item,
            }));
        }
        Some(_) => violations.add(path, Fault::WrongKind),
    };
    let list = "subject_identities";
    take(object.get(list), list, violations);
    match object.get("extensions") {
        None => {}
        // Those of other processors are for them.
        Some(Value::Object(extensions)) => {
            let path = format!("extensions.{EXTENSION}");
            match extensions.get(EXTENSION) {
                None => {}
                Some(Value::Object(ours)) => {
                    known(ours, &["identities"], &path, violations);
                    take(
                        ours.get("identities"),
                        &format!("{path}.identities"),
                        violations,
                    );
                }
                Some(_) => violations.add(&path, Fault::WrongKind),
            }
        }
        Some(_) => violations.add("extensions", Fault::WrongKind),
    }
    places
}

fn callbacks(object: &Map<String, Value>, violations: &mut Violations) -> usize {
    match object.get("status_callback_urls") {
        None => 0,
        Some(Value::Array(urls)) if urls.iter().all(Value::is_string) => urls.len(),
        Some(_) => {
            violations.add("status_callback_urls", Fault::WrongKind);
            0
        }
    }
}

/// Notes fields that nobody knows. Their names are not told: they came from a stranger, too.
pub(super) fn known(
    object: &Map<String, Value>,
    fields: &[&str],
    path: &str,
    violations: &mut Violations,
) {
    if object.keys().any(|name| !fields.contains(&name.as_str())) {
        violations.add(path, Fault::UnknownField);
    }
}

fn text<'a>(
    object: &'a Map<String, Value>,
    name: &str,
    violations: &mut Violations,
) -> Option<&'a str> {
    keep(name, string(object, name), violations)
}

/// A text that must be there.
pub(super) fn string<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, Fault> {
    match object.get(name) {
        None => Err(Fault::Required),
        Some(Value::String(text)) if text.is_empty() => Err(Fault::Required),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Fault::WrongKind),
    }
}

/// Keeps a value, or notes what is wrong with it.
pub(super) fn keep<T>(
    path: &str,
    parsed: Result<T, Fault>,
    violations: &mut Violations,
) -> Option<T> {
    parsed.map_err(|fault| violations.add(path, fault)).ok()
}

fn request_id(text: &str) -> Result<Uuid, Fault> {
    let id = Uuid::try_parse(text).map_err(|_| Fault::UuidInvalid)?;
    let is_v4 = id.get_version_num() == 4 && id.get_variant() == Variant::RFC4122;
    // Other forms of the same number, such as braces, are told apart: the answer repeats it.
    if is_v4 && id.to_string() == text {
        Ok(id)
    } else {
        Err(Fault::UuidInvalid)
    }
}

fn request_type(text: &str) -> Result<RequestType, Fault> {
    match text {
        "access" => Ok(RequestType::Access),
        "portability" => Ok(RequestType::Portability),
        "erasure" => Ok(RequestType::Erasure),
        _ => Err(Fault::UnknownValue),
    }
}

fn submitted_time(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let time: Timestamp = text.parse().map_err(|_| Fault::TimeInvalid)?;
    if time > now {
        return Err(Fault::TimeInFuture);
    }
    Ok(from_micros(time.as_microsecond()))
}
