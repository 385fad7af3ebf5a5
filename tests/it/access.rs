//! Who may call what.
//!
//! The table of promises is made here from the contract's descriptors, without the code that enforces it; each
//! method is called with each kind of token, with an empty message, by its path.

mod properties;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use lead_intake::{
    domain::notice::NoticeRegistry,
    pb,
    rpc::auth::Access,
    server::{Ended, Parts, SERVICES, Server},
    token::Role,
};
use prost_reflect::{DescriptorPool, Value};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
    transport::Channel,
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::support::*;

/// Longer than any token of the world lives: their life is a year.
const MORE_THAN_A_YEAR: i64 = 366 * 24 * 3600;
/// A method that every role may call, and one that none but `intake` may.
const NOTICE: &str = "/leadintake.v1.IntakeService/GetPrivacyNotice";
const SUBMIT: &str = "/leadintake.v1.IntakeService/SubmitLead";

fn contract() -> DescriptorPool {
    DescriptorPool::decode(pb::DESCRIPTORS).unwrap()
}

/// The roles of each method, as the contract says.
fn promises() -> BTreeMap<String, Vec<Role>> {
    let pool = contract();
    let option = pool
        .get_extension_by_name("leadintake.v1.allowed_roles")
        .unwrap();
    let roles = pool.get_enum_by_name("leadintake.v1.Role").unwrap();
    let mut promises = BTreeMap::new();
    for service in pool
        .services()
        .filter(|s| s.package_name() == "leadintake.v1")
    {
        for method in service.methods() {
            let options = method.options();
            let value = options.get_extension(&option);
            let allowed = value.as_list().unwrap().iter().map(|number| {
                let role = roles.get_value(number.as_enum_number().unwrap()).unwrap();
                let name = role.name().strip_prefix("ROLE_").unwrap().to_lowercase();
                Role::from_name(&name).unwrap()
            });
            let path = format!("/{}/{}", service.full_name(), method.name());
            promises.insert(path, allowed.collect());
        }
    }
    promises
}

async fn refused(channel: &Channel, path: &str, metadata: MetadataMap) -> (Code, String) {
    match raw::call(channel, path, metadata, Bytes::new()).await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), reason(&status)),
    }
}

fn unauthenticated(reason: &str) -> (Code, String) {
    (Code::Unauthenticated, reason.to_owned())
}

