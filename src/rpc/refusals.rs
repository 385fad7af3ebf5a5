//! Counts refusals by their reason. Reasons are constants of this program, so the number of series is bounded; what a
//! library answered has none and is counted by its code only.

use tonic::Status;
use tonic_types::StatusExt as _;

use super::status::reason;

/// The reason of an error that is ours.
pub(super) fn reason_of(status: &Status) -> Option<&'static str> {
    reason(&status.get_details_error_info()?.reason)
}

/// Counts a refusal of a call of this method.
pub(super) fn count(method: &str, reason: &'static str) {
    metrics::counter!(
        "lead_intake_refusals_total",
        "method" => method.to_owned(), "reason" => reason
    )
    .increment(1);
}
