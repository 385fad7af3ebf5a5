//! The sealed blob of one lead.
//!
//! `version (1) | key id (4, big-endian) | nonce (12) | ciphertext | tag (16)`. The plaintext is the four
//! fields, each behind its length (2, big-endian), padded with zeros to a multiple of 32 bytes, so that
//! the blob's size tells little of the name's. The additional data binds version, place, key and lead: a
//! blob moved to another row opens nothing.

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use zeroize::Zeroizing;

use super::KeyRing;
use crate::domain::lead::{Content, LeadId};

const VERSION: u8 = 1;
const HEADER_LEN: usize = 1 + 4 + NONCE_LEN;
const TAG_LEN: usize = 16;
/// What a blob is of.
const PLACE: &[u8; 24] = b"lead-intake|lead|sealed|";
const AAD_LEN: usize = 1 + PLACE.len() + 4 + 16;
/// Blob sizes come in classes of this many bytes.
const PADDING: usize = 32;

/// Why a blob does not open. The texts say nothing of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The blob names a key that is not in the ring.
    #[error("sealed with key {0}, which is not in the key ring")]
    UnknownKey(u32),
    /// The blob is not one, was changed, or was moved from another lead.
    #[error("sealed data is damaged or belongs to another lead")]
    Damaged,
}

/// Seals the content of one lead: name, company, phone and e-mail.
pub(crate) fn seal(
    key: &LessSafeKey,
    key_id: u32,
    id: LeadId,
    fields: [&str; 4],
    nonce: [u8; NONCE_LEN],
) -> Vec<u8> {
    let length: usize = fields.iter().map(|field| 2 + field.len()).sum();
    let padded = length.next_multiple_of(PADDING);
    let mut blob = Vec::with_capacity(HEADER_LEN + padded + TAG_LEN);
    blob.push(VERSION);
    blob.extend_from_slice(&key_id.to_be_bytes());
    blob.extend_from_slice(&nonce);
    for field in fields {
        // Fields have at most 200 characters, 800 bytes; a longer one would be cut, never wrapped.
        let field = &field.as_bytes()[..field.len().min(usize::from(u16::MAX))];
        blob.extend_from_slice(&u16::try_from(field.len()).unwrap_or(u16::MAX).to_be_bytes());
        blob.extend_from_slice(field);
    }
    blob.resize(HEADER_LEN + padded, 0);
    let nonce = Nonce::assume_unique_for_key(nonce);
    match key.seal_in_place_separate_tag(nonce, aad(key_id, id), &mut blob[HEADER_LEN..]) {
        Ok(tag) => blob.extend_from_slice(tag.as_ref()),
        // Sealing fails only beyond 64 GiB; an empty blob opens to nothing rather than leaking.
        Err(_) => blob.clear(),
    }
    blob
}

/// Opens the blob of one lead.
pub(crate) fn unseal(ring: &KeyRing, id: LeadId, blob: &[u8]) -> Result<Content, UnsealError> {
    if blob.len() < HEADER_LEN + TAG_LEN || blob[0] != VERSION {
        return Err(UnsealError::Damaged);
    }
    let (header, sealed) = blob.split_at(HEADER_LEN);
    let key_id = header[1..5]
        .iter()
        .fold(0, |id, byte| id << 8 | u32::from(*byte));
    let key = ring
        .sealing_key(key_id)
        .ok_or(UnsealError::UnknownKey(key_id))?;
    let nonce = Nonce::try_assume_unique_for_key(&header[5..]).map_err(|_| UnsealError::Damaged)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let plain = key
        .open_in_place(nonce, aad(key_id, id), &mut buffer)
        .map_err(|_| UnsealError::Damaged)?;
    let mut rest = &*plain;
    Ok(Content {
        name: take(&mut rest)?,
        company: take(&mut rest)?,
        phone: take(&mut rest)?,
        email: take(&mut rest)?,
    })
}

fn take(rest: &mut &[u8]) -> Result<String, UnsealError> {
    let (length, tail) = rest.split_first_chunk::<2>().ok_or(UnsealError::Damaged)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (field, tail) = tail.split_at_checked(length).ok_or(UnsealError::Damaged)?;
    *rest = tail;
    String::from_utf8(field.to_vec()).map_err(|_| UnsealError::Damaged)
}

pub(crate) fn aad(key_id: u32, id: LeadId) -> Aad<[u8; AAD_LEN]> {
    let mut bytes = [0; AAD_LEN];
    let (place, key_and_lead) = bytes.split_at_mut(1 + PLACE.len());
    place[0] = VERSION;
    place[1..].copy_from_slice(PLACE);
    key_and_lead[..4].copy_from_slice(&key_id.to_be_bytes());
    key_and_lead[4..].copy_from_slice(id.uuid().as_bytes());
    Aad::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::random;

    fn content() -> Content {
        Content {
            name: "Kari Nordmann".into(),
            company: String::new(),
            phone: "+4740605600".into(),
            email: "kari@example.no".into(),
        }
    }

    fn sealed(ring: &KeyRing, id: LeadId) -> Vec<u8> {
        let (key_id, key) = ring.primary();
        seal(
            key,
            key_id,
            id,
            content().fields(),
            random().expect("randomness"),
        )
    }

    fn id(byte: u8) -> LeadId {
        uuid::Uuid::from_bytes([byte; 16]).into()
    }

    /// Art. 32: what was sealed opens again, for its own lead.
    #[test]
    fn opens_for_its_own_lead_only() {
        let ring = KeyRing::generate().expect("randomness");
        let blob = sealed(&ring, id(1));
        assert_eq!(unseal(&ring, id(1), &blob), Ok(content()));
        assert_eq!(unseal(&ring, id(2), &blob), Err(UnsealError::Damaged));
        assert_eq!((blob.len() - HEADER_LEN - TAG_LEN) % PADDING, 0);
    }

    /// K2: any flipped bit and any truncation is refused.
    #[test]
    fn k2_every_flipped_bit_and_every_truncation_is_refused() {
        let ring = KeyRing::generate().expect("randomness");
        let blob = sealed(&ring, id(1));
        for position in 0..blob.len() * 8 {
            let mut changed = blob.clone();
            changed[position / 8] ^= 1 << (position % 8);
            assert!(unseal(&ring, id(1), &changed).is_err(), "bit {position}");
        }
        for length in 0..blob.len() {
            assert!(
                unseal(&ring, id(1), &blob[..length]).is_err(),
                "length {length}"
            );
        }
    }

    /// K3: another key under the same number opens nothing.
    #[test]
    fn k3_another_key_with_the_same_number_is_refused() {
        let blob = sealed(&KeyRing::generate().expect("randomness"), id(1));
        let other = KeyRing::generate().expect("randomness");
        assert_eq!(unseal(&other, id(1), &blob), Err(UnsealError::Damaged));
    }
}
