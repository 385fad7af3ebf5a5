//! Certificates for tests: an authority and what it signs, as files.

use std::{
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// When every certificate ends, in seconds.
pub const NOT_AFTER: &str = "4070908800";

/// An authority, and the directory where what it makes lies.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
    name: String,
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// A new one, whose files begin with this name.
    pub fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self {
            issuer,
            dir: dir.to_owned(),
            name: name.to_owned(),
        };
        std::fs::write(authority.ca(), authority.issuer.pem()).unwrap();
        authority
    }

    /// The file with its certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join(format!("{}-ca.pem", self.name))
    }

    pub fn ca_pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a service on this machine.
    pub fn service(&self, file: &str) -> Issued {
        self.issue(file, &["localhost", "127.0.0.1"])
    }

    /// A certificate for these names: URIs, addresses and DNS names.
    pub fn issue(&self, file: &str, names: &[&str]) -> Issued {
        let (uris, others): (Vec<&str>, Vec<&str>) =
            names.iter().copied().partition(|name| name.contains(':'));
        let others: Vec<_> = others.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(others).unwrap();
        for uri in uris {
            let uri = SanType::URI(uri.try_into().unwrap());
            params.subject_alt_names.push(uri);
        }
        params.not_after = date_time_ymd(2099, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let issued = Issued {
            certificate: self.dir.join(format!("{file}.pem")),
            key: self.dir.join(format!("{file}.key")),
        };
        std::fs::write(&issued.certificate, certificate.pem()).unwrap();
        write_key(&issued.key, &key.serialize_pem(), 0o600);
        issued
    }
}

impl Issued {
    /// Puts this certificate and its key in another's place, each at once, as secrets are replaced.
    pub fn replaces(&self, other: &Self) {
        std::fs::rename(&self.key, &other.key).unwrap();
        std::fs::rename(&self.certificate, &other.certificate).unwrap();
    }
}

/// Writes a key with this mode.
pub fn write_key(path: &Path, pem: &str, mode: u32) {
    use std::io::Write as _;
    let _ = std::fs::remove_file(path);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    options
        .open(path)
        .unwrap()
        .write_all(pem.as_bytes())
        .unwrap();
}
