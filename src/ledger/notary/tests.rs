use std::{os::unix::fs::FileExt as _, thread};

use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use tempfile::TempDir;
use tlog_tiles::tlog;

use super::*;
use crate::ledger::{EntryKind, Head, NewEntry, Record, genesis, tree::verify_inclusion};

mod keys;
mod notes;

const STORE: uuid::Uuid = uuid::Uuid::from_u128(7);

fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(&origin(STORE)).unwrap())
}

/// Records of a ledger of this length, in order. `salt` makes it another ledger.
fn records(count: usize, salt: i64) -> Vec<Record> {
    let mut head = Head {
        sequence: 0,
        hash: genesis(STORE),
        at: 0,
    };
    let entry = |_| {
        let previous = head.hash;
        let new = NewEntry::new(EntryKind::Submitted, 1).detail(salt);
        head.append(new, 1).record(&previous)
    };
    (0..count).map(entry).collect()
}

/// What the implementation that is not ours reads in a note: size and root.
fn theirs(note: &str, key: &VerifierKey) -> (u64, tlog::Hash) {
    let verifier = StandardVerifier::new(&key.to_string()).unwrap();
    let note = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    note.verify(&VerifierList::new(vec![Box::new(verifier)]))
        .unwrap();
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(checkpoint.origin(), key.name());
    (checkpoint.size(), *checkpoint.hash())
}

fn hashes(proof: Vec<Hash>) -> Vec<tlog::Hash> {
    proof.into_iter().map(tlog::Hash).collect()
}

/// A3: of 100 checkpoints, read and verified by an implementation that is not ours, any one is proven to be the
/// beginning of any later one, and each entry to be in it.
#[test]
fn a3_any_two_of_100_checkpoints_are_consistent() {
    let dir = TempDir::new().unwrap();
    let mut notary = Notary::open(dir.path(), key()).unwrap();
    let records = records(2 * 5050, 0);
    let mut checkpoints = Vec::new();
    for step in 1..=100 {
        let from = usize::try_from(notary.size()).unwrap();
        notary.append(&records[from..from + 2 * step - 1]).unwrap();
        let checkpoint = notary.sign(notary.size()).unwrap();
        checkpoints.push(theirs(&checkpoint.note, notary.verifier()));
        if step % 10 == 0 {
            notary = Notary::open(dir.path(), notary.key.clone()).unwrap();
        }
    }
    let tree = notary.reader();
    for (at, (new, new_root)) in checkpoints.iter().enumerate() {
        for (old, old_root) in &checkpoints[..=at] {
            let proof = hashes(tree.consistency(*old, *new).unwrap());
            tlog::check_tree(&proof, *new, *new_root, *old, *old_root).unwrap();
            let record = &records[usize::try_from(*old).unwrap() - 1];
            let leaf = tlog::record_hash(record.as_bytes());
            let proof = hashes(tree.inclusion(*old, *new).unwrap());
            tlog::check_record(&proof, *new, *new_root, *old - 1, leaf).unwrap();
        }
    }
}

