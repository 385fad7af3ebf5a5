//! Sealing: personal data never lies on disk in the clear.
//!
//! A lead's four content fields become one AEAD blob, and its e-mail and phone each a keyed hash for
//! look-up only. The rules: the database sees ciphertext and hashes; a hash goes with its row; whoever
//! only writes gets a [`Sealer`], which cannot open anything. AES-256-GCM-SIV because a repeated random
//! nonce then reveals no more than equality (RFC 8452). To add a field to the blob, append it in
//! [`envelope`] and raise the version there; to add a look-up, derive one key more in [`keyring`], and have
//! [`reseal`] move it to a new key.

pub(crate) mod envelope;
mod keyfile;
mod keyring;
mod live;
mod reseal;

use std::sync::Arc;

use aws_lc_rs::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use jiff::Timestamp;
use uuid::Uuid;

use self::keyring::IndexKeys;
pub use self::{
    envelope::UnsealError,
    keyfile::{KeyChangeError, KeyFile, KeyRingError},
    keyring::{INDEX_KEYS_MAX, KeyCommitment, KeyName, KeyPurpose, KeyRing, RingFacts},
    live::{FileMark, LiveKeyRing},
    reseal::{NewSeal, OldSeal, ResealError, Resealer},
};
use crate::domain::{
    contact::{Email, Phone},
    lead::{Amendment, Content, LawfulBasis, LeadId, NewLead},
    subject::SubjectQuery,
};

/// A keyed hash for look-up: HMAC-SHA-256, cut to 16 bytes.
pub type BlindIndex = [u8; 16];

/// The look-up values of a lead.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeadIndex {
    /// Of the e-mail.
    pub email: Option<BlindIndex>,
    /// Of the phone.
    pub phone: Option<BlindIndex>,
}

/// The look-up values of a person, under each index key of the ring: a lead has one of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubjectIndex {
    /// Of the e-mail.
    pub email: [Option<BlindIndex>; INDEX_KEYS_MAX],
    /// Of the phone.
    pub phone: [Option<BlindIndex>; INDEX_KEYS_MAX],
    /// The generation of the ring that they were computed with.
    pub ring: i64,
}

/// A lead as the store takes it: sealed, and without anything that a reader of the database could use.
#[derive(Clone)]
pub struct SealedLead {
    /// Identifier.
    pub id: LeadId,
    /// Idempotency key of its submission.
    pub request_id: Uuid,
    /// The content, sealed.
    pub sealed: Vec<u8>,
    /// The key it is sealed with.
    pub key_id: u32,
    /// Look-up values.
    pub index: LeadIndex,
    /// The key they are computed with, and `content_mac`.
    pub index_key_id: u32,
    /// Keyed hash of the whole submission: tells a retry from another submission, and goes with the row.
    pub content_mac: BlindIndex,
    /// The same by the ring's other index key, if it has one: what a retry of an older submission equals.
    pub other_mac: Option<BlindIndex>,
    /// The generation of the ring.
    pub ring: i64,
    /// Why it may be processed.
    pub basis: LawfulBasis,
    /// Whether consent was given.
    pub consent: bool,
    /// The notice the person was shown.
    pub notice_version: String,
    /// When it was submitted.
    pub submitted_at: Timestamp,
}

/// Seals, and cannot open.
#[derive(Clone, Debug)]
pub struct Sealer(Arc<LiveKeyRing>);

/// Opens what was sealed, and computes look-up values.
#[derive(Clone, Debug)]
pub struct Unsealer(Arc<LiveKeyRing>);

/// The machine's random source gave nothing: no new key, nonce or identifier can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine's random source failed")]
pub struct NoRandomness;

/// Bytes from the machine's random source.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| NoRandomness)?;
    Ok(bytes)
}

impl Sealer {
    /// A sealer with the ring's primary keys.
    #[must_use]
    pub fn new(ring: Arc<LiveKeyRing>) -> Self {
        Self(ring)
    }

    /// Gives a new lead its identifier and seals it.
    pub fn seal(&self, lead: &NewLead, now: Timestamp) -> Result<SealedLead, NoRandomness> {
        // One draw for both: what follows the identifier's ten bytes is the nonce.
        let drawn: [u8; 22] = random()?;
        let (id, nonce) = drawn.split_at(10);
        let id = LeadId::new(now, id.try_into().map_err(|_| NoRandomness)?);
        let nonce = nonce.try_into().map_err(|_| NoRandomness)?;
        let fields = lead.content.fields();
        let ring = self.0.current();
        let (key_id, key) = ring.primary();
        let (index_key_id, index_keys) = ring.primary_index();
        let other = ring.other_index_key();
        Ok(SealedLead {
            id,
            request_id: lead.request_id,
            sealed: envelope::seal(key, key_id, id, fields, nonce),
            key_id,
            index: LeadIndex {
                email: lead
                    .content
                    .email
                    .as_ref()
                    .map(|email| email_index(index_keys, email)),
                phone: lead
                    .content
                    .phone
                    .as_ref()
                    .map(|phone| phone_index(index_keys, phone)),
            },
            index_key_id,
            content_mac: content_mac(index_keys, &Submitted::of(lead)),
            other_mac: other.map(|keys| content_mac(keys, &Submitted::of(lead))),
            ring: ring.facts().generation,
            basis: lead.basis,
            consent: lead.consent,
            notice_version: lead.notice_version.as_str().to_owned(),
            submitted_at: now,
        })
    }
}

