//! Traces: what a collector is told of the calls, that it can be told no more, and that no call waits for it.
//!
//! That nothing of a person is in a span is looked at by `leaks`, over every call and command.

use std::{collections::BTreeMap, fs};

use lead_intake::pb::{
    EraseSubjectRequest, ErasureGround, LawfulBasis, Subject, SubjectRequest, SubmitLeadRequest,
    intake_service_client::IntakeServiceClient, privacy_service_client::PrivacyServiceClient,
};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use tokio::net::TcpListener;
use tonic::Code;

use crate::{
    cli::House,
    support::{
        Backend,
        collector::{Collector, attributes},
        eventually, new_id, raw,
    },
};

/// Turns traces on.
const ENDPOINT: &str = "LEAD_INTAKE_OTLP_ENDPOINT";
/// The caller's own trace, sampled.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// What the log says when the collector takes nothing.
const LOST: &str = "\"spans could not be sent";

async fn house(backend: Backend, envs: &[(&str, &str)]) -> House {
    House::below(tempfile::tempdir().unwrap(), "data", backend, envs).await
}

/// Submits a lead; gives whether it was stored.
async fn submit(house: &House, traceparent: Option<&str>) -> bool {
    let caller = house.server.caller(&house.data(), "intake");
    let mut request = tonic::Request::new(SubmitLeadRequest {
        request_id: new_id().to_string(),
        name: "Kari Nordmann".to_owned(),
        email: "kari@example.no".to_owned(),
        lawful_basis: LawfulBasis::PreContract.into(),
        notice_version: "1.1".to_owned(),
        ..SubmitLeadRequest::default()
    });
    if let Some(traceparent) = traceparent {
        let metadata = request.metadata_mut();
        metadata.insert("traceparent", traceparent.parse().unwrap());
        metadata.insert("tracestate", "kari=nordmann".parse().unwrap());
        metadata.insert("baggage", "name=nordmann".parse().unwrap());
    }
    let answer = IntakeServiceClient::new(caller).submit_lead(request).await;
    answer.is_ok()
}

async fn erase(house: &House) {
    let caller = house.server.caller(&house.data(), "privacy");
    let request = EraseSubjectRequest {
        request: Some(SubjectRequest {
            request_id: new_id().to_string(),
            subject: Some(Subject {
                email: "kari@example.no".to_owned(),
                ..Subject::default()
            }),
            ..SubjectRequest::default()
        }),
        ground: ErasureGround::NoLongerNecessary.into(),
        ..EraseSubjectRequest::default()
    };
    let answer = PrivacyServiceClient::new(caller)
        .erase_subject(request)
        .await;
    answer.unwrap();
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn only<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found = named(spans, name);
    assert_eq!(found.len(), 1, "{name}: {spans:?}");
    found[0]
}

