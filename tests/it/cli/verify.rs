//! `ledger verify` and servers of other versions, by a server that says what the test likes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use lead_intake::pb::{self, ledger_service_server};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::House;
use crate::support::Backend;

/// What the ledger of such a server is found to be.
fn found() -> pb::VerifyLedgerResponse {
    pb::VerifyLedgerResponse {
        intact: true,
        entries_checked: 3000,
        head_sequence: 3000,
        head_hash: "0a".repeat(32),
        ..Default::default()
    }
}

fn told(
    entries_checked: i64,
    result: Option<pb::VerifyLedgerResponse>,
) -> pb::StreamVerifyLedgerResponse {
    pb::StreamVerifyLedgerResponse {
        entries_checked,
        entries_total: 3000,
        result,
    }
}

type Told = Result<pb::StreamVerifyLedgerResponse, Status>;

/// A server that tells this of a verification, or has no such method.
#[derive(Clone, Default)]
struct Other {
    tells: Option<Vec<pb::StreamVerifyLedgerResponse>>,
    called: Arc<Mutex<Vec<&'static str>>>,
}

#[tonic::async_trait]
impl ledger_service_server::LedgerService for Other {
    type StreamVerifyLedgerStream = tokio_stream::Iter<std::vec::IntoIter<Told>>;

    async fn stream_verify_ledger(
        &self,
        _: Request<pb::StreamVerifyLedgerRequest>,
    ) -> Result<Response<Self::StreamVerifyLedgerStream>, Status> {
        self.called.lock().unwrap().push("StreamVerifyLedger");
        let tells = self.tells.clone();
        let tells = tells.ok_or_else(|| Status::unimplemented("there is no such method"))?;
        let tells: Vec<_> = tells.into_iter().map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(tells)))
    }

    async fn verify_ledger(
        &self,
        _: Request<pb::VerifyLedgerRequest>,
    ) -> Result<Response<pb::VerifyLedgerResponse>, Status> {
        self.called.lock().unwrap().push("VerifyLedger");
        Ok(Response::new(found()))
    }

    async fn list_entries(
        &self,
        _: Request<pb::ListEntriesRequest>,
    ) -> Result<Response<pb::ListEntriesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_checkpoint(
        &self,
        _: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_processing_record(
        &self,
        _: Request<pb::GetProcessingRecordRequest>,
    ) -> Result<Response<pb::GetProcessingRecordResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_statistics(
        &self,
        _: Request<pb::GetStatisticsRequest>,
    ) -> Result<Response<pb::GetStatisticsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

impl Other {
    /// Serves until the handle is dropped.
    async fn serve(self) -> (String, Serving) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = listener.await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = ledger_service_server::LedgerServiceServer::new(self);
        let serving = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener));
        (url, Serving(tokio::spawn(async { serving.await.unwrap() })))
    }
}

struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A server from before there was a stream of a verification is asked as before, and what is printed is the same; one that
/// has it is asked once.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_server_is_asked_as_before() {
    let house = House::new(Backend::Sqlite).await;
    let mut printed = Vec::new();
    for (tells, expected) in [
        (None, &["StreamVerifyLedger", "VerifyLedger"][..]),
        (
            Some(vec![told(1000, None), told(3000, Some(found()))]),
            &["StreamVerifyLedger"],
        ),
    ] {
        let other = Other {
            tells,
            ..Other::default()
        };
        let called = other.called.clone();
        let (url, _serving) = other.serve().await;
        for more in [&[][..], &["--json"]] {
            let args = [&["ledger", "verify", "--url", &*url], more].concat();
            let ran = house.run(&args).await.with_code(0);
            assert_eq!(ran.err, "", "{args:?}");
            printed.push(ran.out);
            assert_eq!(std::mem::take(&mut *called.lock().unwrap()), expected);
        }
    }
    assert_eq!(printed[..2], printed[2..]);
    assert!(printed[0].contains("intact: 3000 entries"), "{printed:?}");
    assert!(
        printed[1].contains(r#""headSequence": "3000""#),
        "{printed:?}"
    );
}

/// What a server tells of a verification is a bar on a terminal, and nothing of it is in the answer. A stream that ends
/// without a result has none: that is said, and is no success.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_how_far_a_verification_is() {
    let house = House::new(Backend::Sqlite).await;
    let serve = async |last| {
        let tells = Some(vec![told(0, None), told(1500, None), last]);
        let other = Other {
            tells,
            ..Other::default()
        };
        other.serve().await
    };
    let (url, _serving) = serve(told(3000, Some(found()))).await;
    let script = format!(r#""$LEAD_INTAKE" ledger verify --json --url {url} > asked"#);
    let terminal = house.in_a_terminal(&script).await;
    assert!(
        terminal.contains("the server verifies") && terminal.contains("1,500 of 3,000 entries"),
        "{terminal}"
    );
    let asked = std::fs::read_to_string(house.dir.path().join("asked")).unwrap();
    let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(asked["entriesChecked"], "3000");
    let (url, _serving) = serve(told(2000, None)).await;
    let ran = house.run(&["ledger", "verify", "--url", &url]).await;
    let ran = ran.with_code(1);
    assert!(ran.err.contains("ended before its result"), "{}", ran.err);
    assert_eq!(ran.out, "");
}
