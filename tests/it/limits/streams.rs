//! Streams: how many, how long, and what a reader that does not read costs.

use std::time::Duration;

use lead_intake::{
    pb::{self, StreamLeadsResponse},
    rpc::limits::Limits,
    token::Role,
};
use tonic::{Code, Status, Streaming};

use super::{assert_refused, start};
use crate::{
    cli::House,
    steps::{Crm, pull_all, submit_mail},
    support::*,
};

async fn open(crm: &mut Crm, cursor: &str) -> Result<Streaming<StreamLeadsResponse>, Status> {
    let request = pb::StreamLeadsRequest {
        cursor: cursor.to_owned(),
        follow: true,
    };
    Ok(crm.stream_leads(request).await?.into_inner())
}

/// Reads a stream to its end; gives what it told, its last cursor, and how it ended.
async fn read_all(
    stream: &mut Streaming<StreamLeadsResponse>,
) -> (Vec<String>, String, Option<Status>) {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    let reading = async {
        loop {
            match stream.message().await {
                Ok(Some(message)) => {
                    ids.extend(message.changes.into_iter().map(|change| change.lead_id));
                    cursor = message.next_cursor;
                }
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    };
    let end = tokio::time::timeout(binary::PATIENCE, reading).await;
    (ids, cursor, end.expect("it never ended"))
}

on_both! {
    /// O4: a client has at most four streams open; a fifth is refused, and costs another client nothing. When one has
    /// ended the next may begin.
    async fn o4_a_client_has_four_streams(backend: Backend) {
        let world = World::new(backend).await;
        let store = world.open().await;
        let other = world.new_token(&store, "other-crm", Role::Crm).await;
        store.close().await;
        let replica = world.start().await;
        let mut crm = replica.crm();
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(open(&mut crm, "").await.unwrap());
        }
        // By another connection too.
        for mut crm in [crm.clone(), replica.crm()] {
            assert_refused(&open(&mut crm, "").await.unwrap_err(), "CLIENT_STREAMS_MAX");
        }
        let theirs = open(&mut replica.crm_as(other.expose()), "").await.unwrap();
        drop(streams.pop());
        let again = eventually(async || open(&mut crm, "").await.ok()).await;
        drop((streams, theirs, again));
        replica.stop().await;
    }

    /// O4: streams that wait, and streams whose reader does not read, hold no connection to the database: with more of
    /// them than there are connections everybody is answered.
    async fn o4_a_waiting_stream_holds_no_connection(backend: Backend) {
        let world = World::new(backend).await;
        let store = world.open().await;
        let mut tokens = Vec::new();
        for number in 0..4 {
            let name = format!("crm-{number}");
            tokens.push(world.new_token(&store, &name, Role::Crm).await);
        }
        store.close().await;
        let replica = world.start().await;
        let mut streams = Vec::new();
        for token in &tokens {
            for _ in 0..4 {
                let mut stream = open(&mut replica.crm_as(token.expose()), "").await.unwrap();
                if streams.len() % 2 == 0 {
                    // It reads: this one is not only open, but at the feed's end.
                    submit_mail(&replica, &format!("o4-{}@example.no", streams.len())).await;
                    stream.message().await.unwrap().expect("a message");
                }
                streams.push(stream);
            }
        }
        // More than the world's eight connections, and than readers of SQLite.
        assert_eq!(streams.len(), 16);
        for number in 0..20 {
            submit_mail(&replica, &format!("o4-after-{number}@example.no")).await;
            let (changes, _) = pull_all(&mut replica.crm(), "", 1000).await;
            assert_eq!(changes.len(), 8 + number + 1);
        }
        drop(streams);
        replica.stop().await;
    }

    /// A stream ends well when its life is over, and goes on from its last cursor without a gap.
    async fn a_stream_ends_and_is_resumed(backend: Backend) {
        let world = World::new(backend).await;
        let limits = Limits { stream_max: Duration::from_millis(50), ..Limits::default() };
        let replica = start(&world, limits).await;
        let mut expected = Vec::new();
        for number in 0..3 {
            expected.push(submit_mail(&replica, &format!("life-{number}@example.no")).await);
        }
        let mut stream = open(&mut replica.crm(), "").await.unwrap();
        let (mut told, cursor, end) = read_all(&mut stream).await;
        assert!(end.is_none(), "{end:?}");
        expected.push(submit_mail(&replica, "life-after@example.no").await);
        let mut stream = open(&mut replica.crm(), &cursor).await.unwrap();
        told.extend(read_all(&mut stream).await.0);
        assert_eq!(told, expected);
        replica.stop().await;
    }

    /// O4: a reader that takes nothing is cut off, whatever windows it has opened. When it reads on after all it gets
    /// what was on its way and then hears why; its last cursor goes on without a gap.
    async fn o4_a_reader_that_takes_nothing_is_cut_off(backend: Backend) {
        const LEADS: usize = 300;
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("lead-intake.toml");
        let example = include_str!("../../../lead-intake.example.toml");
        let short = example.replace("stall_seconds_max = 30", "stall_seconds_max = 1");
        assert_ne!(short, example);
        std::fs::write(&config, short).unwrap();
        let envs = [("LEAD_INTAKE_CONFIG", config.to_str().unwrap())];
        let house = House::below(dir, "data", backend, &envs).await;
        let data = house.data();
        let mut crm = Crm::new(house.server.caller(&data, "crm"));
        // A small window, so that it takes few leads to fill it.
        let mut sleepy = Crm::new(house.server.caller_by(&data, "crm", |endpoint| {
            endpoint.initial_stream_window_size(16 * 1024)
        }));
        let mut intake =
            pb::intake_service_client::IntakeServiceClient::new(house.server.caller(&data, "intake"));
        let mut stream = open(&mut sleepy, "").await.unwrap();
        // Nothing is read. What fills the window is the leads, each in a message of its own or some together.
        let name = "Kari Nordmann ".repeat(14);
        let mut expected = Vec::new();
        for number in 0..LEADS {
            let form = form(name.trim(), &format!("o4-{number}@example.no"));
            let form = pb::SubmitLeadRequest { company: name.trim().to_owned(), ..form };
            expected.push(intake.submit_lead(form).await.unwrap().into_inner().lead_id);
        }
        let open_streams = async || {
            let text = house.server.get("/metrics").await;
            let line = text.lines().find_map(|line| line.strip_prefix("lead_intake_streams_open "));
            line.unwrap().to_owned()
        };
        eventually(async || (open_streams().await == "0").then_some(())).await;
        let (mut told, cursor, end) = read_all(&mut stream).await;
        let end = end.expect("not a good end");
        assert_eq!((end.code(), &*reason(&end)), (Code::Unavailable, "READER_STALLED"));
        assert!(!told.is_empty() && told.len() < LEADS, "{}", told.len());
        drop(stream);
        let (rest, _) = pull_all(&mut crm, &cursor, 1000).await;
        told.extend(rest.into_iter().map(|change| change.lead_id));
        assert_eq!(told, expected);
        house.server.signal("TERM").await;
    }
}
