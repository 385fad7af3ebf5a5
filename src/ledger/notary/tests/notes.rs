//! Notes: what is refused.

use data_encoding::BASE64;
use proptest::prelude::*;

use super::*;

fn signed(size: u64, key: &SigningKey) -> String {
    Checkpoint::sign(size, leaf_hash(b"root"), key).note
}

/// A3: a note with any bit flipped, cut short or with anything added is refused.
#[test]
fn a3_every_flipped_bit_of_a_note_is_refused() {
    let key = key();
    let note = signed(12_345, &key);
    let opened = Checkpoint::open(&note, key.verifier()).unwrap();
    assert_eq!((opened.size, opened.root), (12_345, leaf_hash(b"root")));
    assert_eq!(opened.note, note);
    for bit in 0..note.len() * 8 {
        let mut other = note.clone().into_bytes();
        other[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = String::from_utf8(other) {
            assert!(Checkpoint::open(&other, key.verifier()).is_err(), "{other}");
        }
    }
    for end in (0..note.len()).filter(|end| note.is_char_boundary(*end)) {
        assert!(Checkpoint::open(&note[..end], key.verifier()).is_err());
    }
    for added in ["\n", "x", "\u{2014} x AAAA\n\n", "\u{2014} x A\n"] {
        let other = format!("{note}{added}");
        assert!(Checkpoint::open(&other, key.verifier()).is_err(), "{other}");
        let other = format!("{added}{note}");
        assert!(Checkpoint::open(&other, key.verifier()).is_err(), "{other}");
    }
}

/// A3: a note by another key of the same name, or about another ledger, is refused; and so is what has our
/// signature and is no checkpoint.
#[test]
fn a3_another_key_and_another_origin_are_refused() {
    let (key, other) = (key(), key());
    assert_eq!(
        Checkpoint::open(&signed(3, &other), key.verifier()),
        Err(NoteError::OtherKey)
    );
    let elsewhere = SigningKey::generate(&origin(uuid::Uuid::from_u128(8))).unwrap();
    assert_eq!(
        Checkpoint::open(&signed(3, &elsewhere), key.verifier()),
        Err(NoteError::OtherKey)
    );
    let root = BASE64.encode(&leaf_hash(b"root"));
    let name = key.verifier().name();
    for (text, error) in [
        (
            format!("lead-intake/other\n3\n{root}\n"),
            NoteError::OtherKey,
        ),
        (format!("{name}\n03\n{root}\n"), NoteError::Malformed),
        (format!("{name}\n+3\n{root}\n"), NoteError::Malformed),
        (format!("{name}\n-3\n{root}\n"), NoteError::Malformed),
        (
            format!("{name}\n3\n{}\n", &root[..40]),
            NoteError::Malformed,
        ),
        (format!("{name}\n3\n"), NoteError::Malformed),
        (format!("{name}\n3\n{root}\n\nx\n"), NoteError::Malformed),
    ] {
        let note = note::sign(&text, &key);
        assert_eq!(
            Checkpoint::open(&note, key.verifier()),
            Err(error),
            "{text}"
        );
    }
    // Of a later version: what it says beside is passed over.
    let text = format!("{name}\n3\n{root}\nsomething new\n");
    let note = note::sign(&text, &key);
    assert_eq!(Checkpoint::open(&note, key.verifier()).unwrap().size, 3);
    theirs(&note, key.verifier());
}

proptest! {
    /// Whatever is given as a note, a key or a record is read or refused: nothing panics, also on what is nearly right.
    #[test]
    fn nothing_that_is_given_panics(
        text in "(\\PC|\n|\u{2014} |\\+|=|[0-9]){0,80}",
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cut in any::<prop::sample::Index>(),
    ) {
        let key = key();
        let note = signed(1, &key);
        let mut at = cut.index(note.len());
        while !note.is_char_boundary(at) {
            at -= 1;
        }
        let inserted = format!("{}{text}{}", &note[..at], &note[at..]);
        prop_assert_eq!(Checkpoint::open(&inserted, key.verifier()).is_ok(), text.is_empty());
        prop_assert!(Checkpoint::open(&text, key.verifier()).is_err());
        prop_assert!(text.parse::<VerifierKey>().is_err());
        if let Ok((entry, previous)) = crate::ledger::Entry::from_record(&bytes) {
            let again = entry.record(&previous);
            prop_assert_eq!(again.as_bytes(), &bytes[..]);
        }
    }
}

/// A note may carry signatures of others beside ours, before and after it.
#[test]
fn signatures_of_witnesses_are_passed_over() {
    let (key, witness) = (key(), SigningKey::generate("witness.example/1").unwrap());
    let note = signed(3, &key);
    let (text, ours) = note.split_once("\n\n").unwrap();
    let cosigned = note::sign(&format!("{text}\n"), &witness);
    let (_, theirs) = cosigned.split_once("\n\n").unwrap();
    for note in [
        format!("{text}\n\n{ours}{theirs}"),
        format!("{text}\n\n{theirs}{ours}"),
    ] {
        assert_eq!(Checkpoint::open(&note, key.verifier()).unwrap().size, 3);
        super::theirs(&note, key.verifier());
    }
    let alone = format!("{text}\n\n{theirs}");
    assert_eq!(
        Checkpoint::open(&alone, key.verifier()),
        Err(NoteError::OtherKey)
    );
}
