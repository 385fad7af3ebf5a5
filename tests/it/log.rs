//! What the service writes to its log: everything that happened, and nothing of anybody.

use lead_intake::{
    pb::{
        self, crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
        privacy_service_client::PrivacyServiceClient,
    },
    token::Token,
};
use tonic::{service::interceptor::InterceptedService, transport::Endpoint};

use crate::{
    scan::Needles,
    support::{binary::Binary, *},
};

/// The token of a role, as the first run wrote it.
fn token(dir: &std::path::Path, role: &str) -> String {
    let text = std::fs::read_to_string(dir.join("tokens").join(role)).unwrap();
    text.trim().to_owned()
}

/// L1, for the process's own log: at the finest level that `RUST_LOG` can ask for, with calls that succeed, that
/// are refused and that are not even well-formed, no submitted value and no token is in it.
#[tokio::test(flavor = "multi_thread")]
async fn l1_the_log_at_trace_level_names_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let binary = Binary::serve(&data, &[("RUST_LOG", "trace")]).await;
    let channel = Endpoint::from_shared(binary.url()).unwrap().connect_lazy();
    let caller = |role| {
        let header = format!("Bearer {}", token(&data, role)).parse().unwrap();
        InterceptedService::new(channel.clone(), Bearer::new(header))
    };
    let mut intake = IntakeServiceClient::new(caller("intake"));
    let good = pb::SubmitLeadRequest {
        phone: "406 05 611".to_owned(),
        company: "Hvalvik Trelast".to_owned(),
        ..form("Solveig Hvalvik", "solveig.hvalvik@example.no")
    };
    intake.submit_lead(good.clone()).await.unwrap();
    let mut bad = good.clone();
    bad.name.push('\u{7}');
    bad.email = "solveig.hvalvik@".to_owned();
    intake.submit_lead(bad).await.unwrap_err();
    let mut reused = good.clone();
    reused.company.push('s');
    intake.submit_lead(reused).await.unwrap_err();
    let mut crm = CrmServiceClient::new(caller("crm"));
    crm.pull_leads(pb::PullLeadsRequest::default())
        .await
        .unwrap();
    // Another role's token, and one that is none.
    let mut wrong = CrmServiceClient::new(caller("intake"));
    wrong
        .pull_leads(pb::PullLeadsRequest::default())
        .await
        .unwrap_err();
    let mut privacy = PrivacyServiceClient::new(caller("privacy"));
    let export = pb::ExportSubjectRequest {
        request: subject(&good.email),
        kind: pb::ExportKind::Access.into(),
        ..Default::default()
    };
    privacy.export_subject(export).await.unwrap();
    let erase = pb::EraseSubjectRequest {
        request: subject(&good.email),
        ground: pb::ErasureGround::ConsentWithdrawn.into(),
        ..Default::default()
    };
    privacy.erase_subject(erase).await.unwrap();
    let (status, log) = binary.signal("TERM").await;
    assert!(status.success());
    assert!(
        log.contains("SubmitLead") && log.contains("INVALID_ARGUMENT"),
        "{log}"
    );
    let secrets: Vec<String> = ["intake", "crm", "privacy", "auditor"]
        .iter()
        .map(|role| Token::parse(&token(&data, role)).unwrap().expose()[20..60].to_owned())
        .collect();
    let mut values = vec![
        &*good.name,
        &good.company,
        &good.phone,
        &good.email,
        "Solveig",
        "Hvalvik",
    ];
    values.extend(secrets.iter().map(String::as_str));
    let found = Needles::of_values(&values);
    assert_eq!(found.found_in(log.as_bytes()), Vec::<&str>::new());
    // The scan is not blind.
    let leak = format!("{log}\nsubject=\"{}\"", good.email.to_uppercase());
    assert!(!found.found_in(leak.as_bytes()).is_empty());
}
