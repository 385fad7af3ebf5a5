//! L1, C1: a panic says where it happened, and nothing of what it was about; neither to the caller nor in the log.
//!
//! The hook is the process's own, so this runs a process of its own: this test program again, with one test.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use lead_intake::{
    clock::{Clock, ManualClock},
    pb,
    server::Parts,
    telemetry::{self, LogFormat},
};

use super::{EMAIL, NAME, calls};
use crate::{
    scan::{Needles, places::Place},
    support::{binary, trace, *},
};

/// Tells the child which part it has.
const PART: &str = "LEAKS_PANIC_PART";

/// A clock that panics with a person's name, once it is armed.
#[derive(Debug)]
struct Fused {
    clock: Arc<ManualClock>,
    is_armed: AtomicBool,
}

impl Clock for Fused {
    fn now(&self) -> Timestamp {
        assert!(
            !self.is_armed.load(Ordering::SeqCst),
            "{NAME} <{EMAIL}> is not an instant"
        );
        self.clock.now()
    }
}

/// The child's part: a server in which a call panics, or a command that does.
#[tokio::test(flavor = "multi_thread")]
async fn part_of_a_child() {
    let Ok(part) = std::env::var(PART) else {
        return;
    };
    if part == "call" {
        telemetry::start_logs(LogFormat::Json);
    }
    telemetry::quiet_panics();
    let world = World::new(Backend::Sqlite).await;
    let clock = Arc::new(Fused {
        clock: world.clock.clone(),
        is_armed: AtomicBool::new(false),
    });
    let replica = world
        .start_with(|parts| Parts {
            clock: clock.clone(),
            ..parts
        })
        .await;
    replica.intake().submit_lead(calls::form()).await.unwrap();
    clock.is_armed.store(true, Ordering::SeqCst);
    let refused = replica
        .intake()
        .submit_lead(calls::form())
        .await
        .unwrap_err();
    clock.is_armed.store(false, Ordering::SeqCst);
    assert_internal(&refused);
    // In the task of a stream that is open: its reader must not take the end for the end of the feed.
    let follow = pb::StreamLeadsRequest {
        follow: true,
        ..Default::default()
    };
    let mut stream = replica.crm().stream_leads(follow).await.unwrap();
    let first = stream.get_mut().message().await.unwrap();
    assert_eq!(first.unwrap().changes.len(), 1);
    clock.is_armed.store(true, Ordering::SeqCst);
    // Its token is asked for each second.
    let end = tokio::time::timeout(binary::PATIENCE, stream.get_mut().message()).await;
    clock.is_armed.store(false, Ordering::SeqCst);
    assert_internal(&end.expect("it goes on").unwrap_err());
    let told = raw::everything(&refused);
    assert!(!raw::contains(&told, NAME.as_bytes()) && !raw::contains(&told, EMAIL.as_bytes()));
    // Others are served as before.
    replica.intake().submit_lead(calls::form()).await.unwrap();
    replica.stop().await;
}

fn assert_internal(status: &tonic::Status) {
    let expected = (tonic::Code::Internal, "INTERNAL".to_owned());
    assert_eq!((status.code(), reason(status)), expected);
}

/// L1: a panic in a call shows its place on standard error, with and without a log, and no value.
#[tokio::test(flavor = "multi_thread")]
async fn l1_a_panic_names_nobody() {
    for part in ["call", "command"] {
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        let name = format!(
            "{}::part_of_a_child",
            module_path!().split_once("::").unwrap().1
        );
        child.args(["--exact", &name, "--nocapture"]);
        child
            .env(PART, part)
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            // A traced suite keeps the log in memory; this child's is looked at here.
            .env_remove(trace::TRACE);
        child.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(binary::PATIENCE, child.output()).await;
        let output = output.expect("it hangs").unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{err}");
        assert!(err.contains("panics.rs"), "the place is not told: {err}");
        let needles = Needles::of_values(&[NAME, "Kanarifugl", EMAIL]);
        let places = [
            Place::new("stdout", output.stdout),
            Place::new("stderr", err),
        ];
        assert_eq!(needles.found_at(&places), Vec::<String>::new());
    }
}
