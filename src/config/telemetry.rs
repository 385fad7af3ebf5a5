//! The section `[telemetry]`: where traces go.

use std::env;

use serde::Deserialize;

use super::ConfigError;

/// Where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesSettings {
    /// URL of a collector that takes OTLP by gRPC.
    pub endpoint: String,
    /// The part of the calls that is traced, from 0 to 1, where the caller does not say.
    pub sample_ratio: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TelemetrySection {
    pub(super) otlp_endpoint: Option<String>,
    pub(super) sample_ratio: Option<f64>,
}

/// Where traces go. An empty variable means nowhere, as an unset one does.
pub(super) fn traces(section: &TelemetrySection) -> Result<Option<TracesSettings>, ConfigError> {
    let sample_ratio = section.sample_ratio.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&sample_ratio) {
        return Err(ConfigError(
            "telemetry.sample_ratio must be from 0 to 1".to_owned(),
        ));
    }
    let endpoint = env::var("LEAD_INTAKE_OTLP_ENDPOINT").ok();
    let endpoint = endpoint.or_else(|| section.otlp_endpoint.clone());
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else {
        return Ok(None);
    };
    let is_plain = endpoint.parse::<http::Uri>().is_ok_and(|uri| {
        let at = |authority: &http::uri::Authority| authority.as_str().contains('@');
        uri.scheme_str() == Some("http") && !uri.authority().is_none_or(at)
    });
    if !is_plain {
        return Err(ConfigError(
            "telemetry.otlp_endpoint must be the http:// URL of a collector that takes OTLP by \
             gRPC, such as http://127.0.0.1:4317; for one beyond TLS, run a collector on this \
             machine that passes on"
                .to_owned(),
        ));
    }
    Ok(Some(TracesSettings {
        endpoint,
        sample_ratio,
    }))
}
