//! Recomputes the chain, entry by entry, in constant memory, and compares it with what lies outside the database.

use std::path::PathBuf;

use super::{
    Entry, Head,
    chain::{Hash, hash_of},
    mirror::{Lines, MirrorError},
    notary::Checkpoint,
    tree::{Frontier, leaf_hash},
};

/// What is wrong with a ledger. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An entry's hash does not follow.
    HashMismatch = 1,
    /// A number is missing or doubled.
    SequenceBroken = 2,
    /// The last entry is not the one the head names.
    HeadMismatch = 3,
    /// The entries are not those that a checkpoint signed.
    CheckpointMismatch = 4,
    /// The mirror, or a checkpoint, has entries after the last one.
    Truncated = 5,
    /// The mirror has another entry.
    MirrorMismatch = 6,
    /// The mirror does not hold together itself.
    MirrorDamaged = 7,
}

/// What a ledger is compared with.
#[derive(Clone, Debug, Default)]
pub struct Against {
    /// The directory of its mirror.
    pub mirror: Option<PathBuf>,
    /// Checkpoints whose signatures are good.
    pub checkpoints: Vec<Checkpoint>,
}

impl Against {
    /// What a verification cannot see.
    #[must_use]
    pub fn blind_to(&self) -> &'static [&'static str] {
        match (&self.mirror, self.checkpoints.is_empty()) {
            (None, true) => &[
                "entries removed from the end together with the head",
                "a ledger emptied together with the head",
                "a ledger rewritten from some entry to its end, hashes and head included",
                "a ledger replaced as a whole, store identity included",
            ],
            (Some(_), true) => &[
                "entries removed from the end, or rewritten to the end, in the database and in its mirror alike",
                "a ledger replaced as a whole together with its mirror",
            ],
            (None, false) => &[
                "entries after the checkpoint that were removed, or rewritten to the end",
                "a ledger replaced as a whole together with the key that signs it",
            ],
            (Some(_), false) => &[
                "entries after the checkpoint that were removed, or rewritten to the end, in the database and in \
                 its mirror alike",
                "a ledger replaced as a whole together with its mirror and the key that signs it",
            ],
        }
    }
}

/// What a verification found.
#[derive(Clone, Copy, Debug)]
pub struct Verification {
    /// The first fault, and the number at which it lies.
    pub fault: Option<(Fault, i64)>,
    /// Entries checked.
    pub entries_checked: i64,
    /// The head that the ledger names.
    pub head: Head,
    /// Entries that the mirror has too; none without a mirror.
    pub entries_mirrored: i64,
}

/// A verification under way.
#[derive(Clone, Debug)]
pub struct Verifier {
    sequence: i64,
    hash: Hash,
    fault: Option<(Fault, i64)>,
    /// Empty as long as no checkpoint asks for a root.
    tree: Frontier,
    checkpoints: Vec<Checkpoint>,
    /// For the hashes that somebody who keeps the tree would store.
    stored: Vec<Hash>,
}

impl Verifier {
    /// Starts before the first entry.
    #[must_use]
    pub fn new(genesis: Hash, checkpoints: &[Checkpoint]) -> Self {
        Self {
            sequence: 0,
            hash: genesis,
            fault: None,
            tree: Frontier::default(),
            checkpoints: checkpoints.to_vec(),
            stored: Vec::new(),
        }
    }

    /// Number of the last entry checked.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.sequence
    }

    /// The last entry checked.
    #[must_use]
    pub fn reached(&self) -> (i64, Hash) {
        (self.sequence, self.hash)
    }

    /// What was found so far.
    #[must_use]
    pub fn fault(&self) -> Option<(Fault, i64)> {
        self.fault
    }

    /// Checks the next entry. Returns whether it is worth going on.
    pub fn check(&mut self, entry: &Entry) -> bool {
        let expected = self.sequence + 1;
        let record = entry.record(&self.hash);
        if entry.sequence != expected {
            self.fault = Some((Fault::SequenceBroken, expected));
        } else if hash_of(record.as_bytes()) == entry.hash {
            self.sequence = expected;
            self.hash = entry.hash;
            self.check_signed(record.as_bytes());
        } else {
            self.fault = Some((Fault::HashMismatch, expected));
        }
        self.fault.is_none()
    }

    /// Compares the entries so far with the checkpoints of as many.
    fn check_signed(&mut self, record: &[u8]) {
        if self.checkpoints.is_empty() {
            return;
        }
        self.stored.clear();
        self.tree.push(leaf_hash(record), &mut self.stored);
        let size = self.tree.size();
        let differs = |it: &Checkpoint| it.size == size && it.root != self.tree.root();
        if self.checkpoints.iter().any(differs) {
            self.fault = Some((Fault::CheckpointMismatch, self.sequence));
        }
    }

    /// Compares the end of the chain with the head, and with what must be there.
    #[must_use]
    pub fn finish(self, head: Head) -> Verification {
        let reached = (self.sequence, self.hash) == (head.sequence, head.hash);
        let end = u64::try_from(self.sequence).unwrap_or(0);
        let is_short = self.checkpoints.iter().any(|it| it.size > end);
        let fault = self
            .fault
            .or((!reached).then_some((Fault::HeadMismatch, self.sequence.max(1))))
            .or(is_short.then_some((Fault::Truncated, self.sequence + 1)));
        Verification {
            fault,
            entries_checked: self.sequence,
            head,
            entries_mirrored: 0,
        }
    }
}

