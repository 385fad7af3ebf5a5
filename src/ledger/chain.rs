//! How the hash of an entry follows from it and from the entry before.
//!
//! SHA-256 over: version (1 byte, 1), previous hash (32), sequence (8), kind (8), time (8), client (8), detail
//! (8), submission (8), then lead and request, each as a length byte (0 or 16) and that many bytes. Numbers
//! are big-endian. Every part has a fixed place or carries its length, so no two entries share an input.

use aws_lc_rs::digest::{Context, SHA256, digest};
use uuid::Uuid;

use super::Entry;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

const VERSION: u8 = 1;

/// The hash before the first entry of a store: bound to the store, so that no part of another store's
/// ledger fits in.
#[must_use]
pub fn genesis(store_id: Uuid) -> Hash {
    let mut input = b"lead-intake ledger ".to_vec();
    input.extend_from_slice(store_id.as_bytes());
    to_hash(digest(&SHA256, &input).as_ref())
}

/// The hash of an entry after the entry with hash `previous`.
pub(super) fn hash(previous: &Hash, entry: &Entry) -> Hash {
    let new = &entry.new;
    let mut context = Context::new(&SHA256);
    context.update(&[VERSION]);
    context.update(previous);
    for number in [
        entry.sequence,
        new.kind as i64,
        entry.at,
        new.client_id,
        new.detail,
        new.submission,
    ] {
        context.update(&number.to_be_bytes());
    }
    for id in [
        new.lead_id.map(crate::domain::lead::LeadId::uuid),
        new.request_id,
    ] {
        match id {
            Some(id) => {
                context.update(&[16]);
                context.update(id.as_bytes());
            }
            None => context.update(&[0]),
        }
    }
    to_hash(context.finish().as_ref())
}

fn to_hash(bytes: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(bytes);
    hash
}
