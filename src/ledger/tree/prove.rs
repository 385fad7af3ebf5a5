//! Making roots and proofs from stored hashes (RFC 6962, sections 2.1.1 and 2.1.2).

use std::io;

use super::{Hash, ReadHashes, empty_root, node_hash, stored_hash_index};

/// The root of the tree of the first `size` leaves.
pub fn root(stored: &impl ReadHashes, size: u64) -> io::Result<Hash> {
    Ok(join(&stored.hashes(&peaks(0, size))?))
}

/// The proof that the leaf at `index` is in the tree of `size` leaves, from the leaf's neighbour up.
/// An `index` beyond the tree is an error.
pub fn inclusion(stored: &impl ReadHashes, size: u64, index: u64) -> io::Result<Vec<Hash>> {
    if index >= size {
        return Err(beyond());
    }
    // From the root down to the leaf: the side that is left out at each fork.
    let mut left_out = Vec::new();
    let (mut low, mut high) = (0, size);
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            left_out.push((middle, high));
            high = middle;
        } else {
            left_out.push((low, middle));
            low = middle;
        }
    }
    subtrees(stored, left_out)
}

/// The proof that the tree of the first `old` leaves is the beginning of that of `new` leaves. From nothing, and
/// from a tree to itself, no hash is needed. `old` larger than `new` is an error.
pub fn consistency(stored: &impl ReadHashes, old: u64, new: u64) -> io::Result<Vec<Hash>> {
    if old > new {
        return Err(beyond());
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut left_out = Vec::new();
    let (mut low, mut high) = (0, new);
    while old < high {
        let middle = low + split(high - low);
        if old <= middle {
            left_out.push((middle, high));
            high = middle;
        } else {
            left_out.push((low, middle));
            low = middle;
        }
    }
    // The last complete subtree of the old tree. It is the whole old tree if it begins at 0: the verifier has that.
    if low > 0 {
        left_out.push((low, high));
    }
    subtrees(stored, left_out)
}

/// The hashes of subtrees given by their first leaf and the one after their last, in reverse order. One read.
fn subtrees(stored: &impl ReadHashes, ranges: Vec<(u64, u64)>) -> io::Result<Vec<Hash>> {
    let indexes: Vec<Vec<u64>> = ranges
        .into_iter()
        .rev()
        .map(|(low, high)| peaks(low, high))
        .collect();
    let hashes = stored.hashes(&indexes.concat())?;
    let mut rest = &hashes[..];
    let mut roots = Vec::with_capacity(indexes.len());
    for of_one in indexes {
        let (peaks, after) = rest.split_at_checked(of_one.len()).ok_or_else(beyond)?;
        roots.push(join(peaks));
        rest = after;
    }
    Ok(roots)
}

/// The indexes of the complete subtrees that make up the leaves from `low` to before `high`, the largest first.
/// `low` must be a multiple of the largest one's size, as it is at every fork of a tree.
pub(super) fn peaks(mut low: u64, high: u64) -> Vec<u64> {
    let mut indexes = Vec::new();
    while low < high {
        let level = (high - low).ilog2();
        indexes.push(stored_hash_index(level, low >> level));
        low += 1 << level;
    }
    indexes
}

/// The root over complete subtrees, the largest first.
pub(super) fn join(peaks: &[Hash]) -> Hash {
    let mut from_right = peaks.iter().rev();
    let Some(last) = from_right.next() else {
        return empty_root();
    };
    from_right.fold(*last, |right, left| node_hash(left, &right))
}

/// The leaves on the left of a tree of `size` leaves: the largest power of two below it. `size` is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

fn beyond() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "beyond the end of the tree")
}