/// Sizes that are not beyond the last checkpoint get that one; what was not appended is not signed; the last checkpoint
/// is on disk before it is given, and goes on after a restart.
#[test]
fn a_checkpoint_is_never_taken_back() {
    let dir = TempDir::new().unwrap();
    let mut notary = Notary::open(dir.path(), key()).unwrap();
    let records = records(20, 0);
    notary.append(&records[..12]).unwrap();
    assert!(matches!(
        notary.sign(13),
        Err(NotaryError::TooShort { size: 13, has: 12 })
    ));
    let ten = notary.sign(10).unwrap();
    assert_eq!(ten.size, 10);
    assert_eq!(
        fs::read_to_string(dir.path().join("checkpoint")).unwrap(),
        ten.note
    );
    assert_eq!(notary.sign(7).unwrap(), ten);
    assert!(matches!(
        notary.truncate(9),
        Err(NotaryError::AlreadySigned {
            size: 9,
            signed: 10
        })
    ));
    notary.truncate(11).unwrap();
    assert_eq!(notary.size(), 11);
    let len = || fs::metadata(dir.path().join("tree")).unwrap().len();
    assert_eq!(len(), 32 * crate::ledger::tree::stored_hash_count(11));
    notary.append(&records[11..15]).unwrap();

    // What followed the checkpoint is cut off, and appended again.
    let mut notary = Notary::open(dir.path(), notary.key.clone()).unwrap();
    assert_eq!(notary.size(), 10);
    assert_eq!(notary.signed().borrow().as_deref(), Some(&*ten));
    assert_eq!(notary.sign(10).unwrap(), ten);
    notary.append(&records[10..]).unwrap();
    let twenty = notary.sign(20).unwrap();
    let whole = TempDir::new().unwrap();
    let mut other = Notary::open(whole.path(), key()).unwrap();
    other.append(&records).unwrap();
    assert_eq!(other.sign(20).unwrap().root, twenty.root);
}

/// A3: a tree whose file was changed is not opened; one that changes while it is open signs nothing more. Made again
/// from the same entries it goes on; made again from others it signs nothing.
#[test]
fn a3_a_tampered_tree_is_not_signed() {
    let records = records(21, 0);
    for index in 0..crate::ledger::tree::stored_hash_count(13) {
        let dir = TempDir::new().unwrap();
        let mut notary = Notary::open(dir.path(), key()).unwrap();
        notary.append(&records[..13]).unwrap();
        let signed = notary.sign(13).unwrap();
        let path = dir.path().join("tree");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, index * 32 + 5).unwrap();
        file.write_all_at(&[byte[0] ^ 1], index * 32 + 5).unwrap();
        notary.append(&records[13..20]).unwrap();
        let is_peak = [14, 21, 22].contains(&index);
        if is_peak {
            let refused = notary.sign(20);
            assert!(
                matches!(refused, Err(NotaryError::Contradiction { size: 13 })),
                "{index}: {refused:?}"
            );
            let opened = Notary::open(dir.path(), notary.key.clone());
            assert!(matches!(opened, Err(NotaryError::TreeDiffers { size: 13 })));
        } else {
            // Whatever is signed from here on is the truth all the same: the roots are made of the peaks.
            assert_eq!(notary.sign(20).unwrap().size, 20);
            continue;
        }
        assert_eq!(notary.signed().borrow().as_deref(), Some(&*signed));

        let mut again = Notary::rebuild(dir.path(), notary.key.clone()).unwrap();
        assert_eq!((again.size(), again.sign(0).unwrap()), (0, signed));
        again.append(self::records(20, 1)).unwrap();
        let refused = again.sign(20);
        assert!(matches!(
            refused,
            Err(NotaryError::Contradiction { size: 13 })
        ));
        let mut again = Notary::rebuild(dir.path(), notary.key.clone()).unwrap();
        again.append(&records).unwrap();
        assert_eq!(again.sign(21).unwrap().size, 21);
    }
}

/// A crash leaves a torn end behind the checkpoint: it is cut off. A tree that is shorter than its checkpoint is not
/// the one that was signed.
#[test]
fn a_torn_tree_is_cut_and_continued() {
    let records = records(30, 0);
    let count = |size| crate::ledger::tree::stored_hash_count(size) * 32;
    for (keep, rest) in [
        (count(17), 0),
        (count(17), 1),
        (count(17), 31),
        (count(22), 7),
    ] {
        let dir = TempDir::new().unwrap();
        let mut notary = Notary::open(dir.path(), key()).unwrap();
        notary.append(&records[..17]).unwrap();
        notary.sign(17).unwrap();
        notary.append(&records[17..]).unwrap();
        let file = OpenOptions::new().write(true).open(dir.path().join("tree"));
        let file = file.unwrap();
        file.set_len(keep).unwrap();
        file.write_all_at(&vec![0xa5; rest], keep).unwrap();
        let mut notary = Notary::open(dir.path(), notary.key.clone()).unwrap();
        assert_eq!(
            (notary.size(), file.metadata().unwrap().len()),
            (17, count(17))
        );
        notary.append(&records[17..]).unwrap();
        let signed = notary.sign(30).unwrap();
        let leaf = leaf_hash(records[29].as_bytes());
        let proof = notary.reader().inclusion(30, 30).unwrap();
        verify_inclusion(&signed.root, 30, 29, &leaf, &proof).unwrap();

        file.set_len(count(30) - 1).unwrap();
        let opened = Notary::open(dir.path(), notary.key.clone());
        assert!(matches!(opened, Err(NotaryError::TreeDiffers { size: 30 })));
    }
}

