//! The section `[tls]`.

use std::{collections::HashMap, path::PathBuf};

use serde::Deserialize;

use super::{ConfigError, ListenArgs};
use crate::{
    door::{ClientCertificates, TlsFiles},
    rpc::auth::certificate::{Certificates, Certified},
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsSection {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    min_version: MinVersion,
    client_ca: Option<PathBuf>,
    #[serde(default)]
    client_certificate: Demand,
    #[serde(default)]
    clients: HashMap<String, ClientSection>,
}

/// The oldest version that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum MinVersion {
    #[default]
    #[serde(rename = "1.3")]
    Tls13,
    #[serde(rename = "1.2")]
    Tls12,
}

/// Whether a peer must have a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Demand {
    #[default]
    Optional,
    Required,
}

/// What a certificate's name stands for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientSection {
    client: String,
    #[serde(default)]
    token: bool,
}

/// TLS as section and flags have it, and whose certificates stand for whom.
pub(super) fn tls(
    section: TlsSection,
    args: &ListenArgs,
) -> Result<(Option<TlsFiles>, Certificates), ConfigError> {
    let refuse = |text: &str| Err(ConfigError(text.to_owned()));
    let certificate = args.tls_certificate.clone().or(section.certificate);
    let key = args.tls_key.clone().or(section.key);
    if section.client_ca.is_none()
        && (section.client_certificate == Demand::Required || !section.clients.is_empty())
    {
        return refuse("tls.client_ca is missing: it says whose client certificates are believed");
    }
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if section.client_ca.is_none() => {
            return Ok((None, Certificates::default()));
        }
        _ => return refuse("[tls] needs both a certificate and a key"),
    };
    let names = section.clients.into_iter().map(|(name, of)| {
        let client = of.client.into();
        let with_token = of.token;
        (name, Certified { client, with_token })
    });
    let files = TlsFiles {
        certificate,
        key,
        clients: section.client_ca.map(|ca| ClientCertificates {
            ca,
            required: section.client_certificate == Demand::Required,
        }),
        allows_1_2: section.min_version == MinVersion::Tls12,
    };
    Ok((Some(files), Certificates::new(names.collect())))
}
