//! How long a caller waits: the header `grpc-timeout`, which says it in one of six units.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

/// The header's name.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";
/// The most that its eight digits say.
const NUMBER_MAX: u64 = 99_999_999;

/// How long the caller waits. What is no such header is none: then the server's own limit holds.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_hours(number)),
        "M" => Some(Duration::from_mins(number)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The header for so many milliseconds, unless they are more than it can say.
#[must_use]
pub fn from_millis(millis: u64) -> Option<HeaderValue> {
    let (number, unit) = if millis <= NUMBER_MAX {
        (millis, 'm')
    } else {
        (millis / 1000, 'S')
    };
    if number > NUMBER_MAX {
        return None;
    }
    HeaderValue::try_from(format!("{number}{unit}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_by(value: &[u8]) -> Option<Duration> {
        let value = HeaderValue::from_bytes(value).unwrap();
        asked(&HeaderMap::from_iter([(
            http::HeaderName::from_static(GRPC_TIMEOUT),
            value,
        )]))
    }

    /// B.5: each unit of the protocol is understood, and whatever else a stranger writes there is no time at all.
    #[test]
    fn only_a_timeout_of_the_protocol_is_one() {
        for (value, expected) in [
            ("1H", Duration::from_hours(1)),
            ("2M", Duration::from_mins(2)),
            ("3S", Duration::from_secs(3)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("00000005u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
            ("99999999H", Duration::from_hours(99_999_999)),
        ] {
            assert_eq!(asked_by(value.as_bytes()), Some(expected), "{value}");
        }
        for value in [
            "",
            "S",
            "5",
            "-1S",
            "+1S",
            " 1S",
            "1 S",
            "1s",
            "1X",
            "1.5S",
            "1SS",
            "123456789S",
            "0x1S",
            "1µ",
            "٣S",
        ] {
            assert_eq!(asked_by(value.as_bytes()), None, "{value}");
        }
        assert_eq!(asked_by(b"1\xff"), None);
        assert_eq!(asked(&HeaderMap::new()), None);
    }

    /// What Connect says in milliseconds, of up to ten digits, is said in the eight of gRPC.
    #[test]
    fn milliseconds_are_said_in_eight_digits() {
        for (millis, expected) in [
            (0, Some("0m")),
            (99_999_999, Some("99999999m")),
            (100_000_999, Some("100000S")),
            (9_999_999_999, Some("9999999S")),
            (u64::MAX, None),
        ] {
            let value = from_millis(millis);
            assert_eq!(value.as_ref().map(|it| it.to_str().unwrap()), expected);
        }
    }
}
