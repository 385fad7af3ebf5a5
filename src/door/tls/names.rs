//! What is read in a certificate: the names that it is for, and when it ends.

use std::time::Duration;

use tokio_rustls::rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime},
};
use webpki::{EndEntityCert, Error, KeyUsage};

/// Later than any certificate holds.
const FAR: Duration = Duration::from_secs(u32::MAX as u64 * 50);

/// The URIs and DNS names that a certificate is for. Its subject is not one: what stands there is anybody's text.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    let uris = certificate.valid_uri_names();
    uris.chain(certificate.valid_dns_names())
        .map(str::to_owned)
        .collect()
}

/// When a certificate ends, in seconds. The library tells it to whoever comes too late, so it is asked for that time.
pub(super) fn not_after(certificate: &CertificateDer<'_>) -> Option<u64> {
    let algorithms = aws_lc_rs::default_provider()
        .signature_verification_algorithms
        .all;
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let verified = certificate.verify_for_usage(
        algorithms,
        &[],
        &[],
        UnixTime::since_unix_epoch(FAR),
        KeyUsage::server_auth(),
        None,
        None,
    );
    match verified.err()? {
        Error::CertExpired { not_after, .. } => Some(not_after.as_secs()),
        _ => None,
    }
}
