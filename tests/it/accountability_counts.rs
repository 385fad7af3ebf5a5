//! Counts and the record of processing activities (Art. 5(2), 30, 33(3)(a)), and the metrics to alert on.

use std::collections::BTreeSet;

use lead_intake::{
    clock::Clock as _,
    domain::retention::GraceDays,
    jobs,
    pb::{self, CloseOutcome, LawfulBasis, LeadState, RestrictionReason},
    rpc::convert::timestamp,
    store::Cleared,
};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::{steps::*, support::*};

const DAY: i64 = 86_400;

async fn statistics(replica: &Replica) -> pb::GetStatisticsResponse {
    let request = pb::GetStatisticsRequest {};
    let found = replica.ledger().get_statistics(request).await;
    found.unwrap().into_inner()
}

/// State, basis, age and number.
fn counts(found: &pb::GetStatisticsResponse) -> Vec<(LeadState, LawfulBasis, i32, i64)> {
    let counts = found.leads.iter();
    counts
        .map(|it| (it.state(), it.lawful_basis(), it.age_months, it.leads))
        .collect()
}

/// Open, overdue, late.
fn requests(found: &pb::GetStatisticsResponse) -> [i64; 3] {
    [
        found.open_requests,
        found.overdue_requests,
        found.answered_late,
    ]
}

async fn restrict(replica: &Replica, lead_id: &str, reason: RestrictionReason) {
    let request = pb::RestrictLeadRequest {
        request_id: new_id().to_string(),
        lead_id: lead_id.to_owned(),
        reason: reason.into(),
        ..Default::default()
    };
    replica.privacy().restrict_lead(request).await.unwrap();
}

async fn lift(world: &World, replica: &Replica, lead_id: &str, reason: RestrictionReason) {
    let request = pb::LiftRestrictionRequest {
        request_id: new_id().to_string(),
        lead_id: lead_id.to_owned(),
        reason: reason.into(),
        subject_informed_at: Some(timestamp(world.clock.now())),
    };
    replica.privacy().lift_restriction(request).await.unwrap();
}

async fn object(replica: &Replica, email: &str, kind: pb::ObjectionKind) {
    let request = pb::ObjectToProcessingRequest {
        request: subject(email),
        kind: kind.into(),
        ..Default::default()
    };
    replica
        .privacy()
        .object_to_processing(request)
        .await
        .unwrap();
}

async fn record(replica: &Replica, language: &str) -> pb::GetProcessingRecordResponse {
    let request = pb::GetProcessingRecordRequest {
        language: language.to_owned(),
    };
    let record = replica.ledger().get_processing_record(request).await;
    record.unwrap().into_inner()
}

