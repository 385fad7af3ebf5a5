//! The real program under strace, which makes calls to the system fail.

use std::path::Path;

use tokio::process::{Child, Command};

use super::binary::{Binary, command_of, send_signal};

/// The strace that `scripts/test` found or installed.
const STRACE: &str = "LEAD_INTAKE_TEST_STRACE";

/// The program with these expressions of strace, such as `inject=fsync:error=EIO:when=40+`: of each thread the calls from
/// its fortieth on. `of`: only calls about these files; empty for all.
pub fn command(envs: &[(&str, &str)], expressions: &[&str], of: &[&Path]) -> Command {
    let strace = std::env::var(STRACE).expect("run the tests by scripts/test");
    let mut command = command_of(Path::new(&strace), envs);
    command.args(["-f", "-qq", "-o", "/dev/null"]);
    for path in of {
        command.arg("-P").arg(path);
    }
    for expression in expressions {
        command.args(["-e", expression]);
    }
    command.arg(env!("CARGO_BIN_EXE_lead-intake"));
    command
}

/// Stops a server that runs under strace, gently; gives its exit code and its log.
pub async fn stop(mut server: Binary) -> (Option<i32>, String) {
    assert!(ask_to_stop(&server.child).await, "it is gone");
    let code = server.end().await;
    (code, server.log())
}

/// Asks the program under this strace to stop; `false`: it came to its end before. strace hands a signal on to nobody, so its
/// child is asked.
pub async fn ask_to_stop(strace: &Child) -> bool {
    let strace = strace.id().expect("it runs");
    let children = format!("/proc/{strace}/task/{strace}/children");
    let child = std::fs::read_to_string(children).unwrap_or_default();
    match child.trim().parse() {
        Ok(child) => send_signal(child, "TERM").await,
        Err(_) => false,
    }
}
