//! Recomputes the chain, entry by entry, in constant memory.

use super::{
    Entry, Head,
    chain::{self, Hash},
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
}

/// A verification under way.
#[derive(Clone, Copy, Debug)]
pub struct Verifier {
    sequence: i64,
    hash: Hash,
    fault: Option<(Fault, i64)>,
}

impl Verifier {
    /// Starts before the first entry.
    #[must_use]
    pub fn new(genesis: Hash) -> Self {
        Self {
            sequence: 0,
            hash: genesis,
            fault: None,
        }
    }

    /// Number of the last entry checked.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.sequence
    }

    /// Checks the next entry. Returns whether it is worth going on.
    pub fn check(&mut self, entry: &Entry) -> bool {
        let expected = self.sequence + 1;
        if entry.sequence != expected {
            self.fault = Some((Fault::SequenceBroken, expected));
        } else if chain::hash(&self.hash, entry) == entry.hash {
            self.sequence = expected;
            self.hash = entry.hash;
        } else {
            self.fault = Some((Fault::HashMismatch, expected));
        }
        self.fault.is_none()
    }

    /// Compares the end of the chain with the head.
    #[must_use]
    pub fn finish(self, head: Head) -> Verification {
        let reached = (self.sequence, self.hash) == (head.sequence, head.hash);
        let fault = self
            .fault
            .or((!reached).then_some((Fault::HeadMismatch, self.sequence.max(1))));
        Verification {
            fault,
            entries_checked: self.sequence,
            head,
        }
    }
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
        let mut verifier = Verifier::new(genesis);
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
