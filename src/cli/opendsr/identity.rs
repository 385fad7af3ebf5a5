//! Whom a request is about, and what can be done with each way of saying so.
//!
//! A raw e-mail address or telephone number is searched. A hash is not: what is stored is a hash under a key of ours,
//! which nobody else can make, so that a stolen copy cannot be searched either. One that is a hash of an address in
//! the same request says nothing new, and is answered by that one. Devices and customer numbers are not stored. Whatever
//! is not searched is told in the answer.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value};

use super::{
    fault::{Fault, Violations},
    request::{keep, known, string},
};
use crate::{
    domain::contact::{Email, EmailError},
    pb,
};

/// Each one that is searched is a call or more: no request of one person needs so many.
const IDENTITIES_MAX: usize = 100;

/// Types of the specification that name what is not stored.
const NOT_STORED: &[&str] = &[
    "controller_customer_id",
    "android_advertising_id",
    "android_id",
    "fire_advertising_id",
    "ios_advertising_id",
    "ios_vendor_id",
    "microsoft_advertising_id",
    "microsoft_publisher_id",
    "roku_publisher_id",
    "roku_advertising_id",
];

/// An identity and where it stands.
pub(super) struct Place<'a> {
    pub(super) path: String,
    pub(super) item: &'a Value,
}

/// A person to be searched for.
pub(super) struct Search {
    /// Where it stands in the file.
    pub(super) path: String,
    /// The one address or number. It names a person: it is never printed.
    pub(super) subject: pb::Subject,
}

/// What is done with an identity.
pub(super) enum Handling {
    /// It is searched, as the one with this place among the searches.
    Searched(usize),
    /// The identity at this path is the same, and is searched.
    SameAs(String),
    /// It is not searched, and this is why.
    NotSearched(Fault),
}

/// The identities of a request.
#[derive(Default)]
pub(super) struct Identities {
    pub(super) searches: Vec<Search>,
    /// Every one, in the order of the file.
    pub(super) all: Vec<(String, Handling)>,
}

/// What a hash or a value is compared with.
struct Seen {
    path: String,
    /// The forms in which an address is hashed by others; of a number, as it was given.
    forms: Vec<String>,
}

