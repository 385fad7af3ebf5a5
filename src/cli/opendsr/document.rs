//! The answer: a status document (section 8.3 of the specification), or an error document (7.5).
//!
//! What the specification has no place for stands under our extension, where messages of our contract are its own JSON.
//! A request is `completed` only when nothing is open: each [`Open`] is a thing that keeps it `in_progress`, and says
//! what to do.

use serde::Serialize;
use serde_json::{Value, json};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{
    super::show::clean,
    fault::{Fault, Violation},
    request::EXTENSION,
};
use crate::rpc::web::http_status;

/// The version of the specification.
pub(super) const VERSION: &str = "2.0";

/// A status document, with the fields that 7.3 adds to it.
#[derive(Serialize)]
pub(super) struct StatusDocument {
    pub(super) controller_id: String,
    pub(super) expected_completion_time: String,
    pub(super) received_time: String,
    pub(super) subject_request_id: String,
    pub(super) request_status: &'static str,
    pub(super) api_version: &'static str,
    pub(super) results_count: usize,
    pub(super) extensions: Extensions,
}

#[derive(Serialize)]
pub(super) struct Extensions {
    #[serde(rename = "lead-intake")]
    pub(super) ours: Ours,
}

/// What we have to say beyond the specification.
#[derive(Default, Serialize)]
pub(super) struct Ours {
    pub(super) subject_request_type: &'static str,
    /// Whether only what would happen is told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) dry_run: bool,
    /// What was done with each identity, in the order of the file.
    pub(super) identities: Vec<Value>,
    /// What became of each lead; `ErasedLead` of the contract, and whether it is held now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) leads: Vec<Value>,
    /// The copies that were written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<Value>,
    /// The receipts as they stand now: `GetErasureReceiptResponse` of the contract, without its proof.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) receipts: Vec<Value>,
    /// Leads that may be the person's: `UnconfirmedLead` of the contract.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) candidates: Vec<Value>,
    /// What keeps the request from being completed.
    pub(super) open: Vec<Open>,
    /// What else is to be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<&'static str>,
}

impl Ours {
    /// Notes what is open, once: a client may have to acknowledge several acts.
    pub(super) fn note_open(&mut self, open: Open) {
        if !self.open.contains(&open) {
            self.open.push(open);
        }
    }
}

/// A thing that keeps a request from being completed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Open {
    pub(super) reason: &'static str,
    pub(super) message: &'static str,
    /// What it is about: a lead, a client, or a path of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) about: Option<String>,
}

impl Open {
    pub(super) fn new(why: (&'static str, &'static str), about: &str) -> Self {
        let (reason, message) = why;
        let about = (!about.is_empty()).then(|| clean(about));
        Self {
            reason,
            message,
            about,
        }
    }

    /// As one line for people.
    pub(super) fn words(&self) -> String {
        let about = self.about.as_deref().unwrap_or("the request");
        format!("{about}: {} ({})", self.message, self.reason)
    }
}

/// An error document.
#[derive(Debug, Serialize)]
pub(super) struct ErrorDocument {
    error: ErrorBody,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    code: u16,
    message: String,
    errors: Vec<ErrorDetail>,
}

#[derive(Debug, Serialize)]
struct ErrorDetail {
    domain: &'static str,
    reason: String,
    message: String,
    /// The field's path in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

impl ErrorDetail {
    fn at(path: &str, reason: &str, text: &str) -> Self {
        let place = if path.is_empty() { "the file" } else { path };
        Self {
            domain: EXTENSION,
            reason: reason.to_owned(),
            message: format!("{place} {text}"),
            path: (!path.is_empty()).then(|| path.to_owned()),
        }
    }
}

impl ErrorDocument {
    /// A file that is not carried out.
    pub(super) fn bad(violations: &[Violation]) -> Self {
        let details = violations.iter().map(|violation| {
            let (reason, text) = violation.fault.row();
            ErrorDetail::at(&violation.path, reason, text)
        });
        Self::of(
            400,
            "the request is not valid, and nothing was done",
            details.collect(),
        )
    }

    /// A text that is no JSON.
    pub(super) fn malformed(error: &serde_json::Error) -> Self {
        // The parser's own text may quote the file.
        let at = format!(
            "is not JSON, or has a name twice in an object: line {}, column {}",
            error.line(),
            error.column()
        );
        let detail = ErrorDetail::at("", "MALFORMED_JSON", &at);
        Self::of(
            400,
            "the request is not JSON, and nothing was done",
            vec![detail],
        )
    }

    /// Violations that the service found, at the paths of the file.
    pub(super) fn found(violations: Vec<(String, String, String)>) -> Self {
        let details = violations
            .into_iter()
            .map(|(path, reason, text)| ErrorDetail::at(&path, &clean(&reason), &clean(&text)));
        Self::of(
            400,
            "the request is not valid, and nothing was done",
            details.collect(),
        )
    }

    /// A call that the service refused.
    pub(super) fn refused(status: &Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| clean(&info.reason));
        let reason = reason.unwrap_or_else(|| "FAILED".to_owned());
        let text = match &*reason {
            "REQUEST_ID_REUSED" => {
                "subject_request_id was used for something else: for another type or ground, or the person has leads \
                 that are newer than it, or the file is about somebody else; what came of the first is shown by \
                 `lead-intake receipt`, and a new request needs a new subject_request_id"
                    .to_owned()
            }
            _ => clean(status.message()),
        };
        Self::one(http_status(status.code()), &reason, &text)
    }

    /// A lead is named that is none of the person's candidates.
    pub(super) fn not_a_candidate() -> Self {
        Self::one(
            400,
            "NOT_A_CANDIDATE",
            "--lead-id names a lead that is not among this person's candidates; nothing was done",
        )
    }

    /// The service cannot be called at all; the text is our own.
    pub(super) fn unreachable() -> Self {
        Self::one(
            503,
            "UNREACHABLE",
            "the service cannot be called; nothing was done",
        )
    }

    fn one(code: u16, reason: &str, text: &str) -> Self {
        let detail = ErrorDetail {
            domain: EXTENSION,
            reason: reason.to_owned(),
            message: text.to_owned(),
            path: None,
        };
        Self::of(code, text, vec![detail])
    }

    fn of(code: u16, message: &str, errors: Vec<ErrorDetail>) -> Self {
        let message = message.to_owned();
        let error = ErrorBody {
            code,
            message,
            errors,
        };
        Self { error }
    }

    /// The same for people.
    pub(super) fn words(&self) -> String {
        let mut lines = vec![self.error.message.clone()];
        for detail in &self.error.errors {
            if detail.message != self.error.message {
                lines.push(format!("{} ({})", detail.message, detail.reason));
            }
        }
        lines.join("\n  ")
    }
}

/// What is said of an identity.
pub(super) fn identity(path: &str, outcome: &str) -> Value {
    json!({ "path": path, "outcome": outcome })
}

/// What is said of one that is not searched.
pub(super) fn not_searched(path: &str, fault: Fault) -> Value {
    let (reason, text) = fault.row();
    json!({ "path": path, "outcome": reason, "message": text })
}
