//! Signed notes (C2SP signed-note): a text, an empty line, and signatures of the text.
//!
//! A signature is a line: an em dash, the key's name, and in base64 the key's identifier (4 bytes) and the signature.
//! A note may carry those of others (witnesses) too; they are passed over.

use data_encoding::BASE64;

use super::{SigningKey, VerifierKey};

const MARK: &str = "\u{2014} ";
const ID_LEN: usize = 4;
/// As other implementations have it.
const NOTE_BYTES_MAX: usize = 1_000_000;
/// Signatures looked at, ours and others'.
const SIGNATURES_MAX: usize = 100;

/// Why a note is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is not in the form of a note.
    #[error("not a signed note")]
    Malformed,
    /// None of its signatures is by this key.
    #[error("not signed with this key")]
    OtherKey,
    /// The signature is not that of this text.
    #[error("the signature does not fit the text")]
    BadSignature,
}

/// A text with our signature. The text must end with a line break.
pub(crate) fn sign(text: &str, key: &SigningKey) -> String {
    let verifier = key.verifier();
    let signature = [&verifier.id()[..], &key.sign(text.as_bytes())].concat();
    let (name, signature) = (verifier.name(), BASE64.encode(&signature));
    format!("{text}\n{MARK}{name} {signature}\n")
}

/// The text of a note that is signed with this key.
pub(crate) fn open<'a>(note: &'a str, key: &VerifierKey) -> Result<&'a str, NoteError> {
    let is_plain = |char: char| !char.is_ascii_control() || char == '\n';
    if note.len() > NOTE_BYTES_MAX || !note.chars().all(is_plain) {
        return Err(NoteError::Malformed);
    }
    let at = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
    let (text, signatures) = (&note[..=at], &note[at + 2..]);
    let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    let mut found = false;
    for (count, line) in signatures.split('\n').enumerate() {
        let (name, tagged) = signature(line).ok_or(NoteError::Malformed)?;
        if count >= SIGNATURES_MAX {
            return Err(NoteError::Malformed);
        }
        let (id, signature) = tagged.split_at(ID_LEN);
        if name == key.name() && id == key.id() {
            if !key.is_signed(text.as_bytes(), signature) {
                return Err(NoteError::BadSignature);
            }
            found = true;
        }
    }
    if found {
        Ok(text)
    } else {
        Err(NoteError::OtherKey)
    }
}

/// A line's key name, and identifier with signature.
fn signature(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, encoded) = line.strip_prefix(MARK)?.split_once(' ')?;
    let tagged = BASE64.decode(encoded.as_bytes()).ok()?;
    let is_name = !name.is_empty() && !name.chars().any(|char| char.is_whitespace() || char == '+');
    (is_name && tagged.len() > ID_LEN).then_some((name, tagged))
}
