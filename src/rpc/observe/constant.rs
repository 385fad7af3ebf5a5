//! The constant form of every error: what a library answers may quote what was sent, or name what lies inside.
//!
//! Ours have details, which the libraries' have not.

use http::HeaderMap;
use tonic::{Code, Status, body::Body};

use super::super::status::Refusal;

/// The status in headers or trailers, if it is there.
pub(super) fn status_of(headers: &HeaderMap) -> Option<Status> {
    headers
        .contains_key(Status::GRPC_STATUS)
        .then(|| Status::from_header_map(headers))
        .flatten()
}

/// Our form of an error that a library made before the answer began: of the request, then.
pub(super) fn constant(code: Code, known_method: bool) -> Status {
    match code {
        Code::OutOfRange | Code::ResourceExhausted => Refusal::MessageTooLarge.into(),
        // A known method that a library refuses was called in a way it does not speak.
        Code::Unimplemented if known_method => Refusal::EncodingNotSupported.into(),
        Code::Unimplemented => Refusal::UnknownMethod.into(),
        // Internal: frames that are cut off, or not marked as gRPC marks them. The caller's fault, not ours.
        Code::InvalidArgument | Code::FailedPrecondition | Code::Internal => {
            Refusal::MalformedMessage.into()
        }
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => {
            Status::new(code, "the call was ended")
        }
        Code::NotFound => Status::new(code, "not found"),
        _ => Refusal::Internal.into(),
    }
}

/// Trailers in the constant form of every error, and the status that they tell.
pub(super) fn constant_trailers(trailers: HeaderMap) -> (HeaderMap, Option<Status>) {
    let status = status_of(&trailers);
    let made_by_library = status
        .as_ref()
        .filter(|status| status.code() != Code::Ok && status.details().is_empty());
    let Some(status) = made_by_library else {
        return (trailers, status);
    };
    let ours: Status = match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => Refusal::AnswerTooLarge.into(),
        _ => Refusal::Internal.into(),
    };
    let mut trailers = ours.clone().into_http::<Body>().into_parts().0.headers;
    trailers.remove(http::header::CONTENT_TYPE);
    (trailers, Some(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailers(status: Status) -> HeaderMap {
        status.into_http::<Body>().into_parts().0.headers
    }

    /// L1: what a library says of an answer, as of its size, reaches nobody; ours and a good end pass as they are.
    #[test]
    fn a_librarys_words_do_not_pass() {
        let quoting = Status::out_of_range("found 70000000 bytes in Kari's answer");
        let (constant, status) = constant_trailers(trailers(quoting));
        let refusal = Status::from(Refusal::AnswerTooLarge);
        assert_eq!(status.unwrap().message(), refusal.message());
        let told = Status::from_header_map(&constant).unwrap();
        assert_eq!(
            (told.message(), told.details()),
            (refusal.message(), refusal.details())
        );
        for status in [Status::ok(""), Refusal::ReaderStalled.into()] {
            let as_it_was = trailers(status);
            assert_eq!(constant_trailers(as_it_was.clone()).0, as_it_was);
        }
    }
}
