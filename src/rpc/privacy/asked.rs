//! What calls about one lead carry, checked.

use jiff::Timestamp;
use tonic::Status;
use uuid::Uuid;

use crate::{
    domain::{
        contact::{Email, Line, Phone, Region},
        lead::{Amendment, LeadId, NewContent},
        lifecycle::FieldSet,
    },
    pb,
    rpc::{
        convert::received_at,
        status::{Fault, Violations},
    },
    store::RightsCall,
};

/// What every request about one lead carries.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// Idempotency key.
    pub(super) request_id: &'a str,
    /// The lead.
    pub(super) lead_id: &'a str,
    /// When the person asked.
    pub(super) received_at: Option<&'a prost_types::Timestamp>,
    /// How identity was checked.
    pub(super) verification: i32,
}

impl Asked<'_> {
    /// Checks it. `violations` holds what the call's own fields break.
    pub(super) fn check(
        &self,
        client_id: i64,
        now: Timestamp,
        mut violations: Violations,
    ) -> Result<(RightsCall, LeadId), Status> {
        let invalid = |_| Fault::UuidInvalid;
        let request_id = Uuid::try_parse(self.request_id).map_err(invalid);
        let request_id = violations.keep("request_id", request_id);
        let id = violations.keep("lead_id", self.lead_id.parse::<LeadId>().map_err(invalid));
        if pb::Verification::try_from(self.verification).is_err() {
            violations.add("verification", Fault::UnknownValue);
        }
        let received_at = received_at("received_at", self.received_at, now, &mut violations);
        match (request_id, id) {
            (Some(request_id), Some(id)) if violations.is_empty() => Ok((
                RightsCall {
                    client_id,
                    request_id,
                    verification: self.verification.into(),
                    received_at,
                    now,
                },
                id,
            )),
            _ => Err(violations.into()),
        }
    }
}

/// The corrections that a call asks for.
pub(super) fn amendment(
    request: &pb::RectifyLeadRequest,
    region: Region,
    violations: &mut Violations,
) -> Amendment {
    let empty = pb::LeadFields::default();
    let fields = request.fields.as_ref().unwrap_or(&empty);
    let paths = request
        .field_mask
        .as_ref()
        .map_or(&[][..], |mask| &mask.paths);
    let mut set = FieldSet::default();
    for path in paths {
        match &**path {
            "name" => set = set.and(FieldSet::NAME),
            "company" => set = set.and(FieldSet::COMPANY),
            "phone" => set = set.and(FieldSet::PHONE),
            "email" => set = set.and(FieldSet::EMAIL),
            _ => violations.add("field_mask", Fault::UnknownValue),
        }
    }
    if paths.is_empty() {
        violations.add("field_mask", Fault::Required);
    }
    for (field, name, value) in [
        (FieldSet::NAME, "fields.name", &fields.name),
        (FieldSet::COMPANY, "fields.company", &fields.company),
        (FieldSet::PHONE, "fields.phone", &fields.phone),
        (FieldSet::EMAIL, "fields.email", &fields.email),
    ] {
        if !value.is_empty() && !set.contains(field) {
            violations.add(name, Fault::NotInMask);
        }
    }
    let line = |value: &str| Line::parse(value);
    Amendment {
        fields: set,
        values: NewContent {
            name: violations.keep("fields.name", line(&fields.name)).flatten(),
            company: violations
                .keep("fields.company", line(&fields.company))
                .flatten(),
            phone: violations
                .keep("fields.phone", Phone::parse(&fields.phone, region))
                .flatten(),
            email: violations
                .keep("fields.email", Email::parse(&fields.email))
                .flatten(),
        },
    }
}
