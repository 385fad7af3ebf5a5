//! `https://`: whom a client command trusts, and how it proves itself.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use zeroize::Zeroizing;

/// Arguments of whatever connects to a service.
#[derive(Debug, clap::Args)]
pub(super) struct TlsArgs {
    /// With https://: file with the authority that made the service's certificate [default: those that this machine
    /// trusts]
    #[arg(
        long,
        env = "LEAD_INTAKE_CA",
        value_name = "FILE",
        help_heading = "Connection"
    )]
    ca: Option<PathBuf>,
    /// With https://: file with a certificate to prove who calls
    #[arg(
        long,
        env = "LEAD_INTAKE_CERT",
        value_name = "FILE",
        requires = "key",
        help_heading = "Connection"
    )]
    cert: Option<PathBuf>,
    /// File with its private key
    #[arg(
        long,
        env = "LEAD_INTAKE_KEY",
        value_name = "FILE",
        requires = "cert",
        help_heading = "Connection"
    )]
    key: Option<PathBuf>,
}

impl TlsArgs {
    /// Where a URL leads, by TLS if it says so.
    pub(super) fn endpoint(&self, url: &str) -> anyhow::Result<Endpoint> {
        let none = || format!("{url} is not a URL such as http://127.0.0.1:50051");
        let endpoint = Endpoint::from_shared(url.to_owned()).with_context(none)?;
        match endpoint.uri().scheme_str() {
            Some("http") if self.ca.is_none() && self.cert.is_none() => Ok(endpoint),
            Some("http") => bail!("{url}: --ca and --cert are for https://"),
            Some("https") => endpoint
                .tls_config(self.config()?)
                .context("the files for TLS cannot be used"),
            _ => bail!(none()),
        }
    }

    /// Whether a certificate proves who calls, so that a token may be left out.
    pub(super) fn has_certificate(&self) -> bool {
        self.cert.is_some()
    }

    fn config(&self) -> anyhow::Result<ClientTlsConfig> {
        let read = |path: &PathBuf| {
            fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
        };
        let mut config = ClientTlsConfig::new();
        config = match &self.ca {
            Some(ca) => config.ca_certificate(Certificate::from_pem(read(ca)?)),
            None => config.with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            let key = Zeroizing::new(read(key)?);
            config = config.identity(Identity::from_pem(read(cert)?, &*key));
        }
        Ok(config)
    }
}
