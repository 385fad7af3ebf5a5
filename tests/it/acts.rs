//! Exports and erasures as acts: what they answer, what they leave behind, what a repeat does.

use lead_intake::pb::{self, EntryKind, ExportFormat, ExportKind};
use serde_json::Value;
use tonic::Code;

use crate::{steps::*, support::*};

fn export_of(email: &str, kind: ExportKind, format: ExportFormat) -> pb::ExportSubjectRequest {
    pb::ExportSubjectRequest {
        request: subject(email),
        kind: kind.into(),
        format: format.into(),
        language: String::new(),
    }
}

/// Makes an export that must be JSON.
async fn export(replica: &Replica, request: pb::ExportSubjectRequest) -> Value {
    let made = replica.privacy().export_subject(request).await.unwrap();
    let made = made.into_inner();
    assert_eq!(made.content_type, "application/ld+json");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &made.content);
    assert_eq!(made.sha256, data_encoding::HEXLOWER.encode(digest.as_ref()));
    serde_json::from_slice(&made.content).unwrap()
}

fn time(text: &str) -> prost_types::Timestamp {
    let time: jiff::Timestamp = text.parse().unwrap();
    lead_intake::rpc::convert::timestamp(time)
}

/// Kinds, detail and lead of what was appended since.
async fn since(replica: &Replica, sequence: usize) -> Vec<(EntryKind, i32, String)> {
    let entries = ledger(replica).await.split_off(sequence);
    let entries = entries.into_iter();
    entries
        .map(|entry| (entry.kind(), entry.detail, entry.lead_id))
        .collect()
}