on_both! {
    /// Art. 33(3)(a): leads are counted by state, basis and whole calendar months of age, each once.
    async fn art_33_leads_by_state_basis_and_age(backend: Backend) {
        let mut world = World::new(backend).await;
        world.settings.retention.grace = GraceDays { answered: 90, ..GraceDays::default() };
        let replica = world.start().await;
        assert!(counts(&statistics(&replica).await).is_empty());
        let consenting = |email: &str| pb::SubmitLeadRequest {
            lawful_basis: LawfulBasis::Consent.into(),
            consent: true,
            ..form("Kari Nordmann", email)
        };
        submit(&replica, consenting("a@example.no")).await;
        let restricted = submit_mail(&replica, "b@example.no").await;
        restrict(&replica, &restricted, RestrictionReason::SubjectLegalClaim).await;
        // Noon of 23 November to a second before noon of 23 December, and on.
        world.clock.advance_seconds(30 * DAY - 1);
        let (available, closed) = (LeadState::Available, LeadState::Closed);
        let (consent, contract) = (LawfulBasis::Consent, LawfulBasis::PreContract);
        let restricted = (LeadState::Restricted, contract);
        assert_eq!(counts(&statistics(&replica).await), [
            (available, consent, 0, 1), (restricted.0, restricted.1, 0, 1),
        ]);
        world.clock.advance_seconds(1);
        let id = submit_mail(&replica, "c@example.no").await;
        submit_mail(&replica, "d@example.no").await;
        submit_mail(&replica, "e@example.no").await;
        let close = pb::CloseLeadRequest { lead_id: id, outcome: CloseOutcome::Answered.into() };
        replica.crm().close_lead(close).await.unwrap();
        assert_eq!(counts(&statistics(&replica).await), [
            (available, contract, 0, 2), (closed, contract, 0, 1),
            (available, consent, 1, 1), (restricted.0, restricted.1, 1, 1),
        ]);
        erase(&replica, "d@example.no").await;
        world.clock.advance_seconds(62 * DAY);
        assert_eq!(counts(&statistics(&replica).await), [
            (available, contract, 2, 1), (closed, contract, 2, 1),
            (available, consent, 3, 1), (restricted.0, restricted.1, 3, 1),
        ]);
        // Whatever is older than three years is one group.
        world.clock.advance_seconds(4 * 365 * DAY);
        replica.store.close().await;
        drop(replica);
        let store = world.open().await;
        let policy = world.settings.retention;
        let old = store.statistics(&policy, world.clock.now()).await.unwrap();
        assert_eq!(old.leads.iter().map(|it| it.age_months).collect::<BTreeSet<_>>(), BTreeSet::from([36]));
        assert_eq!(old.leads.iter().map(|it| it.leads).sum::<i64>(), 4);
        store.close().await;
    }

    /// Art. 5(1)(e), 18: a lead whose time is over and which a restriction keeps is counted, by its age and by
    /// its closing; one that is merely restricted, or merely old, is not.
    async fn art_18_what_a_restriction_keeps_too_long_is_counted(backend: Backend) {
        let mut world = World::new(backend).await;
        world.settings.retention.grace = GraceDays { answered: 90, ..GraceDays::default() };
        let replica = world.start().await;
        let old = submit_mail(&replica, "old@example.no").await;
        submit_mail(&replica, "free@example.no").await;
        world.clock.advance_seconds(30 * DAY);
        let closed = submit_mail(&replica, "closed@example.no").await;
        let close = pb::CloseLeadRequest { lead_id: closed.clone(), outcome: CloseOutcome::Answered.into() };
        replica.crm().close_lead(close).await.unwrap();
        for id in [&old, &closed] {
            restrict(&replica, id, RestrictionReason::SubjectLegalClaim).await;
        }
        for (days, overdue) in [(89, 0), (1, 1), (59, 1), (1, 2)] {
            world.clock.advance_seconds(days * DAY);
            assert_eq!(statistics(&replica).await.overdue_restricted, overdue);
        }
        replica.stop().await;
    }

    /// Art. 12(3): open are an accuracy that is contested, an objection, and an erasure that awaits
    /// confirmation, each once for a request however many leads it touches; overdue a calendar month after
    /// the person asked; settled when lifted, erased or confirmed. Answered late is what was received more than
    /// a month before.
    async fn art_12_3_open_overdue_and_late_requests(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let contested = submit_mail(&replica, "contested@example.no").await;
        let claimed = submit_mail(&replica, "claimed@example.no").await;
        submit_mail(&replica, "objecting@example.no").await;
        let second = submit_mail(&replica, "objecting@example.no").await;
        assert_eq!(requests(&statistics(&replica).await), [0, 0, 0]);
        restrict(&replica, &claimed, RestrictionReason::SubjectLegalClaim).await;
        object(&replica, "contested@example.no", pb::ObjectionKind::DirectMarketing).await;
        assert_eq!(requests(&statistics(&replica).await), [0, 0, 0]);
        restrict(&replica, &contested, RestrictionReason::AccuracyContested).await;
        object(&replica, "objecting@example.no", pb::ObjectionKind::General).await;
        erase(&replica, "claimed@example.no").await;
        assert_eq!(requests(&statistics(&replica).await), [3, 0, 0]);
        // A month from noon on 23 November.
        world.clock.advance_seconds(30 * DAY);
        assert_eq!(requests(&statistics(&replica).await), [3, 0, 0]);
        world.clock.advance_seconds(1);
        assert_eq!(requests(&statistics(&replica).await), [3, 3, 0]);

        lift(&world, &replica, &contested, RestrictionReason::AccuracyContested).await;
        assert_eq!(requests(&statistics(&replica).await), [2, 2, 0]);
        // The same again is a request of its own.
        restrict(&replica, &contested, RestrictionReason::AccuracyContested).await;
        assert_eq!(requests(&statistics(&replica).await), [3, 2, 0]);
        lift(&world, &replica, &second, RestrictionReason::ObjectionPending).await;
        assert_eq!(requests(&statistics(&replica).await), [3, 2, 0]);
        let mut confirmed = erasure("objecting@example.no");
        confirmed.confirm_supersedes_restriction = true;
        let asked = jiff::Timestamp::from_second(world.clock.now().as_second() - 30 * DAY).unwrap();
        confirmed.request.as_mut().unwrap().received_at = Some(timestamp(asked));
        replica.privacy().erase_subject(confirmed).await.unwrap();
        assert_eq!(requests(&statistics(&replica).await), [2, 1, 0]);
        // From 22 November a month is 30 days, and it is the 23rd and a second of December.
        let mut late = erasure("claimed@example.no");
        late.confirm_supersedes_restriction = true;
        let asked = jiff::Timestamp::from_second(asked.as_second() - 1).unwrap();
        late.request.as_mut().unwrap().received_at = Some(timestamp(asked));
        replica.privacy().erase_subject(late).await.unwrap();
        assert_eq!(requests(&statistics(&replica).await), [1, 0, 1]);
        let mut late = erasure("nobody@example.no");
        let asked = jiff::Timestamp::from_second(asked.as_second() - 40 * DAY).unwrap();
        late.request.as_mut().unwrap().received_at = Some(timestamp(asked));
        replica.privacy().erase_subject(late).await.unwrap();
        assert_eq!(requests(&statistics(&replica).await), [1, 0, 2]);
        replica.stop().await;
    }

    /// Art. 19: a CRM client owes an acknowledgement for each tombstone it was given, and shows with the age of
    /// the oldest until it gives it; in the metrics too, whose look is quick but misses nothing.
    async fn art_19_unacknowledged_erasures_are_counted(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut crm = replica.crm();
        for number in 0..3 {
            submit_mail(&replica, &format!("kari{number}@example.no")).await;
        }
        let mut cleared = Cleared::default();
        let mut steps = Vec::new();
        for step in 0..5 {
            match step {
                1 => drop(pull(&mut crm, "", 2).await.unwrap()),
                2 => for number in 0..3 {
                    erase(&replica, &format!("kari{number}@example.no")).await;
                    world.clock.advance_seconds(60);
                },
                3 => {
                    let tombstone = pull(&mut crm, "", 1).await.unwrap();
                    acknowledge(&mut crm, &tombstone.next_cursor).await.unwrap();
                }
                4 => {
                    let (_, end) = pull_all(&mut crm, "", 0).await;
                    acknowledge(&mut crm, &end).await.unwrap();
                }
                _ => {}
            }
            let found = statistics(&replica).await;
            let [status] = &found.consumers[..] else { panic!("one CRM client") };
            assert_eq!(status.client, "crm");
            let counted = (status.unacknowledged_erasures, status.oldest_unacknowledged_seconds);
            let now = world.clock.now();
            let duties = replica.store.duties(&mut cleared, now).await.unwrap();
            let recorder = PrometheusBuilder::new().build_recorder();
            metrics::with_local_recorder(&recorder, || jobs::show_duties(&duties, now));
            let text = recorder.handle().render();
            let (number, age) = counted;
            for line in [
                format!("lead_intake_tombstones_unacknowledged{{client=\"crm\"}} {number}"),
                format!("lead_intake_tombstone_oldest_unacknowledged_seconds{{client=\"crm\"}} {age}"),
                "lead_intake_requests_open 0".to_owned(),
                "lead_intake_requests_overdue 0".to_owned(),
            ] {
                assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
            }
            steps.push(counted);
        }
        // The third lead was never given.
        assert_eq!(steps, [(0, 0), (0, 0), (2, 180), (1, 120), (0, 0)]);
        replica.stop().await;
    }

    /// Art. 30: the record has a key for each of 30(1)(a) to (g), in both languages. (That its inventory is the
    /// schema is checked with the schema.)
    async fn art_30_the_record_has_every_fact(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut texts = Vec::new();
        for language in ["", "nb", "en"] {
            let found = record(&replica, language).await;
            let parsed: serde_json::Value = serde_json::from_str(&found.record).unwrap();
            for key in [
                "30_1_a_controller", "30_1_b_purposes", "30_1_c_categories", "30_1_d_recipients",
                "30_1_e_transfers", "30_1_f_retention", "30_1_g_security",
            ] {
                assert!(!parsed[key].is_null(), "{key} in {language}");
            }
            assert_eq!(parsed["30_1_a_controller"]["schema:legalName"], "Ajour Nordic/Norge AS");
            assert_eq!(parsed["30_1_f_retention"]["atLatestAfter"], "P180D");
            texts.push(found.record);
        }
        assert!(texts[0] == texts[1] && texts[1] != texts[2]);

        let odd = pb::GetProcessingRecordRequest { language: "sv".to_owned() };
        let refused = replica.ledger().get_processing_record(odd).await.unwrap_err();
        assert_eq!(violations(&refused), [("language".to_owned(), "LANGUAGE_UNKNOWN".to_owned())]);
        replica.stop().await;
    }

    /// Art. 5(1)(c): neither counts, nor record, nor receipt, nor metrics show anything of a person.
    async fn accounts_name_no_person(backend: Backend) {
        use prost::Message as _;
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut form = form("Kari Kanarifugl", "kanari@example.no");
        form.company = "Kanari AS".into();
        form.phone = "406 05 600".into();
        let kept = submit(&replica, form.clone()).await;
        restrict(&replica, &kept, RestrictionReason::AccuracyContested).await;
        form.request_id = new_id().to_string();
        submit(&replica, form).await;
        pull_all(&mut replica.crm(), "", 0).await;
        let erased = erase(&replica, "kanari@example.no").await;
        let request_id = erased.receipt.unwrap().request_id;
        let request = pb::GetErasureReceiptRequest { request_id, ..Default::default() };
        let receipt = replica.privacy().get_erasure_receipt(request).await.unwrap().into_inner();
        let mut shown = receipt.encode_to_vec();
        shown.extend(statistics(&replica).await.encode_to_vec());
        shown.extend(record(&replica, "nb").await.encode_to_vec());
        let now = world.clock.now();
        let duties = replica.store.duties(&mut Cleared::default(), now).await.unwrap();
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || jobs::show_duties(&duties, now));
        shown.extend(recorder.handle().render().into_bytes());
        for canary in ["Kanari", "kanari", "40605600"] {
            assert!(!raw::contains(&shown, canary.as_bytes()), "{canary}");
        }
        replica.stop().await;
    }
}

