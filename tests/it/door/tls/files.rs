//! The files are followed: what is sound is taken, what is not changes nothing.

use lead_intake::pb;

use super::*;

/// The names in the certificate that the service shows now.
async fn shown(authority: &Authority, api: SocketAddr) -> CertificateDer<'static> {
    let stream = Client::of(authority).connect(api).await.unwrap();
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].clone().into_owned()
}

fn read(issued: &Issued) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&issued.certificate).unwrap()
}

/// C.6: a new certificate is taken while connections are open, which go on; a bad one changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_and_a_bad_one_is_not() {
    let world = World::new(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "own");
    let service = authority.service("service");
    let first = read(&service);
    let replica = start(&world, files(&service)).await;
    assert_eq!(shown(&authority, replica.api).await, first);
    // Open all the time.
    let channel = channel(&replica, &authority, None);
    let mut crm =
        pb::crm_service_client::CrmServiceClient::new(caller(&channel, replica.token(Role::Crm)));
    let request = StreamLeadsRequest {
        follow: true,
        ..Default::default()
    };
    let mut stream = crm.stream_leads(request).await.unwrap().into_inner();

    let next = authority.service("next");
    let second = read(&next);
    next.replaces(&service);
    eventually(async || (shown(&authority, replica.api).await == second).then_some(())).await;

    // Torn, of another key, and empty. That each is looked at, and refused in words, is seen in `program`.
    let good = std::fs::read_to_string(&service.certificate).unwrap();
    let other = authority.service("other");
    for bad in [
        good[..good.len() / 2].to_owned(),
        std::fs::read_to_string(&other.certificate).unwrap(),
        String::new(),
    ] {
        std::fs::write(&service.certificate, &bad).unwrap();
        let tls = Tls::load(files(&service));
        assert!(tls.is_err(), "at a start it would be refused");
        assert_eq!(shown(&authority, replica.api).await, second);
    }
    let last = authority.service("last");
    let third = read(&last);
    last.replaces(&service);
    eventually(async || (shown(&authority, replica.api).await == third).then_some(())).await;

    let mut intake = IntakeServiceClient::new(caller(&channel, replica.token(Role::Intake)));
    intake
        .submit_lead(form("Kari Nordmann", "kari@example.no"))
        .await
        .unwrap();
    let told = timeout(PATIENCE, stream.message()).await.unwrap().unwrap();
    assert_eq!(
        told.unwrap().changes.len(),
        1,
        "the stream of the first certificate goes on"
    );
    drop(stream);
    replica.stop().await;
}

/// C.5: a private key that others can read is refused; every refusal names the file, and says nothing of what is in it.
#[test]
fn files_that_cannot_be_used_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "own");
    let service = authority.service("service");
    let other = authority.service("other");
    let pem = std::fs::read_to_string(&service.key).unwrap();
    let open = dir.path().join("open.key");
    pki::write_key(&open, &pem, 0o604);
    let group = dir.path().join("group.key");
    pki::write_key(&group, &pem, 0o640);
    let nothing = dir.path().join("nothing.pem");
    std::fs::write(&nothing, "no certificate").unwrap();
    let gone = dir.path().join("gone.pem");
    let ca = |ca: &std::path::Path| {
        let clients = lead_intake::door::ClientCertificates {
            ca: ca.to_owned(),
            required: true,
        };
        TlsFiles {
            clients: Some(clients),
            ..files(&service)
        }
    };
    let with = |certificate: &std::path::Path, key: &std::path::Path| TlsFiles {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        ..files(&service)
    };
    for (files, expected) in [
        (
            with(&service.certificate, &open),
            "others on this machine can read the private key",
        ),
        (
            with(&service.certificate, &other.key),
            "not usable, or not of each other",
        ),
        (
            with(&service.certificate, &gone),
            "cannot be read as PEM: is it there, and does it hold a private key?",
        ),
        (with(&nothing, &service.key), "does it hold a certificate?"),
        (ca(&gone), "does it hold a certificate?"),
        (ca(&nothing), "does it hold a certificate?"),
    ] {
        let refused = Tls::load(files).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
        assert!(refused.contains(dir.path().to_str().unwrap()), "{refused}");
        assert!(!refused.contains("BEGIN"), "{refused}");
    }
    Tls::load(with(&service.certificate, &group)).unwrap();
    Tls::load(ca(&authority.ca())).unwrap();
}
