//! Sealing: personal data never lies on disk in the clear.
//!
//! A lead's four content fields become one AEAD blob, and its e-mail and phone each a keyed hash for
//! look-up only. The rules: the database sees ciphertext and hashes; a hash goes with its row; whoever
//! only writes gets a [`Sealer`], which cannot open anything. AES-256-GCM-SIV because a repeated random
//! nonce then reveals no more than equality (RFC 8452). To add a field to the blob, append it in
//! [`envelope`] and raise the version there; to add a look-up, derive one key more in [`keyring`].

mod envelope;
mod keyring;

use std::sync::Arc;

use aws_lc_rs::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use jiff::Timestamp;
use uuid::Uuid;

pub use self::{
    envelope::UnsealError,
    keyring::{KeyCommitment, KeyPurpose, KeyRing, KeyRingError},
};
use crate::domain::{
    contact::{Email, Phone},
    lead::{Amendment, Content, LawfulBasis, LeadId, NewLead},
    subject::SubjectQuery,
};

/// A keyed hash for look-up: HMAC-SHA-256, cut to 16 bytes.
pub type BlindIndex = [u8; 16];

/// The look-up values of a person.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubjectIndex {
    /// Of the e-mail.
    pub email: Option<BlindIndex>,
    /// Of the phone.
    pub phone: Option<BlindIndex>,
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
    pub index: SubjectIndex,
    /// Keyed hash of the whole submission: tells a retry from another submission, and goes with the row.
    pub content_mac: BlindIndex,
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
pub struct Sealer(Arc<KeyRing>);

/// Opens what was sealed, and computes look-up values.
#[derive(Clone, Debug)]
pub struct Unsealer(Arc<KeyRing>);

/// The machine's random source gave nothing: no new key, nonce or identifier can be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
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
    /// A sealer with the ring's primary key.
    #[must_use]
    pub fn new(ring: Arc<KeyRing>) -> Self {
        Self(ring)
    }

    /// Gives a new lead its identifier and seals it.
    pub fn seal(&self, lead: &NewLead, now: Timestamp) -> Result<SealedLead, NoRandomness> {
        // One draw for both: what follows the identifier's ten bytes is the nonce.
        let drawn: [u8; 22] = random()?;
        let (id, nonce) = drawn.split_at(10);
        let id = LeadId::new(now, id.try_into().map_err(|_| NoRandomness)?);
        let nonce = nonce.try_into().map_err(|_| NoRandomness)?;
        let content = lead.content.to_content();
        let (key_id, key) = self.0.primary();
        Ok(SealedLead {
            id,
            request_id: lead.request_id,
            sealed: envelope::seal(key, key_id, id, &content, nonce),
            key_id,
            index: SubjectIndex {
                email: lead
                    .content
                    .email
                    .as_ref()
                    .map(|email| email_index(&self.0, email)),
                phone: lead
                    .content
                    .phone
                    .as_ref()
                    .map(|phone| phone_index(&self.0, phone)),
            },
            content_mac: content_mac(&self.0, lead, &content),
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
    /// Look-up values of what was corrected; those of other fields stay as they are.
    pub index: SubjectIndex,
}

impl Sealer {
    /// Seals the corrected content of a lead.
    pub fn reseal(
        &self,
        id: LeadId,
        content: &Content,
        amendment: &Amendment,
    ) -> Result<Resealed, NoRandomness> {
        let (key_id, key) = self.0.primary();
        let values = &amendment.values;
        Ok(Resealed {
            sealed: envelope::seal(key, key_id, id, content, random()?),
            key_id,
            index: SubjectIndex {
                email: values.email.as_ref().map(|it| email_index(&self.0, it)),
                phone: values.phone.as_ref().map(|it| phone_index(&self.0, it)),
            },
        })
    }
}

impl Unsealer {
    /// An unsealer with every key of the ring.
    #[must_use]
    pub fn new(ring: Arc<KeyRing>) -> Self {
        Self(ring)
    }

    /// Opens the content of a lead. Fails for a blob that was sealed for another lead, was changed in
    /// any bit, or names a key that is not in the ring.
    pub fn unseal(&self, id: LeadId, sealed: &[u8]) -> Result<Content, UnsealError> {
        envelope::unseal(&self.0, id, sealed)
    }

    /// The look-up values of a person.
    #[must_use]
    pub fn subject_index(&self, query: &SubjectQuery) -> SubjectIndex {
        SubjectIndex {
            email: query
                .email
                .as_ref()
                .map(|email| email_index(&self.0, email)),
            phone: query
                .phone
                .as_ref()
                .map(|phone| phone_index(&self.0, phone)),
        }
    }
}

fn email_index(ring: &KeyRing, email: &Email) -> BlindIndex {
    mac(ring.email_key(), &[email.lookup().as_bytes()])
}

fn phone_index(ring: &KeyRing, phone: &Phone) -> BlindIndex {
    mac(ring.phone_key(), &[phone.as_e164().as_bytes()])
}

fn content_mac(ring: &KeyRing, lead: &NewLead, content: &Content) -> BlindIndex {
    mac(
        ring.content_key(),
        &[
            content.name.as_bytes(),
            content.company.as_bytes(),
            content.phone.as_bytes(),
            content.email.as_bytes(),
            lead.notice_version.as_str().as_bytes(),
            &[lead.basis as u8, u8::from(lead.consent)],
        ],
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