on_both! {
    /// R1: each method answers the roles that the contract names for it, and nobody else: no token, a
    /// malformed, unknown, expired or revoked one, and every other role are refused, each with its reason.
    async fn each_method_answers_its_roles_and_nobody_else(backend: Backend) {
        let world = World::new(backend).await;
        let store = world.open().await;
        // What the world has is a year old by now: so its tokens have expired.
        world.clock.advance_seconds(MORE_THAN_A_YEAR);
        let mut fresh = Vec::new();
        for role in Role::ALL {
            fresh.push((role, world.new_token(&store, role.name(), role).await));
        }
        let mut revoked = Vec::new();
        for role in Role::ALL {
            let name = format!("revoked-{role}");
            revoked.push(world.new_token(&store, &name, role).await);
            let now = lead_intake::clock::Clock::now(&*world.clock);
            assert_eq!(store.revoke(&name, now).await.unwrap(), Some(1));
        }
        store.close().await;
        let unknown = lead_intake::token::Token::generate(Role::Privacy).unwrap();

        let replica = world.start().await;
        let channel = replica.channel();
        let promises = promises();
        assert!(promises.len() >= 21, "{} methods are not all", promises.len());
        for (path, allowed) in &promises {
            let call = async |metadata| refused(&channel, path, metadata).await;
            assert_eq!(call(MetadataMap::new()).await, unauthenticated("TOKEN_MISSING"), "{path}");
            let malformed = raw::authorization("Bearer li_crm_let-me-in");
            assert_eq!(call(malformed).await, unauthenticated("TOKEN_INVALID"), "{path}");
            let answer = call(raw::bearer(unknown.expose())).await;
            assert_eq!(answer, unauthenticated("TOKEN_INVALID"), "{path}");
            for (role, token) in &world.tokens {
                let answer = call(raw::bearer(token.expose())).await;
                assert_eq!(answer, unauthenticated("TOKEN_EXPIRED"), "{path} for {role}");
            }
            for token in &revoked {
                let answer = call(raw::bearer(token.expose())).await;
                assert_eq!(answer, unauthenticated("TOKEN_REVOKED"), "{path}");
            }
            for (role, token) in &fresh {
                let (code, reason) = call(raw::bearer(token.expose())).await;
                if allowed.contains(role) {
                    let answered = code != Code::Unauthenticated
                        && code != Code::PermissionDenied
                        && reason != "UNKNOWN_METHOD";
                    assert!(answered, "{path} for {role}: {code:?} {reason}");
                } else {
                    let denied = (Code::PermissionDenied, "ROLE_NOT_ALLOWED".to_owned());
                    assert_eq!((code, reason), denied, "{path} for {role}");
                }
            }
        }
        replica.stop().await;
    }

    /// A token expires at its last moment and not before, also while the server remembers it.
    async fn a_token_ends_on_time(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let channel = replica.channel();
        let metadata = || raw::bearer(replica.token(Role::Crm));
        // A year of the civil calendar: of 365 days, since no 29 February lies in it.
        world.clock.advance_seconds(365 * 24 * 3600 - 1);
        assert_eq!(refused(&channel, NOTICE, metadata()).await.0, Code::Ok);
        world.clock.advance_seconds(1);
        let answer = refused(&channel, NOTICE, metadata()).await;
        assert_eq!(answer, unauthenticated("TOKEN_EXPIRED"));
        replica.stop().await;
    }

    /// A revoked token stops working on a server that runs and has used it, and a stream that it opened ends.
    async fn a_revocation_reaches_a_running_server_and_its_streams(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let channel = replica.channel();
        let token = replica.token(Role::Crm);
        assert_eq!(refused(&channel, NOTICE, raw::bearer(token)).await.0, Code::Ok);
        let follow = pb::StreamLeadsRequest { follow: true, ..Default::default() };
        let mut stream = replica.crm().stream_leads(follow).await.unwrap().into_inner();

        let now = lead_intake::clock::Clock::now(&*world.clock);
        assert_eq!(replica.store.revoke("crm", now).await.unwrap(), Some(1));
        let answer = eventually(async || {
            let answer = refused(&channel, NOTICE, raw::bearer(token)).await;
            (answer.0 != Code::Ok).then_some(answer)
        });
        assert_eq!(answer.await, unauthenticated("TOKEN_REVOKED"));
        let ended = async {
            loop {
                if let Err(status) = stream.message().await.map(|message| message.expect("an error")) {
                    return status;
                }
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await.expect("an end");
        assert_eq!((ended.code(), reason(&ended)), unauthenticated("TOKEN_REVOKED"));
        // The others are as they were.
        let other = raw::bearer(replica.token(Role::Privacy));
        assert_eq!(refused(&channel, NOTICE, other).await.0, Code::Ok);
        replica.stop().await;
    }

    /// The role is the client's in the database, whatever the token's text says.
    async fn the_role_in_a_tokens_text_grants_nothing(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let channel = replica.channel();
        let crm = replica.token(Role::Crm);
        let body = crm.rsplit_once('_').unwrap().0.replacen("_crm_", "_privacy_", 1);
        let forged = format!("{body}_{}", checksum(&body));
        // The same secret: the same client, and its role.
        assert_eq!(refused(&channel, NOTICE, raw::bearer(&forged)).await.0, Code::Ok);
        let find = "/leadintake.v1.PrivacyService/FindSubject";
        let answer = refused(&channel, find, raw::bearer(&forged)).await;
        assert_eq!(answer, (Code::PermissionDenied, "ROLE_NOT_ALLOWED".to_owned()));
        // Another's identifier with an own secret: nobody.
        let mut parts: Vec<&str> = crm.split('_').collect();
        let privacy: Vec<&str> = replica.token(Role::Privacy).split('_').collect();
        parts[2] = privacy[2];
        let body = parts[..4].join("_");
        let mixed = format!("{body}_{}", checksum(&body));
        let answer = refused(&channel, NOTICE, raw::bearer(&mixed)).await;
        assert_eq!(answer, unauthenticated("TOKEN_INVALID"));
        replica.stop().await;
    }
}

/// The checksum of a token: CRC-32 in six digits of base 62.
fn checksum(body: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(DIGITS[rest as usize % 62]);
        rest /= 62;
    }
    digits.reverse();
    String::from_utf8(digits).unwrap()
}

/// Only one whole, well-formed `authorization` header is a token; anything else is refused and named as such,
/// without a word of what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn only_one_well_formed_header_is_a_token() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let channel = replica.channel();
    let token = replica.token(Role::Crm);
    let accepted = [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("BEARER {token}"),
    ];
    for header in &accepted {
        let answer = refused(&channel, NOTICE, raw::authorization(header)).await;
        assert_eq!(answer.0, Code::Ok);
    }
    let (prefix, last) = token.split_at(token.len() - 1);
    let other = if last == "0" { "1" } else { "0" };
    let malformed = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        token.to_owned(),
        format!("Basic {token}"),
        format!("Bearer{token}"),
        format!("Bearer {token} {token}"),
        format!("Bearer {token},Bearer {token}"),
        format!("Bearer {prefix}"),
        format!("Bearer {prefix}{other}"),
        format!("Bearer {}", token.to_uppercase()),
        format!("Bearer {token}{}", "0".repeat(4000)),
        format!("Bearer \"{token}\""),
    ];
    for header in &malformed {
        let status = raw::call(&channel, NOTICE, raw::authorization(header), Bytes::new())
            .await
            .unwrap_err();
        let answer = (status.code(), reason(&status));
        assert_eq!(answer, unauthenticated("TOKEN_INVALID"), "{header:?}");
        assert!(!raw::contains(
            &raw::everything(&status),
            &token.as_bytes()[..24]
        ));
    }
    let mut bytes = MetadataMap::new();
    let value = AsciiMetadataValue::try_from(&b"Bearer \xff\xfe"[..]).unwrap();
    bytes.insert("authorization", value);
    let answer = refused(&channel, NOTICE, bytes).await;
    assert_eq!(answer, unauthenticated("TOKEN_INVALID"));
    replica.stop().await;
}

