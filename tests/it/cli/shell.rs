//! What shells and readers are given of the commands.

use std::{collections::BTreeSet, fs, path::Path};

use tokio::process::Command;

use crate::support::binary::{PATIENCE, listed, run};

/// Runs a program over a file; gives what it complains of.
async fn complaints(program: &str, args: &[&str], file: &Path) -> String {
    let mut command = Command::new(program);
    command.args(args).arg(file).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.expect("it hangs").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program}: {said}");
    said
}

/// Each shell gets a script, bash can read its own, and that knows every command.
#[tokio::test(flavor = "multi_thread")]
async fn shells_complete_every_command() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = run(&[], &["completions", shell], "").await.with_code(0);
        assert!(script.out.contains("healthcheck"), "{shell}");
        assert_eq!(script.err, "");
    }
    let script = run(&[], &["completions", "bash"], "")
        .await
        .with_code(0)
        .out;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lead-intake");
    fs::write(&file, &script).unwrap();
    assert_eq!(complaints("bash", &["-n"], &file).await, "");
    for command in listed(&[]).await {
        assert!(
            script.contains(&format!("lead__intake,{command})")),
            "{command}"
        );
    }
    run(&[], &["completions", "sh"], "").await.with_code(2);
}

/// Every command has a manual page, and there is no other; none shows what the environment has.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("share/man1");
    let args = ["man", "--out", out.to_str().unwrap()];
    let secret = [
        ("LEAD_INTAKE_TOKEN", "li_crm_hemmelig"),
        ("LEAD_INTAKE_URL", "http://hemmelig"),
    ];
    let wrote = run(&secret, &args, "").await.with_code(0);
    assert_eq!(wrote.out, "");
    let mut expected = BTreeSet::from(["lead-intake.1".to_owned()]);
    for command in listed(&[]).await {
        for own in listed(&[&command]).await {
            expected.insert(format!("lead-intake-{command}-{own}.1"));
        }
        expected.insert(format!("lead-intake-{command}.1"));
    }
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(&out).unwrap() {
        let entry = entry.unwrap();
        let page = fs::read_to_string(entry.path()).unwrap();
        let name = entry.file_name().into_string().unwrap();
        let title = name.strip_suffix(".1").unwrap();
        assert!(page.contains(&format!(".TH {title} 1")), "{name}: {page}");
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
            assert!(page.contains(section), "{name} has no {section}");
        }
        assert!(!page.contains("hemmelig"), "{name}");
        found.insert(name);
    }
    assert_eq!(found, expected);
    let main = run(&secret, &["man"], "").await.with_code(0);
    let file = fs::read_to_string(out.join("lead-intake.1")).unwrap();
    assert_eq!(main.out, file);
}
