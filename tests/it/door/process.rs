//! C.7: what the process lets out of its memory.

use std::{
    os::unix::{fs::MetadataExt as _, process::ExitStatusExt as _},
    path::Path,
};

use crate::support::binary::{Binary, command_of};

/// A user without rights.
const NOBODY: u32 = 65_534;

/// C1: a crash leaves no core file, and no right is gained, on every thread; the metrics that the process reads of itself
/// are still there. Its memory is in small pages.
#[tokio::test(flavor = "multi_thread")]
async fn c1_nothing_of_the_memory_gets_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = Binary::serve(dir.path(), &[]).await;
    let pid = server.child.id().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core.unwrap().split_whitespace().skip(4).collect();
    assert_eq!(core, ["0", "0", "bytes"]);
    let mut threads = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("NoNewPrivs:"));
        assert_eq!(line.unwrap().split_whitespace().last(), Some("1"));
        threads += 1;
    }
    assert!(threads > 2, "the runtime's threads are among them");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("\nTHP_enabled:\t0\n"), "no huge pages");
    let metrics = server.get("/metrics").await;
    for name in [
        "process_open_fds ",
        "process_max_fds ",
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(name), "{name}");
    }
    let (status, _) = server.signal("ABRT").await;
    assert_eq!(status.signal(), Some(6));
    assert!(!status.core_dumped());
}

/// C1: the user that the service runs as cannot read its memory by `/proc`, nor by a debugger: what is closed to them belongs
/// to root there.
#[tokio::test(flavor = "multi_thread")]
async fn c1_its_own_user_cannot_look_into_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve_as_nobody(dir.path()).await;
    let pid = server.child.id().unwrap();
    let owner = |path: &str| {
        std::fs::metadata(format!("/proc/{pid}/{path}"))
            .unwrap()
            .uid()
    };
    assert_eq!(owner("environ"), 0);
    assert_eq!(owner("mem"), 0);
    server.signal("TERM").await;
}

/// Starts the program as somebody who is not root, who could look into every process of theirs.
async fn serve_as_nobody(dir: &Path) -> Binary {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    // Where others may look: the build may lie where they may not.
    let program = dir.join("lead-intake");
    std::fs::copy(env!("CARGO_BIN_EXE_lead-intake"), &program).unwrap();
    let mut command = command_of(&program, &[]);
    if is_root {
        std::os::unix::fs::chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    Binary::serve_by(command, "127.0.0.1:0", &dir.join("data")).await
}
