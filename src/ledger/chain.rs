//! How the hash of an entry follows from it and from the entry before.
//!
//! The record of an entry is: version (1 byte, 1), previous hash (32), sequence (8), kind (8), time (8), client (8),
//! detail (8), submission (8), then lead and request, each as a length byte (0 or 16) and that many bytes. Numbers
//! are big-endian. Every part has a fixed place or carries its length, so no two entries share a record, and
//! [`decode`] takes nothing that [`encode`] does not write. The hash is SHA-256 of the record; the record is also
//! what a leaf of the tree is made of ([`super::tree`]), so whoever holds it can check both.

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::{Entry, EntryKind, NewEntry};
use crate::domain::lead::LeadId;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

const VERSION: u8 = 1;
const ID_LEN: usize = 16;
/// Version, previous hash, six numbers, two identifiers with their lengths.
const RECORD_MAX: usize = 1 + 32 + 6 * 8 + 2 * (1 + ID_LEN);

/// The canonical encoding of an entry. On the stack: each entry that is written is hashed with the ledger locked.
#[derive(Clone, Copy)]
pub struct Record {
    bytes: [u8; RECORD_MAX],
    len: usize,
}

impl Record {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn put(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }
}

impl AsRef<[u8]> for Record {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Record(..)")
    }
}

/// Bytes that are no record of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record of a ledger entry")]
pub struct NotARecord;

/// The hash before the first entry of a store: bound to the store, so that no part of another store's
/// ledger fits in.
#[must_use]
pub fn genesis(store_id: Uuid) -> Hash {
    let mut input = b"lead-intake ledger ".to_vec();
    input.extend_from_slice(store_id.as_bytes());
    hash_of(&input)
}

/// The hash of an entry after the entry with hash `previous`.
pub(super) fn hash(previous: &Hash, entry: &Entry) -> Hash {
    hash_of(encode(previous, entry).as_bytes())
}

/// The record of an entry after the entry with hash `previous`. The entry's own hash is no part of it.
pub(super) fn encode(previous: &Hash, entry: &Entry) -> Record {
    let new = &entry.new;
    let mut record = Record {
        bytes: [0; RECORD_MAX],
        len: 0,
    };
    record.put(&[VERSION]);
    record.put(previous);
    for number in [
        entry.sequence,
        new.kind as i64,
        entry.at,
        new.client_id,
        new.detail,
        new.submission,
    ] {
        record.put(&number.to_be_bytes());
    }
    for id in [new.lead_id.map(LeadId::uuid), new.request_id] {
        match id {
            Some(id) => {
                record.put(&[16]);
                record.put(id.as_bytes());
            }
            None => record.put(&[0]),
        }
    }
    record
}

/// The entry that a record is of, with its hash, and the hash of the entry before.
pub(super) fn decode(record: &[u8]) -> Result<(Entry, Hash), NotARecord> {
    let mut rest = record;
    if *part::<1>(&mut rest)? != [VERSION] {
        return Err(NotARecord);
    }
    let previous = *part::<32>(&mut rest)?;
    let mut number = || part::<8>(&mut rest).map(|bytes| i64::from_be_bytes(*bytes));
    let sequence = number()?;
    let kind = EntryKind::from_number(number()?).ok_or(NotARecord)?;
    let (at, client_id, detail, submission) = (number()?, number()?, number()?, number()?);
    let lead_id = id(&mut rest)?.map(LeadId::from);
    let request_id = id(&mut rest)?;
    if sequence < 1 || !rest.is_empty() {
        return Err(NotARecord);
    }
    let entry = Entry {
        sequence,
        new: NewEntry {
            kind,
            lead_id,
            client_id,
            request_id,
            detail,
            submission,
        },
        at,
        hash: hash_of(record),
    };
    Ok((entry, previous))
}

/// Takes the next `N` bytes.
fn part<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], NotARecord> {
    let (part, after) = rest.split_first_chunk::<N>().ok_or(NotARecord)?;
    *rest = after;
    Ok(part)
}

/// Takes an identifier with its length.
fn id(rest: &mut &[u8]) -> Result<Option<Uuid>, NotARecord> {
    match part::<1>(rest)? {
        [0] => Ok(None),
        [16] => Ok(Some(Uuid::from_bytes(*part::<ID_LEN>(rest)?))),
        _ => Err(NotARecord),
    }
}

/// SHA-256.
pub(super) fn hash_of(bytes: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = Entry> {
        let kind = (0..EntryKind::ALL.len()).prop_map(|at| EntryKind::ALL[at]);
        let id = || proptest::option::of(any::<u128>().prop_map(Uuid::from_u128));
        let numbers = (
            1..=i64::MAX,
            any::<i64>(),
            any::<i64>(),
            any::<i64>(),
            any::<i64>(),
        );
        (kind, id(), id(), numbers).prop_map(|(kind, lead, request, numbers)| {
            let (sequence, at, client_id, detail, submission) = numbers;
            Entry {
                sequence,
                new: NewEntry {
                    kind,
                    lead_id: lead.map(LeadId::from),
                    client_id,
                    request_id: request,
                    detail,
                    submission,
                },
                at,
                hash: Hash::default(),
            }
        })
    }

    proptest! {
        /// A record says all that its entry says, and nothing else is a record: every other byte string is either
        /// refused or the record of another entry.
        #[test]
        fn a_record_is_its_entry(entry in entries(), previous in any::<Hash>(), flip in any::<(prop::sample::Index, u8)>()) {
            let record = encode(&previous, &entry);
            let bytes = record.as_bytes();
            let (read, before) = decode(bytes).unwrap();
            prop_assert_eq!(before, previous);
            prop_assert_eq!(read.hash, hash(&previous, &entry));
            prop_assert_eq!(format!("{:?}", Entry { hash: Hash::default(), ..read }), format!("{entry:?}"));

            let mut longer = bytes.to_vec();
            longer.push(0);
            prop_assert_eq!(decode(&longer).unwrap_err(), NotARecord);
            for end in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..end]).unwrap_err(), NotARecord);
            }
            let mut altered = bytes.to_vec();
            let at = flip.0.index(altered.len());
            altered[at] ^= flip.1 | 1;
            if let Ok((other, before)) = decode(&altered) {
                let again = encode(&before, &other);
                prop_assert_eq!(again.as_bytes(), &altered[..]);
                prop_assert_ne!(other.hash, read.hash);
            }
        }
    }

    /// What is written once is read for ever: these hashes were computed by another program.
    #[test]
    fn hashes_stay_what_they_were() {
        let genesis = genesis(Uuid::from_u128(7));
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef);
        let mut entry = Entry {
            sequence: 1,
            new: NewEntry::new(EntryKind::Erased, 3)
                .lead(id.into())
                .detail(1)
                .submission(9),
            at: 1_795_521_600_000_000,
            hash: Hash::default(),
        };
        let short = hash(&genesis, &entry);
        entry.new = entry.new.request(id);
        let hashes = [genesis, short, hash(&genesis, &entry)];
        let expected = [
            "9016b4c82d10d2afa5dc5187852daf254cc6a5c1e02f2d01c5d235ac03bb0288",
            "767a1353d838e83f1ff8ea0150e4915b83f805c0526cc4d50089a3f8dcfb3d74",
            "d792ecaa52af11d80f39e747290782178341dd3179f238c066f22c8013eaea37",
        ];
        assert_eq!(hashes.map(|hash| HEXLOWER.encode(&hash)), expected);
    }
}