/// After a failed write nothing is written through the same handle again, also if the disk has room now; what was
/// signed can still be had, and opened again it goes on.
#[test]
fn a_failed_write_is_the_end_of_the_handle() {
    let dir = TempDir::new().unwrap();
    let records = records(9, 0);
    let mut notary = Notary::open(dir.path(), key()).unwrap();
    notary.append(&records[..4]).unwrap();
    let signed = notary.sign(4).unwrap();
    let good = notary.tree.clone();
    notary.tree = Arc::new(TreeReader::read_only(&dir.path().join("tree")).unwrap());
    assert!(matches!(
        notary.append(&records[4..]),
        Err(NotaryError::Io { .. })
    ));
    notary.tree = good;
    assert!(matches!(
        notary.append(&records[4..]),
        Err(NotaryError::Broken)
    ));
    assert!(matches!(notary.sync(), Err(NotaryError::Broken)));
    assert!(matches!(notary.truncate(4), Err(NotaryError::Broken)));
    assert!(matches!(notary.sign(4), Err(NotaryError::Broken)));
    assert_eq!(notary.signed().borrow().as_deref(), Some(&*signed));

    // A checkpoint that cannot be written is given to nobody.
    let mut notary = Notary::open(dir.path(), notary.key.clone()).unwrap();
    notary.append(&records[4..]).unwrap();
    fs::create_dir(dir.path().join("checkpoint.new")).unwrap();
    assert!(matches!(notary.sign(9), Err(NotaryError::Io { .. })));
    assert_eq!(notary.signed().borrow().as_deref(), Some(&*signed));
    assert!(matches!(notary.sign(9), Err(NotaryError::Broken)));
    fs::remove_dir(dir.path().join("checkpoint.new")).unwrap();
    let mut notary = Notary::open(dir.path(), notary.key.clone()).unwrap();
    notary.append(&records[4..]).unwrap();
    assert_eq!(notary.sign(9).unwrap().size, 9);
}

/// Proofs of what is signed can be had while more is appended and signed.
#[test]
fn proofs_are_read_while_the_tree_grows() {
    let dir = TempDir::new().unwrap();
    let records = records(3000, 0);
    let mut notary = Notary::open(dir.path(), key()).unwrap();
    notary.append(&records[..1]).unwrap();
    notary.sign(1).unwrap();
    let (tree, signed) = (notary.reader(), notary.signed());
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            loop {
                let last = signed.borrow().clone().unwrap();
                for sequence in [1, last.size.div_ceil(2), last.size] {
                    let proof = tree.inclusion(sequence, last.size).unwrap();
                    let at = usize::try_from(sequence).unwrap() - 1;
                    let leaf = leaf_hash(records[at].as_bytes());
                    let index = sequence - 1;
                    verify_inclusion(&last.root, last.size, index, &leaf, &proof).unwrap();
                }
                if last.size == 3000 {
                    break;
                }
            }
        });
        for part in records[1..].chunks(100) {
            notary.append(part).unwrap();
            notary.sign(notary.size()).unwrap();
        }
        reading.join().unwrap();
    });
}