/// The gauges are on the admin listener of the real program, from its start: an erasure that a CRM was given
/// and did not acknowledge before a restart shows after it.
#[tokio::test(flavor = "multi_thread")]
async fn the_gauges_are_on_the_admin_listener() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let server = binary::Binary::serve(dir.path(), &[]).await;
    let url = server.url();
    let call = async |args: &[&str]| {
        let args = [args, &["--url", &url, "--data-dir", data]].concat();
        binary::run(&[], &args, "").await.with_code(0);
    };
    call(&[
        "submit",
        "--name",
        "Kari Nordmann",
        "--email",
        "kari@example.no",
        "--basis",
        "pre-contract",
    ])
    .await;
    call(&["pull"]).await;
    call(&[
        "erase",
        "--email",
        "kari@example.no",
        "--ground",
        "consent-withdrawn",
        "--yes",
    ])
    .await;
    server.signal("TERM").await;
    let server = binary::Binary::serve(dir.path(), &[]).await;
    let text = eventually(async || {
        let text = server.get("/metrics").await;
        text.contains("lead_intake_requests_open").then_some(text)
    })
    .await;
    for line in [
        "lead_intake_tombstones_unacknowledged{client=\"crm\"} 1",
        "lead_intake_requests_open 0",
        "lead_intake_requests_overdue 0",
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "{line} is not in\n{text}"
        );
    }
    assert!(text.contains("lead_intake_tombstone_oldest_unacknowledged_seconds{client=\"crm\"} "));
    server.signal("TERM").await;
}