/// Two `authorization` headers are refused even if both hold a valid token: which one counts must not depend
/// on what stands between the caller and the server.
#[tokio::test(flavor = "multi_thread")]
async fn two_authorization_headers_are_refused() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let channel = replica.channel();
    let pairs = [
        (Role::Crm, Role::Crm),
        (Role::Crm, Role::Intake),
        (Role::Intake, Role::Crm),
    ];
    for (first, second) in pairs {
        let mut metadata = raw::bearer(replica.token(first));
        let second = format!("Bearer {}", replica.token(second));
        metadata.append("authorization", second.parse().unwrap());
        for path in [NOTICE, SUBMIT] {
            let answer = refused(&channel, path, metadata.clone()).await;
            assert_eq!(answer, unauthenticated("TOKEN_INVALID"));
        }
    }
    replica.stop().await;
}

/// Headers beyond the server's limit are refused before anything reads them, and the server goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_over_long_header_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let token = replica.token(Role::Crm);
    for length in [9_000, 100_000] {
        let mut metadata = raw::bearer(token);
        metadata.insert("x-padding", "x".repeat(length).parse().unwrap());
        let (code, _) = refused(&replica.channel(), NOTICE, metadata).await;
        assert_ne!(code, Code::Ok, "{length}");
    }
    let answer = refused(&replica.channel(), NOTICE, raw::bearer(token)).await;
    assert_eq!(answer.0, Code::Ok);
    replica.stop().await;
}

