//! Acts at the same time, on two replicas: each once, none lost.

use tokio::task::JoinSet;

use super::*;

/// Sends eight of a call at once, half to each replica; gives the answers, which must be equal.
macro_rules! eight_at_once {
    ($replicas:expr, $method:ident, $request:expr) => {{
        let mut calls = JoinSet::new();
        for place in 0..8 {
            let (mut privacy, request) = ($replicas[place % 2].privacy(), $request.clone());
            calls.spawn(async move { privacy.$method(request).await.unwrap().into_inner() });
        }
        let answers = calls.join_all().await;
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        answers.into_iter().next().unwrap()
    }};
}

/// The same act sent eight times at once is done once, and answered alike each time.
#[tokio::test(flavor = "multi_thread")]
async fn an_act_sent_at_once_is_done_once() {
    let world = World::new(Backend::Postgres).await;
    let replicas = [world.start().await, world.start().await];
    for round in 0..5 {
        let email = format!("at-once-{round}@example.no");
        let id = submit_mail(&replicas[0], &email).await;
        let reason = RestrictionReason::AccuracyContested;
        let order = restriction(&id, reason);
        let done = eight_at_once!(replicas, restrict_lead, order);
        assert_eq!(done.reasons, [i32::from(reason)]);
        let order = correction(&id, 2, "name", "Kari Hansen");
        assert_eq!(eight_at_once!(replicas, rectify_lead, order).revision, 3);
        let order = lifting(&world, &id, reason);
        assert!(!eight_at_once!(replicas, lift_restriction, order).erased);
        let order = pb::ObjectToProcessingRequest {
            request: subject(&email),
            kind: pb::ObjectionKind::General.into(),
            ..Default::default()
        };
        let done = eight_at_once!(replicas, object_to_processing, order);
        assert_eq!(done.lead_ids, [&*id]);
        let order = pb::EraseSubjectRequest {
            confirm_supersedes_restriction: true,
            ..erasure(&email)
        };
        assert_eq!(
            eight_at_once!(replicas, erase_subject, order).leads.len(),
            1
        );
        let kinds = entries(&replicas[1], &id).await;
        let kinds: Vec<_> = kinds.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(
            kinds,
            [
                pb::EntryKind::Submitted,
                pb::EntryKind::Restricted,
                pb::EntryKind::Rectified,
                pb::EntryKind::Released,
                pb::EntryKind::Restricted,
                pb::EntryKind::Erased,
            ]
        );
    }
    verify(&replicas[0]).await;
    let [one, other] = replicas;
    one.stop().await;
    other.stop().await;
}

/// Eight corrections of one lead at once, under keys of their own: one wins, the others hear that their
/// revision is stale, and what the winner wrote is what everybody reads.
#[tokio::test(flavor = "multi_thread")]
async fn art_16_no_correction_is_lost() {
    let world = World::new(Backend::Postgres).await;
    let replicas = [world.start().await, world.start().await];
    for round in 0..5 {
        let id = submit_mail(&replicas[0], &format!("lost-{round}@example.no")).await;
        let mut calls = JoinSet::new();
        for place in 0..8 {
            let mut privacy = replicas[place % 2].privacy();
            let request = correction(&id, 1, "name", &format!("Kari {place}"));
            calls.spawn(async move { (place, privacy.rectify_lead(request).await) });
        }
        let mut won = Vec::new();
        for (place, answer) in calls.join_all().await {
            match answer {
                Ok(done) => won.push((place, done.into_inner().revision)),
                Err(status) => assert_eq!(reason(&status), "REVISION_MISMATCH"),
            }
        }
        assert_eq!((won.len(), won[0].1), (1, 2));
        let lead = get_lead(&mut replicas[1].crm(), &id).await.unwrap();
        assert_eq!(lead.name, format!("Kari {}", won[0].0));
    }
    let [one, other] = replicas;
    one.stop().await;
    other.stop().await;
}

