//! What a terminal shows beside the answer: how far long work is, and bars in the letters that it has.

use std::{fs, process::Stdio};

use tokio::process::Command;

use super::House;
use crate::support::{Backend, binary::PATIENCE};

impl House {
    /// Runs a script in a terminal, where `$LEAD_INTAKE` is the program; gives what the terminal shows.
    pub async fn in_a_terminal(&self, script: &str) -> String {
        // Of util-linux, and on every Debian: gives its child a terminal of its own.
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-c", script, "/dev/null"]);
        command.env_clear().current_dir(self.dir.path());
        command.env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
        command.env("LANG", "C.UTF-8");
        command.env("LEAD_INTAKE", env!("CARGO_BIN_EXE_lead-intake"));
        command.env("LEAD_INTAKE_URL", &self.url);
        command.env("LEAD_INTAKE_DATA_DIR", self.data());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = output.expect("it hangs").unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{shown}");
        shown
    }
}

/// On a terminal long work shows how far it is, and none of that is in what was asked for. Elsewhere short work says
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_progress_and_an_output_has_none() {
    let house = House::new(Backend::Sqlite).await;
    house.submit("berit@example.no").await;
    let pulls = r#""$LEAD_INTAKE" pull --all --json > pulled"#;
    let mirror = format!("--mirror '{}'", house.data().join("ledger").display());
    let verifies = format!(r#""$LEAD_INTAKE" ledger verify --json {mirror} > verified"#);
    for (script, shown) in [
        (r#""$LEAD_INTAKE" backup copy.db > backed-up"#, "copying"),
        (
            r#""$LEAD_INTAKE" keys list --json > listed"#,
            "counting leads",
        ),
        (
            r#""$LEAD_INTAKE" migrate"#,
            "bringing the schema up to date",
        ),
        (
            r#""$LEAD_INTAKE" ledger verify --json > asked"#,
            "the server verifies",
        ),
        (&verifies, "verifying"),
        (r#""$LEAD_INTAKE" check > checked"#, "verifying the ledger"),
        (pulls, "pulling"),
    ] {
        let terminal = house.in_a_terminal(script).await;
        assert!(terminal.contains(shown), "{script}: {terminal}");
    }
    for file in ["listed", "asked", "verified", "pulled"] {
        let text = fs::read_to_string(house.dir.path().join(file)).unwrap();
        assert!(
            serde_json::from_str::<serde_json::Value>(&text).is_ok(),
            "{file}: {text}"
        );
    }
    // Page by page in sight, there is nothing to count beside it.
    let terminal = house.in_a_terminal(r#""$LEAD_INTAKE" pull --all"#).await;
    assert!(
        terminal.contains("berit@example.no") && !terminal.contains("pulling"),
        "{terminal}"
    );
    for args in [["pull", "--all"], ["keys", "list"], ["ledger", "verify"]] {
        let ran = house.run(&args).await.with_code(0);
        for word in ["pulling", "counting", "verifies"] {
            assert!(
                !ran.err.contains(word) && !ran.out.contains(word),
                "{args:?}: {}",
                ran.err
            );
        }
    }
}

/// Counts have bars, of ASCII where the locale has no more, and none for programs.
#[tokio::test(flavor = "multi_thread")]
async fn counts_have_bars_of_what_the_terminal_has() {
    let house = House::new(Backend::Sqlite).await;
    for email in ["a@example.no", "b@example.no"] {
        house.submit(email).await;
    }
    let lead = house.submit("c@example.no").await;
    house
        .run(&["restrict", &lead, "--reason", "controller-legal-claim"])
        .await
        .with_code(0);
    let shown = async |locale| {
        let envs = [("LC_ALL", locale)];
        house.run_with(&envs, &["stats"], "").await.with_code(0).out
    };
    let words = |text: &str| {
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().map(line).collect::<Vec<_>>()
    };
    let unicode = shown("nb_NO.UTF-8").await;
    for line in [
        "available 2 66 % ████████████████████",
        "restricted 1 33 % ██████████",
    ] {
        assert!(words(&unicode).iter().any(|it| it == line), "{unicode}");
    }
    let ascii = shown("C").await;
    assert!(ascii.is_ascii(), "{ascii}");
    assert!(
        words(&ascii)
            .iter()
            .any(|it| it == "restricted 1 33 % ##########"),
        "{ascii}"
    );
    let json = house.run(&["stats", "--json"]).await.with_code(0);
    assert_eq!(json.json()["leads"].as_array().unwrap().len(), 2);
}
