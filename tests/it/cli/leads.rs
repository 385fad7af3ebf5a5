//! Leads by the commands of the website and the CRM.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};

use super::{House, lines};
use crate::support::{
    Backend,
    binary::{Binary, next_line, start},
    eventually,
};

on_both! {
    /// A lead goes in and to a CRM by the commands alone, with the tokens that the first run made.
    async fn a_lead_comes_in_and_reaches_a_crm(backend: Backend) {
        let house = House::new(backend).await;
        let lead = house.submit("berit@example.no").await;
        let pulled = house.run(&["pull", "--json"]).await.with_code(0);
        let [change] = &lines(&pulled)[..] else {
            panic!("one change: {}", pulled.out)
        };
        assert_eq!(change["kind"], "CHANGE_KIND_SUBMITTED");
        assert_eq!(change["lead"]["email"], "berit@example.no");
        let cursor = change["cursor"].as_str().unwrap();
        let next = format!("next cursor: {cursor}");
        assert!(pulled.err.contains(&next), "{}", pulled.err);
        let table = house.run(&["pull"]).await.with_code(0).out;
        assert!(table.contains(&lead) && table.contains("Berit Moe"), "{table}");
        let acknowledged = house.run(&["ack", cursor, "--json"]).await.with_code(0);
        assert_eq!(acknowledged.json()["acknowledgedCursor"], cursor);
        let got = house.run(&["get", &lead, "--json"]).await.with_code(0).json();
        assert_eq!(got["lead"]["leadId"], lead.as_str());
        let shown = house.run(&["get", &lead]).await.with_code(0).out;
        assert!(shown.contains("berit@example.no"), "{shown}");
        let log = house.stop().await;
        assert!(!log.to_lowercase().contains("berit"), "{log}");
    }

    /// An enquiry that is over takes its lead with it, and the CRM that closed it hears so. Closed again, it
    /// gets the same answer.
    async fn a_closed_enquiry_takes_its_lead_along(backend: Backend) {
        let house = House::new(backend).await;
        let lead = house.submit("berit@example.no").await;
        house.run(&["pull"]).await.with_code(0);
        house.run(&["close", &lead]).await.with_code(2);
        let close = ["close", &lead, "--outcome", "converted"];
        let closed = house.run(&close).await.with_code(0).out;
        assert!(closed.starts_with("closed as converted; erased by 20"), "{closed}");
        assert_eq!(house.run(&close).await.with_code(0).out, closed);
        let answer = house.run(&[&close[..], &["--json"]].concat()).await.with_code(0);
        assert_eq!(answer.json()["outcome"], "CLOSE_OUTCOME_CONVERTED");
        house.run(&["get", &lead]).await.with_code(1);
        let pulled = house.run(&["pull", "--json"]).await.with_code(0);
        let last = lines(&pulled).pop().unwrap();
        assert_eq!(last["kind"], "CHANGE_KIND_HANDED_OVER");
    }
}

/// The same request id gives the same lead, whoever repeats it.
#[tokio::test(flavor = "multi_thread")]
async fn a_submission_can_be_repeated() {
    let house = House::new(Backend::Sqlite).await;
    let submit = ["submit", "--name", "Kari", "--email", "kari@example.no"];
    let submit = [&submit[..], &["--basis", "consent", "--consent"]].concat();
    let first = house.run(&submit).await.with_code(0);
    let id = first.err.split_whitespace().nth(2).expect("request id: ID");
    let second = house
        .run(&[&submit[..], &["--request-id", id]].concat())
        .await
        .with_code(0);
    assert_eq!(first.out, second.out);
}

/// The notice is there to be shown, as text and as facts.
#[tokio::test(flavor = "multi_thread")]
async fn the_notice_can_be_read() {
    let house = House::new(Backend::Sqlite).await;
    let facts = house
        .run(&["notice", "--json", "--language", "en"])
        .await
        .with_code(0)
        .json();
    assert_eq!(facts["language"], "en");
    let text = house.run(&["notice"]).await.with_code(0);
    assert!(text.out.len() > 500 && text.err.contains(facts["version"].as_str().unwrap()));
    let unknown = house
        .run(&["notice", "--version", "0.0"])
        .await
        .with_code(1);
    assert!(unknown.err.contains("NOTICE_UNKNOWN"), "{}", unknown.err);
}

/// The command that the first run prints works as printed.
#[tokio::test(flavor = "multi_thread")]
async fn the_printed_command_works() {
    let house = House::new(Backend::Sqlite).await;
    let next = || async {
        house
            .server
            .log()
            .split_once("next: lead-intake ")
            .map(|(_, l)| l.to_owned())
    };
    let rest = eventually(next).await;
    let line = format!(
        "'{}' {}",
        env!("CARGO_BIN_EXE_lead-intake"),
        rest.lines().next().unwrap()
    );
    let ran = tokio::process::Command::new("sh")
        .args(["-c", &line])
        .output();
    let ran = timeout(Duration::from_mins(1), ran)
        .await
        .expect("it hangs")
        .unwrap();
    assert!(ran.status.success(), "{line}");
    let pulled = house.run(&["pull", "--json"]).await.with_code(0);
    assert_eq!(lines(&pulled)[0]["lead"]["name"], "Kim Eksempel");
}

/// `pull --follow` delivers what happens after it began, goes on when the server comes back, and ends with
/// its reader.
#[tokio::test(flavor = "multi_thread")]
async fn following_outlives_a_restart() {
    let mut house = House::new(Backend::Sqlite).await;
    let data = house.data();
    let envs = [
        ("LEAD_INTAKE_URL", &*house.url),
        ("LEAD_INTAKE_DATA_DIR", data.to_str().unwrap()),
    ];
    let mut follower = start(&envs, &["pull", "--follow", "--json"]);
    let mut changes = BufReader::new(follower.stdout.take().unwrap()).lines();
    let first = house.submit("kari@example.no").await;
    assert!(next_line(&mut changes).await.contains(&first));

    let api = house.server.api.to_string();
    let (status, log) = house.server.signal("TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    house.server = Binary::serve_at(&api, &data, &[]).await;
    let second = house.submit("ola@example.no").await;
    let line = next_line(&mut changes).await;
    assert!(line.contains(&second) && !line.contains(&first), "{line}");

    drop(changes);
    house.submit("per@example.no").await;
    let ended = timeout(Duration::from_mins(1), follower.wait()).await;
    assert_eq!(ended.expect("it goes on").unwrap().code(), Some(0));
}