enum Wanted<'a> {
    Email(Email),
    Phone(&'a str),
    /// A hash of an address or a number, in lower-case hexadecimal.
    Hash(&'a str, String),
    NotStored,
}

/// Reads the identities, and notes all that is wrong with them.
pub(super) fn identities(places: &[Place<'_>], violations: &mut Violations) -> Identities {
    if places.len() > IDENTITIES_MAX {
        violations.add("subject_identities", Fault::TooMany);
        return Identities::default();
    }
    if places.is_empty() {
        violations.add("subject_identities", Fault::Required);
        return Identities::default();
    }
    let wanted: Vec<_> = places
        .iter()
        .map(|place| (&*place.path, wanted(place, violations)))
        .collect();
    let mut found = Identities::default();
    let mut seen: Vec<Seen> = Vec::new();
    // First what is searched, so that a hash before its address is known too.
    let mut handled: Vec<Option<Handling>> = wanted
        .iter()
        .map(|(path, wanted)| search(path, wanted.as_ref()?, &mut found.searches, &mut seen))
        .collect();
    for ((path, wanted), handled) in wanted.iter().zip(&mut handled) {
        let handling = match (handled.take(), wanted) {
            (Some(searched), _) => searched,
            (None, Some(Wanted::Hash(format, hash))) => of_hash(format, hash, &seen),
            (None, Some(Wanted::NotStored)) => Handling::NotSearched(Fault::NotHeld),
            // A violation was noted.
            (None, _) => continue,
        };
        found.all.push(((*path).to_owned(), handling));
    }
    // An address that was written wrongly is no answer to what can be searched.
    if found.searches.is_empty() && wanted.iter().all(|(_, wanted)| wanted.is_some()) {
        for (path, handling) in &found.all {
            if let Handling::NotSearched(fault) = handling {
                violations.add(path, *fault);
            }
        }
        violations.add("subject_identities", Fault::NothingToSearch);
    }
    found
}

/// Adds a raw value to what is searched, unless it is there.
fn search(
    path: &str,
    wanted: &Wanted<'_>,
    searches: &mut Vec<Search>,
    seen: &mut Vec<Seen>,
) -> Option<Handling> {
    let (subject, forms) = match wanted {
        Wanted::Email(email) => {
            let subject = pb::Subject {
                email: email.as_given().to_owned(),
                ..pb::Subject::default()
            };
            let given = email.as_given().to_owned();
            let lower = given.to_lowercase();
            (subject, vec![email.lookup().to_owned(), given, lower])
        }
        Wanted::Phone(number) => {
            let subject = pb::Subject {
                phone: (*number).to_owned(),
                ..pb::Subject::default()
            };
            (subject, vec![(*number).to_owned()])
        }
        Wanted::Hash(..) | Wanted::NotStored => return None,
    };
    // The first form of two addresses that reach one mailbox is the same.
    if let Some(same) = seen.iter().find(|seen| seen.forms.first() == forms.first()) {
        return Some(Handling::SameAs(same.path.clone()));
    }
    let path = path.to_owned();
    seen.push(Seen {
        path: path.clone(),
        forms,
    });
    searches.push(Search { path, subject });
    Some(Handling::Searched(searches.len() - 1))
}

fn of_hash(format: &str, hash: &str, seen: &[Seen]) -> Handling {
    let same = seen
        .iter()
        .find(|seen| seen.forms.iter().any(|form| hashed(format, form) == hash));
    same.map_or(Handling::NotSearched(Fault::HashNotSearchable), |same| {
        Handling::SameAs(same.path.clone())
    })
}

fn hashed(format: &str, text: &str) -> String {
    let bytes = text.as_bytes();
    match format {
        "sha1" => HEXLOWER.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()),
        "sha256" => HEXLOWER.encode(digest(&SHA256, bytes).as_ref()),
        _ => HEXLOWER.encode(&Md5::digest(bytes)),
    }
}

/// What one identity wants, or `None` if something is wrong with it.
fn wanted<'a>(place: &Place<'a>, violations: &mut Violations) -> Option<Wanted<'a>> {
    let Value::Object(object) = place.item else {
        violations.add(&place.path, Fault::WrongKind);
        return None;
    };
    let fields = ["identity_type", "identity_value", "identity_format"];
    known(object, &fields, &place.path, violations);
    let [kind, value, format] = fields.map(|name| field(object, place, name, violations));
    let (kind, value, format) = (kind?, value?, format?);
    let path = |name: &str| format!("{}.{name}", place.path);
    let is_hash = match format {
        "raw" => false,
        "sha1" | "md5" | "sha256" => true,
        _ => {
            violations.add(&path("identity_format"), Fault::UnknownValue);
            return None;
        }
    };
    match kind {
        "email" | "phone" if is_hash => Some(Wanted::Hash(format, value.trim().to_lowercase())),
        "email" => {
            let email = Email::parse(value).map_err(|error| match error {
                EmailError::TooLong => Fault::TooLong,
                EmailError::ControlCharacter => Fault::ControlCharacter,
                EmailError::Invalid => Fault::EmailInvalid,
            });
            let email = email.and_then(|email| email.ok_or(Fault::Required));
            keep(&path("identity_value"), email, violations).map(Wanted::Email)
        }
        // Whether it is a number depends on the service's region: the service says so, before anything is done.
        "phone" => Some(Wanted::Phone(value.trim())),
        _ if NOT_STORED.contains(&kind) => Some(Wanted::NotStored),
        _ => {
            violations.add(&path("identity_type"), Fault::UnknownValue);
            None
        }
    }
}

fn field<'a>(
    object: &'a Map<String, Value>,
    place: &Place<'_>,
    name: &str,
    violations: &mut Violations,
) -> Option<&'a str> {
    let path = format!("{}.{name}", place.path);
    keep(&path, string(object, name), violations)
}