fn said(span: &Span) -> BTreeMap<String, String> {
    assert!(span.events.is_empty() && span.links.is_empty(), "{span:?}");
    assert_eq!(span.trace_state, "");
    attributes(&span.attributes)
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn of_call(service: &str, method: &str, code: &str, role: &str) -> BTreeMap<String, String> {
    map(&[
        ("rpc.system", "grpc"),
        ("rpc.service", service),
        ("rpc.method", method),
        ("rpc.grpc.status_code", code),
        ("lead_intake.role", role),
    ])
}

/// An identifier as hexadecimal.
fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

on_both! {
    /// A call is one span, with its service, method, code and role and nothing else; its transactions are the span's
    /// children. It belongs to its caller's trace, of which nothing but the identifiers is taken. A method that does not exist
    /// has no name. All is sent before the server ends.
    async fn a_call_is_a_span(backend: Backend) {
        let collector = Collector::start().await;
        let house = house(backend, &[(ENDPOINT, &collector.url())]).await;
        assert!(submit(&house, Some(&format!("00-{TRACE}-{PARENT}-01"))).await);
        erase(&house).await;
        let channel = tonic::transport::Endpoint::from_shared(house.url.clone()).unwrap().connect_lazy();
        let path = "/leadintake.v1.CrmService/KariNordmann";
        let refused = raw::call(&channel, path, raw::bearer("li_none"), Vec::new().into()).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);
        let (status, log) = house.server.signal("TERM").await;
        assert_eq!(status.code(), Some(0), "{log}");

        let spans = collector.spans();
        let submitted = only(&spans, "leadintake.v1.IntakeService/SubmitLead");
        assert_eq!(submitted.kind(), SpanKind::Server);
        assert_eq!(said(submitted), of_call("leadintake.v1.IntakeService", "SubmitLead", "0", "intake"));
        assert_eq!((hex(&submitted.trace_id), hex(&submitted.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
        let batch = only(&spans, "batch");
        assert_eq!(said(batch), map(&[("lead_intake.leads", "1"), ("lead_intake.committed", "true")]));
        assert_eq!((&batch.trace_id, &batch.parent_span_id), (&submitted.trace_id, &submitted.span_id));
        assert!(submitted.start_time_unix_nano <= batch.start_time_unix_nano);
        assert!(batch.end_time_unix_nano <= submitted.end_time_unix_nano);

        let erased = only(&spans, "leadintake.v1.PrivacyService/EraseSubject");
        assert_eq!(said(erased), of_call("leadintake.v1.PrivacyService", "EraseSubject", "0", "privacy"));
        assert!(erased.parent_span_id.is_empty());
        let transaction = only(&spans, "transaction");
        assert_eq!(said(transaction), map(&[("lead_intake.committed", "true")]));
        assert_eq!((&transaction.trace_id, &transaction.parent_span_id), (&erased.trace_id, &erased.span_id));

        let unknown = only(&spans, "unknown");
        let said = said(unknown);
        assert_eq!(said["rpc.grpc.status_code"], (Code::Unimplemented as i32).to_string());
        assert_eq!(said.keys().collect::<Vec<_>>(), ["lead_intake.role", "rpc.grpc.status_code", "rpc.system"]);
        assert_eq!(unknown.status.as_ref().unwrap().code(), StatusCode::Error);
        let resource = collector.resource();
        assert_eq!(resource["service.name"], "lead-intake");
        assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
        assert!(!String::from_utf8_lossy(&collector.bytes()).to_lowercase().contains("nordmann"));
    }
}

/// With a ratio of 0 a call is traced if its caller traces it, and not otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_says_that_its_call_is_traced() {
    let collector = Collector::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lead-intake.toml");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/lead-intake.example.toml");
    let text = fs::read_to_string(shipped).unwrap();
    assert!(text.contains("sample_ratio = 1.0"));
    fs::write(
        &config,
        text.replace("sample_ratio = 1.0", "sample_ratio = 0.0"),
    )
    .unwrap();
    let config = config.to_str().unwrap().to_owned();
    let envs = [
        (ENDPOINT, &*collector.url()),
        ("LEAD_INTAKE_CONFIG", &config),
    ];
    let house = House::below(dir, "data", Backend::Sqlite, &envs).await;
    for traceparent in [
        None,
        Some(format!("00-{TRACE}-{PARENT}-00")),
        Some(format!("00-{TRACE}-{PARENT}-01")),
        Some("00-kari-nordmann-01".to_owned()),
    ] {
        assert!(submit(&house, traceparent.as_deref()).await);
    }
    house.server.signal("TERM").await;
    let spans = collector.spans();
    let submitted = only(&spans, "leadintake.v1.IntakeService/SubmitLead");
    assert_eq!(hex(&submitted.trace_id), TRACE);
}

/// A collector that is not there, or that never answers, fails no call and holds no stop; the log says so once, and the
/// metrics count what was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_nobodys_trouble() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = [silent.local_addr().unwrap(), gone.local_addr().unwrap()];
    drop(gone);
    for address in addresses {
        let url = format!("http://{address}");
        let house = house(Backend::Sqlite, &[(ENDPOINT, &url)]).await;
        let lost = async || {
            let metrics = house.server.get("/metrics").await;
            let mut lines = metrics.lines();
            let line = lines.find_map(|line| line.strip_prefix("lead_intake_spans_lost_total "));
            line.unwrap().parse::<u64>().unwrap()
        };
        for round in 1..=2 {
            assert!(submit(&house, None).await);
            eventually(async || (lost().await >= round * 2).then_some(())).await;
        }
        assert!(submit(&house, None).await);
        let (status, log) = house.server.signal("TERM").await;
        assert_eq!(status.code(), Some(0), "{log}");
        assert_eq!(log.matches(LOST).count(), 1, "{log}");
        assert!(!log.contains(&url), "an address may hold a password: {log}");
    }
}

/// Without the setting nothing is sent, whatever OpenTelemetry's own variables say.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_traced_unless_asked_for() {
    let collector = Collector::start().await;
    let url = collector.url();
    let envs = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        (ENDPOINT, ""),
    ];
    let house = house(Backend::Sqlite, &envs).await;
    assert!(submit(&house, Some(&format!("00-{TRACE}-{PARENT}-01"))).await);
    house.server.signal("TERM").await;
    assert!(collector.spans().is_empty());
}
