//! What an auditor keeps: a public key, and notes from earlier.
//!
//! A note may be kept as it is, or within the JSON of `ledger checkpoint --json` or of `receipt --output`.

use std::{cmp::Ordering, fs, path::Path, str::FromStr as _};

use anyhow::{Context as _, bail};
use data_encoding::HEXLOWER;

use super::{file::read_text, json};
use crate::{
    ledger::{
        Hash,
        notary::{Checkpoint, VerifierKey},
        tree::verify_consistency,
    },
    pb,
};

/// A public key, or the file that holds one.
pub(super) fn verifier_key(text: &str) -> anyhow::Result<VerifierKey> {
    if let Ok(key) = VerifierKey::from_str(text) {
        return Ok(key);
    }
    let content = fs::read_to_string(text).with_context(|| {
        format!("{text} is neither a public key (<name>+<id>+<base64>) nor a file that can be read")
    })?;
    VerifierKey::from_str(content.trim_end())
        .with_context(|| format!("{text} holds no public key (<name>+<id>+<base64>)"))
}

/// A note that was kept, with the proof that it continues an earlier one, if that was kept too.
pub(super) struct Kept {
    pub(super) note: String,
    since: Since,
}

/// That a checkpoint continues one of so many entries; of 0 none was asked for.
pub(super) struct Since {
    size: u64,
    hashes: Vec<String>,
}

impl Since {
    pub(super) fn new(size: i64, hashes: &[String]) -> Self {
        Self {
            size: u64::try_from(size).unwrap_or(0),
            hashes: hashes.to_vec(),
        }
    }

    /// The number of entries that it continues from.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it proves that `new` continues `old`.
    pub(super) fn proves(&self, old: &Checkpoint, new: &Checkpoint) -> bool {
        self.size == old.size
            && hashes(&self.hashes).is_some_and(|proof| {
                verify_consistency((old.size, &old.root), (new.size, &new.root), &proof).is_ok()
            })
    }
}

impl Kept {
    /// Reads one of the forms in which notes are kept.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read_text(path, super::connect::ANSWER_BYTES_MAX as u64)?;
        let name = path.display();
        if !text.trim_start().starts_with('{') {
            let since = Since::new(0, &[]);
            return Ok(Self { note: text, since });
        }
        if let Ok(answer) = json::read::<pb::GetCheckpointResponse>(&text) {
            let since = Since::new(answer.since_size, &answer.consistency);
            let note = answer.note;
            return Ok(Self { note, since });
        }
        let answer: Option<pb::GetErasureReceiptResponse> = json::read(&text).ok();
        let Some(proof) = answer.and_then(|answer| answer.proof) else {
            bail!("{name} holds neither a checkpoint nor a receipt with one");
        };
        let since = Since::new(proof.since_size, &proof.consistency);
        let note = proof.note;
        Ok(Self { note, since })
    }

    /// The number of entries that the note claims: what to ask a server for, before anything is believed.
    pub(super) fn claimed_size(&self) -> anyhow::Result<i64> {
        let size = self.note.lines().nth(1).and_then(|size| size.parse().ok());
        size.context("what was kept is not a checkpoint")
    }

    /// Whether two checkpoints are of one ledger that only grew, as far as the proofs at hand show: `of_other` and that
    /// of this note.
    pub(super) fn ties(
        &self,
        key: &VerifierKey,
        other: &Checkpoint,
        of_other: &Since,
    ) -> Result<Checkpoint, String> {
        let kept = Checkpoint::open(&self.note, key)
            .map_err(|error| format!("the checkpoint that was kept: {error}"))?;
        let (from, to) = (kept.size.min(other.size), kept.size.max(other.size));
        let (is_tied, has_proof) = match kept.size.cmp(&other.size) {
            Ordering::Equal => (kept.root == other.root, true),
            Ordering::Less => (of_other.proves(&kept, other), of_other.size == from),
            Ordering::Greater => (self.since.proves(other, &kept), self.since.size == from),
        };
        if is_tied {
            Ok(kept)
        } else if has_proof {
            Err(format!(
                "the checkpoint of {from} entries is not the beginning of that of {to}"
            ))
        } else {
            Err(format!(
                "nothing at hand proves that the checkpoint of {to} entries continues that of {from}: ask for the \
                 newer one again with --since the older one"
            ))
        }
    }
}

/// Hashes in lower-case hexadecimal.
pub(super) fn hashes(texts: &[String]) -> Option<Vec<Hash>> {
    let hash = |text: &String| HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok();
    texts.iter().map(hash).collect()
}
