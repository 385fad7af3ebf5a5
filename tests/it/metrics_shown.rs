//! What an operator sees: every metric that the alerts, the dashboard and the docs name is shown by a running service,
//! and every one that is shown is in the docs.

use std::{collections::BTreeSet, path::Path};

use super::support::{binary, eventually};

/// Names of metrics of ours in a text.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("lead_intake_") || word.starts_with("process_"))
        .map(|word| {
            let suffixes = ["_bucket", "_sum", "_count"];
            let stem = suffixes.iter().find_map(|suffix| word.strip_suffix(suffix));
            stem.unwrap_or(word).to_owned()
        })
        .collect()
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// The names in the operations guide's list.
fn documented() -> BTreeSet<String> {
    let docs = read("docs/operations.md");
    let (_, section) = docs.split_once("\n## Metrics\n").unwrap();
    names(section.split("\n## ").next().unwrap())
}

/// Has a website and a CRM do their work, and one form refused.
async fn a_good_form_and_a_bad_one(server: &binary::Binary, data: &str) {
    let url = server.url();
    let call = async |args: &[&str], code| {
        let args = [args, &["--url", &url, "--data-dir", data]].concat();
        binary::run(&[], &args, "").await.with_code(code);
    };
    let form = [
        "submit",
        "--name",
        "Kari Nordmann",
        "--basis",
        "pre-contract",
        "--email",
    ];
    call(&[&form[..], &["kari@example.no"]].concat(), 0).await;
    call(&[&form[..], &["no address"]].concat(), 1).await;
    call(&["pull"], 0).await;
}

/// An alert on a metric that nobody shows is never raised, and one that is missing from the docs helps nobody at night.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_dashboard_and_docs_name_the_metrics_that_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let server = binary::Binary::serve(dir.path(), &[]).await;
    a_good_form_and_a_bad_one(&server, data).await;
    let documented = documented();
    // The sweep's first round on a new database ends nothing: its gauge comes ten minutes later. And this service has no
    // certificate (`door/tls/program.rs` has one).
    let later = BTreeSet::from([
        "lead_intake_sweep_last_run_timestamp_seconds".to_owned(),
        "lead_intake_tls_certificate_expiry_timestamp_seconds".to_owned(),
    ]);
    // Counted every 15 s, from the start on.
    let text = eventually(async || {
        let text = server.get("/metrics").await;
        let missing: Vec<_> = documented
            .difference(&names(&text))
            .filter(|name| !later.contains(*name))
            .cloned()
            .collect();
        missing.is_empty().then_some(text)
    })
    .await;
    let shown: BTreeSet<String> = names(&text).union(&later).cloned().collect();
    assert_eq!(
        shown.difference(&documented).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "shown, and not in the docs"
    );
    for file in [
        "compose/prometheus/alerts.yml",
        "compose/grafana/dashboards/lead-intake.json",
    ] {
        let used = names(&read(file));
        assert!(used.len() > 5, "{file}");
        assert_eq!(
            used.difference(&shown).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{file}"
        );
    }
    for line in [
        r#"lead_intake_refusals_total{service="IntakeService",reason="EMAIL_INVALID"} 1"#,
        "lead_intake_sweep_refused_total 0",
        "lead_intake_ready 1",
        "lead_intake_mirror_follows 1",
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "{line} is not in\n{text}"
        );
    }
    server.signal("TERM").await;
}

/// Who is woken by an alert finds it in the docs, by its name.
#[test]
fn every_alert_has_its_line_in_the_docs() {
    let docs = read("docs/operations.md");
    for alert in read("compose/prometheus/alerts.yml")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(docs.contains(&format!("| `{alert}` |")), "{alert}");
    }
}
