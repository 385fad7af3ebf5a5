//! Cursors: a position in the feed, opaque to its holder.
//!
//! `version (1) | restore epoch (8) | position (8) | CRC-32 (4)`, in lower-case base 32: 34 characters. No secret: one
//! that is made up is refused unless it is a position its client was given.

use data_encoding::BASE32_NOPAD;

use super::status::Refusal;

const VERSION: u8 = 1;
const LEN: usize = 1 + 8 + 8;

/// The text of a position.
#[must_use]
pub fn encode(epoch: i64, position: i64) -> String {
    let mut bytes = Vec::with_capacity(LEN + 4);
    bytes.push(VERSION);
    bytes.extend_from_slice(&epoch.to_be_bytes());
    bytes.extend_from_slice(&position.to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    BASE32_NOPAD.encode(&bytes).to_lowercase()
}

/// The position of a text; `None` for the empty text.
pub fn decode(text: &str, epoch: i64) -> Result<Option<i64>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let bytes = BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .map_err(|_| Refusal::CursorInvalid)?;
    let (body, sum) = bytes
        .split_last_chunk::<4>()
        .ok_or(Refusal::CursorInvalid)?;
    if body.len() != LEN || body[0] != VERSION || crc32fast::hash(body).to_be_bytes() != *sum {
        return Err(Refusal::CursorInvalid);
    }
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |n: i64, byte| n << 8 | i64::from(*byte))
    };
    let (their_epoch, position) = (number(&body[1..9]), number(&body[9..]));
    if their_epoch != epoch {
        return Err(Refusal::CursorExpired);
    }
    if position < 0 {
        Err(Refusal::CursorInvalid)
    } else {
        Ok(Some(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F2, F9: a cursor reads back; one from another epoch has expired; one changed letter is refused.
    #[test]
    fn f9_cursors_of_another_epoch_expire() {
        for position in [0, 1, 31, 1 << 40, i64::MAX] {
            let text = encode(3, position);
            assert_eq!(decode(&text, 3), Ok(Some(position)));
            assert_eq!(decode(&text, 4), Err(Refusal::CursorExpired));
            for place in 0..text.len() {
                let mut changed = text.clone().into_bytes();
                changed[place] = if changed[place] == b'a' { b'b' } else { b'a' };
                let changed = String::from_utf8(changed).expect("ASCII");
                assert!(decode(&changed, 3).is_err(), "letter {place}");
            }
        }
        assert_eq!(decode("", 3), Ok(None));
        assert_eq!(decode("å", 3), Err(Refusal::CursorInvalid));
    }
}
