//! What is given to a command as text, where the library's own refusal would say how it reads and not what is meant.

use jiff::Timestamp;
use uuid::Uuid;

/// An identifier of a lead or of a request.
pub(super) fn uuid(text: &str) -> Result<Uuid, &'static str> {
    let uuid = text.parse();
    uuid.map_err(|_| "not a UUID such as 0d6f9a52-6c1e-4a53-9f0c-3f1b2a4d5e6f")
}

/// A time.
pub(super) fn time(text: &str) -> Result<Timestamp, &'static str> {
    let time = text.parse();
    time.map_err(|_| "not a time such as 2026-11-24T12:00:00Z, or with +01:00 for the Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is refused is said by what would be taken.
    #[test]
    fn what_is_named_as_an_example_is_taken() {
        let example = uuid("x").expect_err("refused");
        assert!(
            example.split(' ').any(|word| uuid(word).is_ok()),
            "{example}"
        );
        let example = time("x").expect_err("refused");
        assert!(
            example.split([' ', ',']).any(|word| time(word).is_ok()),
            "{example}"
        );
        assert!(time("2026-11-24T12:00:00+01:00").is_ok());
        assert!(time("2026-13-24T12:00:00Z").is_err());
    }
}
