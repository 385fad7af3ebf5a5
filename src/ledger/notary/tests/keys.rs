//! The key's files.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::ledger::notary::key::SMALL_ORDER;

/// The files have the standard form: an implementation that is not ours signs with the one, and verifies with the other.
#[test]
fn others_can_use_the_keys() {
    let dir = TempDir::new().unwrap();
    let (private, public) = (dir.path().join("key"), dir.path().join("pub"));
    let key = key();
    key.create(&private).unwrap();
    key.publish(&public).unwrap();
    key.publish(&public).unwrap();
    let mode = fs::metadata(&private).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(key.create(&private).is_err(), "an existing key is kept");

    let text = fs::read_to_string(&private).unwrap();
    let signer = StandardSigner::new(text.trim_end()).unwrap();
    let text = format!("{}\n5\n{}\n", origin(STORE), tlog::record_hash(b"root"));
    let mut note = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let note = String::from_utf8(note.to_bytes()).unwrap();
    let public: VerifierKey = fs::read_to_string(&public)
        .unwrap()
        .trim_end()
        .parse()
        .unwrap();
    assert_eq!(&public, key.verifier());
    assert_eq!(Checkpoint::open(&note, &public).unwrap().size, 5);
    theirs(&note, &public);
    let same = Checkpoint::sign(5, leaf_hash(b"root"), &key);
    assert_eq!(same.note, note, "signatures are deterministic");

    let loaded = SigningKey::load(&private, &origin(STORE)).unwrap();
    assert_eq!(loaded.verifier(), key.verifier());
    assert_eq!(loaded.commitment(), key.commitment());
    assert_ne!(loaded.commitment(), super::key().commitment());
}

/// A key that others can read, that is damaged in any character, or that is another store's is refused; no error and
/// no debug output shows any of it.
#[test]
fn a_key_that_is_not_ours_alone_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("key");
    key().create(&path).unwrap();
    let load = || SigningKey::load(&path, &origin(STORE));
    let text = fs::read_to_string(&path).unwrap();
    for at in 0..text.len() - 1 {
        let mut other = text.clone().into_bytes();
        other[at] ^= 1;
        fs::write(&path, &other).unwrap();
        let error = load().unwrap_err();
        let secret = text.trim_end().splitn(5, '+').nth(4).unwrap();
        let told = format!("{error} {error:?}");
        assert!(!told.contains(&secret[..8]), "{told}");
        assert!(
            matches!(error, SigningKeyError::Malformed { .. }),
            "{at}: {error}"
        );
    }
    fs::write(&path, &text).unwrap();
    assert_eq!(format!("{:?}", load().unwrap()), "SigningKey(..)");
    let other = origin(uuid::Uuid::from_u128(8));
    let foreign = SigningKey::load(&path, &other).unwrap_err();
    assert!(matches!(foreign, SigningKeyError::Foreign { .. }));
    for mode in [0o640, 0o604, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(load(), Err(SigningKeyError::Exposed { .. })));
    }
}

/// A verifier key with any character changed is no key: people copy it by hand.
#[test]
fn a_slip_in_a_verifier_key_is_found() {
    let key = key().verifier().clone();
    let text = key.to_string();
    assert_eq!(text.parse(), Ok(key));
    for at in 0..text.len() {
        let mut other = text.clone().into_bytes();
        other[at] ^= 1;
        let other = String::from_utf8(other).unwrap();
        assert_eq!(other.parse::<VerifierKey>(), Err(NotAKey), "{other}");
    }
    for other in ["", "a", "a+b", "a+b+c", "+00000000+AQ=="] {
        assert_eq!(other.parse::<VerifierKey>(), Err(NotAKey), "{other}");
    }
}

/// A point of small order is no key, in either sign, though it lies on the curve: under one of them this signature,
/// which nobody made, would fit every checkpoint.
#[test]
fn a_key_that_signs_for_everybody_is_none() {
    let identity = SMALL_ORDER[1];
    let forged = [&identity[..], &[0; 32]].concat();
    let weak = VerifierKey::new("ledger", identity);
    assert!(weak.is_signed(b"anything", &forged));
    for point in SMALL_ORDER {
        for sign in [0, 0x80] {
            let mut public = point;
            public[31] |= sign;
            let text = VerifierKey::new("ledger", public).to_string();
            assert_eq!(text.parse::<VerifierKey>(), Err(NotAKey), "{text}");
        }
    }
}

/// A library that computes the order finds each point of the table weak, and no key that was made as keys are.
#[test]
fn the_table_has_the_points_of_small_order() {
    let is_weak = |bytes: &[u8; 32]| {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).unwrap();
        key.is_weak()
    };
    assert!(SMALL_ORDER.iter().all(is_weak));
    let text = key().verifier().to_string();
    let public = data_encoding::BASE64.decode(text.splitn(3, '+').nth(2).unwrap().as_bytes());
    assert!(!is_weak(public.unwrap()[1..].try_into().unwrap()));
}
