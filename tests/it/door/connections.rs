//! Connections are bounded, in number and in what they may leave unfinished.

use std::{net::SocketAddr, time::Duration};

use lead_intake::{
    door::Limits,
    pb::{self, PullLeadsRequest},
    server::Parts,
    token::Role,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    binary::{self, Binary},
    h2_frames::{self as h2, Connection},
    *,
};

const SUBMIT: &str = "/leadintake.v1.IntakeService/SubmitLead";
const PATIENCE: Duration = Duration::from_secs(30);

/// Deadlines that a test can wait for.
fn short() -> Limits {
    Limits {
        first_within: Duration::from_millis(200),
        rest_within: Duration::from_millis(300),
        written_within: Duration::from_millis(500),
        ..Limits::default()
    }
}

async fn start(world: &World, limits: Limits) -> Replica {
    world
        .start_with(|parts| Parts {
            connections: limits,
            ..parts
        })
        .await
}

async fn submit(replica: &Replica) {
    let form = form("Kari Nordmann", "kari@example.no");
    replica.intake().submit_lead(form).await.unwrap();
}

/// A stream that does not end by itself.
async fn follow(replica: &Replica) -> tonic::Streaming<pb::StreamLeadsResponse> {
    let request = pb::StreamLeadsRequest {
        follow: true,
        ..Default::default()
    };
    replica
        .crm()
        .stream_leads(request)
        .await
        .unwrap()
        .into_inner()
}

/// What the server sends until it ends the connection.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // An end in anger is an end.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the connection stays open");
    bytes
}

async fn connect(address: SocketAddr, first: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(first).await.unwrap();
    stream
}

/// O5: who connects and says nothing, or less than a beginning, is put out, on both listeners.
#[tokio::test(flavor = "multi_thread")]
async fn o5_a_silent_peer_is_put_out() {
    let world = World::new(Backend::Sqlite).await;
    let replica = start(&world, short()).await;
    for first in [&b""[..], b"P", &h2::PREFACE[..20], h2::PREFACE] {
        let mut api = connect(replica.api, first).await;
        read_to_end(&mut api).await;
    }
    for first in [&b""[..], b"P"] {
        let mut admin = connect(replica.admin, first).await;
        read_to_end(&mut admin).await;
    }
    submit(&replica).await;
    replica.stop().await;
}

/// O5: a header block, a frame or a head of HTTP/1.1 that is begun and not finished ends its connection, also when it
/// comes byte by byte.
#[tokio::test(flavor = "multi_thread")]
async fn o5_what_is_begun_must_be_finished() {
    let world = World::new(Backend::Sqlite).await;
    let replica = start(&world, short()).await;
    let settings = h2::frame(h2::SETTINGS, 0, 0, &[]);
    let block = h2::request(SUBMIT, &[]);
    let headers = h2::frame(h2::HEADERS, 0, 1, &block);
    let whole = h2::frame(h2::HEADERS, h2::END_HEADERS, 1, &block);
    let data = &h2::frame(h2::DATA, 0, 1, &[0; 100])[..50];
    for begun in [
        [h2::PREFACE, &settings, &headers].concat(),
        [h2::PREFACE, &settings, &headers[..20]].concat(),
        [h2::PREFACE, &settings, &whole, data].concat(),
        b"POST / HTTP/1.1\r\nhost: x\r\n".to_vec(),
    ] {
        let mut api = connect(replica.api, &begun).await;
        read_to_end(&mut api).await;
    }
    // Drop by drop, which keeps no connection open.
    let mut api = connect(replica.api, b"POST / HTTP/1.1\r\n").await;
    let mut drops = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let dripping = async {
        while api.write_all(b"a").await.is_ok() {
            tick.tick().await;
            drops += 1;
        }
    };
    timeout(PATIENCE, dripping).await.expect("it drips on");
    assert!(drops > 1, "it was not the first drop that ended it");
    submit(&replica).await;
    replica.stop().await;
}

