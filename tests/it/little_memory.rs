//! D10: too little memory, under the real program on SQLite. The kernel's way to end a process that takes too much is a kill
//! (`crash.rs`); here the process is refused what it asks for (`ulimit -v`), at its start or in the midst of its work.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::path::Path;

use lead_intake::pb::{
    crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
};
use tokio::{process::Command, task::JoinSet};

use crate::{
    failed_flush::{data_dir, leads},
    steps::pull,
    support::{
        binary::{Binary, command_of},
        *,
    },
};

/// With less the program does not start, in MiB, and how much more each time.
const FIRST: usize = 64;
const STEP: usize = 40;
/// It needs no more, by far.
const ENOUGH: usize = 4096;
/// Callers at once, and calls of each.
const CALLERS: usize = 90;
const CALLS: usize = 5;

/// The program with so much address space.
fn limited(mebibytes: usize) -> Command {
    let mut command = command_of(Path::new("sh"), &[]);
    let script = r#"ulimit -v "$1" && shift && exec "$@""#;
    let kibibytes = (mebibytes * 1024).to_string();
    command.args([
        "-c",
        script,
        "sh",
        &kibibytes,
        env!("CARGO_BIN_EXE_lead-intake"),
    ]);
    command
}

/// Submits and reads with many callers until the work is done or nobody is there; gives what was acknowledged, and whether
/// all of it was.
async fn load(server: &Binary, dir: &Path, round: usize) -> (Vec<String>, bool) {
    let mut callers = JoinSet::new();
    let channels: Vec<_> = (0..3).map(|_| server.caller(dir, "intake")).collect();
    let crm = server.caller(dir, "crm");
    for caller in 0..CALLERS {
        let mut intake = IntakeServiceClient::new(channels[caller % 3].clone());
        let mut crm = CrmServiceClient::new(crm.clone());
        callers.spawn(async move {
            let mut stored = Vec::new();
            for call in 0..CALLS {
                let mail = format!("memory-{round}-{caller}-{call}@example.no");
                if let Ok(answer) = intake.submit_lead(form("Kari Nordmann", &mail)).await {
                    stored.push(answer.into_inner().lead_id);
                }
                let _ = pull(&mut crm, "", 1000).await;
            }
            stored
        });
    }
    let stored = callers.join_all().await.concat();
    let is_whole = stored.len() == CALLERS * CALLS;
    (stored, is_whole)
}

/// D10: a program that gets no memory does not start, or ends, or refuses; whatever it acknowledged is there for the next one,
/// and the ledger holds.
#[tokio::test(flavor = "multi_thread")]
async fn d10_too_little_memory_loses_nothing() {
    let dir = data_dir().await;
    let (mut acknowledged, mut refused, mut under_load) = (Vec::new(), Vec::new(), Vec::new());
    for (round, mebibytes) in (FIRST..ENOUGH).step_by(STEP).enumerate() {
        let started = Binary::try_serve_by(limited(mebibytes), "127.0.0.1:0", dir.path()).await;
        let Ok(mut server) = started else {
            refused.push(mebibytes);
            continue;
        };
        let (stored, is_whole) = load(&server, dir.path(), round).await;
        acknowledged.extend(stored);
        let is_there = server.child.try_wait().unwrap().is_none();
        if is_there {
            server.child.start_kill().unwrap();
        }
        server.end().await;
        let there = leads(dir.path()).await;
        let lost = acknowledged.iter().filter(|lead| !there.contains(*lead));
        assert_eq!(lost.count(), 0, "with {mebibytes} MiB");
        if is_there && is_whole {
            println!(
                "D10: no start with {refused:?} MiB; under load {under_load:?}; whole with {mebibytes}; {} leads",
                acknowledged.len()
            );
            break;
        }
        let what = if is_there { "refused some" } else { "ended" };
        under_load.push(format!("{what} with {mebibytes}"));
    }
    assert!(!refused.is_empty(), "the limit limits nothing");
}
