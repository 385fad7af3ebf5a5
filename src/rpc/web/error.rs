//! Errors over HTTP, in the form of the Connect protocol: a status, and JSON with `code`, `message` and `details`.
//!
//! Each detail comes as its protobuf bytes and, in `debug`, readable: so that a caller with nothing but a JSON
//! parser can show a violation beside its field. We keep that form, as we keep the contract.
//! <https://connectrpc.com/docs/protocol#error-end-stream>

use std::{sync::LazyLock, time::Duration};

use data_encoding::BASE64_NOPAD;
use http::{HeaderValue, Response, StatusCode, header};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::Serialize;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;

/// The descriptors of the details.
static DETAILS: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(tonic_types::pb::FILE_DESCRIPTOR_SET).ok());

/// An error as Connect writes it.
#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

#[derive(Serialize)]
struct Detail {
    #[serde(rename = "type")]
    name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<DynamicMessage>,
}

impl<'a> ErrorBody<'a> {
    /// What is said of a status that is not OK.
    pub(super) fn of(status: &'a Status) -> Self {
        let details = tonic_types::Status::decode(status.details()).unwrap_or_default();
        Self {
            code: row(status.code()).0,
            message: status.message(),
            details: details.details.iter().map(detail).collect(),
        }
    }
}

fn detail(any: &prost_types::Any) -> Detail {
    let name = any.type_url.rsplit('/').next().unwrap_or_default();
    let debug = DETAILS
        .as_ref()
        .and_then(|pool| pool.get_message_by_name(name))
        .and_then(|message| DynamicMessage::decode(message, any.value.as_slice()).ok());
    Detail {
        name: name.to_owned(),
        value: BASE64_NOPAD.encode(&any.value),
        debug,
    }
}

/// The answer for a call that ended with this status, which is not OK.
pub(super) fn response(status: &Status) -> Response<Body> {
    response_as(status, row(status.code()).1)
}

/// The same under another HTTP status: for what is wrong with the request as HTTP.
pub(super) fn response_as(status: &Status, http: StatusCode) -> Response<Body> {
    let body = serde_json::to_vec(&ErrorBody::of(status)).unwrap_or_default();
    let mut response = super::answer(http, super::JSON, body.into());
    let headers = response.headers_mut();
    if http == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 11.6.1: such an answer names the scheme.
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(delay) = status.get_error_details().retry_info() {
        let delay = delay.retry_delay.unwrap_or_default();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(delay)));
    }
    response
}

/// Seconds, rounded up: RFC 9110 has no parts of them.
fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0)
}

/// The number of the HTTP status of a code.
#[must_use]
pub fn http_status(code: Code) -> u16 {
    row(code).1.as_u16()
}

/// The name and the HTTP status of a code: <https://connectrpc.com/docs/protocol#error-codes>.
fn row(code: Code) -> (&'static str, StatusCode) {
    let (name, http) = match code {
        Code::Ok => ("ok", 200),
        Code::Cancelled => ("canceled", 499),
        Code::Unknown => ("unknown", 500),
        Code::InvalidArgument => ("invalid_argument", 400),
        Code::DeadlineExceeded => ("deadline_exceeded", 504),
        Code::NotFound => ("not_found", 404),
        Code::AlreadyExists => ("already_exists", 409),
        Code::PermissionDenied => ("permission_denied", 403),
        Code::ResourceExhausted => ("resource_exhausted", 429),
        Code::FailedPrecondition => ("failed_precondition", 400),
        Code::Aborted => ("aborted", 409),
        Code::OutOfRange => ("out_of_range", 400),
        Code::Unimplemented => ("unimplemented", 501),
        Code::Internal => ("internal", 500),
        Code::Unavailable => ("unavailable", 503),
        Code::DataLoss => ("data_loss", 500),
        Code::Unauthenticated => ("unauthenticated", 401),
    };
    let http = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (name, http)
}
