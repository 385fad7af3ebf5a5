//! Places among the calls under way: of all, of one client, and those that are kept for people's rights.

use bytes::Bytes;
use lead_intake::{
    pb,
    rpc::limits::{CallsPerSecond, Limits},
    token::Role,
};
use serde_json::json;
use tokio::task::{JoinSet, yield_now};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{Held, NOTICE, assert_refused, intake_as, notice, start};
use crate::{
    steps::{Crm, erase, pull},
    support::{plain::Http, *},
};

/// Submissions that wait for the head to be released.
fn waiting(replica: &Replica, token: &str, count: usize) -> JoinSet<pb::SubmitLeadResponse> {
    let mut waiting = JoinSet::new();
    for number in 0..count {
        let mut intake = intake_as(replica, token);
        let form = form("Kari Nordmann", &format!("waits-{number}@example.no"));
        waiting.spawn(async move {
            loop {
                match intake.submit_lead(form.clone()).await {
                    Ok(answer) => return answer.into_inner(),
                    // Whoever looks whether all places are taken had the last one.
                    Err(status) if status.code() == Code::ResourceExhausted => yield_now().await,
                    Err(status) => panic!("{status}"),
                }
            }
        });
    }
    waiting
}

on_both! {
    /// With every place taken a call is refused before anything is done, and hears when to come back, in gRPC and in
    /// JSON. What is kept for privacy tooling and auditors is theirs, and health is outside. As soon as a place is free
    /// the next call has it.
    async fn rights_and_health_have_places_of_their_own(backend: Backend) {
        let world = World::new(backend).await;
        let limits = Limits { calls_max: 5, calls_reserved: 3, ..Limits::default() };
        let replica = start(&world, limits).await;
        crate::steps::submit_mail(&replica, "known@example.no").await;
        let held = Held::hold(&world).await;
        let pending = waiting(&replica, replica.token(Role::Intake), 2);
        let mut intake = replica.intake();
        let status = eventually(async || notice(&mut intake).await.err()).await;
        assert_refused(&status, "OVERLOADED");
        let form_refused = intake.submit_lead(form("Kari", "refused@example.no")).await.unwrap_err();
        assert_refused(&form_refused, "OVERLOADED");
        assert_refused(&pull(&mut replica.crm(), "", 0).await.unwrap_err(), "OVERLOADED");
        // Before its token is looked at.
        let status = notice(&mut intake_as(&replica, "li_intake_nobody")).await.unwrap_err();
        assert_refused(&status, "OVERLOADED");
        let as_json = Http::post(replica.api, NOTICE).bearer(replica.token(Role::Intake));
        let answer = as_json.json(&json!({})).await;
        assert_eq!(answer.refusal(), (429, "resource_exhausted".into(), "OVERLOADED".into()));
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=2).contains(&after), "{after}");

        // These only read: whoever writes would wait for the head.
        let receipt = pb::GetErasureReceiptRequest { request_id: new_id().to_string(), ..Default::default() };
        let unknown = replica.privacy().get_erasure_receipt(receipt).await.unwrap_err();
        assert_eq!(reason(&unknown), "RECEIPT_UNKNOWN");
        let list = pb::ListEntriesRequest::default();
        replica.ledger().list_entries(list).await.unwrap();
        let check = HealthCheckRequest::default();
        HealthClient::new(replica.channel()).check(check).await.unwrap();

        held.release().await;
        assert_eq!(pending.join_all().await.len(), 2);
        eventually(async || notice(&mut intake).await.ok()).await;
        let told = crate::steps::pull_all(&mut replica.crm(), "", 1000).await.0;
        assert_eq!(told.len(), 3, "what was refused is not stored");
        erase(&replica, "known@example.no").await;
        replica.stop().await;
    }

    /// What one client has under way is counted over all its tokens and connections, and costs another nothing.
    async fn a_client_has_so_many_calls_under_way(backend: Backend) {
        let world = World::new(backend).await;
        let store = world.open().await;
        let second = world.new_token(&store, "intake", Role::Intake).await;
        let other = world.new_token(&store, "other-website", Role::Intake).await;
        store.close().await;
        let replica = start(&world, Limits { client_calls_max: 2, ..Limits::default() }).await;
        let held = Held::hold(&world).await;
        let pending = waiting(&replica, replica.token(Role::Intake), 2);
        let mut intake = replica.intake();
        let status = eventually(async || notice(&mut intake).await.err()).await;
        assert_refused(&status, "CLIENT_CALLS_MAX");
        let status = notice(&mut intake_as(&replica, second.expose())).await.unwrap_err();
        assert_refused(&status, "CLIENT_CALLS_MAX");
        for _ in 0..10 {
            notice(&mut intake_as(&replica, other.expose())).await.unwrap();
        }
        held.release().await;
        assert_eq!(pending.join_all().await.len(), 2);
        eventually(async || notice(&mut intake).await.ok()).await;
        replica.stop().await;
    }

    /// O4: an answer that its reader does not take keeps its place, so that a client can make so many of them lie here and no
    /// more; with the reader, or its connection, the place is free.
    async fn o4_an_answer_that_is_not_read_keeps_its_place(backend: Backend) {
        let world = World::new(backend).await;
        let replica = start(&world, Limits { client_calls_max: 2, ..Limits::default() }).await;
        let name = "Kari Nordmann ".repeat(14);
        for number in 0..60 {
            let form = form(name.trim(), &format!("unread-{number}@example.no"));
            crate::steps::submit(&replica, form).await;
        }
        // A window that is far smaller than the answer.
        let endpoint = Endpoint::from_shared(format!("http://{}", replica.api)).unwrap();
        let small = endpoint.initial_stream_window_size(4 * 1024).connect_lazy();
        let begin = async || {
            let mut request = tonic::Request::new(Bytes::new());
            *request.metadata_mut() = raw::bearer(replica.token(Role::Crm));
            let mut grpc = tonic::client::Grpc::new(small.clone());
            grpc.ready().await.unwrap();
            let pull = "/leadintake.v1.CrmService/PullLeads".parse().unwrap();
            // Gives the answer's beginning; nothing more is asked for.
            grpc.server_streaming(request, pull, raw::BytesCodec).await
        };
        let mut unread = vec![begin().await.unwrap(), begin().await.unwrap()];
        for _ in 0..3 {
            assert_refused(&begin().await.unwrap_err(), "CLIENT_CALLS_MAX");
            assert_refused(&pull(&mut replica.crm(), "", 1).await.unwrap_err(), "CLIENT_CALLS_MAX");
        }
        // Others have theirs.
        notice(&mut replica.intake()).await.unwrap();
        let mut read = unread.pop().unwrap().into_inner();
        assert!(read.message().await.unwrap().unwrap().len() > 8 * 1024);
        assert!(read.message().await.unwrap().is_none());
        eventually(async || pull(&mut replica.crm(), "", 1).await.ok()).await;
        let again = eventually(async || begin().await.ok()).await;
        drop((again, unread));
        eventually(async || {
            let (one, other) = (begin().await.ok()?, begin().await.ok()?);
            Some((one, other))
        })
        .await;
        replica.stop().await;
    }

    /// O7: a client that calls without end is refused beyond its rate, and every call of the others is answered.
    async fn o7_a_noisy_neighbour_costs_the_others_nothing(backend: Backend) {
        const BURST: u32 = 30;
        const CALLS: u32 = 600;
        let world = World::new(backend).await;
        let store = world.open().await;
        let noisy = world.new_token(&store, "noisy-crm", Role::Crm).await;
        let quiet = world.new_token(&store, "quiet-crm", Role::Crm).await;
        store.close().await;
        let client_rate = Some(CallsPerSecond { steady: 1, burst: BURST });
        let replica = start(&world, Limits { client_rate, ..Limits::default() }).await;
        let mut callers = JoinSet::new();
        for _ in 0..8 {
            let mut crm: Crm = replica.crm_as(noisy.expose());
            callers.spawn(async move {
                let mut answered = 0;
                for _ in 0..CALLS / 8 {
                    match pull(&mut crm, "", 1).await {
                        Ok(_) => answered += 1,
                        Err(status) => assert_refused(&status, "CLIENT_RATE_MAX"),
                    }
                }
                answered
            });
        }
        // Ten times less, at the same time: as much as it may at once.
        let mut crm = replica.crm_as(quiet.expose());
        for _ in 0..BURST {
            pull(&mut crm, "", 1).await.unwrap();
        }
        let answered: u32 = callers.join_all().await.into_iter().sum();
        // One more for each second that this took, and it did not take minutes.
        assert!((BURST..BURST + 300).contains(&answered), "{answered}");
        replica.stop().await;
    }
}
