//! Checkpoints (C2SP tlog-checkpoint): the ledger's name, size and root, in a signed note.

use data_encoding::BASE64;

use super::{NoteError, SigningKey, VerifierKey, note};
use crate::ledger::Hash;

/// What a checkpoint says: the first `size` entries of the ledger are those with this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// The signed note.
    pub note: String,
}

impl Checkpoint {
    /// Signs this size and root.
    pub(crate) fn sign(size: u64, root: Hash, key: &SigningKey) -> Self {
        let (origin, encoded) = (key.verifier().name(), BASE64.encode(&root));
        let text = format!("{origin}\n{size}\n{encoded}\n");
        Self {
            size,
            root,
            note: note::sign(&text, key),
        }
    }

    /// The checkpoint of a note that is signed with this key and speaks of its ledger.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let text = note::open(note, key)?;
        let text = text.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let mut lines = text.split('\n');
        let mut line = || lines.next().ok_or(NoteError::Malformed);
        let (origin, size, root) = (line()?, line()?, line()?);
        // Lines of a later form may follow; their content is not ours to judge.
        if lines.any(str::is_empty) {
            return Err(NoteError::Malformed);
        }
        if origin != key.name() {
            return Err(NoteError::OtherKey);
        }
        let number: u64 = size.parse().map_err(|_| NoteError::Malformed)?;
        let root = BASE64.decode(root.as_bytes()).ok();
        let root = root.and_then(|root| root.try_into().ok());
        if number.to_string() != size {
            return Err(NoteError::Malformed);
        }
        Ok(Self {
            size: number,
            root: root.ok_or(NoteError::Malformed)?,
            note: note.to_owned(),
        })
    }
}
