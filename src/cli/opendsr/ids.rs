//! The request ids of a request's acts.
//!
//! One OpenDSR request may be several calls of our API: one for each identity that is searched, and later ones when
//! somebody has decided about a candidate or a restriction. Each call needs an idempotency key of its own, and a
//! repeated file must find the same ones: so they are derived from the `subject_request_id`, from the identity's place
//! among those that are searched, and from the number of the act. From nothing else: keys are written into the
//! ledger, and one made of an address would be a fingerprint of it that anybody with a list could test (decision 0008).

use aws_lc_rs::digest::{SHA256, digest};
use uuid::{Builder, Uuid};

/// What the derivation is for: it gives other ids than any other use of the same numbers.
const CONTEXT: &[u8] = b"lead-intake opendsr 1";
/// The act that only looks.
const LOOK: u32 = u32::MAX;

/// The key of an act: the request's own for the first act on the first identity, else a UUID version 8.
pub(super) fn act(request: Uuid, place: u32, number: u32) -> Uuid {
    if (place, number) == (0, 0) {
        return request;
    }
    let parts = [
        CONTEXT,
        request.as_bytes(),
        &place.to_be_bytes(),
        &number.to_be_bytes(),
    ]
    .concat();
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(digest(&SHA256, &parts).as_ref()) {
        *byte = *hashed;
    }
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// The key of looking an identity up.
pub(super) fn look(request: Uuid, place: u32) -> Uuid {
    act(request, place, LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Released ids never change: a repeated file would be carried out a second time.
    #[test]
    fn released_ids_stay_as_they_are() {
        let request: Uuid = "a7551968-d5d6-44b2-9831-815ac9017798"
            .parse()
            .expect("a UUID");
        assert_eq!(act(request, 0, 0), request);
        let ids = [act(request, 0, 1), act(request, 1, 0), look(request, 0)];
        assert_eq!(
            ids.map(|id| id.to_string()),
            [
                "6e0383ad-dccf-8654-9344-e0e009df17a8",
                "1852ccba-aa73-8cb7-9bf8-b3883494f603",
                "6df5701b-061b-8d5e-9565-6ce4b6b9185e"
            ],
        );
        assert!(ids.iter().all(|id| id.get_version_num() == 8));
    }
}