/// What is not exactly the path of a method is no method, whoever asks: no spelling of a path reaches a
/// handler around the access rules.
#[tokio::test(flavor = "multi_thread")]
async fn no_other_spelling_of_a_path_reaches_a_method() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let channel = replica.channel();
    let paths = [
        "/leadintake.v1.IntakeService/NoSuchMethod",
        "/leadintake.v1.IntakeService/submitLead",
        "/leadintake.v1.IntakeService/SubmitLead/",
        "/leadintake.v1.IntakeService//SubmitLead",
        "//leadintake.v1.IntakeService/SubmitLead",
        "/./leadintake.v1.IntakeService/SubmitLead",
        "/x/../leadintake.v1.IntakeService/SubmitLead",
        "/leadintake.v1.intakeservice/SubmitLead",
        "/LeadIntake.v1.IntakeService/SubmitLead",
        "/leadintake.v1.IntakeService/Submit%4Cead",
        "/%6ceadintake.v1.IntakeService/SubmitLead",
        "/leadintake.v1.IntakeService",
        "/leadintake.v1.IntakeService/",
        "/leadintake.v1.CrmService/SubmitLead",
        "/leadintake.v2.IntakeService/SubmitLead",
        "/IntakeService/SubmitLead",
        "/leadintake.v1./SubmitLead",
        "/leadintake.v1",
        "/",
    ];
    let callers = [None]
        .into_iter()
        .chain(Role::ALL.map(|role| Some(replica.token(role))));
    for token in callers {
        for path in paths {
            let metadata = token.map_or_else(MetadataMap::new, raw::bearer);
            let answer = refused(&channel, path, metadata).await;
            assert_eq!(
                answer,
                (Code::Unimplemented, "UNKNOWN_METHOD".to_owned()),
                "{path}"
            );
        }
    }
    replica.stop().await;
}

/// A message field of length-delimited parts: see `descriptor.proto`.
fn method(name: &str, options: &[u8]) -> Vec<u8> {
    [
        raw::field(1, name.as_bytes()),
        raw::field(2, b".leadintake.v1.GetLeadRequest"),
        raw::field(3, b".leadintake.v1.GetLeadResponse"),
        raw::field(4, options),
    ]
    .concat()
}

/// The contract with one file more: a service of these methods.
fn contract_with(package: &str, methods: &[Vec<u8>]) -> DescriptorPool {
    let mut service = raw::field(1, b"ExtraService");
    for method in methods {
        service.extend(raw::field(2, method));
    }
    let file = [
        raw::field(1, b"extra.proto"),
        raw::field(2, package.as_bytes()),
        raw::field(3, b"leadintake/v1/crm.proto"),
        raw::field(3, b"leadintake/v1/options.proto"),
        raw::field(6, &service),
        raw::field(12, b"proto3"),
    ];
    let mut pool = contract();
    pool.decode_file_descriptor_proto(&file.concat()[..])
        .unwrap();
    pool
}

/// A method of the contract that does not say who may call it is refused at start: forgetting the option
/// never opens a method. The error names the method.
#[test]
fn a_method_without_roles_is_refused_at_start() {
    let roles = |numbers: &[u64]| -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| raw::varint(50917, *number))
            .collect()
    };
    let guarded = method("Guarded", &roles(&[2]));
    let access = Access::from_descriptors(&contract_with(
        "leadintake.v1",
        std::slice::from_ref(&guarded),
    ));
    let access = access.unwrap();
    let path = "/leadintake.v1.ExtraService/Guarded";
    assert_eq!(access.roles(path), Some(&[Role::Crm][..]));
    assert_eq!(access.roles("/leadintake.v1.ExtraService/Other"), None);

    for (what, options) in [
        ("no option", roles(&[])),
        ("not a role", roles(&[0])),
        ("a role and not a role", roles(&[2, 0])),
        ("a number without a name", roles(&[2, 99])),
        ("another option", raw::varint(33, 1)),
    ] {
        let methods = [guarded.clone(), method("Forgotten", &options)];
        let refused = Access::from_descriptors(&contract_with("leadintake.v1", &methods));
        let error = refused.expect_err(what).to_string();
        assert!(
            error.contains("/leadintake.v1.ExtraService/Forgotten"),
            "{what}: {error}"
        );
    }

    // Not ours, and never routed as ours: health and reflection have no such option either.
    let foreign = contract_with("somebody.v1", &[method("Free", &[])]);
    assert!(Access::from_descriptors(&foreign).is_ok());
}

/// What the server enforces is what the contract says, method by method.
#[test]
fn the_enforced_table_is_the_contract() {
    let access = Access::from_descriptors(&contract()).unwrap();
    let enforced: BTreeMap<String, Vec<Role>> = access
        .methods()
        .map(|(path, roles)| (path.to_owned(), roles.to_vec()))
        .collect();
    assert_eq!(enforced, promises());
    // The option has no other value than a list of roles.
    let option = contract()
        .get_extension_by_name("leadintake.v1.allowed_roles")
        .unwrap();
    assert!(matches!(option.default_value(), Value::List(roles) if roles.is_empty()));
}

