//! The files of TLS: read as a whole, checked as a whole.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};

use super::names::not_after;

/// What a peer can choose to speak after the handshake.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Others may not read a key: the bits of its mode that say so.
const OTHERS: u32 = 0o007;

/// Where the certificate is, and who else must have one.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The service's certificate and what leads to its authority, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
    /// Certificates of clients, if they are looked at.
    pub clients: Option<ClientCertificates>,
    /// Whether TLS 1.2 is spoken too.
    pub allows_1_2: bool,
}

/// Who may prove themselves by a certificate.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    /// The authorities that their certificates are from, as PEM.
    pub ca: PathBuf,
    /// Whether nobody comes in without one.
    pub required: bool,
}

/// Why the files cannot be used. Names the file and never quotes it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not there, or not readable.
    #[error("{0}: cannot be read as PEM: is it there, and does it hold a {1}?")]
    Unreadable(PathBuf, &'static str),
    /// The key is open to others.
    #[error("{0}: others on this machine can read the private key: chmod 0640 or 0600")]
    OpenKey(PathBuf),
    /// An authority's certificate is none.
    #[error("{0}: holds no certificate that can be an authority")]
    NoAuthority(PathBuf),
    /// They do not go together, or are of a kind that is not spoken.
    #[error("{0}: the certificate and the key are not usable, or not of each other: {1}")]
    Unusable(PathBuf, tokio_rustls::rustls::Error),
}

/// What tells one state of the files from another.
pub(super) type Stamp = Vec<Option<(u64, i64, i64, u64)>>;

/// The files, read.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    /// When the certificate ends, in seconds.
    pub(super) not_after: Option<u64>,
}

impl TlsFiles {
    pub(super) fn stamp(&self) -> Stamp {
        let ca = self.clients.as_ref().map(|clients| &clients.ca);
        let files = [Some(&self.certificate), Some(&self.key), ca];
        let stamp = |path: &PathBuf| {
            let found = fs::metadata(path).ok()?;
            Some((found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
        };
        files.into_iter().flatten().map(stamp).collect()
    }

    pub(super) fn load(&self) -> Result<Loaded, TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = self.private_key()?;
        let not_after = chain.first().and_then(not_after);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: &[_] = if self.allows_1_2 {
            &[&TLS13, &TLS12]
        } else {
            &[&TLS13]
        };
        let unusable = |error| TlsError::Unusable(self.certificate.clone(), error);
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(unusable)?
            .with_client_cert_verifier(self.verifier(provider)?)
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Loaded {
            config: Arc::new(config),
            not_after,
        })
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let unreadable = || TlsError::Unreadable(self.key.clone(), "private key");
        let mode = fs::metadata(&self.key)
            .map_err(|_| unreadable())?
            .permissions()
            .mode();
        if mode & OTHERS != 0 {
            return Err(TlsError::OpenKey(self.key.clone()));
        }
        PrivateKeyDer::from_pem_file(&self.key).map_err(|_| unreadable())
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(clients) = &self.clients else {
            return Ok(Arc::new(NoClientAuth));
        };
        let none = || TlsError::NoAuthority(clients.ca.clone());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&clients.ca)? {
            roots.add(certificate).map_err(|_| none())?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if clients.required {
            builder
        } else {
            builder.allow_unauthenticated()
        };
        builder.build().map_err(|_| none())
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = || TlsError::Unreadable(path.to_owned(), "certificate");
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|_| unreadable())?;
    if found.is_empty() {
        return Err(unreadable());
    }
    Ok(found)
}
