//! Certificates of clients: who comes in by one, who calls by one, and for whom.

use std::collections::HashMap;

use lead_intake::{
    door::ClientCertificates,
    pb::{GetPrivacyNoticeRequest, PullLeadsRequest, crm_service_client::CrmServiceClient},
    rpc::auth::certificate::{Certificates, Certified},
};
use tonic::Code;

use super::*;

const CRM_NAME: &str = "spiffe://example.no/crm";

/// The client `crm` by its certificate's URI, `intake` by a DNS name beside its token, `nobody` by a name that stands for a
/// client that is not there.
fn certificates() -> Arc<Certificates> {
    let names = [
        (CRM_NAME, "crm", false),
        ("website.example.no", "intake", true),
        ("nobody.example.no", "nobody", false),
    ];
    let certified = |client: &str, with_token| Certified {
        client: client.into(),
        with_token,
    };
    let names = names.map(|(name, client, with)| (name.to_owned(), certified(client, with)));
    Arc::new(Certificates::new(HashMap::from(names)))
}

async fn start_for_clients(world: &World, authority: &Authority, required: bool) -> Replica {
    let clients = ClientCertificates {
        ca: authority.ca(),
        required,
    };
    let service = authority.service("service");
    let tls = Tls::load(TlsFiles {
        clients: Some(clients),
        ..files(&service)
    })
    .unwrap();
    world
        .start_with(|parts| Parts {
            tls: Some(tls),
            certificates: certificates(),
            ..parts
        })
        .await
}

/// Pulls without a token.
async fn pull(channel: &Channel) -> Result<(), tonic::Status> {
    let recorded = trace::Recorded::new(channel.clone());
    CrmServiceClient::new(recorded)
        .pull_leads(PullLeadsRequest::default())
        .await
        .map(drop)
}

/// Asks for the notice, which every role may, with this token.
async fn notice(channel: &Channel, token: &str) -> Result<(), tonic::Status> {
    let mut intake = IntakeServiceClient::new(caller(channel, token));
    intake
        .get_privacy_notice(GetPrivacyNoticeRequest::default())
        .await
        .map(drop)
}

fn refusal(result: Result<(), tonic::Status>) -> String {
    let status = result.expect_err("it is let through");
    assert_eq!(status.code(), Code::Unauthenticated);
    reason(&status)
}

