//! What the documents say about the commands is true: each command has an example, and the walk through a person's
//! request runs as printed.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use tokio::{process::Command, time::timeout};

use super::House;
use crate::support::{
    Backend,
    binary::{Ran, run},
};

/// What operates the service, and what its callers do: none may be missing.
const COMMANDS: &[&str] = &[
    "serve", "submit", "pull", "ack", "get", "close", "find", "export", "erase", "receipt",
    "rectify", "restrict", "lift", "object", "withdraw", "notice", "ledger", "stats", "record",
    "migrate", "client", "check", "keys", "backup", "mirror",
];

/// Commands of the walk that this server does not answer yet. A command that it does answer must not be here.
const NOT_YET: &[&str] = &[];

fn document(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(path).unwrap()
}

/// The commands that `--help` lists.
fn listed(help: &str) -> Vec<&str> {
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let commands = commands.lines().filter_map(|line| line.strip_prefix("  "));
    let names = commands.filter(|line| !line.starts_with(' '));
    let names = names.map(|line| line.split_whitespace().next().unwrap());
    names.filter(|name| *name != "help").collect()
}

/// Every command is listed, has a help of its own, and has an example in the README or in the operations guide.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_listed_and_has_an_example() {
    let help = run(&[], &["--help"], "").await.with_code(0).out;
    let listed = listed(&help);
    for command in COMMANDS {
        assert!(listed.contains(command), "{command} is not in --help");
    }
    let documents = document("README.md") + &document("docs/operations.md");
    for command in &listed {
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
        let call = format!("lead-intake {command}");
        let mut calls = documents.split(&call).skip(1);
        assert!(calls.any(ends), "there is no example of {call}");
        let own = run(&[], &[command, "--help"], "").await.with_code(0);
        assert!(own.out.contains("Usage: lead-intake"), "{}", own.out);
    }
}

/// The shell blocks of the walk.
fn walk() -> Vec<String> {
    let operations = document("docs/operations.md");
    let heading = "\n## A data-subject request from a shell\n";
    let (_, section) = operations.split_once(heading).unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = section.split("```sh\n").skip(1);
    let blocks: Vec<_> = blocks
        .map(|block| block.split_once("```").unwrap().0.to_owned())
        .collect();
    assert_eq!(blocks.len(), 4, "{section}");
    blocks
}

impl House {
    /// Runs a script where `lead-intake` is the real program. What the server does not answer yet is noted in
    /// the file `not-yet`, and is no failure.
    async fn shell(&self, script: &str) -> Ran {
        let bin = self.dir.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        let program = bin.join("lead-intake");
        let noting = format!(
            "#!/bin/sh\ncode=0\n'{}' \"$@\" 2> ../err || code=$?\ncat ../err >&2\n\
             if grep -q NOT_YET_IMPLEMENTED ../err; then echo \"$1\" >> ../not-yet; code=0; fi\nexit $code\n",
            env!("CARGO_BIN_EXE_lead-intake")
        );
        fs::write(&program, noting).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let here = self.dir.path().join("here");
        fs::create_dir_all(&here).unwrap();
        let mut command = Command::new("sh");
        command.args(["-eu", "-c", script]).current_dir(here);
        command.env_clear().kill_on_drop(true);
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        command.env("LEAD_INTAKE_URL", &self.url);
        command.env("LEAD_INTAKE_DATA_DIR", self.data());
        let output = timeout(Duration::from_mins(1), command.output()).await;
        let output = output.expect("the script hangs").unwrap();
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

on_both! {
    /// The walk through a person's request runs as printed, does what it says, and shows no personal data but
    /// what it was asked for.
    async fn the_walk_through_a_request_runs_as_printed(backend: Backend) {
        let house = House::new(backend).await;
        let kari = house.submit("kari@example.no").await;
        let ola = house.submit_with("ola@example.no", &["--basis", "consent", "--consent"]).await;
        house.run(&["pull"]).await.with_code(0);
        let [correct, erase, object, account] = &walk()[..] else {
            panic!("another number of blocks")
        };
        let corrected = house.shell(correct).await.with_code(0);
        assert!(corrected.out.contains(&kari) && corrected.out.contains("now at revision 3"));
        let got = house.run(&["get", &kari, "--json"]).await.with_code(0).json();
        assert_eq!(got["lead"]["phone"], "+4740605600");
        let erased = house.shell(erase).await;
        house.run(&["get", &kari]).await.with_code(1);
        let objected = house.shell(object).await.with_code(0);
        house.run(&["get", &ola]).await.with_code(1);
        let accounted = house.shell(account).await.with_code(0);
        for ran in [corrected, erased.with_code(0), objected, accounted] {
            assert!(!ran.out.contains("@example.no") && !ran.err.contains("@example.no"));
        }
        let not_yet = fs::read_to_string(house.dir.path().join("not-yet")).unwrap_or_default();
        assert_eq!(not_yet.lines().collect::<Vec<_>>(), NOT_YET, "take what works off NOT_YET");
    }
}
