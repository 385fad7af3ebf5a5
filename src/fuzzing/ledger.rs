//! What auditors and restores are given: entries, notes, mirrors, receipts.

use std::{fs, sync::LazyLock};

use uuid::Uuid;

use super::choice;
use crate::{
    cli::receipt,
    ledger::{
        Entry, Verifier, genesis,
        mirror::{Line, Lines},
        notary::{Checkpoint, SigningKey, VerifierKey, note as notes, origin},
        verify_mirror,
    },
};

/// The store whose ledger is in the corpora.
pub(super) const STORE: Uuid = Uuid::from_u128(7);

/// The key that signs it: of no secret, so that the corpora can be made again.
pub(super) static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let Some(key) = SigningKey::new(&origin(STORE), &[7; 32]) else {
        panic!("a seed that is no key");
    };
    key
});

/// An entry's record, or its line in the mirror.
pub(super) fn entry(bytes: &[u8]) {
    if let Ok((entry, previous)) = Entry::from_record(bytes) {
        assert_eq!(entry.record(&previous).as_bytes(), bytes);
    }
    if let Ok(line) = serde_json::from_slice::<Line>(bytes) {
        let written = serde_json::to_vec(&line).unwrap_or_default();
        let again = serde_json::from_slice::<Line>(&written);
        let again = again.map(|line| serde_json::to_vec(&line).unwrap_or_default());
        assert!(again.is_ok_and(|again| again == written));
    }
}

/// A public key, a note, or a text that is signed here first; the first byte says which.
pub(super) fn note(bytes: &[u8]) {
    let (form, bytes) = choice(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match form % 3 {
        0 => {
            if let Ok(key) = text.parse::<VerifierKey>() {
                assert_eq!(key.to_string(), text);
            }
        }
        1 => {
            if let Ok(checkpoint) = Checkpoint::open(text, KEY.verifier()) {
                assert_eq!(checkpoint.note, text);
                is_itself(&checkpoint);
            }
        }
        _ => signed(&format!("{text}\n")),
    }
}

fn signed(text: &str) {
    let note = notes::sign(text, &KEY);
    let is_plain = text
        .chars()
        .all(|char| char == '\n' || !char.is_ascii_control());
    let read = notes::open(&note, KEY.verifier());
    assert_eq!(read.ok(), is_plain.then_some(text));
    if let Ok(checkpoint) = Checkpoint::open(&note, KEY.verifier()) {
        is_itself(&checkpoint);
    }
}

/// What was read says the same when it is written.
fn is_itself(read: &Checkpoint) {
    let written = Checkpoint::sign(read.size, read.root, &KEY);
    let again = Checkpoint::open(&written.note, KEY.verifier());
    assert_eq!(again.as_ref(), Ok(&written));
    assert_eq!((read.size, read.root), (written.size, written.root));
}

/// A mirror of one file, or of two with a zero byte between: as `ledger verify --mirror` reads one.
pub(super) fn mirror(bytes: &[u8]) {
    let mut files = bytes.splitn(2, |byte| *byte == 0);
    let first = files.next().unwrap_or_default();
    let Ok(dir) = tempfile::tempdir() else {
        panic!("no directory for a mirror");
    };
    let write = |number: usize, bytes: &[u8]| {
        let name = format!("entries-{number:020}.jsonl");
        assert!(fs::write(dir.path().join(name), bytes).is_ok());
    };
    write(1, first);
    let lines_of = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').count() - 1;
    let mut lines = lines_of(first);
    if let Some(second) = files.next() {
        write(lines + 1, second);
        lines += lines_of(second);
    }
    let read = Lines::after(dir.path(), 0);
    let last = Lines::last(dir.path());
    let (Ok(read), Ok(last)) = (read, last) else {
        return;
    };
    let verifier = Verifier::new(genesis(STORE), &[]);
    let Ok(found) = verify_mirror(read, verifier, None, |_| true) else {
        return;
    };
    let reached = usize::try_from(found.reached.0).unwrap_or(usize::MAX);
    assert!(reached <= lines, "more entries than lines");
    // Without a fault the chain reaches the last line that can be read.
    if found.fault.is_none() {
        assert_eq!(last.map_or(0, |last| last.entry.sequence), found.reached.0);
    }
}

/// A receipt that was kept. Whatever of it is proven was signed.
pub(super) fn receipt(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(checkpoint) = receipt::proven(text, KEY.verifier()) {
        let note = Checkpoint::open(&checkpoint.note, KEY.verifier());
        assert_eq!(note.as_ref(), Ok(&checkpoint));
    }
}
