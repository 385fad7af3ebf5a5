//! TLS of the real program: its configuration, its signals, and its own client commands.

use std::path::{Path, PathBuf};

use super::*;
use crate::support::binary::{self, Binary, Ran, send_signal};

/// A configuration with this section instead of none.
fn configuration(dir: &Path, section: &str) -> String {
    let path = dir.join("lead-intake.toml");
    let text = std::fs::read_to_string("lead-intake.example.toml").unwrap();
    let text = text.replacen("\n[tls]\n", &format!("\n[tls]\n{section}\n"), 1);
    assert!(text.contains(section));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A running server with a certificate, whose clients may prove themselves by one.
struct Site {
    dir: tempfile::TempDir,
    service: Issued,
    own: Issued,
    ca: PathBuf,
    server: Binary,
}

impl Site {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path(), "own");
        let service = authority.service("service");
        let own = authority.issue("crm", &["spiffe://example.no/crm"]);
        let ca = authority.ca();
        let section = format!(
            "certificate = '{}'\nkey = '{}'\nclient_ca = '{}'\n\
             clients = {{ 'spiffe://example.no/crm' = {{ client = 'crm' }} }}",
            path(&service.certificate),
            path(&service.key),
            path(&ca),
        );
        let config = configuration(dir.path(), &section);
        let data = dir.path().join("data");
        let server = Binary::serve(&data, &[("LEAD_INTAKE_CONFIG", &config)]).await;
        Self {
            dir,
            service,
            own,
            ca,
            server,
        }
    }

    /// Runs a command against it.
    async fn run(&self, args: &[&str]) -> Ran {
        let url = format!("https://localhost:{}", self.server.api.port());
        binary::run(&[], &[args, &["--url", &url]].concat(), "").await
    }
}

/// The client commands over https: they trust whom they are told to trust and nobody else, and a certificate does instead
/// of a token.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_speaks_tls_on_both_ends() {
    let site = Site::new().await;
    let data = site.dir.path().join("data");
    let (data, ca) = (path(&data), path(&site.ca));
    let submit = [
        "submit",
        "--name",
        "Kari Nordmann",
        "--email",
        "kari@example.no",
        "--basis",
        "pre-contract",
        "--data-dir",
        data,
    ];
    site.run(&[&submit[..], &["--ca", ca]].concat())
        .await
        .with_code(0);
    site.run(&["healthcheck", "--ca", ca]).await.with_code(0);
    let stranger = site.run(&submit).await.with_code(1);
    assert!(
        stranger.err.contains("or its certificate is not trusted"),
        "{}",
        stranger.err
    );
    assert!(stranger.err.contains("--ca"), "{}", stranger.err);

    // No token anywhere: the certificate says who calls.
    let empty = site.dir.path().join("empty");
    let pull = [
        "pull",
        "--json",
        "--data-dir",
        path(&empty),
        "--ca",
        ca,
        "--cert",
        path(&site.own.certificate),
        "--key",
        path(&site.own.key),
    ];
    let pulled = site.run(&pull).await.with_code(0);
    assert!(pulled.out.contains("kari@example.no"), "{}", pulled.out);
    let half = site
        .run(&["pull", "--cert", path(&site.own.certificate)])
        .await
        .with_code(2);
    assert!(half.err.contains("--key"), "{}", half.err);
    let clear = [
        "pull",
        "--data-dir",
        data,
        "--ca",
        ca,
        "--url",
        &site.server.url(),
    ];
    let clear = binary::run(&[], &clear, "").await.with_code(1);
    assert!(clear.err.contains("are for https://"), "{}", clear.err);
    site.server.signal("TERM").await;
}

/// The files are followed: SIGHUP has the certificate read again at once, a torn one leaves the one before in force, and
/// metrics tell when that ends.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_follows_its_certificate() {
    let site = Site::new().await;
    let server = &site.server;
    let metrics = server.get("/metrics").await;
    let expiry = "lead_intake_tls_certificate_expiry_timestamp_seconds ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(expiry));
    assert_eq!(line, Some(pki::NOT_AFTER));
    assert!(metrics.contains("lead_intake_tls_refused_total 0"));

    // Nothing changed, and yet it is read.
    assert!(send_signal(server.child.id().unwrap(), "HUP").await);
    eventually(async || server.log().contains("was read again").then_some(())).await;
    std::fs::write(&site.service.certificate, "torn").unwrap();
    eventually(async || {
        server
            .log()
            .contains("the ones before stay in force")
            .then_some(())
    })
    .await;
    let metrics = server.get("/metrics").await;
    assert!(!metrics.contains("lead_intake_tls_refused_total 0"));
    site.run(&["healthcheck", "--ca", path(&site.ca)])
        .await
        .with_code(0);
    let (status, _) = site.server.signal("TERM").await;
    assert_eq!(status.code(), Some(0));
}

/// Beyond loopback nothing goes in the clear unasked; a section that is half filled in is refused in words.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_refuses_what_is_not_private() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "own");
    let service = authority.service("service");
    let data = dir.path().join("data");
    let own = [
        "--tls-certificate",
        path(&service.certificate),
        "--tls-key",
        path(&service.key),
    ];
    let refused = async |config: Option<&str>, args: &[&str]| {
        let config = config.map(|config| ("LEAD_INTAKE_CONFIG", config));
        let args = [&["serve", "--data-dir", path(&data)], args].concat();
        binary::run(config.as_slice(), &args, "")
            .await
            .with_code(1)
            .err
    };
    let (here, anywhere) = ("127.0.0.1:0", "0.0.0.0:0");
    let err = refused(None, &["--listen", anywhere, "--admin-listen", here]).await;
    assert!(
        err.contains("refusing to listen beyond loopback without TLS"),
        "{err}"
    );
    let open = [&own[..], &["--listen", here, "--admin-listen", anywhere]].concat();
    let err = refused(None, &open).await;
    assert!(
        err.contains("refusing to show metrics beyond loopback"),
        "{err}"
    );
    let err = refused(None, &own[..2]).await;
    assert!(err.contains("needs both a certificate and a key"), "{err}");
    for (section, expected) in [
        (
            "certificate = 'x'\nkey = 'y'\nclient_certificate = 'required'",
            "tls.client_ca is missing",
        ),
        (
            "certificate = 'x'\nkey = 'y'\nclients = { a = { client = 'b' } }",
            "tls.client_ca is missing",
        ),
        ("client_ca = 'x'", "needs both a certificate and a key"),
        (
            "certificate = 'x'\nkey = 'y'\nmin_version = '1.1'",
            "unknown variant",
        ),
        (
            "certificate = 'gone.pem'\nkey = 'y'",
            "gone.pem: cannot be read as PEM",
        ),
    ] {
        let config = configuration(dir.path(), section);
        let err = refused(Some(&config), &["--listen", here, "--admin-listen", here]).await;
        assert!(err.contains(expected), "{err}");
    }
    // With a certificate it may.
    let public = data.with_file_name("public");
    let envs = [
        ("LEAD_INTAKE_TLS_CERTIFICATE", path(&service.certificate)),
        ("LEAD_INTAKE_TLS_KEY", path(&service.key)),
    ];
    let server = Binary::serve_at(anywhere, &public, &envs).await;
    server.signal("TERM").await;
}