/// The content of a lead, sealed anew after a correction.
#[derive(Clone)]
pub struct Resealed {
    /// The content, sealed.
    pub sealed: Vec<u8>,
    /// The key it is sealed with.
    pub key_id: u32,
    /// Look-up values of what was corrected, by the key of the lead's others; those stay as they are.
    pub index: LeadIndex,
    /// The generation of the ring.
    pub ring: i64,
}

impl Sealer {
    /// Seals the corrected content of a lead whose look-up values are those of an index key.
    pub fn seal_again(
        &self,
        id: LeadId,
        index_key_id: u32,
        content: &Content,
        amendment: &Amendment,
    ) -> Result<Resealed, SealAgainError> {
        let ring = self.0.current();
        let (key_id, key) = ring.primary();
        let Some(index_keys) = ring.index_key(index_key_id) else {
            self.0.look_again();
            return Err(UnsealError::UnknownKey(index_key_id).into());
        };
        let values = &amendment.values;
        Ok(Resealed {
            sealed: envelope::seal(key, key_id, id, content.fields(), random()?),
            key_id,
            index: LeadIndex {
                email: values.email.as_ref().map(|it| email_index(index_keys, it)),
                phone: values.phone.as_ref().map(|it| phone_index(index_keys, it)),
            },
            ring: ring.facts().generation,
        })
    }
}

/// Why a corrected lead cannot be sealed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum SealAgainError {
    /// There is no nonce.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The lead's index key is not in the ring.
    #[error(transparent)]
    Unseal(#[from] UnsealError),
}

impl Unsealer {
    /// An unsealer with every key of the ring.
    #[must_use]
    pub fn new(ring: Arc<LiveKeyRing>) -> Self {
        Self(ring)
    }

    /// Opens the content of a lead. Fails for a blob that was sealed for another lead, was changed in
    /// any bit, or names a key that is not in the ring; for that one the ring's file is read again.
    pub fn unseal(&self, id: LeadId, sealed: &[u8]) -> Result<Content, UnsealError> {
        let opened = envelope::unseal(&self.0.current(), id, sealed);
        if let Err(UnsealError::UnknownKey(_)) = opened {
            self.0.look_again();
        }
        opened
    }

    /// The look-up values of a person.
    #[must_use]
    pub fn subject_index(&self, query: &SubjectQuery) -> SubjectIndex {
        let ring = self.0.current();
        let mut index = SubjectIndex {
            ring: ring.facts().generation,
            ..SubjectIndex::default()
        };
        for (place, keys) in ring.index_keys().take(INDEX_KEYS_MAX).enumerate() {
            index.email[place] = query.email.as_ref().map(|email| email_index(keys, email));
            index.phone[place] = query.phone.as_ref().map(|phone| phone_index(keys, phone));
        }
        index
    }
}

fn email_index(keys: &IndexKeys, email: &Email) -> BlindIndex {
    mac(&keys.email, &[email.lookup().as_bytes()])
}

fn phone_index(keys: &IndexKeys, phone: &Phone) -> BlindIndex {
    mac(&keys.phone, &[phone.as_e164().as_bytes()])
}

/// A submission, as its keyed hash covers it.
struct Submitted<'a> {
    fields: [&'a str; 4],
    notice_version: &'a str,
    basis: LawfulBasis,
    consent: bool,
}

impl<'a> Submitted<'a> {
    fn of(lead: &'a NewLead) -> Self {
        Self {
            fields: lead.content.fields(),
            notice_version: lead.notice_version.as_str(),
            basis: lead.basis,
            consent: lead.consent,
        }
    }
}

fn content_mac(keys: &IndexKeys, submitted: &Submitted<'_>) -> BlindIndex {
    let [name, company, phone, email] = submitted.fields.map(str::as_bytes);
    let version = submitted.notice_version.as_bytes();
    let flags = [submitted.basis as u8, u8::from(submitted.consent)];
    mac(
        &keys.content,
        &[name, company, phone, email, version, &flags],
    )
}

/// HMAC over length-prefixed parts, so that no two lists of parts give the same input.
fn mac(key: &hmac::Key, parts: &[&[u8]]) -> BlindIndex {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut index = BlindIndex::default();
    index.copy_from_slice(&context.sign().as_ref()[..16]);
    index
}
