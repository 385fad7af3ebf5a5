//! Checking proofs, as RFC 9162 (sections 2.1.3.2 and 2.1.4.2) has it: with nothing but what is given.

use super::{Hash, empty_root, node_hash};

/// A proof that does not prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hashes do not lead to the root")]
pub struct NotProven;

/// Checks that `leaf` is at `index` in the tree of `size` leaves with this root.
pub fn verify_inclusion(
    root: &Hash,
    size: u64,
    index: u64,
    leaf: &Hash,
    proof: &[Hash],
) -> Result<(), NotProven> {
    if index >= size {
        return Err(NotProven);
    }
    let mut hash = *leaf;
    // The node's place in its level, and the place of the level's last node.
    let (mut place, mut last) = (index, size - 1);
    for sibling in proof {
        if last == 0 {
            return Err(NotProven);
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            // A last node without a sibling on its right rises unchanged until it is a right one.
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root {
        Ok(())
    } else {
        Err(NotProven)
    }
}

/// Checks that the tree of `old_size` leaves with `old_root` is the beginning of that of `new_size` leaves with
/// `new_root`. Every tree begins with the empty one, and with itself.
pub fn verify_consistency(
    (old_size, old_root): (u64, &Hash),
    (new_size, new_root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), NotProven> {
    if old_size > new_size {
        return Err(NotProven);
    }
    if old_size == new_size || old_size == 0 {
        let holds = if old_size == new_size {
            old_root == new_root
        } else {
            *old_root == empty_root()
        };
        return if holds && proof.is_empty() {
            Ok(())
        } else {
            Err(NotProven)
        };
    }
    let (mut place, mut last) = (old_size - 1, new_size - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    // An old tree that is one complete subtree is where the proof begins.
    let (start, path) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(NotProven)?
    };
    let (mut old, mut new) = (*start, *start);
    for sibling in path {
        if last == 0 {
            return Err(NotProven);
        }
        if place & 1 == 1 || place == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last == 0 && old == *old_root && new == *new_root {
        Ok(())
    } else {
        Err(NotProven)
    }
}
