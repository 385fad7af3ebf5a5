//! R2, R3 and Z1: what a role may see, field by field; that no mask widens it; and that the end of a token is its end on
//! every replica.

use std::collections::{BTreeMap, BTreeSet};

use lead_intake::{
    pb,
    token::{Role, Token},
};
use prost_reflect::{Kind, MessageDescriptor};
use tonic::{Code, Status};

use super::{NOTICE, contract, promises, refused, unauthenticated};
use crate::{
    steps::{erase, get_lead, submit_mail},
    support::*,
};

/// The messages that hold what a person submitted, or a document about one.
const PERSONAL: [&str; 2] = ["Lead", "ExportSubjectResponse"];
/// What a CRM sees of a lead, and nothing more: no evidence of consent beside the flag, no address of a machine.
const LEAD: [&str; 11] = [
    "lead_id",
    "name",
    "company",
    "phone",
    "email",
    "lawful_basis",
    "consent",
    "notice_version",
    "submitted_at",
    "erase_by",
    "revision",
];

/// Every message in an answer, by its short name, and itself.
fn reachable(of: &MessageDescriptor, into: &mut BTreeMap<String, MessageDescriptor>) {
    if into.insert(of.name().to_owned(), of.clone()).is_some() {
        return;
    }
    for field in of.fields() {
        if let Kind::Message(inner) = field.kind() {
            reachable(&inner, into);
        }
    }
}

/// Every message that the contract lets a role see.
fn seen_by(role: Role) -> BTreeMap<String, MessageDescriptor> {
    let mut seen = BTreeMap::new();
    for (path, roles) in promises() {
        if roles.contains(&role) {
            let (service, name) = path[1..].split_once('/').unwrap();
            let service = contract().get_service_by_name(service).unwrap();
            let method = service.methods().find(|method| method.name() == name);
            reachable(&method.unwrap().output(), &mut seen);
        }
    }
    seen
}

/// R2: of what people submitted a website and an auditor can read nothing back, by any method that there is; a CRM sees
/// the fields of a lead that the notice names and the facts about the record, and no other. A field that is added to the
/// contract must be added here too.
#[test]
fn r2_a_role_sees_no_field_too_many() {
    for (role, expected) in [
        (Role::Intake, &[][..]),
        (Role::Auditor, &[]),
        (Role::Crm, &["Lead"]),
        (Role::Privacy, &["ExportSubjectResponse"]),
    ] {
        let seen = seen_by(role);
        let personal: Vec<_> = PERSONAL
            .into_iter()
            .filter(|name| seen.contains_key(*name))
            .collect();
        assert_eq!(personal, expected, "{role}");
        for (name, message) in &seen {
            // The company that answers for the data has a name and a telephone, which everybody may know.
            if PERSONAL.contains(&&**name) || name == "Controller" {
                continue;
            }
            for field in message.fields() {
                let submitted = ["name", "company", "phone", "email"].contains(&field.name());
                assert!(!submitted, "{role} sees {name}.{}", field.name());
            }
        }
    }
    let lead = &seen_by(Role::Crm)["Lead"];
    let fields: BTreeSet<String> = lead.fields().map(|it| it.name().to_owned()).collect();
    assert_eq!(fields, LEAD.map(str::to_owned).into());
}

/// An error as its caller gets it, but for what names the call.
fn as_told(status: &Status) -> (Code, String, Vec<u8>) {
    let text = status.message().to_owned();
    (status.code(), text, status.details().to_vec())
}

