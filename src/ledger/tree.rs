//! The Merkle tree over the ledger (RFC 6962, section 2.1): what a checkpoint signs, and the proofs from it.
//!
//! The leaf of an entry is SHA-256(0x00 || record), a node above two others SHA-256(0x01 || left || right); the leaf
//! of entry `s` has index `s - 1`. Nodes whose subtree is complete never change. They are stored one after another
//! as they become complete, in the order of Go's `sumdb/tlog`: [`stored_hash_index`] says where. So storing is
//! appending, and every root and proof, old ones too, is made of a few hashes read by their index ([`ReadHashes`]).
//!
//! This file is pure. Where the hashes lie is [`super::notary`]'s part; whoever checks a proof needs
//! [`verify_inclusion`] and [`verify_consistency`] alone, which follow RFC 9162 rather than the code that makes proofs.

use std::io;

use aws_lc_rs::digest::{Context, SHA256};

use super::chain::{Hash, hash_of};

mod prove;
mod verify;

pub use self::{
    prove::{consistency, inclusion, root},
    verify::{NotProven, verify_consistency, verify_inclusion},
};

/// Reads stored hashes by their indexes.
pub trait ReadHashes {
    /// The hashes at these indexes, in the same order. A hash that is not there is an error.
    fn hashes(&self, indexes: &[u64]) -> io::Result<Vec<Hash>>;
}

/// The hash of the leaf with this record.
#[must_use]
pub fn leaf_hash(record: &[u8]) -> Hash {
    hash_of_parts(&[&[0], record])
}

/// The hash of the node above two others.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash_of_parts(&[&[1], left, right])
}

fn hash_of_parts(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = Hash::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The root of the tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    hash_of(b"")
}

/// Where the `n`th node of a level is stored, both counted from 0; level 0 is that of the leaves.
#[must_use]
pub fn stored_hash_index(level: u32, n: u64) -> u64 {
    // The node becomes complete with the last leaf below it, right after the nodes of the levels below.
    let last_leaf = ((n + 1) << level) - 1;
    stored_hash_count(last_leaf) + u64::from(level)
}

/// The number of hashes stored for a tree of `n` leaves: of each level, the complete nodes.
#[must_use]
pub fn stored_hash_count(n: u64) -> u64 {
    // n + n/2 + n/4 + ..., rounded down each: 2n less the number of ones in n.
    2 * n - u64::from(n.count_ones())
}

/// The right edge of a growing tree: the complete subtrees that it consists of, the largest first. With it leaves
/// are appended and the root is known without reading anything.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The edge of the stored tree of `size` leaves.
    pub fn read(size: u64, stored: &impl ReadHashes) -> io::Result<Self> {
        let peaks = stored.hashes(&prove::peaks(0, size))?;
        Ok(Self { size, peaks })
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf, and to `stored` the hashes that are to be stored for it.
    pub fn push(&mut self, leaf: Hash, stored: &mut Vec<Hash>) {
        let mut hash = leaf;
        stored.push(hash);
        // Each one at the end of the size is a complete subtree that the new one completes to a larger one.
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            stored.push(hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        prove::join(&self.peaks)
    }
}

#[cfg(test)]
mod tests;
