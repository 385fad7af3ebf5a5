//! Whose lead is it? Art. 12(6) and 15(4), through the API.

use lead_intake::pb::{self, UnconfirmedReason};
use tonic::Code;

use crate::{steps::*, support::*};

/// A person, as privacy tooling names one.
fn person(email: &str, phone: &str, name: &str) -> pb::SubjectRequest {
    pb::SubjectRequest {
        request_id: new_id().to_string(),
        subject: Some(pb::Subject {
            email: email.to_owned(),
            phone: phone.to_owned(),
            name: name.to_owned(),
            lead_ids: Vec::new(),
        }),
        ..Default::default()
    }
}

fn contact(name: &str, email: &str, phone: &str) -> pb::SubmitLeadRequest {
    pb::SubmitLeadRequest {
        phone: phone.to_owned(),
        ..form(name, email)
    }
}

async fn find(replica: &Replica, request: &pb::SubjectRequest) -> pb::FindSubjectResponse {
    let request = pb::FindSubjectRequest {
        request: Some(request.clone()),
    };
    let found = replica.privacy().find_subject(request).await.unwrap();
    found.into_inner()
}

async fn export(
    replica: &Replica,
    request: &pb::SubjectRequest,
    kind: pb::ExportKind,
) -> (String, pb::ExportSubjectResponse) {
    let request = pb::ExportSubjectRequest {
        request: Some(request.clone()),
        kind: kind.into(),
        ..Default::default()
    };
    let made = replica.privacy().export_subject(request).await.unwrap();
    let made = made.into_inner();
    (String::from_utf8(made.content.clone()).unwrap(), made)
}

fn ids(found: &pb::FindSubjectResponse) -> Vec<&str> {
    found.leads.iter().map(|lead| &*lead.lead_id).collect()
}

fn doubts(found: &pb::FindSubjectResponse) -> Vec<(&str, UnconfirmedReason)> {
    let doubts = found.unconfirmed.iter();
    doubts.map(|lead| (&*lead.lead_id, lead.reason())).collect()
}

