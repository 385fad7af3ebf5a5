//! Moves leads to the ring's primary keys: the blob to the sealing key, the look-up values and the keyed hash of
//! the submission to the index key.
//!
//! The hash is of what was submitted, so it can be made anew only while the lead still says that: the old hash
//! tells. A lead that was corrected since gets none, and a repeat of its submission is then known by its
//! `request_id` alone (docs/decisions/0013). What was sealed anew is opened again before it is given out: the
//! old blob is the only copy there is.

use std::{fmt, sync::Arc};

use super::{
    BlindIndex, IndexKeys, KeyRing, LeadIndex, NoRandomness, Submitted, UnsealError, content_mac,
    email_index, envelope, phone_index, random,
};
use crate::domain::{
    contact::{Email, Phone},
    lead::{Content, LawfulBasis, LeadId},
};

/// A lead as it lies in the database, under keys that are not all primary.
#[derive(Clone)]
pub struct OldSeal {
    /// Identifier.
    pub id: LeadId,
    /// The content, sealed.
    pub sealed: Vec<u8>,
    /// The key it is sealed with.
    pub key_id: u32,
    /// Look-up values.
    pub index: LeadIndex,
    /// The key they are computed with.
    pub index_key_id: u32,
    /// Keyed hash of the submission; empty if it is not known any more.
    pub content_mac: Vec<u8>,
    /// Why it may be processed.
    pub basis: LawfulBasis,
    /// Whether consent stands.
    pub consent: bool,
    /// The notice the person was shown.
    pub notice_version: String,
    /// The revision at which it was read.
    pub revision: i64,
}

impl fmt::Debug for OldSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OldSeal({})", self.id)
    }
}

/// The same under the primary keys.
pub struct NewSeal {
    /// The content, sealed.
    pub sealed: Vec<u8>,
    /// The key it is sealed with.
    pub key_id: u32,
    /// Look-up values.
    pub index: LeadIndex,
    /// The key they are computed with.
    pub index_key_id: u32,
    /// Keyed hash of the submission; empty if it is not known any more.
    pub content_mac: Vec<u8>,
}

/// Why a lead stays under its old keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResealError {
    /// It cannot be opened.
    #[error(transparent)]
    Unseal(#[from] UnsealError),
    /// Its e-mail or phone is none by today's rules: there is nothing to look it up by.
    #[error("its e-mail or phone has no look-up value any more")]
    NoLookUp,
    /// There is no nonce.
    #[error("{0}")]
    NoRandomness(NoRandomness),
    /// What was sealed does not open: a fault of this machine.
    #[error("what was sealed anew does not open")]
    Unsound,
}

/// Moves leads to the primary keys of one ring.
#[derive(Clone, Debug)]
pub struct Resealer(Arc<KeyRing>);

impl Resealer {
    /// Moves leads to the primary keys of this ring.
    #[must_use]
    pub fn new(ring: Arc<KeyRing>) -> Self {
        Self(ring)
    }

    /// The ring it works with.
    #[must_use]
    pub fn ring(&self) -> &KeyRing {
        &self.0
    }

    /// Seals and indexes a lead with the primary keys. What is under them already stays as it is.
    pub fn reseal(&self, old: &OldSeal) -> Result<NewSeal, ResealError> {
        let content = envelope::unseal(&self.0, old.id, &old.sealed)?;
        let (key_id, key) = self.0.primary();
        let sealed = if key_id == old.key_id {
            old.sealed.clone()
        } else {
            let nonce = random().map_err(ResealError::NoRandomness)?;
            let sealed = envelope::seal(key, key_id, old.id, content.fields(), nonce);
            if envelope::unseal(&self.0, old.id, &sealed).as_ref() != Ok(&content) {
                return Err(ResealError::Unsound);
            }
            sealed
        };
        let (index_key_id, index_keys) = self.0.primary_index();
        let (index, content_mac) = if index_key_id == old.index_key_id {
            (old.index, old.content_mac.clone())
        } else {
            let before = self.0.index_key(old.index_key_id);
            let before = before.ok_or(UnsealError::UnknownKey(old.index_key_id))?;
            let mac = mac_again(before, index_keys, old, &content);
            (
                lead_index(index_keys, &content)?,
                mac.map_or_else(Vec::new, Vec::from),
            )
        };
        Ok(NewSeal {
            sealed,
            key_id,
            index,
            index_key_id,
            content_mac,
        })
    }
}

/// The look-up values of stored content.
fn lead_index(keys: &IndexKeys, content: &Content) -> Result<LeadIndex, ResealError> {
    let email = Email::parse(&content.email).map_err(|_| ResealError::NoLookUp)?;
    let phone = match &*content.phone {
        "" => None,
        stored => Some(Phone::from_e164(stored).ok_or(ResealError::NoLookUp)?),
    };
    Ok(LeadIndex {
        email: email.as_ref().map(|email| email_index(keys, email)),
        phone: phone.as_ref().map(|phone| phone_index(keys, phone)),
    })
}

/// The keyed hash of the submission by another key, if the lead still says what was submitted.
fn mac_again(
    before: &IndexKeys,
    after: &IndexKeys,
    old: &OldSeal,
    content: &Content,
) -> Option<BlindIndex> {
    // A consent that was withdrawn since was given then.
    let flags = [old.consent, true];
    let submitted = |consent| Submitted {
        fields: content.fields(),
        notice_version: &old.notice_version,
        basis: old.basis,
        consent,
    };
    let then = flags
        .into_iter()
        .find(|consent| content_mac(before, &submitted(*consent))[..] == old.content_mac[..]);
    then.map(|consent| content_mac(after, &submitted(consent)))
}

#[cfg(test)]
mod tests;
