//! Deadlines: a caller's and the server's own.

use std::time::Duration;

use lead_intake::{pb, rpc::auth::Access, rpc::limits::Limits, token::Role};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use serde_json::json;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::{Held, NOTICE, SUBMIT, start};
use crate::{
    cli::House,
    raw::Raw,
    steps::pull_all,
    support::{
        plain::{Http, framed},
        *,
    },
};

/// Calls with a timeout as a stranger may write it; a client of gRPC would hold it itself.
async fn call_within(
    api: std::net::SocketAddr,
    path: &str,
    token: &str,
    timeout: &str,
    message: &[u8],
) -> Status {
    let request = Http::post(api, path).bearer(token);
    request
        .header("grpc-timeout", timeout)
        .grpc(framed(message))
        .await
}

fn refusal(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

/// A counter of a running service; nothing, before it has counted.
async fn counted(house: &House, series: &str) -> u64 {
    let text = house.server.get("/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

on_both! {
    /// O2: a call whose time is over when it comes is not begun, whoever calls whatever: not even its token is looked
    /// up. It hears so, in gRPC and in JSON, and a counter shows it.
    async fn o2_what_has_no_time_left_is_not_begun(backend: Backend) {
        let house = House::new(backend).await;
        let api = house.server.api;
        let passed = (Code::DeadlineExceeded, "DEADLINE_PASSED".to_owned());
        let contract = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
        let mut calls = 0;
        for (path, _) in Access::from_descriptors(&contract).unwrap().methods() {
            // A token that is none: it is not asked for.
            for timeout in ["0n", "0H", "1n", "999u", "1m"] {
                let status = call_within(api, path, "li_crm_nobody", timeout, b"").await;
                assert_eq!(refusal(&status), passed, "{path}");
                if path.contains("Intake") {
                    calls += 1;
                }
            }
        }
        let token = std::fs::read_to_string(house.data().join("tokens/intake")).unwrap();
        let form = form("Kari Nordmann", "kari@example.no");
        let status = call_within(api, SUBMIT, token.trim(), "0S", &form.encode_to_vec()).await;
        assert_eq!(refusal(&status), passed);
        let as_json = Http::post(api, SUBMIT).bearer(token.trim()).header("connect-timeout-ms", "0");
        let answer = as_json.json(&json!({})).await;
        assert_eq!(answer.refusal(), (504, "deadline_exceeded".into(), "DEADLINE_PASSED".into()));
        let series = r#"lead_intake_refusals_total{service="IntakeService",reason="DEADLINE_PASSED"}"#;
        assert_eq!(counted(&house, series).await, calls + 2);
        let pulled = house.run(&["pull", "--json"]).await.with_code(0);
        assert!(!pulled.out.contains("SUBMITTED"), "something was stored");
        house.server.signal("TERM").await;
    }

    /// O2: a submission whose caller stopped waiting before a writer took it is withdrawn, and counted. One that was
    /// taken is stored: its caller hears that it is not known.
    async fn o2_a_submission_that_nobody_waits_for_is_withdrawn(backend: Backend) {
        let house = House::new(backend).await;
        let api = house.server.api;
        let token = std::fs::read_to_string(house.data().join("tokens/intake")).unwrap();
        let held = Held::at(Raw::at(&house.database_url()).await).await;
        let submit = |number: u32, timeout: &'static str| {
            let form = form("Kari Nordmann", &format!("o2-{number}@example.no"));
            let token = token.trim().to_owned();
            async move { call_within(api, SUBMIT, &token, timeout, &form.encode_to_vec()).await }
        };
        // Known, and its token with it: what follows comes to the queue at once.
        let status = call_within(api, NOTICE, token.trim(), "9S", b"").await;
        assert_eq!(status.code(), Code::Ok);
        // These are taken, and keep a writer busy; the others wait behind them.
        let mut first = JoinSet::new();
        for number in 0..4 {
            first.spawn(submit(number, "9S"));
        }
        let mut rest = JoinSet::new();
        for number in 4..24 {
            rest.spawn(submit(number, "500m"));
        }
        for status in rest.join_all().await {
            let expected = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned());
            assert_eq!(refusal(&status), expected);
        }
        held.release().await;
        for status in first.join_all().await {
            assert_eq!(status.code(), Code::Ok);
        }
        let (stored, withdrawn) = eventually(async || {
            let withdrawn = counted(&house, "lead_intake_submit_withdrawn_total ").await;
            let pulled = house.run(&["pull", "--json", "--page-size", "1000"]).await.with_code(0);
            let stored = u64::try_from(pulled.out.matches("CHANGE_KIND_SUBMITTED").count()).unwrap();
            (withdrawn + stored == 24).then_some((stored, withdrawn))
        })
        .await;
        assert!(stored >= 4 && withdrawn > 0, "{stored} stored, {withdrawn} withdrawn");
        house.server.signal("TERM").await;
    }

    /// B.5: a timeout that is none, and one that is longer than the server allows, leave the server's own: whatever a
    /// caller says, no call goes on for ever. A shorter one is the caller's to choose.
    async fn b5_the_servers_own_time_always_holds(backend: Backend) {
        let world = World::new(backend).await;
        let limits = Limits { call_max: Duration::from_millis(200), ..Limits::default() };
        let replica = start(&world, limits).await;
        let held = Held::hold(&world).await;
        let token = replica.token(Role::Intake);
        for timeout in ["123456789S", "-1S", "5X", "", "1.5S", "S", "1H", "99999999H", "50m"] {
            let form = form("Kari Nordmann", "b5@example.no").encode_to_vec();
            let status = call_within(replica.api, SUBMIT, token, timeout, &form).await;
            let expected = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned());
            assert_eq!(refusal(&status), expected, "{timeout:?}");
        }
        held.release().await;
        replica.stop().await;
    }

    /// Each kind of call has its own time: what privacy tooling asks for may take longer than a form, and the time of a
    /// stream is not that of a call.
    async fn a_stream_outlives_the_time_of_a_call(backend: Backend) {
        let world = World::new(backend).await;
        let limits = Limits { call_max: Duration::from_millis(250), ..Limits::default() };
        let replica = start(&world, limits).await;
        let follow = pb::StreamLeadsRequest { follow: true, ..Default::default() };
        let mut stream = replica.crm().stream_leads(follow).await.unwrap().into_inner();
        // Longer than a call may take: a change that comes only then is told all the same.
        let held = Held::hold(&world).await;
        let status = replica.intake().submit_lead(form("Kari", "first@example.no")).await.unwrap_err();
        assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
        held.release().await;
        let stored = eventually(async || {
            let form = form("Kari", "second@example.no");
            replica.intake().submit_lead(form).await.ok()
        })
        .await
        .into_inner();
        let told = async {
            loop {
                let message = stream.message().await.unwrap().expect("the stream goes on");
                if message.changes.iter().any(|change| change.lead_id == stored.lead_id) {
                    return;
                }
            }
        };
        tokio::time::timeout(binary::PATIENCE, told).await.expect("it was not told");
        let (changes, _) = pull_all(&mut replica.crm(), "", 1000).await;
        assert!(!changes.is_empty());
        drop(stream);
        replica.stop().await;
    }
}
