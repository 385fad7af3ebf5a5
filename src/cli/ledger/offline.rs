//! `ledger verify --mirror DIR`: a mirror, or a copy of one, without a server and without a database.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::{
    cli::{
        Verdict,
        kept::{Kept, verifier_key},
        print,
        progress::{Progress, Unit},
    },
    ledger::{
        Against, Fault, Verifier, genesis,
        mirror::{self, Lines},
        notary::Checkpoint,
        verify_mirror,
    },
};

/// Entries between two looks at the bar.
const STEP: i64 = 10_000;

/// Verifies a mirror from its first entry to its last.
pub(super) fn verify(
    dir: &Path,
    key: Option<&str>,
    notes: &[PathBuf],
    json: bool,
) -> anyhow::Result<Verdict> {
    let store_id = mirror::identity(dir)?;
    let checkpoints = checkpoints(dir, key, notes)?;
    let against = Against {
        mirror: None,
        checkpoints,
    };
    let last = Lines::last(dir)?.map_or(0, |line| line.entry.sequence);
    let progress = Progress::of("verifying", Unit::Entries, u64::try_from(last).unwrap_or(0));
    let verifier = Verifier::new(genesis(store_id), &against.checkpoints);
    let found = verify_mirror(Lines::after(dir, 0)?, verifier, None, |checked| {
        if checked % STEP == 0 {
            progress.set(u64::try_from(checked).unwrap_or(0));
        }
        true
    })?;
    drop(progress);
    let (checked, hash) = found.reached;
    let is_short = |it: &&Checkpoint| i64::try_from(it.size).is_ok_and(|size| size > checked);
    let longer = against.checkpoints.iter().find(is_short);
    let fault = found
        .fault
        .or(longer.map(|_| (Fault::Truncated, checked + 1)));
    let hash = data_encoding::HEXLOWER.encode(&hash);
    if json {
        print(&serde_json::to_string_pretty(&serde_json::json!({
            "intact": fault.is_none(),
            "fault": fault.map(|(fault, _)| format!("{fault:?}")),
            "faultySequence": fault.map(|(_, sequence)| sequence),
            "entriesChecked": checked,
            "headHash": hash,
            "checkpoints": against.checkpoints.iter().map(|it| it.size).collect::<Vec<_>>(),
            "blindTo": against.blind_to(),
        }))?)?;
    } else {
        let mut lines = vec![match fault {
            None => format!("intact: {checked} entries of the mirror"),
            Some((fault, sequence)) => format!("NOT INTACT: {fault:?} at entry {sequence}"),
        }];
        lines.push(format!("last: {checked} {hash}"));
        let signed = against.checkpoints.iter();
        lines.extend(signed.map(|it| format!("a checkpoint signed the first {}", it.size)));
        let unseen = against.blind_to().iter();
        lines.extend(unseen.map(|class| format!("cannot see: {class}")));
        print(&lines.join("\n"))?;
    }
    Ok(if fault.is_none() {
        Verdict::Yes
    } else {
        Verdict::No
    })
}

/// The checkpoints to compare with: the mirror's own, and those that the auditor kept. Without a public key none is
/// believed.
fn checkpoints(
    dir: &Path,
    key: Option<&str>,
    notes: &[PathBuf],
) -> anyhow::Result<Vec<Checkpoint>> {
    let Some(key) = key else {
        return Ok(Vec::new());
    };
    let key = verifier_key(key)?;
    let own = Some(dir.join("checkpoint")).filter(|own| own.exists());
    let notes = own.iter().chain(notes);
    notes
        .map(|path| {
            let note = Kept::read(path)?.note;
            Checkpoint::open(&note, &key)
                .with_context(|| format!("{}: not signed by this key", path.display()))
        })
        .collect()
}
