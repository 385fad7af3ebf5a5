//! How long it takes to write a mirror, to start with it, and to verify it: `cargo bench --bench mirror -- 10000000`.
//!
//! The mirror lies in a temporary directory (`TMPDIR`), and is fsynced at the end only: what is measured is the work,
//! not the disk.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and fails by panicking"
)]

use std::time::Instant;

use lead_intake::ledger::{
    EntryKind, Head, NewEntry, Verifier, genesis,
    mirror::{Line, Lines, Mirror},
    verify_mirror,
};
use uuid::Uuid;

/// Entries that are appended at once, as a group commit hands them over.
const BATCH: u64 = 100;

fn main() {
    let mut args = std::env::args().skip(1);
    let entries = args.find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let store = Uuid::from_u128(1);
    Mirror::create(dir.path(), store).unwrap();
    let (mirror, _) = Mirror::open(dir.path(), store).unwrap();
    let mut head = Head {
        sequence: 0,
        hash: genesis(store),
        at: 0,
    };
    let mut written = std::time::Duration::ZERO;
    for batch in 0..entries / BATCH {
        let lines: Vec<Line> = (0..BATCH)
            .map(|place| {
                let id = Uuid::from_u128(u128::from(batch * BATCH + place) << 64);
                let new = NewEntry::new(EntryKind::Submitted, 1);
                let new = new.lead(id.into()).request(id);
                head.append(new, 1_764_000_000_000_000).into()
            })
            .collect();
        let started = Instant::now();
        mirror.append(&lines).unwrap();
        written += started.elapsed();
    }
    mirror.sync().unwrap();
    mirror.close();
    drop(mirror);
    report("append", entries, written);

    let started = Instant::now();
    let (mirror, _) = Mirror::open(dir.path(), store).unwrap();
    println!("open:   {:?}", started.elapsed());
    assert_eq!(mirror.head().sequence, head.sequence);

    let started = Instant::now();
    let lines = Lines::after(dir.path(), 0).unwrap();
    let verifier = Verifier::new(genesis(store), &[]);
    let found = verify_mirror(lines, verifier, None, |_| true).unwrap();
    assert_eq!(found.reached, (head.sequence, head.hash));
    report("verify", entries, started.elapsed());
}

fn report(what: &str, entries: u64, time: std::time::Duration) {
    let entries = u32::try_from(entries).unwrap_or(u32::MAX);
    let each = time / entries.max(1);
    println!("{what}: {time:?} for {entries} entries, {each:?} each");
}