on_both! {
    /// R2: no path of a field mask reaches what is no field of a form, in whatever spelling; nothing is changed.
    async fn r2_no_field_mask_widens(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let lead_id = submit_mail(&replica, "mask@example.no").await;
        let before = get_lead(&mut replica.crm(), &lead_id).await.unwrap();
        for path in [
            "lead_id", "lawful_basis", "consent", "notice_version", "submitted_at", "erase_by", "revision", "*", "",
            "fields", "fields.name", "name.", ".name", "Name", "name,email", "name\0", "sealed", "email_index",
        ] {
            let request = pb::RectifyLeadRequest {
                request_id: new_id().to_string(),
                lead_id: lead_id.clone(),
                field_mask: Some(prost_types::FieldMask { paths: vec!["name".into(), path.into()] }),
                fields: Some(pb::LeadFields { name: "Somebody Else".into(), ..Default::default() }),
                expected_revision: before.revision,
                ..Default::default()
            };
            let status = replica.privacy().rectify_lead(request).await.expect_err(path);
            assert_eq!(status.code(), Code::InvalidArgument, "{path:?}");
            assert!(violations(&status).contains(&("field_mask".into(), "UNKNOWN_VALUE".into())), "{path:?}");
        }
        assert_eq!(get_lead(&mut replica.crm(), &lead_id).await.unwrap(), before);
        replica.stop().await;
    }

    /// Z1: whoever may not ask about people cannot tell a known person from an unknown one: the refusal is the same to
    /// the byte, and so is what a CRM hears of a lead that is restricted, erased, or never was.
    async fn z1_a_refusal_tells_nothing_of_who_is_known(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let known = submit_mail(&replica, "known@example.no").await;
        for role in [Role::Intake, Role::Crm, Role::Auditor] {
            let mut privacy = pb::privacy_service_client::PrivacyServiceClient::new(
                replica.caller(replica.token(role)),
            );
            let mut told = BTreeSet::new();
            for email in ["known@example.no", "nobody@example.no", "no address"] {
                let find = pb::FindSubjectRequest { request: subject(email) };
                told.insert(format!("{:?}", as_told(&privacy.find_subject(find).await.unwrap_err())));
                let erase = crate::steps::erasure(email);
                told.insert(format!("{:?}", as_told(&privacy.erase_subject(erase).await.unwrap_err())));
                let export = pb::ExportSubjectRequest { request: subject(email), ..Default::default() };
                told.insert(format!("{:?}", as_told(&privacy.export_subject(export).await.unwrap_err())));
            }
            assert_eq!(told.len(), 1, "{told:?}");
        }
        let restricted = submit_mail(&replica, "restricted@example.no").await;
        let restrict = pb::RestrictLeadRequest {
            request_id: new_id().to_string(),
            lead_id: restricted.clone(),
            reason: pb::RestrictionReason::AccuracyContested.into(),
            ..Default::default()
        };
        replica.privacy().restrict_lead(restrict).await.unwrap();
        erase(&replica, "known@example.no").await;
        let mut told = BTreeSet::new();
        for id in [known, restricted, new_id().to_string(), uuid::Uuid::nil().to_string()] {
            let status = get_lead(&mut replica.crm(), &id).await.unwrap_err();
            told.insert(format!("{:?}", as_told(&status)));
        }
        assert_eq!(told.len(), 1, "{told:?}");
        replica.stop().await;
    }
}

/// R3: a revocation on one replica is one on every other: where the token was used and is remembered, where it is new, and
/// on streams that are open there. (That it takes at most 5 s is held by the constants, where they stand.)
#[tokio::test(flavor = "multi_thread")]
async fn r3_a_revocation_reaches_every_replica() {
    let world = World::new(Backend::Postgres).await;
    let (here, there) = (world.start().await, world.start().await);
    let token: Token = world.new_token(&here.store, "leaving", Role::Crm).await;
    let metadata = || raw::bearer(token.expose());
    let (near, far) = (here.channel(), there.channel());
    for channel in [&near, &far] {
        assert_eq!(refused(channel, NOTICE, metadata()).await.0, Code::Ok);
    }
    let follow = pb::StreamLeadsRequest {
        follow: true,
        ..Default::default()
    };
    let mut crm = there.crm_as(token.expose());
    let mut stream = crm.stream_leads(follow).await.unwrap().into_inner();
    let now = lead_intake::clock::Clock::now(&*world.clock);
    assert_eq!(here.store.revoke("leaving", now).await.unwrap(), Some(1));
    for channel in [&near, &far] {
        let answer = eventually(async || {
            let answer = refused(channel, NOTICE, metadata()).await;
            (answer.0 != Code::Ok).then_some(answer)
        });
        assert_eq!(answer.await, unauthenticated("TOKEN_REVOKED"));
    }
    let ended = async {
        loop {
            if let Err(status) = stream.message().await {
                return status;
            }
        }
    };
    let ended = tokio::time::timeout(binary::PATIENCE, ended).await.unwrap();
    let told = (ended.code(), reason(&ended));
    assert_eq!(told, unauthenticated("TOKEN_REVOKED"));
    here.stop().await;
    there.stop().await;
}
