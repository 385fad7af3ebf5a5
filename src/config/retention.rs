//! The sections `[retention]` and `[erasure]`: how long what is kept.

use jiff::{Span, SpanRelativeTo, Unit};
use serde::Deserialize;

use super::ConfigError;
use crate::domain::{
    erasure::{ACKNOWLEDGE_WITHIN_DAYS_CAP, ErasurePolicy},
    retention::{GraceDays, MAX_AGE_DAYS_CAP, RetentionPolicy},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionSection {
    max_age: String,
    #[serde(default = "no_time")]
    closed_grace: String,
    answered_grace: Option<String>,
    not_relevant_grace: Option<String>,
    converted_grace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErasureSection {
    acknowledge_within: Option<String>,
}

fn no_time() -> String {
    "P0D".to_owned()
}

pub(super) fn retention(section: &RetentionSection) -> Result<RetentionPolicy, ConfigError> {
    let max_age_days = days("retention.max_age", &section.max_age)?;
    if !(1..=MAX_AGE_DAYS_CAP).contains(&max_age_days) {
        return Err(ConfigError(
            "retention.max_age must be from P1D to P3Y".to_owned(),
        ));
    }
    let every = days("retention.closed_grace", &section.closed_grace)?;
    let grace = |key: &str, own: Option<&String>| own.map_or(Ok(every), |text| days(key, text));
    Ok(RetentionPolicy {
        max_age_days,
        grace: GraceDays {
            answered: grace("retention.answered_grace", section.answered_grace.as_ref())?,
            not_relevant: grace(
                "retention.not_relevant_grace",
                section.not_relevant_grace.as_ref(),
            )?,
            converted: grace(
                "retention.converted_grace",
                section.converted_grace.as_ref(),
            )?,
        },
    })
}

pub(super) fn erasure(section: &ErasureSection) -> Result<ErasurePolicy, ConfigError> {
    let Some(within) = &section.acknowledge_within else {
        return Ok(ErasurePolicy::default());
    };
    let acknowledge_within_days = days("erasure.acknowledge_within", within)?;
    if acknowledge_within_days > ACKNOWLEDGE_WITHIN_DAYS_CAP {
        return Err(ConfigError(
            "erasure.acknowledge_within must be at most P31D".to_owned(),
        ));
    }
    Ok(ErasurePolicy {
        acknowledge_within_days,
    })
}

/// Whole days from an ISO 8601 duration; a month counts as 30 days, a year as 365.
pub(super) fn days(key: &str, text: &str) -> Result<i64, ConfigError> {
    let malformed = || ConfigError(format!("{key} must be an ISO 8601 duration such as P180D"));
    let span: Span = text.parse().map_err(|_| malformed())?;
    let whole = i64::from(span.get_years()) * 365 + i64::from(span.get_months()) * 30;
    let rest = span
        .years(0)
        .months(0)
        .total((Unit::Day, SpanRelativeTo::days_are_24_hours()))
        .map_err(|_| malformed())?;
    if rest < 0.0 || rest.fract() != 0.0 || whole < 0 || rest > 1e5 {
        return Err(malformed());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number from 0 to 100,000"
    )]
    let rest = rest as i64;
    Ok(whole + rest)
}
