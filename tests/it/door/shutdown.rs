//! How the service ends: in order, with a deadline, and at once if told twice.

use std::time::Duration;

use lead_intake::{
    door::Limits,
    pb::{self, intake_service_client::IntakeServiceClient},
    server::{Ending, Parts},
    token::Role,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet, time::timeout};
use tonic::Code;

use crate::support::{
    binary::{Binary, PATIENCE, send_signal},
    h2_frames::{self as h2, Connection},
    *,
};

/// How often a stop under load is done: once, if nobody says.
const STOPS: &str = "LEAD_INTAKE_TEST_STOPS";

/// Where a program of its own keeps its leads.
async fn database(backend: Backend) -> Option<String> {
    match backend {
        Backend::Postgres => Some(new_postgres_database().await),
        Backend::Sqlite => None,
    }
}

/// The same as environment.
fn envs(database: Option<&String>) -> Vec<(&str, &str)> {
    let url = database.map(|url| ("LEAD_INTAKE_DATABASE_URL", url.as_str()));
    url.into_iter().collect()
}

/// A configuration file for the program with this long a drain.
fn drain_of(dir: &std::path::Path, seconds: u32) -> String {
    let path = dir.join("lead-intake.toml");
    let text = std::fs::read_to_string("lead-intake.example.toml").unwrap();
    let known = "drain_seconds = 20";
    assert!(text.contains(known));
    std::fs::write(
        &path,
        text.replace(known, &format!("drain_seconds = {seconds}")),
    )
    .unwrap();
    path.to_str().unwrap().to_owned()
}

async fn follow(
    server: &Binary,
    data: &std::path::Path,
) -> tonic::Streaming<pb::StreamLeadsResponse> {
    let caller = server.caller(data, "crm");
    let mut crm = pb::crm_service_client::CrmServiceClient::new(caller);
    let request = pb::StreamLeadsRequest {
        follow: true,
        ..Default::default()
    };
    crm.stream_leads(request).await.unwrap().into_inner()
}

