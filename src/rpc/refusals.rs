//! Counts refusals by their reason. Reasons are constants of this program, so the number of series is bounded; what a
//! library answered has none and is counted by its code only.

use tonic::Status;
use tonic_types::StatusExt as _;

use super::status::reason;

/// The reason of an error that is ours.
pub(super) fn reason_of(status: &Status) -> Option<&'static str> {
    reason(&status.get_details_error_info()?.reason)
}

/// Counts a refusal by the service of this method: by the method it would be a series for each pair of the two.
pub(super) fn count(method: &str, reason: &'static str) {
    let service = method
        .rsplit_once('/')
        .map_or(method, |(service, _)| service);
    let name = service.rsplit('.').next().unwrap_or(service);
    metrics::counter!(
        "lead_intake_refusals_total",
        "service" => name.to_owned(), "reason" => reason
    )
    .increment(1);
}