on_both! {
    /// A certificate stands for its client instead of a token, or beside it; never for another one, and never for one
    /// that is not there.
    async fn a_certificate_is_its_client_and_no_other(backend: Backend) {
        let world = World::new(backend).await;
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path(), "own");
        let replica = start_for_clients(&world, &authority, false).await;
        let of = |names: &[&str]| channel(&replica, &authority, Some(&authority.issue("client", names)));
        let [intake, crm, privacy] = [Role::Intake, Role::Crm, Role::Privacy].map(|role| replica.token(role));

        // Instead of a token: that client, its role, and nothing else.
        let by_uri = of(&[CRM_NAME]);
        pull(&by_uri).await.unwrap();
        notice(&by_uri, crm).await.unwrap();
        assert_eq!(refusal(notice(&by_uri, privacy).await), "CERTIFICATE_OF_ANOTHER");
        let mut other = IntakeServiceClient::new(trace::Recorded::new(by_uri.clone()));
        let form = form("Kari Nordmann", "kari@example.no");
        assert_eq!(reason(&other.submit_lead(form).await.unwrap_err()), "ROLE_NOT_ALLOWED");

        // Beside a token: neither does it alone.
        let by_dns = of(&["website.example.no"]);
        notice(&by_dns, intake).await.unwrap();
        assert_eq!(refusal(pull(&by_dns).await), "TOKEN_MISSING");
        assert_eq!(refusal(notice(&by_dns, crm).await), "CERTIFICATE_OF_ANOTHER");
        for elsewhere in [channel(&replica, &authority, None), of(&["other.example.no"])] {
            assert_eq!(refusal(notice(&elsewhere, intake).await), "CERTIFICATE_MISSING");
            // Who needs none is not asked for one; who has neither is nobody.
            notice(&elsewhere, privacy).await.unwrap();
            assert_eq!(refusal(pull(&elsewhere).await), "TOKEN_MISSING");
        }

        assert_eq!(refusal(pull(&of(&["nobody.example.no"])).await), "CERTIFICATE_UNKNOWN");
        // A name that only contains one, or matches one as a pattern, is another name.
        for name in ["*.example.no", "x.website.example.no", "spiffe://example.no/crm/x"] {
            assert_eq!(refusal(pull(&of(&[name])).await), "TOKEN_MISSING", "{name}");
        }
        // A bad token is not made good by a certificate.
        assert_eq!(refusal(notice(&by_uri, "li_crm_x").await), "TOKEN_INVALID");
        replica.stop().await;
    }

    /// R3: who revokes a client ends its certificate too, within 5 s, open streams included.
    async fn a_revocation_ends_a_certificate(backend: Backend) {
        let world = World::new(backend).await;
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path(), "own");
        let replica = start_for_clients(&world, &authority, true).await;
        let channel = channel(&replica, &authority, Some(&authority.issue("client", &[CRM_NAME])));
        let mut crm = CrmServiceClient::new(trace::Recorded::new(channel.clone()));
        let request = StreamLeadsRequest { follow: true, ..Default::default() };
        let mut stream = crm.stream_leads(request).await.unwrap().into_inner();
        let store = world.open().await;
        store.revoke("crm", lead_intake::clock::Clock::now(&*world.clock)).await.unwrap();
        let refused = eventually(async || pull(&channel).await.err()).await;
        assert_eq!(reason(&refused), "TOKEN_REVOKED");
        let end = timeout(PATIENCE, async {
            loop {
                match stream.message().await {
                    Ok(Some(_)) => {}
                    end => return end,
                }
            }
        });
        assert_eq!(reason(&end.await.unwrap().unwrap_err()), "TOKEN_REVOKED");
        // A new token makes the client, and with it the certificate, what they were.
        let fresh = world.new_token(&store, "crm", Role::Crm).await;
        eventually(async || pull(&channel).await.ok()).await;
        notice(&channel, fresh.expose()).await.unwrap();
        store.close().await;
        replica.stop().await;
    }
}

/// Where a certificate is required nobody comes in without one, and none of another authority is believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_required_certificate_is_required() {
    let world = World::new(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "own");
    let other = Authority::new(dir.path(), "other");
    let own = authority.issue("own", &[CRM_NAME]);
    let foreign = other.issue("foreign", &[CRM_NAME]);
    for required in [true, false] {
        let replica = start_for_clients(&world, &authority, required).await;
        let with = |own| Client {
            own,
            ..Client::of(&authority)
        };
        assert!(with(Some(&own)).is_let_in(replica.api).await);
        assert_eq!(with(None).is_let_in(replica.api).await, !required);
        assert!(!with(Some(&foreign)).is_let_in(replica.api).await);
        replica.stop().await;
    }
}

/// The authority of clients is followed as the service's own certificate is: with a new one the certificates of the old
/// come in no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_authority_of_clients_is_taken() {
    let world = World::new(Backend::Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "own");
    let next = Authority::new(dir.path(), "next");
    let old = authority.issue("old", &[CRM_NAME]);
    let new = next.issue("new", &[CRM_NAME]);
    let ca = dir.path().join("clients.pem");
    std::fs::copy(authority.ca(), &ca).unwrap();
    let service = authority.service("service");
    let clients = ClientCertificates {
        ca: ca.clone(),
        required: true,
    };
    let replica = start(
        &world,
        TlsFiles {
            clients: Some(clients),
            ..files(&service)
        },
    )
    .await;
    let with = |own| Client {
        own: Some(own),
        ..Client::of(&authority)
    };
    assert!(with(&old).is_let_in(replica.api).await);
    assert!(!with(&new).is_let_in(replica.api).await);
    std::fs::copy(next.ca(), &ca).unwrap();
    eventually(async || with(&new).is_let_in(replica.api).await.then_some(())).await;
    assert!(!with(&old).is_let_in(replica.api).await);
    replica.stop().await;
}