on_both! {
    /// Art. 15: a copy has the data and one key for each fact of 15(1)(a) to (h), in both languages, and
    /// names each CRM that was given the lead, with the first date, whether by the feed or by `GetLead`.
    async fn art_15_a_copy_with_every_fact(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut form = form("Kari Nordmann", "kari@example.no");
        form.company = "Nordmann AS".into();
        form.phone = "406 05 600".into();
        let id = submit(&replica, form).await;
        let facts = [
            "15_1_a_purposes", "15_1_b_categories", "15_1_c_recipients", "15_1_d_retention",
            "15_1_e_rights", "15_1_f_complaint", "15_1_g_source", "15_1_h_automated_decisions",
        ];
        let mut texts = Vec::new();
        for language in ["", "nb", "en"] {
            let mut request = export_of("kari@example.no", ExportKind::Access, ExportFormat::Json);
            request.language = language.to_owned();
            let copy = export(&replica, request).await;
            for fact in facts {
                assert!(!copy[fact].is_null(), "{fact} in {language}");
            }
            assert_eq!(copy["15_1_c_recipients"]["disclosures"], serde_json::json!([]));
            let person = &copy["data"][0]["subject"];
            assert_eq!(person["schema:name"], "Kari Nordmann");
            assert_eq!(person["schema:telephone"], "+4740605600");
            assert_eq!(person["schema:email"], "kari@example.no");
            assert_eq!(person["schema:worksFor"]["schema:name"], "Nordmann AS");
            texts.push(copy["15_1_a_purposes"].clone());
        }
        assert!(texts[0] == texts[1] && texts[1] != texts[2]);

        let token = world.new_token(&replica.store, "reading-crm", lead_intake::token::Role::Crm).await;
        world.clock.advance_seconds(60);
        pull_all(&mut replica.crm(), "", 0).await;
        world.clock.advance_seconds(60);
        get_lead(&mut replica.crm_as(token.expose()), &id).await.unwrap();
        get_lead(&mut replica.crm(), &id).await.unwrap();
        pull_all(&mut replica.crm(), "", 0).await;
        let copy = export_of("kari@example.no", ExportKind::Access, ExportFormat::Unspecified);
        let copy = export(&replica, copy).await;
        assert_eq!(copy["15_1_c_recipients"]["disclosures"], serde_json::json!([
            { "lead": id, "recipient": "crm", "at": "2026-11-23T12:01:00Z" },
            { "lead": id, "recipient": "reading-crm", "at": "2026-11-23T12:02:00Z" },
        ]));
        replica.stop().await;
    }

    /// Art. 20: the fields the person provided, and only those.
    async fn art_20_only_what_was_provided(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        let portable = export_of("kari@example.no", ExportKind::Portability, ExportFormat::Json);
        assert_eq!(export(&replica, portable).await, serde_json::json!({
            "@context": { "schema": "https://schema.org/" },
            "@graph": [{
                "@type": "schema:Person",
                "schema:name": "Kari Nordmann",
                "schema:email": "kari@example.no",
            }],
        }));
        replica.stop().await;
    }

    /// A format that makes no sense for a kind, and a kind or language that is none, are violations, and leave
    /// no entry.
    async fn formats_that_are_not_made(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let before = ledger(&replica).await;
        let (access, portability) = (ExportKind::Access, ExportKind::Portability);
        for (kind, format) in [
            (access, ExportFormat::Csv),
            (access, ExportFormat::Jcard),
            (portability, ExportFormat::Html),
        ] {
            let request = export_of("kari@example.no", kind, format);
            let refused = replica.privacy().export_subject(request).await.unwrap_err();
            let fault = ("format".to_owned(), "FORMAT_NOT_FOR_KIND".to_owned());
            assert_eq!(violations(&refused), [fault]);
        }
        let mut odd = export_of("kari@example.no", ExportKind::Unspecified, ExportFormat::Json);
        odd.language = "sv".into();
        let refused = replica.privacy().export_subject(odd).await.unwrap_err();
        let expected = [("kind", "REQUIRED"), ("language", "LANGUAGE_UNKNOWN")];
        assert_eq!(violations(&refused), expected.map(|(f, r)| (f.to_owned(), r.to_owned())));
        assert_eq!(ledger(&replica).await, before);
        replica.stop().await;
    }

    /// A dry run says what would happen, changes nothing but the record that somebody looked, and leaves
    /// the `request_id` free. A repeat of the erasure returns the first answer, receipt included, also
    /// after a restart.
    async fn erasing_dry_then_once_then_again(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let order = erasure("kari@example.no");
        let request_id = order.request.as_ref().unwrap().request_id.clone();
        let start = ledger(&replica).await.len();
        let dry = pb::EraseSubjectRequest { dry_run: true, ..order.clone() };
        for _ in 0..2 {
            let planned = replica.privacy().erase_subject(dry.clone()).await.unwrap().into_inner();
            assert_eq!((planned.leads.len(), planned.receipt), (1, None));
            assert_eq!(planned.leads[0].outcome(), pb::ErasureOutcome::Erased);
        }
        assert_eq!(pull_all(&mut replica.crm(), "", 0).await.0.len(), 1);
        let first = replica.privacy().erase_subject(order.clone()).await.unwrap().into_inner();
        let receipt = first.receipt.as_ref().unwrap();
        assert_eq!((&receipt.request_id, receipt.ground), (&request_id, order.ground));
        assert_eq!(receipt.erased_at, Some(time(START)));
        let found = (EntryKind::SubjectFound, 0, String::new());
        let asked = (EntryKind::ErasureRequested, order.ground, String::new());
        let erased = (EntryKind::Erased, pb::ErasureOutcome::Erased.into(), id.clone());
        assert_eq!(since(&replica, start).await, [found.clone(), found.clone(), asked, erased]);
        let entries = ledger(&replica).await.split_off(start + 2);
        for (proof, entry) in receipt.entries.iter().zip(&entries) {
            assert_eq!((proof.sequence, &proof.hash), (entry.sequence, &entry.hash));
            assert_eq!(proof.lead_id, entry.lead_id);
        }
        assert_eq!((receipt.entries.len(), &*entries[0].request_id), (2, &*request_id));

        world.clock.advance_seconds(3600);
        assert_eq!(replica.privacy().erase_subject(order.clone()).await.unwrap().into_inner(), first);
        replica.stop().await;
        let replica = world.start().await;
        assert_eq!(replica.privacy().erase_subject(order).await.unwrap().into_inner(), first);
        // Nothing was erased again; that somebody looked is recorded each time.
        assert_eq!(since(&replica, start + 4).await, [found.clone(), found]);
        verify(&replica).await;
        replica.stop().await;
    }

    /// A `request_id` is for one request: used for another kind or another person it is refused, and
    /// nothing happens.
    async fn a_request_id_is_for_one_request(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        submit_mail(&replica, "ola@example.no").await;
        let mut privacy = replica.privacy();
        let order = erasure("kari@example.no");
        privacy.erase_subject(order.clone()).await.unwrap();
        let find = pb::FindSubjectRequest { request: subject("ola@example.no") };
        privacy.find_subject(find.clone()).await.unwrap();
        let mut export = export_of("ola@example.no", ExportKind::Access, ExportFormat::Json);
        privacy.export_subject(export.clone()).await.unwrap();
        // A look and a copy may be repeated: they are made afresh.
        privacy.find_subject(find.clone()).await.unwrap();
        privacy.export_subject(export.clone()).await.unwrap();
        let before = ledger(&replica).await;

        let key = |request: &Option<pb::SubjectRequest>| request.as_ref().unwrap().request_id.clone();
        let (erased, found, exported) = (key(&order.request), key(&find.request), key(&export.request));
        let ola = |id: &String| {
            let request = subject("ola@example.no").unwrap();
            Some(pb::SubjectRequest { request_id: id.clone(), ..request })
        };
        let mut refusals = Vec::new();
        for id in [&erased, &found, &exported] {
            if *id != found {
                refusals.push(privacy.find_subject(pb::FindSubjectRequest { request: ola(id) }).await.err());
            }
            if *id != exported {
                export.request = ola(id);
                refusals.push(privacy.export_subject(export.clone()).await.err());
            }
            let order = pb::EraseSubjectRequest { request: ola(id), ..erasure("") };
            refusals.push(privacy.erase_subject(order).await.err());
        }
        assert_eq!(refusals.len(), 7);
        for refused in refusals {
            let refused = refused.expect("it must be refused");
            assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
        }
        assert_eq!(ledger(&replica).await, before);
        replica.stop().await;
    }

    /// The same erasure sent several times at once is done once, and answered alike each time.
    async fn an_erasure_sent_at_once_is_done_once(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        for round in 0..10 {
            let email = format!("at-once-{round}@example.no");
            submit_mail(&replica, &email).await;
            let order = erasure(&email);
            let mut calls = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let (mut privacy, order) = (replica.privacy(), order.clone());
                calls.spawn(async move { privacy.erase_subject(order).await });
            }
            let answers: Vec<_> =
                calls.join_all().await.into_iter().map(|answer| answer.unwrap().into_inner()).collect();
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
            assert_eq!(answers[0].leads.len(), 1);
        }
        verify(&replica).await;
        replica.stop().await;
    }

    /// Art. 12(3): the answer is due one calendar month after the person asked, clamped to a shorter month;
    /// nobody has asked in the future; a ground is required.
    async fn art_12_3_due_dates_and_grounds(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut privacy = replica.privacy();
        for (received, due) in [
            ("2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z"),
            ("2024-01-31T10:00:00Z", "2024-02-29T10:00:00Z"),
            ("2026-08-31T00:00:00Z", "2026-09-30T00:00:00Z"),
            (START, "2026-12-23T12:00:00Z"),
            ("", "2026-12-23T12:00:00Z"),
        ] {
            let order = || {
                let mut order = erasure("kari@example.no");
                let request = order.request.as_mut().unwrap();
                request.received_at = (!received.is_empty()).then(|| time(received));
                order
            };
            let due = Some(time(due));
            let find = pb::FindSubjectRequest { request: order().request };
            let mut export = export_of("", ExportKind::Access, ExportFormat::Json);
            export.request = order().request;
            assert_eq!(privacy.find_subject(find).await.unwrap().into_inner().due_at, due);
            assert_eq!(privacy.export_subject(export).await.unwrap().into_inner().due_at, due);
            assert_eq!(privacy.erase_subject(order()).await.unwrap().into_inner().due_at, due);
        }
        let before = ledger(&replica).await;
        let mut order = erasure("kari@example.no");
        order.ground = 0;
        order.request.as_mut().unwrap().received_at = Some(time("2026-11-23T12:00:00.000001Z"));
        let refused = privacy.erase_subject(order).await.unwrap_err();
        let expected = [("ground", "REQUIRED"), ("request.received_at", "TIME_IN_FUTURE")];
        assert_eq!(violations(&refused), expected.map(|(f, r)| (f.to_owned(), r.to_owned())));
        let mut order = erasure("kari@example.no");
        order.ground = 7;
        let refused = privacy.erase_subject(order).await.unwrap_err();
        assert_eq!(violations(&refused), [("ground".to_owned(), "UNKNOWN_VALUE".to_owned())]);
        assert_eq!(ledger(&replica).await, before);
        replica.stop().await;
    }

    /// Every call about a person leaves its entries: the look, the copy and each lead in it, the reading of
    /// one lead, the erasure and each tombstone. The chain holds.
    async fn every_call_leaves_its_entries(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let start = ledger(&replica).await.len();
        let id = submit_mail(&replica, "kari@example.no").await;
        let find = pb::FindSubjectRequest { request: subject("kari@example.no") };
        replica.privacy().find_subject(find).await.unwrap();
        export(&replica, export_of("kari@example.no", ExportKind::Access, ExportFormat::Json)).await;
        get_lead(&mut replica.crm(), &id).await.unwrap();
        erase(&replica, "kari@example.no").await;
        export(&replica, export_of("kari@example.no", ExportKind::Portability, ExportFormat::Json)).await;
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap_err().code(), Code::NotFound);
        let none = String::new();
        let ground = pb::ErasureGround::ConsentWithdrawn.into();
        assert_eq!(since(&replica, start).await, [
            (EntryKind::Submitted, 0, id.clone()),
            (EntryKind::SubjectFound, 0, none.clone()),
            (EntryKind::SubjectExported, ExportKind::Access.into(), none.clone()),
            (EntryKind::LeadExported, 0, id.clone()),
            (EntryKind::LeadRead, 0, id.clone()),
            (EntryKind::ErasureRequested, ground, none.clone()),
            (EntryKind::Erased, 1, id.clone()),
            (EntryKind::SubjectExported, ExportKind::Portability.into(), none),
        ]);
        let clients: Vec<String> =
            ledger(&replica).await.split_off(start).into_iter().map(|entry| entry.client).collect();
        let by = ["intake", "privacy", "privacy", "privacy", "crm", "privacy", "privacy", "privacy"];
        assert_eq!(clients, by);
        verify(&replica).await;
        replica.stop().await;
    }
}
