//! Sealing a lead, with its identifier, its look-up values and the hash of its submission; and opening it again.

use std::sync::Arc;

use divan::{Bencher, black_box};
use jiff::Timestamp;
use lead_intake::seal::{KeyRing, LiveKeyRing, Sealer, Unsealer};

use super::form::lead;

fn keys() -> Arc<LiveKeyRing> {
    LiveKeyRing::fixed(Arc::new(KeyRing::generate().unwrap()))
}

#[divan::bench]
fn seal(bencher: Bencher<'_, '_>) {
    let (sealer, lead) = (Sealer::new(keys()), lead());
    bencher.bench(|| sealer.seal(black_box(&lead), Timestamp::UNIX_EPOCH));
}

#[divan::bench]
fn unseal(bencher: Bencher<'_, '_>) {
    let keys = keys();
    let sealer = Sealer::new(keys.clone());
    let lead = sealer.seal(&lead(), Timestamp::UNIX_EPOCH).unwrap();
    let unsealer = Unsealer::new(keys);
    bencher.bench(|| unsealer.unseal(lead.id, black_box(&lead.sealed)));
}
