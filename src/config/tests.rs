use super::{
    retention::{RetentionSection, days, retention},
    telemetry::{TelemetrySection, traces},
    *,
};

#[test]
fn durations_are_whole_days() {
    for (text, expected) in [
        ("P180D", Some(180)),
        ("P3Y", Some(1095)),
        ("P6M", Some(180)),
        ("P1W", Some(7)),
        ("PT24H", Some(1)),
        ("PT1H", None),
        ("-P1D", None),
        ("180", None),
    ] {
        assert_eq!(days("key", text).ok(), expected, "{text}");
    }
}

/// Art. 5(1)(e), 25: a closed lead stays for no time unless the file says so, for all outcomes or for one.
#[test]
fn art_5_1_e_a_grace_is_for_one_outcome_or_all() {
    for (lines, expected) in [
        ("", [0, 0, 0]),
        ("closed_grace = 'P7D'", [7, 7, 7]),
        ("converted_grace = 'P30D'", [0, 0, 30]),
        (
            "closed_grace = 'P7D'\nanswered_grace = 'P1D'\nnot_relevant_grace = 'P0D'",
            [1, 0, 7],
        ),
    ] {
        let section: RetentionSection =
            toml::from_str(&format!("max_age = 'P90D'\n{lines}")).expect("a section");
        let grace = retention(&section).expect("a policy").grace;
        let days = [grace.answered, grace.not_relevant, grace.converted];
        assert_eq!(days, expected, "{lines}");
    }
}

/// Art. 25, and rights.md 1: a file that leaves out the controller or the limit, or has a key that
/// nobody knows, is refused.
#[test]
fn art_25_an_incomplete_file_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("lead-intake.toml");
    let controller =
        "[controller]\nname='a'\naddress='b'\norganisation_number='c'\nphone='d'\nemail='e'\n";
    let retention = "[retention]\nmax_age='P90D'\n";
    for (text, ok) in [
        (format!("{controller}{retention}"), true),
        (controller.to_owned(), false),
        (retention.to_owned(), false),
        (format!("colour = 1\n{controller}{retention}"), false),
        (format!("{controller}[retention]\nmax_age='P4Y'\n"), false),
        (
            format!("{controller}{retention}[erasure]\nacknowledge_within='P3D'\n"),
            true,
        ),
        (
            format!("{controller}{retention}[erasure]\nacknowledge_within='P32D'\n"),
            false,
        ),
    ] {
        fs::write(&path, &text).expect("written");
        let args = ConfigArgs {
            config: Some(path.clone()),
            ..ConfigArgs::default()
        };
        assert_eq!(
            Config::load(&args, &ListenArgs::default()).is_ok(),
            ok,
            "{text}"
        );
    }
}

/// A collector that cannot be used, and a part that is none, are told at the start; without one nothing is traced.
#[test]
fn a_collector_is_a_plain_url() {
    for (endpoint, sample_ratio, ok) in [
        (Some("http://127.0.0.1:4317"), None, true),
        (Some("http://collector:4317/"), Some(0.25), true),
        (Some("https://127.0.0.1:4317"), None, false),
        (Some("http://kari:hemmelig@127.0.0.1:4317"), None, false),
        (Some("127.0.0.1:4317"), None, false),
        (Some("collector"), None, false),
        (Some("http://127.0.0.1:4317"), Some(1.5), false),
        (None, Some(f64::NAN), false),
    ] {
        let section = TelemetrySection {
            otlp_endpoint: endpoint.map(str::to_owned),
            sample_ratio,
        };
        assert_eq!(
            traces(&section).is_ok(),
            ok,
            "{endpoint:?} {sample_ratio:?}"
        );
    }
    assert_eq!(traces(&TelemetrySection::default()).ok(), Some(None));
}

#[test]
fn beyond_loopback_needs_a_word() {
    let mut listen = ListenArgs {
        listen: "0.0.0.0:1".parse().ok(),
        ..ListenArgs::default()
    };
    assert!(Config::load(&ConfigArgs::default(), &listen).is_err());
    listen.insecure = Some(true);
    assert!(Config::load(&ConfigArgs::default(), &listen).is_ok());
}

/// A value in the wrong place, which may be a password, is in no error; the key and what is expected are.
#[test]
fn an_error_tells_no_value() {
    const SECRET: &str = "postgres://kari:hemmelig, expected `x`@db/leads";
    let rest = "[controller]\nname='a'\naddress='b'\norganisation_number='c'\nphone='d'\nemail='e'\n\
                [retention]\nmax_age='P90D'\n";
    for (section, told) in [
        (
            "[database]\nconnections_max = ",
            "invalid type: string, expected u32",
        ),
        ("[log]\nformat = ", "unknown variant, expected one of"),
        ("[server]\nlisten = ", "invalid socket address syntax"),
        (
            "[server]\ncors_origins = ",
            "invalid type: string, expected a sequence",
        ),
        (
            "[tls.clients]\na = ",
            "invalid type: string, expected struct",
        ),
    ] {
        let text = format!("{rest}{section}\"{SECRET}\"\n");
        let error = Config::from_text(&text).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        assert!(!error.contains("hemmelig"), "{error}");
    }
    let error = Config::from_text(&format!("{rest}[database]\npassword = 'x'\n"));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("unknown field `password`"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lead-intake.toml");
    fs::write(
        &path,
        format!("{rest}[database]\nurl_file = \"{SECRET}\"\n"),
    )
    .unwrap();
    let args = ConfigArgs {
        config: Some(path),
        ..ConfigArgs::default()
    };
    let error = Config::load(&args, &ListenArgs::default()).unwrap_err();
    assert!(error.to_string().contains("url_file is a URL"), "{error}");
    assert!(!error.to_string().contains("hemmelig"), "{error}");
}
