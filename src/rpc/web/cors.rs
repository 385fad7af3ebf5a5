//! What pages of other origins may do: nothing, unless the operator names their origins.
//!
//! A page in a browser has no place for a token that strangers may not read. So this is for tools inside a company,
//! whose users bring their own; a website's form goes to the website's own backend.

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{
    super::observe::REQUEST_ID,
    connect::{TIMEOUT, VERSION},
};

/// For how long a browser may remember what is allowed.
const REMEMBERED: Duration = Duration::from_hours(1);

/// An origin whose pages may call: scheme, host and port, as browsers write it (RFC 6454).
#[derive(Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text is no origin.
#[derive(Debug, thiserror::Error)]
#[error("an origin is a scheme, a host and perhaps a port, such as https://console.example.no")]
pub struct OriginError;

impl std::str::FromStr for Origin {
    type Err = OriginError;

    /// Neither "*" nor "null" is one: they would stand for pages of anybody.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let uri: Uri = text.parse().map_err(|_| OriginError)?;
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(OriginError);
        };
        let written = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
        // With a path, or in capitals, it would never equal what a browser sends.
        if written != text || authority.as_str().contains(['@', '*']) || text != text.to_lowercase()
        {
            return Err(OriginError);
        }
        HeaderValue::from_str(text)
            .map(Self)
            .map_err(|_| OriginError)
    }
}

/// The layer for these origins; none, for no origin.
#[must_use]
pub fn cors(origins: &[Origin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = AllowOrigin::list(origins.iter().map(|origin| origin.0.clone()));
    let asked = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static(VERSION),
        HeaderName::from_static(TIMEOUT),
        HeaderName::from_static("grpc-timeout"),
        HeaderName::from_static("x-grpc-web"),
        HeaderName::from_static("x-user-agent"),
    ];
    let shown = [
        HeaderName::from_static("grpc-status"),
        HeaderName::from_static("grpc-message"),
        HeaderName::from_static("grpc-status-details-bin"),
        HeaderName::from_static(REQUEST_ID),
        header::RETRY_AFTER,
    ];
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::POST]);
    Some(
        layer
            .allow_headers(asked)
            .expose_headers(shown)
            .max_age(REMEMBERED),
    )
}

#[cfg(test)]
mod tests {
    use super::Origin;

    /// What no browser sends as an origin, or what stands for everybody, is refused at the start.
    #[test]
    fn only_an_origin_is_one() {
        for text in ["https://console.example.no", "http://localhost:5173"] {
            assert!(text.parse::<Origin>().is_ok(), "{text}");
        }
        for text in [
            "*",
            "null",
            "",
            "console.example.no",
            "https://",
            "https://example.no/",
            "https://example.no/page",
            "https://Example.no",
            "https://*.example.no",
            "https://kari@example.no",
            "ftp://example.no",
            "https://example.no?x",
            "https://a.no, https://b.no",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
