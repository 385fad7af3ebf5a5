//! Art. 21: objections; Art. 15(4), 20(4): no act on one person touches another.

use super::*;
use crate::scan::Needles;

fn objection(
    request: Option<pb::SubjectRequest>,
    kind: pb::ObjectionKind,
) -> pb::ObjectToProcessingRequest {
    pb::ObjectToProcessingRequest {
        request,
        kind: kind.into(),
        ..Default::default()
    }
}

fn contact(name: &str, email: &str, phone: &str) -> pb::SubmitLeadRequest {
    pb::SubmitLeadRequest {
        phone: phone.to_owned(),
        ..form(name, email)
    }
}

/// A person known by mailbox, phone and name.
fn person(email: &str, phone: &str, name: &str) -> Option<pb::SubjectRequest> {
    let mut request = subject(email);
    let person = request.as_mut().and_then(|it| it.subject.as_mut()).unwrap();
    phone.clone_into(&mut person.phone);
    name.clone_into(&mut person.name);
    request
}

on_both! {
    /// GENERAL restricts the person's leads while it is considered and explains that Art. 21(1) does not
    /// reach their bases, in both languages; who is only a candidate is not touched. A repeat gets the first
    /// answer and restricts nothing again.
    async fn art_21_1_general_restricts_first(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit(&replica, contact("Kari", "kari@example.no", "40605600")).await;
        world.clock.advance_seconds(1);
        let other = submit(&replica, contact("Ola", "ola@example.no", "40605600")).await;
        let mut order = objection(person("kari@example.no", "40605600", ""), pb::ObjectionKind::General);
        let first = replica.privacy().object_to_processing(order.clone()).await.unwrap().into_inner();
        assert_eq!(first.lead_ids, [&*id]);
        assert_eq!((first.unconfirmed.len(), &*first.unconfirmed[0].lead_id), (1, &*other));
        assert!(first.explanation.contains("artikkel 21 nr. 1"));
        assert!(get_lead(&mut replica.crm(), &id).await.is_err());
        assert!(get_lead(&mut replica.crm(), &other).await.is_ok());
        lift(&world, &replica, &id, RestrictionReason::ObjectionPending).await;
        assert_eq!(replica.privacy().object_to_processing(order.clone()).await.unwrap().into_inner(), first);
        assert!(get_lead(&mut replica.crm(), &id).await.is_ok());
        order.language = "en".into();
        let english = replica.privacy().object_to_processing(order.clone()).await.unwrap().into_inner();
        assert!(english.explanation.contains("Art. 21(1)"));
        order.kind = pb::ObjectionKind::DirectMarketing.into();
        let mut privacy = replica.privacy();
        let reused = privacy.object_to_processing(order.clone());
        assert_refused!(reused, AlreadyExists, "REQUEST_ID_REUSED");
        order.request = person("ola@example.no", "", "").map(|request| pb::SubjectRequest {
            request_id: order.request.as_ref().unwrap().request_id.clone(),
            ..request
        });
        order.kind = pb::ObjectionKind::General.into();
        let reused = privacy.object_to_processing(order);
        assert_refused!(reused, AlreadyExists, "REQUEST_ID_REUSED");
        assert!(get_lead(&mut replica.crm(), &other).await.is_ok());
        verify(&replica).await;
        replica.stop().await;
    }

    /// `DIRECT_MARKETING` is accepted for every lead of the person, restricted ones too, restricts none, and
    /// reaches the feed as OBJECTED; who is not found gets an answer of the same shape.
    async fn art_21_2_direct_marketing_is_always_accepted(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        world.clock.advance_seconds(1);
        let hidden = submit_mail(&replica, "kari@example.no").await;
        // The CRM has both before one is hidden.
        pull_all(&mut replica.crm(), "", 0).await;
        restrict(&replica, &hidden, RestrictionReason::ControllerLegalClaim).await;
        let order = objection(subject("kari@example.no"), pb::ObjectionKind::DirectMarketing);
        let done = replica.privacy().object_to_processing(order).await.unwrap().into_inner();
        assert_eq!(done.lead_ids, [&*id, &*hidden]);
        assert!(done.explanation.contains("artikkel 21 nr. 2"));
        let told = [(ChangeKind::Submitted, true), (ChangeKind::Objected, true)];
        assert_eq!(story(&mut replica.crm(), &id).await, told);
        assert_eq!(story(&mut replica.crm(), &hidden).await.last(), Some(&(ChangeKind::Objected, false)));
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap().revision, 1);
        let nobody = objection(subject("nobody@example.no"), pb::ObjectionKind::DirectMarketing);
        let none = replica.privacy().object_to_processing(nobody).await.unwrap().into_inner();
        assert!(none.lead_ids.is_empty() && none.unconfirmed.is_empty());
        assert_eq!((none.explanation, none.due_at), (done.explanation, done.due_at));
        replica.stop().await;
    }

    /// Art. 15(4), 20(4): of two people behind one phone, and two behind one mailbox, no act on the one
    /// touches the other's lead, and no answer has a byte of it.
    async fn art_15_4_no_act_on_one_touches_the_other(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut others = Vec::new();
        for form in [
            contact("Ola Kanarinordmann", "ola.kanari@example.no", "40605600"),
            contact("Per Kanarihansen", "felles@example.no", "40605622"),
        ] {
            others.push(submit(&replica, form).await);
        }
        let needles = Needles::of_values(&[
            "Kanarinordmann", "ola.kanari@example.no", "Kanarihansen", "+4740605622",
        ]);
        let before = others_as_they_are(&replica, &others).await;
        for (email, phone, name) in
            [("kari@example.no", "40605600", "Kari Nordmann"), ("felles@example.no", "", "Kari Nordmann")]
        {
            for kind in [pb::ObjectionKind::General, pb::ObjectionKind::DirectMarketing] {
                let mut form = contact(name, email, phone);
                form.phone.clear();
                let id = submit(&replica, form).await;
                let done = replica.privacy().object_to_processing(objection(person(email, phone, name), kind)).await;
                let done = done.unwrap().into_inner();
                assert_eq!((&done.lead_ids, done.unconfirmed.len()), (&vec![id], 1));
                for kind in [pb::ExportKind::Access, pb::ExportKind::Portability] {
                    let request = pb::ExportSubjectRequest {
                        request: person(email, phone, name),
                        kind: kind.into(),
                        ..Default::default()
                    };
                    let copy = replica.privacy().export_subject(request).await.unwrap().into_inner();
                    assert!(crate::support::raw::contains(&copy.content, name.as_bytes()));
                    assert_eq!(needles.found_in(&copy.content), Vec::<&str>::new());
                }
                let order = pb::EraseSubjectRequest {
                    request: person(email, phone, name),
                    confirm_supersedes_restriction: true,
                    ..erasure("")
                };
                let done = replica.privacy().erase_subject(order).await.unwrap().into_inner();
                assert_eq!((done.leads.len(), done.unconfirmed.len()), (1, 1));
            }
        }
        assert_eq!(others_as_they_are(&replica, &others).await, before);
        replica.stop().await;
    }
}

async fn others_as_they_are(replica: &Replica, ids: &[String]) -> Vec<pb::Lead> {
    let mut leads = Vec::new();
    for id in ids {
        leads.push(get_lead(&mut replica.crm(), id).await.unwrap());
    }
    leads
}
