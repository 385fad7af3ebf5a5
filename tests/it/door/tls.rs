//! TLS: which versions, whose certificates, and how they are replaced while connections are open.

mod clients;
mod files;
mod program;

use std::{net::SocketAddr, sync::Arc};

use lead_intake::{
    door::{Limits, Tls, TlsFiles},
    pb::{StreamLeadsRequest, intake_service_client::IntakeServiceClient},
    server::Parts,
    token::Role,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
        version::{TLS12, TLS13},
    },
};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::support::{
    binary::PATIENCE,
    pki::{Authority, Issued},
    *,
};

/// A client as rustls has it: who it trusts, what it speaks, what it has.
struct Client<'a> {
    authority: &'a Authority,
    versions: &'a [&'static SupportedProtocolVersion],
    protocol: &'a [u8],
    own: Option<&'a Issued>,
}

impl<'a> Client<'a> {
    fn of(authority: &'a Authority) -> Self {
        const NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];
        Self {
            authority,
            versions: NEWEST,
            protocol: b"http/1.1",
            own: None,
        }
    }

    async fn connect(&self, api: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.authority.ca()).unwrap())
            .unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = vec![CertificateDer::from_pem_file(&own.certificate).unwrap()];
                let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![self.protocol.to_vec()];
        let socket = TcpStream::connect(api).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await
    }

    /// Whether the server lets this client in: with 1.3 a client hears that it was refused after its own part is done.
    async fn is_let_in(&self, api: SocketAddr) -> bool {
        let Ok(mut stream) = self.connect(api).await else {
            return false;
        };
        let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        if stream.write_all(request).await.is_err() {
            return false;
        }
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("it hangs");
        answer.starts_with(b"HTTP/1.1 ")
    }
}

fn files(service: &Issued) -> TlsFiles {
    TlsFiles {
        certificate: service.certificate.clone(),
        key: service.key.clone(),
        clients: None,
        allows_1_2: false,
    }
}

async fn start(world: &World, files: TlsFiles) -> Replica {
    let tls = Tls::load(files).unwrap();
    world
        .start_with(|parts| Parts {
            tls: Some(tls),
            ..parts
        })
        .await
}

/// A gRPC channel to a service of this authority, with a certificate of its own if it has one.
fn channel(replica: &Replica, authority: &Authority, own: Option<&Issued>) -> Channel {
    let mut config = ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(authority.ca_pem()));
    if let Some(own) = own {
        let read = |path| std::fs::read(path).unwrap();
        config = config.identity(Identity::from_pem(read(&own.certificate), read(&own.key)));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", replica.api)).unwrap();
    endpoint.tls_config(config).unwrap().connect_lazy()
}

fn caller(channel: &Channel, token: &str) -> Caller {
    let header = format!("Bearer {token}").parse().unwrap();
    InterceptedService::new(trace::Recorded::new(channel.clone()), Bearer::new(header))
}

/// C.6: TLS 1.3 only, unless 1.2 is allowed; HTTP/2 and HTTP/1.1; nothing is answered in the clear, nor to who trusts
/// another authority.
#[tokio::test(flavor = "multi_thread")]
async fn tls_is_1_3_unless_1_2_is_allowed() {
    let world = World::new(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "own");
    let other = Authority::new(dir.path(), "other");
    let service = authority.service("service");
    for allows_1_2 in [false, true] {
        let replica = start(
            &world,
            TlsFiles {
                allows_1_2,
                ..files(&service)
            },
        )
        .await;
        for protocol in [&b"h2"[..], b"http/1.1"] {
            let client = Client {
                protocol,
                ..Client::of(&authority)
            };
            let stream = client.connect(replica.api).await.unwrap();
            let (_, session) = stream.get_ref();
            assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
            assert_eq!(session.alpn_protocol(), Some(protocol));
        }
        let old = Client {
            versions: &[&TLS12],
            ..Client::of(&authority)
        };
        assert_eq!(old.is_let_in(replica.api).await, allows_1_2);
        let unknown = Client {
            protocol: b"spdy/3",
            ..Client::of(&authority)
        };
        assert!(!unknown.is_let_in(replica.api).await);
        assert!(Client::of(&authority).is_let_in(replica.api).await);
        assert!(!Client::of(&other).is_let_in(replica.api).await);

        let mut plain = TcpStream::connect(replica.api).await.unwrap();
        plain
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, plain.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(!answer.starts_with(b"HTTP"), "an alert at most");

        let channel = channel(&replica, &authority, None);
        let mut intake = IntakeServiceClient::new(caller(&channel, replica.token(Role::Intake)));
        intake
            .submit_lead(form("Kari Nordmann", "kari@example.no"))
            .await
            .unwrap();
        replica.stop().await;
    }
}

/// O5, G2: who begins TLS and does not go on is put out in time, and holds no stop.
#[tokio::test(flavor = "multi_thread")]
async fn o5_half_a_hello_is_put_out() {
    let world = World::new(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "own");
    let tls = Tls::load(files(&authority.service("service"))).unwrap();
    let start = async |handshake_within| {
        let tls = Some(tls.clone());
        let limits = Limits {
            handshake_within,
            first_within: handshake_within,
            ..Limits::default()
        };
        world
            .start_with(|parts| Parts {
                tls,
                connections: limits,
                ..parts
            })
            .await
    };
    // The beginning of a handshake record, of which the rest does not come.
    let half = [0x16, 3, 1, 2, 0, 1, 0];
    let replica = start(std::time::Duration::from_millis(200)).await;
    for first in [&half[..0], &half] {
        let mut peer = TcpStream::connect(replica.api).await.unwrap();
        peer.write_all(first).await.unwrap();
        let mut nothing = Vec::new();
        let _ = timeout(PATIENCE, peer.read_to_end(&mut nothing))
            .await
            .expect("it stays");
    }
    // And who greets, and then says nothing.
    let mut silent = Client::of(&authority).connect(replica.api).await.unwrap();
    let mut nothing = Vec::new();
    let _ = timeout(PATIENCE, silent.read_to_end(&mut nothing))
        .await
        .expect("it stays");
    // Byte by byte.
    let mut drip = TcpStream::connect(replica.api).await.unwrap();
    let dripping = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        for byte in half.iter().chain(std::iter::repeat(&0)) {
            if drip.write_all(&[*byte]).await.is_err() {
                break;
            }
            tick.tick().await;
        }
    };
    timeout(PATIENCE, dripping).await.expect("it drips on");
    replica.stop().await;

    let patient = world.start_with(|parts| Parts {
        tls: Some(tls.clone()),
        connections: Limits {
            handshake_within: PATIENCE,
            ..Limits::default()
        },
        ending: lead_intake::server::Ending {
            drain_max: std::time::Duration::from_millis(200),
            ..lead_intake::server::Ending::default()
        },
        ..parts
    });
    let patient = patient.await;
    let mut peer = TcpStream::connect(patient.api).await.unwrap();
    peer.write_all(&half).await.unwrap();
    timeout(PATIENCE, patient.stop())
        .await
        .expect("it holds the stop");
}
