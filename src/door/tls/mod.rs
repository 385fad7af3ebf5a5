//! TLS at the door: rustls on aws-lc, 1.3 unless told otherwise, HTTP/2 and HTTP/1.1.
//!
//! The rule: what is in force is one [`ServerConfig`], made of the files as a whole ([`files`]). When a file changes, or
//! on SIGHUP, all are read again; what is sound takes its place for the next connections, and those that are open go
//! on. What is not sound changes nothing, and the log says so. A client's certificate is taken as far as the names in
//! it ([`names`]); what a name may do is for `rpc::auth`.

mod files;
mod names;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{net::TcpStream, sync::Notify};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};
use tokio_util::sync::CancellationToken;

pub use self::files::{ClientCertificates, TlsError, TlsFiles};
use self::files::{Loaded, Stamp};

/// How often the files are looked at: a mounted secret is replaced without a word.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// TLS as its files have it now.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
    /// What was read last, be it in force or refused.
    seen: RwLock<Stamp>,
    asked: Notify,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files for the first time.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        // First, so that a change in between is seen.
        let seen = files.stamp();
        let loaded = files.load()?;
        show(&loaded);
        Ok(Arc::new(Self {
            files,
            current: RwLock::new(loaded.config),
            seen: RwLock::new(seen),
            asked: Notify::new(),
        }))
    }

    /// Has the files read again soon, changed or not.
    pub fn look_again(&self) {
        self.asked.notify_one();
    }

    /// Follows the files until the end.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked.notified() => true,
                _ = tick.tick() => false,
            };
            // Small files, once in a second: no other thread is worth it.
            self.look(is_asked);
        }
    }

    fn look(&self, is_asked: bool) {
        let found = self.files.stamp();
        let seen = self
            .seen
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if found == seen && !is_asked {
            return;
        }
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = found;
        match self.files.load() {
            Ok(loaded) => {
                show(&loaded);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded.config;
                tracing::info!(
                    "the TLS certificate was read again and is in force for new connections"
                );
            }
            Err(error) => {
                metrics::counter!("lead_intake_tls_refused_total").increment(1);
                tracing::error!(%error, "the new TLS files are not sound: the ones before stay in force");
            }
        }
    }

    /// Greets a peer.
    pub(super) async fn accept(&self, socket: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        TlsAcceptor::from(config).accept(socket).await
    }
}

/// The names in the certificate that a peer proved.
pub(super) fn peer_names(stream: &TlsStream<TcpStream>) -> Arc<[String]> {
    let (_, session) = stream.get_ref();
    let certificates = session.peer_certificates().unwrap_or_default();
    certificates
        .first()
        .map(names::names)
        .unwrap_or_default()
        .into()
}

fn show(loaded: &Loaded) {
    if let Some(seconds) = loaded.not_after {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a second of a date is exact for a million years"
        )]
        metrics::gauge!("lead_intake_tls_certificate_expiry_timestamp_seconds").set(seconds as f64);
    }
}
