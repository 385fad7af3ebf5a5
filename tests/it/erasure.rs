//! After `EraseSubject` returns: nothing of the person, in any answer or in any file.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use lead_intake::pb::{self, ChangeKind};
use tonic::Code;

use crate::{
    clean_up::SEALED,
    raw::Raw,
    scan::{
        Needles,
        places::{Place, everything_written},
    },
    steps::*,
    support::*,
};

/// Everything that is found anywhere: in files, and on PostgreSQL in a dump too.
async fn found_anywhere(world: &World, needles: &Needles) -> Vec<String> {
    let mut places = everything_written(world).await;
    if world.backend == Backend::Postgres {
        let mut raw = Raw::open(world).await;
        places.push(Place::new("a dump", raw.dump().await));
        raw.close().await;
    }
    needles.found_at(&places)
}

/// All calls about one person that were refused or that found nothing: each must show nothing of them.
async fn calls_that_fail(replica: &Replica, form: &pb::SubmitLeadRequest) {
    let mut intake = replica.intake();
    let mut wrong = form.clone();
    wrong.request_id = new_id().to_string();
    wrong.notice_version = "9.9".into();
    intake.submit_lead(wrong.clone()).await.unwrap_err();
    wrong.lawful_basis = 9;
    wrong.phone.push_str(" ext 5");
    intake.submit_lead(wrong).await.unwrap_err();
    let mut reused = form.clone();
    reused.name.push('x');
    intake.submit_lead(reused).await.unwrap_err();
}

on_both! {
    /// After an erasure no call gives anything of the person but tombstones: not a look, a copy, `GetLead`,
    /// a page from any cursor, nor a stream; the submission's repeat is refused, and stores nothing.
    async fn f3_nothing_is_told_after_an_erasure(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let first = pb::SubmitLeadRequest {
            phone: "40605618".to_owned(),
            ..form("Kari Nordmann", "kari@example.no")
        };
        let id = submit(&replica, first.clone()).await;
        submit_mail(&replica, "ola@example.no").await;
        let (given, _) = pull_all(&mut replica.crm(), "", 1).await;
        erase(&replica, "kari@example.no").await;

        let mut cursors = vec![""];
        cursors.extend(given.iter().map(|change| &*change.cursor));
        for cursor in cursors {
            let (changes, _) = pull_all(&mut replica.crm(), cursor, 1).await;
            let request = pb::StreamLeadsRequest { cursor: cursor.to_owned(), follow: false };
            let mut stream = replica.crm().stream_leads(request).await.unwrap().into_inner();
            let streamed = stream.message().await.unwrap().unwrap().changes;
            assert_eq!(streamed, changes);
            let theirs: Vec<_> = changes.iter().filter(|change| change.lead_id == id).collect();
            assert_eq!(theirs.len(), 1);
            assert_eq!((theirs[0].kind(), &theirs[0].lead), (ChangeKind::Erased, &None));
        }
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap_err().code(), Code::NotFound);
        let mut request = subject("kari@example.no");
        let person = request.as_mut().unwrap().subject.as_mut().unwrap();
        person.phone = "40605618".into();
        let find = pb::FindSubjectRequest { request: request.clone() };
        let found = replica.privacy().find_subject(find).await.unwrap().into_inner();
        assert!(found.leads.is_empty() && found.unconfirmed.is_empty());
        let export = pb::ExportSubjectRequest {
            request: Some(pb::SubjectRequest { request_id: new_id().to_string(), ..request.unwrap() }),
            kind: pb::ExportKind::Access.into(),
            ..Default::default()
        };
        let copy = replica.privacy().export_subject(export).await.unwrap().into_inner();
        assert_eq!(copy.leads, 0);
        let needles = Needles::of_values(&["Kari Nordmann", "kari@example.no", "+4740605618"]);
        assert!(needles.found_in(&copy.content).is_empty());
        let before = ledger(&replica).await;
        for _ in 0..2 {
            let refused = replica.intake().submit_lead(first.clone()).await.unwrap_err();
            assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "LEAD_ERASED"));
        }
        assert_eq!(ledger(&replica).await, before);
        // A new form by the same person is a new lead.
        let again = submit_mail(&replica, "kari@example.no").await;
        assert_ne!(again, id);
        replica.stop().await;
    }

    /// L1: nothing that was submitted lies anywhere in the clear, in no file of the data directory, no
    /// table and no log of the database server, neither before an erasure nor after.
    async fn l1_nothing_submitted_lies_in_the_clear(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let values =
            ["Kanarifugl Åsgårdstrand", "Kanarikompani ANS", "kanari.l1@example.no", "+4740605617"];
        let needles = Needles::of_values(&values);
        let mut form = form(values[0], values[2]);
        form.company = values[1].to_owned();
        form.phone = "406 05 617".into();
        let id = submit(&replica, form.clone()).await;
        calls_that_fail(&replica, &form).await;
        assert_eq!(get_lead(&mut replica.crm(), &id).await.unwrap().name, values[0]);
        pull_all(&mut replica.crm(), "", 0).await;
        let mut request = subject(values[2]);
        request.as_mut().unwrap().subject.as_mut().unwrap().name = values[0].into();
        let find = pb::FindSubjectRequest { request };
        replica.privacy().find_subject(find).await.unwrap();
        let nothing = Vec::<String>::new();
        assert_eq!(found_anywhere(&world, &needles).await, nothing);
        assert_eq!(erase(&replica, values[2]).await.leads.len(), 1);
        assert_eq!(found_anywhere(&world, &needles).await, nothing);
        replica.stop().await;
        assert_eq!(found_anywhere(&world, &needles).await, nothing);
    }

    /// L3, the control of the test above: a value that does reach the database in the clear is found.
    async fn l3_a_planted_leak_is_found(backend: Backend) {
        let world = World::new(backend).await;
        let value = "Plantet Lekkasje";
        let needles = Needles::of_values(&[value]);
        assert_eq!(found_anywhere(&world, &needles).await, Vec::<String>::new());
        let mut raw = Raw::open(&world).await;
        raw.execute("CREATE TABLE leak (value TEXT)").await;
        raw.execute(&format!("INSERT INTO leak VALUES ('{value}')")).await;
        raw.close().await;
        let found = found_anywhere(&world, &needles).await;
        let places = match backend {
            Backend::Sqlite => vec!["lead-intake.db"],
            Backend::Postgres => vec!["a dump", "base/", "pg_wal/", "server.log"],
        };
        for place in places {
            assert!(found.iter().any(|leak| leak.contains(place)), "{place}: {found:?}");
        }
    }

    /// F6: an erasure at the same time as submissions of the same person has each lead wholly or not at
    /// all: what it names is gone for every reader, what it does not name is there for every reader.
    async fn f6_an_erasure_beside_submissions(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut seen = [0, 0];
        for round in 0..20 {
            let email = format!("f6-{round}@example.no");
            let mut calls = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let (mut intake, form) = (replica.intake(), form("Kari", &email));
                calls.spawn(async move { intake.submit_lead(form).await.unwrap().into_inner().lead_id });
            }
            // Every other time after the first is stored, so that there is something to erase.
            let mut ids = Vec::new();
            if round % 2 == 0 {
                ids.push(calls.join_next().await.unwrap().unwrap());
            }
            let erased = erase(&replica, &email).await;
            ids.extend(calls.join_all().await);
            let erased: Vec<&str> = erased.leads.iter().map(|lead| &*lead.lead_id).collect();
            assert!(round % 2 == 1 || erased.contains(&&*ids[0]), "what was stored before is erased");
            let find = pb::FindSubjectRequest { request: subject(&email) };
            let found = replica.privacy().find_subject(find).await.unwrap().into_inner();
            let (changes, _) = pull_all(&mut replica.crm(), "", 0).await;
            for id in &ids {
                let gone = erased.contains(&&**id);
                seen[usize::from(gone)] += 1;
                assert_eq!(found.leads.iter().any(|lead| lead.lead_id == *id), !gone);
                assert_eq!(get_lead(&mut replica.crm(), id).await.is_err(), gone);
                assert_eq!(changes.iter().any(|change| change.lead_id == *id), !gone);
            }
            assert_eq!(found.leads.len() + erased.len(), ids.len());
        }
        println!("beside an erasure: {} leads stayed, {} were erased", seen[0], seen[1]);
        verify(&replica).await;
        replica.stop().await;
    }
}

