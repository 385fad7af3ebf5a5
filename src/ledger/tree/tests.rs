use std::io;

use proptest::prelude::*;
use tlog_tiles::tlog;

use super::*;

/// Hashes in memory, for us and for the implementation that is not ours.
struct Stored(Vec<Hash>);

impl Stored {
    fn of(size: u64) -> Self {
        let mut frontier = Frontier::default();
        let mut stored = Vec::new();
        for n in 0..size {
            frontier.push(leaf_hash(&n.to_be_bytes()), &mut stored);
        }
        Self(stored)
    }
}

impl ReadHashes for Stored {
    fn hashes(&self, indexes: &[u64]) -> io::Result<Vec<Hash>> {
        let hash = |index: &u64| self.0.get(usize::try_from(*index).ok()?).copied();
        let hashes: Option<Vec<Hash>> = indexes.iter().map(hash).collect();
        hashes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl tlog::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let hashes = self
            .hashes(indexes)
            .map_err(|_| tlog::Error::IndexesNotInTree)?;
        Ok(hashes.into_iter().map(tlog::Hash).collect())
    }
}

fn theirs(hashes: Vec<Hash>) -> Vec<tlog::Hash> {
    hashes.into_iter().map(tlog::Hash).collect()
}

/// Checks everything about the trees of `old` and `new` leaves against the implementation that is not ours.
fn agree(stored: &Stored, old: u64, new: u64, index: u64) {
    let (old_root, new_root) = (root(stored, old).unwrap(), root(stored, new).unwrap());
    assert_eq!(new_root, tlog::tree_hash(new, stored).unwrap().0, "{new}");
    assert_eq!(Frontier::read(new, stored).unwrap().root(), new_root);

    let proof = inclusion(stored, new, index).unwrap();
    let theirs_is = tlog::prove_record(new, index, stored).unwrap();
    assert_eq!(theirs(proof.clone()), theirs_is, "{index} in {new}");
    let leaf = leaf_hash(&index.to_be_bytes());
    assert_eq!(leaf, tlog::record_hash(&index.to_be_bytes()).0);
    verify_inclusion(&new_root, new, index, &leaf, &proof).unwrap();

    let proof = consistency(stored, old, new).unwrap();
    verify_consistency((old, &old_root), (new, &new_root), &proof).unwrap();
    if old > 0 {
        let theirs_is = tlog::prove_tree(new, old, stored).unwrap();
        assert_eq!(theirs(proof), theirs_is, "{old} in {new}");
    }
}

/// A3: for every size up to 300, every leaf and every earlier size: the same stored hashes, roots and proofs as an
/// implementation that is not ours, and our verifiers accept them.
#[test]
fn a3_every_small_tree_is_as_others_make_it() {
    let stored = Stored::of(300);
    for new in 0..=300 {
        let count = usize::try_from(stored_hash_count(new)).unwrap();
        assert_eq!(stored_hash_count(new), tlog::stored_hash_count(new));
        if new < 300 {
            let bytes = new.to_be_bytes();
            let hashes = tlog::stored_hashes(new, &bytes, &stored).unwrap();
            let ours = &stored.0[count..count + hashes.len()];
            assert_eq!(theirs(ours.to_vec()), hashes);
        }
        for old in 0..=new {
            if new > 0 {
                agree(&stored, old, new, old.min(new - 1));
            }
        }
    }
    assert_eq!(root(&stored, 0).unwrap(), tlog::EMPTY_HASH.0);
    for level in 0..40 {
        for n in [0, 1, 2, 3, 1000, 1 << 20] {
            let theirs = tlog::stored_hash_index(u8::try_from(level).unwrap(), n);
            assert_eq!(stored_hash_index(level, n), theirs);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A3: larger trees too.
    #[test]
    fn a3_larger_trees_are_as_others_make_them(
        size in 301..20_000u64,
        picks in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 50),
    ) {
        let stored = Stored::of(size);
        let whole = usize::try_from(size).unwrap();
        for (old, index) in picks {
            let (old, index) = (old.index(whole + 1) as u64, index.index(whole) as u64);
            agree(&stored, old, size, index);
        }
    }
}

/// Everything that differs in one bit, or by one hash more or fewer.
fn altered(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for bit in 0..proof.len() * 256 {
        let mut other = proof.to_vec();
        other[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
        all.push(other);
    }
    for at in 0..proof.len() {
        let mut other = proof.to_vec();
        other.remove(at);
        all.push(other);
    }
    for at in 0..=proof.len() {
        let mut other = proof.to_vec();
        other.insert(at, Hash::default());
        all.push(other);
    }
    all
}

/// A3: a proof with any bit flipped, any hash missing or one too many proves nothing, nor does a right one for another
/// leaf, place, size or root.
#[test]
fn a3_every_flipped_bit_is_refused() {
    let stored = Stored::of(40);
    for (old, new, index) in [
        (1, 2, 0u64),
        (7, 13, 12),
        (8, 40, 39),
        (32, 33, 32),
        (21, 37, 5),
    ] {
        let (old_root, new_root) = (root(&stored, old).unwrap(), root(&stored, new).unwrap());
        let leaf = leaf_hash(&index.to_be_bytes());
        let proof = inclusion(&stored, new, index).unwrap();
        for other in altered(&proof) {
            assert!(verify_inclusion(&new_root, new, index, &leaf, &other).is_err());
        }
        let elsewhere = (0..new).filter(|other| *other != index);
        for other in elsewhere {
            assert!(verify_inclusion(&new_root, new, other, &leaf, &proof).is_err());
            let leaf = leaf_hash(&other.to_be_bytes());
            assert!(verify_inclusion(&new_root, new, index, &leaf, &proof).is_err());
        }
        assert!(verify_inclusion(&old_root, new, index, &leaf, &proof).is_err());

        let proof = consistency(&stored, old, new).unwrap();
        let (then, now) = ((old, &old_root), (new, &new_root));
        for other in altered(&proof) {
            assert!(verify_consistency(then, now, &other).is_err());
        }
        let forged = Hash::default();
        assert!(verify_consistency((old, &forged), now, &proof).is_err());
        assert!(verify_consistency(then, (new, &forged), &proof).is_err());
        assert!(verify_consistency(now, then, &proof).is_err());
        assert!(verify_consistency((old + 1, &old_root), now, &proof).is_err());
    }
    let empty = empty_root();
    let all = (40, &root(&stored, 40).unwrap());
    assert!(verify_consistency((0, &empty), all, &[]).is_ok());
    assert!(verify_consistency((0, &Hash::default()), all, &[]).is_err());
    assert!(verify_consistency((0, &empty), all, &[empty]).is_err());
}

/// What lies beyond the tree is an error, not a wrong answer.
#[test]
fn nothing_is_proven_beyond_the_tree() {
    let stored = Stored::of(5);
    assert!(root(&stored, 6).is_err());
    assert!(inclusion(&stored, 5, 5).is_err());
    assert!(inclusion(&stored, 8, 1).is_err());
    assert!(consistency(&stored, 6, 5).is_err());
    assert!(verify_inclusion(&empty_root(), 0, 0, &Hash::default(), &[]).is_err());
}