on_both! {
    /// Health answers without a token, for each service and the whole, with a status and nothing else.
    async fn health_answers_anybody_with_a_status_only(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut health = HealthClient::new(replica.channel());
        for service in SERVICES.into_iter().chain([""]) {
            let serving = eventually(async || {
                let request = HealthCheckRequest { service: service.to_owned() };
                // Before the first look at the database a service is not registered yet.
                let answer = health.check(request).await.ok()?.into_inner();
                (answer.status() == ServingStatus::Serving).then_some(())
            });
            serving.await;
        }
        let request = HealthCheckRequest { service: "leadintake.v1.NoSuchService".to_owned() };
        let unknown = health.check(request).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
        assert!(!raw::contains(&raw::everything(&unknown), b"NoSuchService"));
        replica.stop().await;
    }
}

async fn reflect(
    client: &mut ServerReflectionClient<Channel>,
    request: MessageRequest,
) -> Result<MessageResponse, Status> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let mut answers = client
        .server_reflection_info(tokio_stream::iter([request]))
        .await?
        .into_inner();
    Ok(answers.next().await.unwrap()?.message_response.unwrap())
}

/// Reflection answers without a token with the contract, whole, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn reflection_answers_anybody_with_the_contract_only() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let mut client = ServerReflectionClient::new(replica.channel());
    let answer = reflect(&mut client, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(list) = answer.unwrap() else {
        panic!("not a list")
    };
    let mut names: Vec<_> = list.service.into_iter().map(|s| s.name).collect();
    names.sort();
    let mut expected: Vec<String> = SERVICES.map(str::to_owned).to_vec();
    expected.push("grpc.health.v1.Health".to_owned());
    expected.push("grpc.reflection.v1.ServerReflection".to_owned());
    expected.sort();
    assert_eq!(names, expected);

    for service in SERVICES {
        let symbol = MessageRequest::FileContainingSymbol(service.to_owned());
        let MessageResponse::FileDescriptorResponse(files) =
            reflect(&mut client, symbol).await.unwrap()
        else {
            panic!("not a file")
        };
        // Byte for byte a file of the contract, options included.
        for file in files.file_descriptor_proto {
            let mut pool = contract();
            let added = pool.decode_file_descriptor_proto(&file[..]);
            added.expect("the same file may be added again; another one of its name may not");
        }
    }
    replica.stop().await;
}

/// A server that was not told to show its contract does not; everything else is as before.
#[tokio::test(flavor = "multi_thread")]
async fn reflection_can_be_off() {
    let world = World::new(Backend::Sqlite).await;
    let parts = Parts {
        prover: None,
        witness: None,
        store: world.open().await,
        keys: lead_intake::seal::LiveKeyRing::fixed(world.keys.clone()),
        clock: world.clock.clone(),
        notices: Arc::new(NoticeRegistry::shipped(&world.settings.controller).unwrap()),
        settings: world.settings.clone(),
        limits: lead_intake::rpc::limits::Limits::default(),
        metrics: None,
        cors_origins: Vec::new(),
        reflection: false,
        sweep_every: world.sweep_every,
        index_every: lead_intake::jobs::INDEX_EVERY,
        tls: None,
        certificates: Arc::default(),
        connections: lead_intake::door::Limits::default(),
        ending: lead_intake::server::Ending::default(),
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(parts, any, any).await.unwrap();
    let (api, _) = server.addresses().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.run(stop.clone()));
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{api}"))
        .unwrap()
        .connect_lazy();
    let mut client = ServerReflectionClient::new(channel.clone());
    let list = MessageRequest::ListServices(String::new());
    let refusal = reflect(&mut client, list).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unimplemented);
    let answer = refused(&channel, NOTICE, MetadataMap::new()).await;
    assert_eq!(answer, unauthenticated("TOKEN_MISSING"));
    stop.cancel();
    assert_eq!(serving.await.unwrap(), Ended::Stopped);
}
