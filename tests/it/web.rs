//! Callers without gRPC: JSON over HTTP, and grpc-web. They get what gRPC's get, by the same rules.

mod connect;
mod grpc_web;
mod refusals;

use lead_intake::token::Role;
use serde_json::{Value, json};

use crate::support::new_id;

const SUBMIT: &str = "/leadintake.v1.IntakeService/SubmitLead";
const PULL: &str = "/leadintake.v1.CrmService/PullLeads";
/// What answers with a stream, and whom.
const STREAMS: [(&str, Role); 2] = [
    ("/leadintake.v1.CrmService/StreamLeads", Role::Crm),
    (
        "/leadintake.v1.LedgerService/StreamVerifyLedger",
        Role::Auditor,
    ),
];

/// A form that every rule accepts.
fn form(name: &str, email: &str) -> Value {
    json!({
        "requestId": new_id().to_string(), "name": name, "email": email,
        "lawfulBasis": "LAWFUL_BASIS_PRE_CONTRACT", "noticeVersion": "1.1",
    })
}