/// Calls once more under the same key as long as it may be tried again, as a client should.
macro_rules! until_done {
    ($privacy:expr, $method:ident, $request:expr) => {
        loop {
            match $privacy.$method($request.clone()).await {
                Ok(done) => break done.into_inner(),
                Err(status) => assert_eq!(reason(&status), "CONTENDED"),
            }
        }
    };
}

/// Objections of both kinds and an erasure of one person with many leads, at once on both replicas: each call
/// is done, wholly and once, whatever order the leads are locked in.
#[tokio::test(flavor = "multi_thread")]
async fn acts_on_a_whole_person_beside_each_other() {
    const LEADS: usize = 24;
    let world = World::new(Backend::Postgres).await;
    let replicas = [world.start().await, world.start().await];
    for round in 0..4 {
        let email = format!("whole-{round}@example.no");
        let mut ids = Vec::new();
        for _ in 0..LEADS {
            ids.push(submit_mail(&replicas[0], &email).await);
        }
        let mut calls = JoinSet::new();
        for place in 0..6 {
            let mut privacy = replicas[place % 2].privacy();
            let order = pb::ObjectToProcessingRequest {
                request: subject(&email),
                kind: i32::from(place % 3 == 0) + 1,
                ..Default::default()
            };
            calls.spawn(async move {
                until_done!(privacy, object_to_processing, order);
            });
        }
        let mut privacy = replicas[round % 2].privacy();
        let order = pb::EraseSubjectRequest {
            confirm_supersedes_restriction: true,
            ..erasure(&email)
        };
        let erased = until_done!(privacy, erase_subject, order);
        calls.join_all().await;
        assert_eq!(erased.leads.len(), LEADS);
        assert!(theirs(&replicas[1], &email).await.is_empty());
        let entries = ledger(&replicas[0]).await;
        for id in &ids {
            let last = entries.iter().rfind(|entry| entry.lead_id == *id).unwrap();
            assert_eq!(last.kind(), pb::EntryKind::Erased);
        }
    }
    verify(&replicas[0]).await;
    let [one, other] = replicas;
    one.stop().await;
    other.stop().await;
}

/// A correction and a restriction beside an erasure: whatever comes first, nothing is left of the lead, no
/// row comes back, and its tombstone is its last entry. What was answered is in the ledger, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn art_17_nothing_comes_back_beside_other_acts() {
    let world = World::new(Backend::Postgres).await;
    let replicas = [world.start().await, world.start().await];
    for round in 0..12 {
        let email = format!("beside-{round}@example.no");
        let id = submit_mail(&replicas[0], &email).await;
        pull_all(&mut replicas[0].crm(), "", 0).await;
        let order = pb::EraseSubjectRequest {
            confirm_supersedes_restriction: true,
            ..erasure(&email)
        };
        let (mut one, mut other, mut third) = (
            replicas[round % 2].privacy(),
            replicas[(round + 1) % 2].privacy(),
            replicas[0].privacy(),
        );
        let right = correction(&id, 1, "name", "Kari Hansen");
        let limit = restriction(&id, RestrictionReason::SubjectLegalClaim);
        let (erased, corrected, restricted) = tokio::join!(
            one.erase_subject(order),
            other.rectify_lead(right),
            third.restrict_lead(limit),
        );
        assert_eq!(erased.unwrap().into_inner().leads.len(), 1);
        let entries = entries(&replicas[0], &id).await;
        let has = |kind| entries.iter().any(|(known, _)| *known == kind);
        assert_eq!(has(pb::EntryKind::Rectified), corrected.is_ok());
        assert_eq!(has(pb::EntryKind::Restricted), restricted.is_ok());
        assert_eq!(entries.last().unwrap().0, pb::EntryKind::Erased);
        assert!(theirs(&replicas[1], &email).await.is_empty());
        let story = story(&mut replicas[1].crm(), &id).await;
        assert_eq!(story, [(ChangeKind::Erased, false)]);
    }
    verify(&replicas[0]).await;
    let [one, other] = replicas;
    one.stop().await;
    other.stop().await;
}