/// O5: who owes nothing may be silent: the deadlines end no follower of the feed, no idle connection, and no call that
/// takes the server long.
#[tokio::test(flavor = "multi_thread")]
async fn o5_who_owes_nothing_may_be_silent() {
    let world = World::new(Backend::Sqlite).await;
    let replica = start(&world, short()).await;
    let mut idle = Connection::open(replica.api).await;
    let mut stream = follow(&replica).await;
    // Others are put out one after the other in the meantime, which takes longer than any deadline.
    for _ in 0..5 {
        let mut silent = connect(replica.api, b"").await;
        read_to_end(&mut silent).await;
    }
    submit(&replica).await;
    let told = timeout(PATIENCE, stream.message()).await.unwrap().unwrap();
    assert_eq!(told.unwrap().changes.len(), 1);
    assert!(idle.send(h2::PING, 0, 0, &[7; 8]).await);
    let answer = idle.next_of(h2::PING).await.expect("it is open");
    assert_eq!((answer.flags, &*answer.payload), (h2::ACK, &[7; 8][..]));
    drop(stream);
    replica.stop().await;
}

/// O4: a peer that opens its windows and stops reading is put out, with what was kept for it.
#[tokio::test(flavor = "multi_thread")]
async fn o4_a_peer_that_takes_nothing_is_put_out() {
    let world = World::new(Backend::Sqlite).await;
    let replica = start(&world, short()).await;
    for number in 0..200 {
        let name = format!("{number} {}", "n".repeat(190));
        let lead = form(&name, &format!("{number}@example.no"));
        replica.intake().submit_lead(lead).await.unwrap();
    }
    let mut hoarder = Connection::open(replica.api).await;
    // Windows as wide as they get, here and for each stream.
    let wide = [0, 4, 0x7f, 0xff, 0xff, 0xff];
    assert!(hoarder.send(h2::SETTINGS, 0, 0, &wide).await);
    let more = 0x7000_0000_u32.to_be_bytes();
    assert!(hoarder.send(h2::WINDOW_UPDATE, 0, 0, &more).await);
    let token = replica.token(Role::Crm);
    let path = "/leadintake.v1.CrmService/PullLeads";
    let mut request = vec![0; 5];
    prost::Message::encode(
        &PullLeadsRequest {
            page_size: 1000,
            ..Default::default()
        },
        &mut request,
    )
    .unwrap();
    let length = u32::try_from(request.len() - 5).unwrap();
    request[1..5].copy_from_slice(&length.to_be_bytes());
    // Asked again and again, until the answers fill every buffer on the way and the server has enough.
    let asking = async {
        for stream in (1..).step_by(2) {
            if !hoarder.call(stream, path, token, false).await
                || !hoarder
                    .send(h2::DATA, h2::END_STREAM, stream, &request)
                    .await
            {
                break;
            }
        }
    };
    timeout(PATIENCE, asking)
        .await
        .expect("it is never put out");
    submit(&replica).await;
    replica.stop().await;
}

/// O3: over the cap who comes is turned away and does not hang; when one leaves, the next may come in.
#[tokio::test(flavor = "multi_thread")]
async fn o3_over_the_cap_peers_are_turned_away() {
    let world = World::new(Backend::Sqlite).await;
    let limits = Limits {
        connections_max: 8,
        room_within: Duration::from_millis(50),
        ..Limits::default()
    };
    let replica = start(&world, limits).await;
    let mut inside = Vec::new();
    for _ in 0..8 {
        let mut connection = Connection::open(replica.api).await;
        // Its settings say that it is inside.
        connection
            .next_of(h2::SETTINGS)
            .await
            .expect("there is room");
        inside.push(connection);
    }
    for _ in 0..20 {
        let mut stranger = TcpStream::connect(replica.api).await.unwrap();
        assert_eq!(read_to_end(&mut stranger).await, b"");
    }
    // Nobody inside noticed.
    for connection in &mut inside {
        assert!(connection.send(h2::PING, 0, 0, &[0; 8]).await);
        assert!(connection.next_of(h2::PING).await.is_some());
    }
    inside.pop();
    eventually(async || {
        let form = form("Kari Nordmann", "kari@example.no");
        replica.intake().submit_lead(form).await.ok()
    })
    .await;
    replica.stop().await;
}

/// A connection is asked to leave at its age, finishes its calls first, and a client comes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_is_asked_to_leave() {
    let world = World::new(Backend::Sqlite).await;
    let limits = Limits {
        age_max: Duration::from_millis(300),
        ..Limits::default()
    };
    let replica = start(&world, limits).await;
    // On a connection that gets old while it is open.
    let mut stream = follow(&replica).await;
    let mut raw = Connection::open(replica.api).await;
    assert_eq!(
        raw.end().await,
        Some(0),
        "a GOAWAY without an error, then the end"
    );
    submit(&replica).await;
    let told = timeout(PATIENCE, stream.message()).await.unwrap().unwrap();
    assert_eq!(told.unwrap().changes.len(), 1, "its call went on");
    drop(stream);
    replica.stop().await;
}

