//! `[limits]`: what calls and clients may take. Each key has its default in [`Limits`].

use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use crate::rpc::limits::{CallsPerSecond, Limits};

/// The most that a limit can be set to: a typing error shall not pass for a limit.
const MAX: u32 = 1_000_000;
/// The longest that a time can be set to, in seconds: a day.
const SECONDS_MAX: u32 = 24 * 3600;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsSection {
    pub(super) enabled: Option<bool>,
    calls_max: Option<u32>,
    calls_reserved: Option<u32>,
    client_calls_max: Option<u32>,
    client_calls_per_second: Option<u32>,
    client_calls_burst: Option<u32>,
    client_streams_max: Option<u32>,
    unknown_tokens_per_second: Option<u32>,
    unknown_tokens_burst: Option<u32>,
    call_seconds_max: Option<u32>,
    privacy_call_seconds_max: Option<u32>,
    verify_seconds_max: Option<u32>,
    stream_seconds_max: Option<u32>,
    stall_seconds_max: Option<u32>,
}

/// A number from 1 to `max`, or what holds without it.
fn number(key: &str, given: Option<u32>, max: u32, default: u32) -> Result<u32, ConfigError> {
    match given.unwrap_or(default) {
        it if (1..=max).contains(&it) => Ok(it),
        _ => Err(ConfigError(format!("limits.{key} must be from 1 to {max}"))),
    }
}

fn count(key: &str, given: Option<u32>, default: usize) -> Result<usize, ConfigError> {
    let default = u32::try_from(default).unwrap_or(MAX);
    number(key, given, MAX, default).map(|it| usize::try_from(it).unwrap_or(usize::MAX))
}

fn seconds(key: &str, given: Option<u32>, default: Duration) -> Result<Duration, ConfigError> {
    let default = u32::try_from(default.as_secs()).unwrap_or(SECONDS_MAX);
    number(key, given, SECONDS_MAX, default).map(|it| Duration::from_secs(it.into()))
}

/// How often, by two keys of this stem.
fn rate(
    stem: &str,
    (steady, burst): (Option<u32>, Option<u32>),
    default: Option<CallsPerSecond>,
) -> Result<Option<CallsPerSecond>, ConfigError> {
    let Some(default) = default else {
        return Ok(None);
    };
    Ok(Some(CallsPerSecond {
        steady: number(&format!("{stem}_per_second"), steady, MAX, default.steady)?,
        burst: number(&format!("{stem}_burst"), burst, MAX, default.burst)?,
    }))
}

/// The limits in force.
pub(super) fn limits(
    section: &LimitsSection,
    enabled: Option<bool>,
) -> Result<Limits, ConfigError> {
    let it = section;
    let usual = Limits::default();
    let limits = Limits {
        calls_max: count("calls_max", it.calls_max, usual.calls_max)?,
        calls_reserved: count("calls_reserved", it.calls_reserved, usual.calls_reserved)?,
        client_calls_max: count(
            "client_calls_max",
            it.client_calls_max,
            usual.client_calls_max,
        )?,
        client_rate: rate(
            "client_calls",
            (it.client_calls_per_second, it.client_calls_burst),
            usual.client_rate,
        )?,
        client_streams_max: count(
            "client_streams_max",
            it.client_streams_max,
            usual.client_streams_max,
        )?,
        unknown_tokens: rate(
            "unknown_tokens",
            (it.unknown_tokens_per_second, it.unknown_tokens_burst),
            usual.unknown_tokens,
        )?,
        call_max: seconds("call_seconds_max", it.call_seconds_max, usual.call_max)?,
        privacy_call_max: seconds(
            "privacy_call_seconds_max",
            it.privacy_call_seconds_max,
            usual.privacy_call_max,
        )?,
        verify_max: seconds(
            "verify_seconds_max",
            it.verify_seconds_max,
            usual.verify_max,
        )?,
        stream_max: seconds(
            "stream_seconds_max",
            it.stream_seconds_max,
            usual.stream_max,
        )?,
        stall_max: seconds("stall_seconds_max", it.stall_seconds_max, usual.stall_max)?,
    };
    if limits.calls_reserved >= limits.calls_max {
        return Err(ConfigError(
            "limits.calls_reserved must be less than limits.calls_max, or no website is answered"
                .to_owned(),
        ));
    }
    if enabled.or(it.enabled).unwrap_or(true) {
        return Ok(limits);
    }
    Ok(Limits {
        call_max: limits.call_max,
        privacy_call_max: limits.privacy_call_max,
        verify_max: limits.verify_max,
        stream_max: limits.stream_max,
        stall_max: limits.stall_max,
        ..Limits::none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits_of(text: &str, enabled: Option<bool>) -> Result<Limits, ConfigError> {
        limits(&toml::from_str(text).expect("a section"), enabled)
    }

    /// What is not set is as it was; what makes no sense stops the start.
    #[test]
    fn a_limit_is_a_number_that_can_be_kept() {
        let given = limits_of("calls_max = 500\nclient_calls_burst = 7", None).unwrap();
        assert_eq!((given.calls_max, given.calls_reserved), (500, 100));
        let rate = given.client_rate.unwrap();
        assert_eq!((rate.steady, rate.burst), (1000, 7));
        for text in [
            "calls_max = 0",
            "calls_max = 1000001",
            "calls_max = 100",
            "calls_reserved = 1000",
            "client_calls_per_second = 0",
            "stall_seconds_max = 90000",
        ] {
            assert!(limits_of(text, None).is_err(), "{text}");
        }
        assert!(toml::from_str::<LimitsSection>("calls = 1").is_err());
    }

    /// The example file shows every key with the default that holds without it.
    #[test]
    fn the_example_has_the_defaults() {
        let example = include_str!("../../lead-intake.example.toml");
        let (_, section) = example.split_once("\n[limits]\n").expect("the section");
        let (limits, usual) = (limits_of(section, None).unwrap(), Limits::default());
        assert_eq!(limits, usual);
        assert_eq!(limits_of("", None).unwrap(), usual);
        let keys = section.lines().filter(|line| line.contains(" = "));
        assert_eq!(keys.count(), 14);
    }

    /// Switched off, by file or by what overrides it, there is no limit but of time.
    #[test]
    fn limits_can_be_off() {
        let text = "enabled = false\ncall_seconds_max = 3";
        for (text, enabled) in [(text, None), ("call_seconds_max = 3", Some(false))] {
            let none = limits_of(text, enabled).unwrap();
            assert_eq!(none.client_calls_max, usize::MAX);
            assert_eq!(none.client_rate, None);
            assert_eq!(none.call_max.as_secs(), 3);
        }
        assert!(limits_of(text, Some(true)).unwrap().client_rate.is_some());
    }
}
