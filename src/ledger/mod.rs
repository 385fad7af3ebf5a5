//! The ledger: the append-only, hash-chained list of everything that happened, without personal data.
//!
//! Its rules: no entry, no change; numbers are dense and in commit order; an entry is never changed.
//! The store appends entries in the transaction of the change they tell of (`store::append`); this
//! module says what an entry is and how its hash follows from it. To record something new, add an
//! [`EntryKind`] with the next number, and say in the contract what its detail means.

mod chain;
mod entry;
pub mod mirror;
pub mod notary;
mod progress;
pub mod prover;
pub mod tree;
mod verify;

pub use self::{
    chain::{Hash, NotARecord, Record, genesis},
    entry::{Entry, EntryKind, Head, NewEntry},
    progress::Progress,
    verify::{Against, Fault, MirrorFound, Verification, Verifier, verify_mirror},
};
