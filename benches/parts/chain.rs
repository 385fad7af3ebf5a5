//! The ledger: an entry chained to the one before it, its record, and the tree that the mirror builds of records.

use divan::{Bencher, black_box};
use lead_intake::ledger::{
    Entry, EntryKind, Head, NewEntry, genesis,
    tree::{Frontier, leaf_hash},
};
use uuid::Uuid;

/// 2025-11-24.
const AT: i64 = 1_764_000_000_000_000;

fn head() -> Head {
    Head {
        sequence: 0,
        hash: genesis(Uuid::from_u128(1)),
        at: 0,
    }
}

fn submitted() -> NewEntry {
    let id = Uuid::from_u128(0x0123_4567_89ab_cdef);
    let new = NewEntry::new(EntryKind::Submitted, 1);
    new.lead(id.into()).request(id)
}

/// Done with the ledger locked, once for each submission.
#[divan::bench]
fn append(bencher: Bencher<'_, '_>) {
    let (mut head, new) = (head(), submitted());
    bencher.bench_local(|| head.append(black_box(new), AT));
}

#[divan::bench]
fn record_encode(bencher: Bencher<'_, '_>) {
    let previous = head().hash;
    let entry = head().append(submitted(), AT);
    bencher.bench(|| black_box(&entry).record(&previous));
}

/// Its hash included.
#[divan::bench]
fn record_decode(bencher: Bencher<'_, '_>) {
    let previous = head().hash;
    let record = head().append(submitted(), AT).record(&previous);
    bencher.bench(|| Entry::from_record(black_box(record.as_bytes())));
}

#[divan::bench]
fn tree_leaf(bencher: Bencher<'_, '_>) {
    let previous = head().hash;
    let record = head().append(submitted(), AT).record(&previous);
    bencher.bench(|| leaf_hash(black_box(record.as_bytes())));
}

/// On average: every second leaf completes a subtree, every fourth a larger one too.
#[divan::bench]
fn tree_push(bencher: Bencher<'_, '_>) {
    let mut frontier = Frontier::default();
    let mut stored = Vec::new();
    bencher.bench_local(|| {
        stored.clear();
        frontier.push(black_box([7; 32]), &mut stored);
    });
}