/// An old connection whose calls do not end is cut after its grace: nobody stays for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_does_not_stay_for_ever() {
    let world = World::new(Backend::Sqlite).await;
    let limits = Limits {
        age_max: Duration::from_millis(50),
        age_grace: Duration::from_millis(200),
        ..Limits::default()
    };
    let replica = start(&world, limits).await;
    let mut stream = follow(&replica).await;
    let end = timeout(PATIENCE, async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                end => return end,
            }
        }
    });
    assert!(end.await.expect("it stays").is_err(), "cut, not ended");
    replica.stop().await;
}

/// O6: at the limit of descriptors the service waits between two attempts, says so once, and goes on when there are
/// some again.
#[tokio::test(flavor = "multi_thread")]
async fn o6_without_descriptors_it_waits_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let server = Binary::serve(dir.path(), &[]).await;
    let pid = server.child.id().unwrap();
    let open = number(&server.get("/metrics").await, "process_open_fds");
    // Metrics are asked for on a connection that is there before: no other comes in soon.
    let mut admin = TcpStream::connect(server.admin).await.unwrap();
    assert_eq!(failures(&mut admin).await, 0);
    limit_files(pid, open + 4);
    let started = std::time::Instant::now();
    let mut peers = Vec::new();
    for _ in 0..40 {
        peers.push(TcpStream::connect(server.api).await.unwrap());
    }
    let failed = eventually(async || {
        let failed = failures(&mut admin).await;
        (failed >= 5).then_some(failed)
    })
    .await;
    // Ten a second: however slow the machine is, not more. Without a pause it would be thousands.
    let tenths = started.elapsed().as_millis() / 100;
    assert!(
        u128::from(failed) <= tenths + 2,
        "{failed} in {tenths} tenths"
    );
    let told = server.log().matches("cannot accept connections").count();
    assert_eq!(told, 1, "once in ten seconds");
    // They go away; whoever comes is served again, though the limit is as low as before.
    drop(peers);
    let data = dir.path().to_str().unwrap();
    let url = server.url();
    let args = ["pull", "--url", &url, "--data-dir", data];
    eventually(async || (binary::run(&[], &args, "").await.code == Some(0)).then_some(())).await;
    let (status, log) = server.signal("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
}

/// How many connections could not be accepted, asked on this connection.
async fn failures(admin: &mut TcpStream) -> u64 {
    let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
    admin.write_all(request).await.unwrap();
    let mut text = String::new();
    let reading = async {
        let mut piece = [0; 4096];
        loop {
            let read = admin.read(&mut piece).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&piece[..read]));
            if is_whole(&text) {
                return;
            }
            assert!(read > 0, "it ended");
        }
    };
    timeout(PATIENCE, reading).await.expect("no metrics");
    number(&text, "lead_intake_accept_failures_total")
}

/// Whether an answer over HTTP/1.1 is there to its end.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| body.len() >= length.parse().unwrap())
}

/// O6: more connections than descriptors are refused at the start, in words.
#[tokio::test(flavor = "multi_thread")]
async fn o6_too_few_descriptors_are_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lead-intake.toml");
    let text = std::fs::read_to_string("lead-intake.example.toml").unwrap();
    let text = text.replace("connections_max = 2000", "connections_max = 100000000");
    std::fs::write(&config, text).unwrap();
    let args = [
        "serve",
        "--config",
        config.to_str().unwrap(),
        "--data-dir",
        dir.path().to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let refused = binary::run(&[], &args, "").await.with_code(1);
    assert!(
        refused.err.contains("the limit of open files is "),
        "{}",
        refused.err
    );
    assert!(
        refused.err.contains("connections of 100000000"),
        "{}",
        refused.err
    );
}

/// The value of a metric without labels.
fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.expect(name).trim().parse().unwrap()
}

/// Sets how many files a running process may have open.
fn limit_files(pid: u32, files: u64) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = Pid::from_raw(pid.try_into().unwrap());
    let limit = Rlimit {
        current: Some(files),
        maximum: Some(files),
    };
    prlimit(pid, Resource::Nofile, limit).unwrap();
}