on_both! {
    /// Art. 12(6): a lead is a person's by its mailbox, however typed, or by its phone if it has no mailbox
    /// of its own; with another mailbox behind the phone, or under another name, it is only a candidate.
    async fn art_12_6_whose_lead_it_is(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let kari = submit(&replica, contact("Kari Nordmann", "Kari@Example.no", "406 05 600")).await;
        // Oldest first is by the millisecond, and the clock stands still.
        world.clock.advance_seconds(1);
        let phone = submit(&replica, contact("Kari Nordmann", "", "+47 40605600")).await;
        let firm = pb::SubmitLeadRequest {
            company: "Nordmann AS".to_owned(),
            ..contact("", "post@example.no", "0047 22 12 34 56")
        };
        let firm = submit(&replica, firm).await;
        let other = UnconfirmedReason::OtherEmail;
        let name = UnconfirmedReason::OtherName;
        for (request, leads, unconfirmed) in [
            (person("kari@example.no", "", ""), vec![&kari], vec![]),
            (person("  KARI@EXAMPLE.NO ", "", ""), vec![&kari], vec![]),
            (person("ｋａｒｉ@example.no", "", ""), vec![&kari], vec![]),
            (person("kari@example.no", "", "kari  NORDMANN"), vec![&kari], vec![]),
            (person("kari@example.no", "", "Ola"), vec![], vec![(&kari, name)]),
            (person("", "40605600", ""), vec![&phone], vec![(&kari, other)]),
            (person("", "+4740605600", ""), vec![&phone], vec![(&kari, other)]),
            (person("", "0047 406 05 600", "Ola"), vec![], vec![(&kari, other), (&phone, name)]),
            (person("kari@example.no", "40605600", ""), vec![&kari, &phone], vec![]),
            (person("ola@example.no", "40605600", ""), vec![&phone], vec![(&kari, other)]),
            (person("post@example.no", "", "nordmann as"), vec![&firm], vec![]),
            (person("post@example.no", "", "Kari"), vec![], vec![(&firm, name)]),
            (person("kari+news@example.no", "", ""), vec![], vec![]),
            (person("ka.ri@example.no", "", ""), vec![], vec![]),
            (person("", "40605601", ""), vec![], vec![]),
        ] {
            let found = find(&replica, &request).await;
            assert_eq!(ids(&found), leads, "{:?}", request.subject);
            let unconfirmed: Vec<_> = unconfirmed.iter().map(|(id, why)| (&***id, *why)).collect();
            assert_eq!(doubts(&found), unconfirmed, "{:?}", request.subject);
            assert!(found.leads.iter().all(|lead| lead.submitted_month == "2026-11"));
            assert!(found.leads.iter().all(|lead| lead.state() == pb::LeadState::Available));
        }
        replica.stop().await;
    }

    /// Art. 15(4), 20(4): no export shows a value of somebody who shares the phone or the mailbox, and no
    /// erasure touches their lead.
    async fn art_15_4_a_neighbour_is_never_shown(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        // Three behind a switchboard; two of them share a mailbox besides.
        submit(&replica, contact("Astrid Fjellheim", "astrid@example.no", "22123456")).await;
        let brage = submit(&replica, contact("Brage Granli", "felles@example.no", "22123456")).await;
        submit(&replica, contact("Cecilie Haugen", "felles@example.no", "22123457")).await;
        let secrets = [
            ["Astrid", "Fjellheim", "astrid@", "~~~~"],
            ["Brage", "Granli", "felles@", "~~~~"],
            ["Cecilie", "Haugen", "felles@", "22123457"],
        ];
        for (request, own) in [
            (person("astrid@example.no", "", ""), 0),
            (person("astrid@example.no", "22123456", ""), 0),
            (person("felles@example.no", "", "Brage Granli"), 1),
            (person("felles@example.no", "22123456", "Brage Granli"), 1),
            (person("felles@example.no", "", "Cecilie Haugen"), 2),
        ] {
            for kind in [pb::ExportKind::Access, pb::ExportKind::Portability] {
                let fresh = || new_id().to_string();
                let request = pb::SubjectRequest { request_id: fresh(), ..request.clone() };
                let (text, made) = export(&replica, &request, kind).await;
                assert_eq!(made.leads, 1);
                for (person, values) in secrets.iter().enumerate() {
                    let theirs = |value: &&&str| person == own || !secrets[own].contains(*value);
                    for value in values.iter().filter(theirs) {
                        assert_eq!(text.contains(value), person == own && *value != "~~~~", "{value}");
                    }
                }
                let request = pb::SubjectRequest { request_id: fresh(), ..request };
                assert_eq!(export(&replica, &request, kind).await.0, text);
            }
        }
        // By phone alone nobody is certain: nothing is shown.
        let request = person("", "22123456", "");
        let (text, made) = export(&replica, &request, pb::ExportKind::Access).await;
        assert_eq!((made.leads, made.unconfirmed.len()), (0, 2));
        assert!(!secrets.as_flattened().iter().any(|value| text.contains(value)));
        let order = pb::EraseSubjectRequest {
            request: Some(person("felles@example.no", "22123456", "Brage Granli")),
            ..erasure("")
        };
        let erased = replica.privacy().erase_subject(order).await.unwrap().into_inner();
        assert_eq!(erased.leads.len(), 1);
        assert_eq!(erased.leads[0].lead_id, brage);
        assert_eq!(pull_all(&mut replica.crm(), "", 0).await.0.len(), 2);
        replica.stop().await;
    }

    /// A candidate is acted on when it is named; a lead that is no candidate makes the call fail, and
    /// nothing is done.
    async fn only_candidates_can_be_named(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mine = submit(&replica, contact("Kari", "kari@example.no", "40605600")).await;
        world.clock.advance_seconds(1);
        let maybe = submit(&replica, contact("Kari", "kari@jobb.example", "40605600")).await;
        let foreign = submit(&replica, contact("Ola", "ola@example.no", "22123456")).await;
        let naming = |ids: &[&str]| {
            let mut request = person("kari@example.no", "40605600", "");
            let subject = request.subject.as_mut().unwrap();
            subject.lead_ids = ids.iter().map(|id| (*id).to_owned()).collect();
            request
        };
        let nobody = new_id().to_string();
        let before = ledger(&replica).await;
        for ids in [&[&*foreign][..], &[&maybe, &foreign], &[&nobody], &[&mine, &nobody]] {
            let mut privacy = replica.privacy();
            let request = Some(naming(ids));
            let find = pb::FindSubjectRequest { request: request.clone() };
            let export = pb::ExportSubjectRequest {
                request: request.clone(),
                kind: pb::ExportKind::Access.into(),
                ..Default::default()
            };
            let erase = pb::EraseSubjectRequest { request, ..erasure("") };
            let dry = pb::EraseSubjectRequest { dry_run: true, ..erase.clone() };
            for refused in [
                privacy.find_subject(find).await.unwrap_err(),
                privacy.export_subject(export).await.unwrap_err(),
                privacy.erase_subject(dry).await.unwrap_err(),
                privacy.erase_subject(erase).await.unwrap_err(),
            ] {
                assert_eq!(refused.code(), Code::FailedPrecondition);
                assert_eq!(reason(&refused), "NOT_A_CANDIDATE");
            }
        }
        assert_eq!(ledger(&replica).await, before);
        let found = find(&replica, &naming(&[&maybe])).await;
        assert_eq!((ids(&found), doubts(&found)), (vec![&*mine, &*maybe], vec![]));
        let order = pb::EraseSubjectRequest { request: Some(naming(&[&maybe])), ..erasure("") };
        let erased = replica.privacy().erase_subject(order).await.unwrap().into_inner();
        assert_eq!(erased.leads.len(), 2);
        assert!(erased.unconfirmed.is_empty());
        replica.stop().await;
    }

    /// Z1: nothing found is an answer like any other, and one about an erased person looks like one about
    /// somebody who was never there.
    async fn z1_unknown_and_erased_look_the_same(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "borte@example.no").await;
        erase(&replica, "borte@example.no").await;
        let mut answers = Vec::new();
        for email in ["borte@example.no", "aldri@example.no"] {
            let found = find(&replica, &person(email, "", "")).await;
            assert!(found.leads.is_empty() && found.unconfirmed.is_empty());
            let (access, made) = export(&replica, &person(email, "", ""), pb::ExportKind::Access).await;
            assert_eq!(made.leads, 0);
            let (portable, _) = export(&replica, &person(email, "", ""), pb::ExportKind::Portability).await;
            let mut erased = erase(&replica, email).await;
            let receipt = erased.receipt.as_mut().unwrap();
            assert_eq!(receipt.entries.len(), 1);
            // What must differ: the request, its number and its hash.
            receipt.request_id.clear();
            receipt.entries.clear();
            answers.push((found, access, made, portable, erased));
        }
        assert_eq!(answers[0], answers[1]);
        replica.stop().await;
    }
}