/// A mirror as a verification found it.
#[derive(Clone, Copy, Debug)]
pub struct MirrorFound {
    /// The last entry that holds, and its hash; the genesis for none.
    pub reached: (i64, Hash),
    /// What is wrong with it.
    pub fault: Option<(Fault, i64)>,
}

/// Verifies a mirror from its first entry to `upto`, or to its end: its chain, and the checkpoints. `progress` hears after
/// each entry how many were checked, and gives whether it is worth going on.
pub fn verify_mirror(
    lines: Lines,
    mut verifier: Verifier,
    upto: Option<i64>,
    mut progress: impl FnMut(i64) -> bool,
) -> Result<MirrorFound, MirrorError> {
    for line in lines {
        if upto.is_some_and(|upto| verifier.position() >= upto) {
            break;
        }
        match line {
            Ok(line) => {
                if !verifier.check(&line.entry) {
                    break;
                }
            }
            Err(MirrorError::Damaged(sequence)) => {
                return Ok(MirrorFound {
                    reached: verifier.reached(),
                    fault: Some((Fault::MirrorDamaged, sequence)),
                });
            }
            Err(error) => return Err(error),
        }
        if !progress(verifier.position()) {
            break;
        }
    }
    let is_chain = |fault| matches!(fault, Fault::HashMismatch | Fault::SequenceBroken);
    let fault = verifier.fault().map(|(fault, sequence)| {
        let fault = if is_chain(fault) {
            Fault::MirrorDamaged
        } else {
            fault
        };
        (fault, sequence)
    });
    Ok(MirrorFound {
        reached: verifier.reached(),
        fault,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{EntryKind, NewEntry, genesis};

    fn ledger() -> (Hash, Head, Vec<Entry>) {
        let genesis = genesis(uuid::Uuid::from_u128(7));
        let mut head = Head {
            sequence: 0,
            hash: genesis,
            at: 0,
        };
        let entries = (0..200u8)
            .map(|n| {
                let id = uuid::Uuid::from_u128(n.into());
                let new = NewEntry::new(EntryKind::Submitted, 1)
                    .lead(id.into())
                    .request(id);
                // The clock goes back half-way through; the ledger's time does not.
                head.append(new, if n < 100 { 1_000 + i64::from(n) } else { 0 })
            })
            .collect();
        (genesis, head, entries)
    }

    fn verify(genesis: Hash, head: Head, entries: &[Entry]) -> Option<(Fault, i64)> {
        let mut verifier = Verifier::new(genesis, &[]);
        let _ = entries.iter().all(|entry| verifier.check(entry));
        verifier.finish(head).fault
    }

    /// A2: an untouched ledger is intact; every change of an entry, and every removed, doubled or swapped
    /// one, is found where it lies.
    #[test]
    fn a2_every_change_is_found() {
        let (genesis, head, entries) = ledger();
        assert_eq!(verify(genesis, head, &entries), None);
        assert!(entries.is_sorted_by_key(|entry| entry.at));
        for position in 0..entries.len() {
            let sequence = entries[position].sequence;
            let changes: [fn(&mut Entry); 8] = [
                |e| e.at += 1,
                |e| e.hash[31] ^= 1,
                |e| e.new.kind = EntryKind::Erased,
                |e| e.new.lead_id = None,
                |e| e.new.request_id = None,
                |e| e.new.client_id += 1,
                |e| e.new.detail += 1,
                |e| e.new.submission += 1,
            ];
            for alter in changes {
                let mut forged = entries.clone();
                alter(&mut forged[position]);
                assert_eq!(
                    verify(genesis, head, &forged),
                    Some((Fault::HashMismatch, sequence))
                );
            }
            let mut removed = entries.clone();
            removed.remove(position);
            assert!(
                verify(genesis, head, &removed).is_some(),
                "removed {sequence}"
            );
            let mut doubled = entries.clone();
            doubled.insert(position, entries[position]);
            assert!(
                verify(genesis, head, &doubled).is_some(),
                "doubled {sequence}"
            );
            if position > 0 {
                let mut swapped = entries.clone();
                swapped.swap(position, position - 1);
                assert!(
                    verify(genesis, head, &swapped).is_some(),
                    "swapped {sequence}"
                );
            }
        }
        let other = super::super::genesis(uuid::Uuid::from_u128(8));
        assert_eq!(
            verify(other, head, &entries),
            Some((Fault::HashMismatch, 1))
        );
        assert_eq!(verify(genesis, head, &[]), Some((Fault::HeadMismatch, 1)));
    }
}