/// Reads a stream to its end.
async fn end_of(
    mut stream: tonic::Streaming<pb::StreamLeadsResponse>,
) -> (String, Option<tonic::Status>) {
    let mut cursor = String::new();
    let reading = async {
        loop {
            match stream.message().await {
                Ok(Some(message)) => cursor = message.next_cursor,
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    };
    let end = timeout(PATIENCE, reading).await.expect("it goes on");
    (cursor, end)
}

async fn stop_under_load(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let database = database(backend).await;
    let server = Binary::serve(&data, &envs(database.as_ref())).await;
    let mut callers = JoinSet::new();
    for number in 0..16 {
        let mut intake = IntakeServiceClient::new(server.caller(&data, "intake"));
        callers.spawn(async move {
            let mut acknowledged = Vec::new();
            loop {
                let form = form("Kari Nordmann", &format!("{number}@example.no"));
                match intake.submit_lead(form).await {
                    Ok(answer) => acknowledged.push(answer.into_inner().lead_id),
                    Err(status) => return (acknowledged, status),
                }
            }
        });
    }
    // In the middle of it: when some hundred are in the ledger.
    eventually(async || {
        let text = server.get("/metrics").await;
        let written = text
            .lines()
            .find_map(|it| it.strip_prefix("lead_intake_ledger_entries "))?;
        (written.parse::<f64>().unwrap() > 300.0).then_some(())
    })
    .await;
    let (status, log) = server.signal("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    let mut acknowledged = Vec::new();
    for (of_one, end) in callers.join_all().await {
        acknowledged.extend(of_one);
        // Each call that was begun was answered. The one after it found the port closed, or was never sent, since the
        // connection was going: that is what hyper's words mean. Or the server's last word came before it was sent: what
        // that word does not cover was not taken (RFC 9113, 6.8).
        let text = format!("{end:?}");
        let found_it_closed = end.code() == Code::Unavailable && text.contains("ConnectError");
        let was_never_sent = text.contains(r#"hyper::Error(Canceled, "connection closed")"#);
        let was_not_taken = text.contains(r#"GoAway(b"", NO_ERROR, Remote)"#);
        assert!(found_it_closed || was_never_sent || was_not_taken, "{text}");
    }
    assert!(acknowledged.len() > 100);
    let server = Binary::serve(&data, &envs(database.as_ref())).await;
    let mut crm = pb::crm_service_client::CrmServiceClient::new(server.caller(&data, "crm"));
    let mut stored = std::collections::HashSet::new();
    let mut cursor = String::new();
    loop {
        let request = pb::PullLeadsRequest {
            cursor,
            page_size: 1000,
        };
        let page = crm.pull_leads(request).await.unwrap().into_inner();
        stored.extend(page.changes.into_iter().map(|change| change.lead_id));
        cursor = page.next_cursor;
        if !page.has_more {
            break;
        }
    }
    let missing = acknowledged
        .iter()
        .filter(|id| !stored.contains(*id))
        .count();
    assert_eq!(missing, 0, "of {}", acknowledged.len());
    // And each call that was taken was answered: whatever the last words of a connection meant.
    assert_eq!(stored.len(), acknowledged.len());
    server.signal("TERM").await;
}

on_both! {
    /// G1: a stop under load loses nothing that was acknowledged, fails no call that it had begun, and ends well.
    /// `.ci/soak` does it fifty times.
    async fn g1_a_stop_under_load_loses_nothing(backend: Backend) {
        let stops = std::env::var(STOPS).map_or(1, |stops| stops.parse().unwrap());
        for _ in 0..stops {
            stop_under_load(backend).await;
        }
    }

    /// G3: health first, while calls are still taken; then the door closes and streams end with a cursor to go on from;
    /// at last everything is written and closed.
    async fn g3_a_stop_has_its_order(backend: Backend) {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let database = database(backend).await;
        let mut slow = envs(database.as_ref());
        slow.push(("LEAD_INTAKE_STOP_WAIT_SECONDS", "5"));
        let mut server = Binary::serve(&data, &slow).await;
        eventually(async || server.probe("/readyz").await.contains(" 200 ").then_some(())).await;
        let stream = follow(&server, &data).await;
        let pid = server.child.id().unwrap();
        assert!(send_signal(pid, "TERM").await);
        eventually(async || server.probe("/readyz").await.contains(" 503 ").then_some(())).await;
        // A balancer that has not looked yet: its caller finds the door open.
        let mut intake = IntakeServiceClient::new(server.caller(&data, "intake"));
        let late = intake.submit_lead(form("Kari Nordmann", "kari@example.no")).await;
        let late = late.expect("the door is still open").into_inner().lead_id;
        let (cursor, end) = end_of(stream).await;
        assert_eq!(reason(&end.expect("the stream is told why")), "STOPPING");
        assert!(!cursor.is_empty(), "it was told of the lead, and where to go on");
        let ended = timeout(PATIENCE, server.child.wait()).await;
        assert_eq!(ended.expect("it stays").unwrap().code(), Some(0), "{}", server.log());
        TcpStream::connect(server.api).await.expect_err("the port is free");
        let log = data.join("lead-intake.db-wal");
        assert!(std::fs::metadata(log).map_or(0, |log| log.len()) == 0, "SQLite's log is empty");
        let server = Binary::serve(&data, &envs(database.as_ref())).await;
        let mut crm = pb::crm_service_client::CrmServiceClient::new(server.caller(&data, "crm"));
        let all = pb::PullLeadsRequest::default();
        let page = crm.pull_leads(all).await.unwrap().into_inner();
        assert_eq!(page.changes.len(), 1);
        assert_eq!(page.changes[0].lead_id, late);
        let rest = pb::PullLeadsRequest { cursor, page_size: 0 };
        assert_eq!(crm.pull_leads(rest).await.unwrap().into_inner().changes.len(), 0);
        server.signal("TERM").await;
    }
}

/// G2: a silent peer, a reader that takes nothing, a call that never ends: none of them holds the stop longer than the
/// drain, on either listener, and the service ends well. That it is the drain that ends them is seen below.
#[tokio::test(flavor = "multi_thread")]
async fn g2_nobody_holds_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let config = drain_of(dir.path(), 1);
    let data = dir.path().join("data");
    let server = Binary::serve(&data, &[("LEAD_INTAKE_CONFIG", &config)]).await;
    let silent = TcpStream::connect(server.api).await.unwrap();
    let mut half = TcpStream::connect(server.api).await.unwrap();
    half.write_all(b"POST / HTTP/1.1\r\n").await.unwrap();
    let silent_admin = TcpStream::connect(server.admin).await.unwrap();
    let mut half_admin = TcpStream::connect(server.admin).await.unwrap();
    half_admin
        .write_all(b"GET /metrics HTTP/1.1\r\n")
        .await
        .unwrap();

    let token = std::fs::read_to_string(data.join("tokens/crm")).unwrap();
    // No window: nothing that is sent on its stream gets through.
    let mut closed = Connection::open(server.api).await;
    assert!(closed.send(h2::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await);
    let path = "/leadintake.v1.CrmService/StreamLeads";
    assert!(closed.call(1, path, token.trim(), false).await);
    // A message of two bytes: to follow.
    let message = [0, 0, 0, 0, 2, 0x10, 1];
    assert!(closed.send(h2::DATA, h2::END_STREAM, 1, &message).await);
    closed
        .next_of(h2::HEADERS)
        .await
        .expect("the stream begins");
    // A message that never comes.
    let mut endless = Connection::open(server.api).await;
    assert!(endless.call(1, path, token.trim(), false).await);
    assert!(endless.send(h2::PING, 0, 0, &[0; 8]).await);
    loop {
        let frame = endless.next_of(h2::PING).await.expect("it is served");
        if frame.flags == h2::ACK {
            break;
        }
    }

    let (status, log) = server.signal("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");
    drop((silent, half, silent_admin, half_admin, closed, endless));
}

/// G2: the same inside one process, where it can be seen that every connection is gone when the server is.
#[tokio::test(flavor = "multi_thread")]
async fn g2_a_stop_leaves_no_connection() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world
        .start_with(|parts| Parts {
            connections: Limits {
                // No other deadline ends these peers in this test's time, the silent one and the one in the midst of a call.
                first_within: Duration::from_hours(1),
                ..Limits::default()
            },
            limits: lead_intake::rpc::limits::Limits {
                call_max: Duration::from_hours(1),
                ..Default::default()
            },
            ending: Ending {
                wait: Duration::ZERO,
                drain_max: Duration::from_millis(200),
            },
            ..parts
        })
        .await;
    let mut endless = Connection::open(replica.api).await;
    let token = replica.token(Role::Intake).to_owned();
    let path = "/leadintake.v1.IntakeService/SubmitLead";
    assert!(endless.call(1, path, &token, false).await);
    let mut silent = TcpStream::connect(replica.api).await.unwrap();
    // Less than HTTP/2 itself waits for a peer that answers no ping.
    timeout(Duration::from_secs(25), replica.stop())
        .await
        .expect("the stop is held");
    endless.end().await;
    let mut nothing = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut nothing);
    let _ = timeout(PATIENCE, read).await.expect("it is still there");
}

/// G4: who is told twice ends at once, whatever is under way.
#[tokio::test(flavor = "multi_thread")]
async fn g4_a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let dir = tempfile::tempdir().unwrap();
        let wait = [("LEAD_INTAKE_STOP_WAIT_SECONDS", "300")];
        let server = Binary::serve(dir.path(), &wait).await;
        let pid = server.child.id().unwrap();
        assert!(send_signal(pid, first).await);
        eventually(async || server.log().contains("stopping").then_some(())).await;
        let (status, log) = server.signal(second).await;
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(!log.contains("stopped"), "{log}");
    }
}
