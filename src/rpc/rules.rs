//! What `validator` checks on the wire messages, beyond its own rules: see `RULES` in `build.rs`.
//!
//! The codes become reasons in the answer; texts and values of `validator` are never forwarded.

use uuid::Uuid;
use validator::ValidationError;

/// A UUID in its 36-character form.
pub fn uuid(text: &str) -> Result<(), ValidationError> {
    if text.is_empty() {
        Err(ValidationError::new("required"))
    } else if text.len() == 36 && Uuid::try_parse(text).is_ok() {
        Ok(())
    } else {
        Err(ValidationError::new("uuid"))
    }
}

/// An enumeration for which there is no default.
pub fn chosen(number: i32) -> Result<(), ValidationError> {
    if number == 0 {
        Err(ValidationError::new("required"))
    } else {
        Ok(())
    }
}