/// E1: on SQLite not even what was sealed remains: its bytes and its look-up values are gone from every
/// file soon after the erasure, while the others' stay. With enough leads that pages split and merge.
#[tokio::test(flavor = "multi_thread")]
async fn e1_sealed_bytes_are_gone_from_every_file() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    for number in 0..300 {
        let mut form = form("Kari Nordmann", &format!("e1-{}@example.no", number % 30));
        form.phone = format!("406{:05}", 10_000 + number);
        submit(&replica, form).await;
    }
    let mut raw = Raw::open(&world).await;
    let all = raw.bytes(SEALED).await;
    assert_eq!(all.len(), 1200);
    // A few among many, then almost all: pages that stay half full, and pages that are given up.
    for (people, stay) in [(0..1, 290), (1..6, 240), (6..29, 10)] {
        for number in people {
            let erased = erase(&replica, &format!("e1-{number}@example.no")).await;
            assert_eq!(erased.leads.len(), 10);
        }
        let kept = raw.bytes(SEALED).await;
        assert_eq!(kept.len(), stay * 4);
        let gone: Vec<_> = all
            .iter()
            .filter(|bytes| !kept.contains(bytes))
            .cloned()
            .collect();
        let (gone, kept) = (Needles::of_bytes(&gone), Needles::of_bytes(&kept));
        eventually(async || gone.found_below(world.dir.path()).is_empty().then_some(())).await;
        assert!(!kept.found_below(world.dir.path()).is_empty());
    }
    raw.close().await;
    replica.stop().await;
}
