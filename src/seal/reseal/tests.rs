use std::path::Path;

use super::*;
use crate::{
    domain::{
        contact::Region,
        lead::{NewContent, NewLead},
    },
    seal::{KeyFile, KeyPurpose, LiveKeyRing, Sealer, Unsealer},
};

/// A ring, and the same with newer keys of these purposes, which are primary.
fn rings(purposes: &[KeyPurpose]) -> (Arc<KeyRing>, Arc<KeyRing>) {
    let mut file = KeyFile::generate("").expect("randomness");
    let ring = |file: &KeyFile| Arc::new(file.ring(Path::new("")).expect("a ring"));
    let before = ring(&file);
    for purpose in purposes {
        let key = file.add(*purpose, 0, "").expect("a key");
        file.promote(key).expect("it waits");
    }
    (before, ring(&file))
}

fn lead(consent: bool) -> NewLead {
    NewLead {
        request_id: uuid::Uuid::nil(),
        content: NewContent {
            name: crate::domain::contact::Line::parse("Kari Nordmann").expect("a name"),
            company: None,
            phone: Phone::parse("40605600", Region::default()).expect("a phone"),
            email: Email::parse("Kari@Example.no").expect("an e-mail"),
        },
        basis: if consent {
            LawfulBasis::Consent
        } else {
            LawfulBasis::PreContract
        },
        consent,
        notice_version: "1.1".parse().expect("a version"),
    }
}

fn submitted(ring: &Arc<KeyRing>, lead: &NewLead) -> OldSeal {
    let intake = Sealer::new(LiveKeyRing::fixed(ring.clone()));
    let sealed = intake
        .seal(lead, jiff::Timestamp::UNIX_EPOCH)
        .expect("randomness");
    OldSeal {
        id: sealed.id,
        sealed: sealed.sealed,
        key_id: sealed.key_id,
        index: sealed.index,
        index_key_id: sealed.index_key_id,
        content_mac: sealed.content_mac.to_vec(),
        basis: sealed.basis,
        consent: sealed.consent,
        notice_version: sealed.notice_version,
        revision: 1,
    }
}

/// K1: what is moved is what a submission of today would be, so that it is opened, found, and known when it comes
/// again.
#[test]
fn k1_a_moved_lead_is_as_if_it_came_today() {
    for purposes in [
        &KeyPurpose::ALL[..],
        &[KeyPurpose::Sealing],
        &[KeyPurpose::Index],
    ] {
        let (before, after) = rings(purposes);
        let lead = lead(true);
        let old = submitted(&before, &lead);
        let moved = Resealer::new(after.clone()).reseal(&old).expect("it opens");
        let today = submitted(&after, &lead);
        assert_eq!(
            (moved.key_id, moved.index_key_id),
            (today.key_id, today.index_key_id)
        );
        assert_eq!(moved.index.email, today.index.email);
        assert_eq!(moved.index.phone, today.index.phone);
        assert_eq!(moved.content_mac, today.content_mac);
        let unsealer = Unsealer::new(LiveKeyRing::fixed(after));
        let content = unsealer.unseal(old.id, &moved.sealed).expect("it opens");
        assert!(content.fields() == lead.content.fields());
    }
}

/// A consent that was withdrawn since does not make a submission unknown; a correction does.
#[test]
fn a_submission_is_known_again_unless_it_was_corrected() {
    let (before, after) = rings(&KeyPurpose::ALL);
    let resealer = Resealer::new(after.clone());
    let lead = lead(true);
    let mut withdrawn = submitted(&before, &lead);
    withdrawn.consent = false;
    let moved = resealer.reseal(&withdrawn).expect("it opens");
    assert_eq!(moved.content_mac, submitted(&after, &lead).content_mac);

    let mut corrected = submitted(&before, &lead);
    corrected.content_mac = vec![1; 16];
    let moved = resealer.reseal(&corrected).expect("it opens");
    assert!(moved.content_mac.is_empty());
    // And it stays unknown.
    corrected.content_mac = Vec::new();
    let moved = resealer.reseal(&corrected).expect("it opens");
    assert!(moved.content_mac.is_empty());
}

/// What cannot be opened, or whose keys are not in the ring, is never written anew.
#[test]
fn what_does_not_open_is_not_moved() {
    let (before, after) = rings(&KeyPurpose::ALL);
    let resealer = Resealer::new(after);
    let old = submitted(&before, &lead(false));
    let refused = |old: &OldSeal| resealer.reseal(old).err();

    let mut damaged = old.clone();
    damaged.sealed[30] ^= 1;
    let damaged = refused(&damaged);
    assert_eq!(damaged, Some(ResealError::Unseal(UnsealError::Damaged)));

    let foreign = submitted(&rings(&[]).0, &lead(false));
    let foreign = refused(&foreign);
    assert_eq!(foreign, Some(ResealError::Unseal(UnsealError::Damaged)));

    let mut unknown = old;
    unknown.index_key_id = 9;
    let unknown = refused(&unknown);
    assert_eq!(
        unknown,
        Some(ResealError::Unseal(UnsealError::UnknownKey(9)))
    );
}
