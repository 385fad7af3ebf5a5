//! The real program under strace, which makes calls to the system fail, or writes them down.

use std::{ffi::OsStr, path::Path};

use tokio::process::{Child, Command};

use super::binary::{Binary, command_of, send_signal};

/// The strace that `scripts/test` found or installed.
const STRACE: &str = "LEAD_INTAKE_TEST_STRACE";

/// The longest bytes that a record has whole.
const BYTES_MAX: &str = "4194304";

/// The program with these expressions of strace, such as `inject=fsync:error=EIO:when=40+`: of each thread the calls from
/// its fortieth on. `of`: only calls about these files; empty for all.
pub fn command(envs: &[(&str, &str)], expressions: &[&str], of: &[&Path]) -> Command {
    let of = of.iter().flat_map(|path| ["-P".as_ref(), path.as_os_str()]);
    let options: Vec<&OsStr> = ["-o".as_ref(), "/dev/null".as_ref()]
        .into_iter()
        .chain(of)
        .collect();
    under(envs, expressions, &options)
}

/// The program, with each call of these expressions written into a file: with all its bytes, everything in hexadecimal, and
/// the file behind each descriptor.
pub fn recorded(to: &Path, expressions: &[&str]) -> Command {
    let options = ["-y", "-xx", "--seccomp-bpf", "-s", BYTES_MAX, "-o"].map(OsStr::new);
    under(
        &[],
        expressions,
        &[&options[..], &[to.as_os_str()]].concat(),
    )
}

fn under(envs: &[(&str, &str)], expressions: &[&str], options: &[&OsStr]) -> Command {
    let strace = std::env::var(STRACE).expect("run the tests by scripts/test");
    let mut command = command_of(Path::new(&strace), envs);
    command.args(["-f", "-qq"]).args(options);
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

/// Asks the program under this strace to stop; `false`: it came to its end before.
pub async fn ask_to_stop(strace: &Child) -> bool {
    signal(strace, "TERM").await
}

/// Sends the program under this strace a signal; `false`: it came to its end before. strace hands a signal on to nobody, so
/// it goes to its child.
pub async fn signal(strace: &Child, name: &str) -> bool {
    let strace = strace.id().expect("it runs");
    let children = format!("/proc/{strace}/task/{strace}/children");
    let child = std::fs::read_to_string(children).unwrap_or_default();
    match child.trim().parse() {
        Ok(child) => send_signal(child, name).await,
        Err(_) => false,
    }
}
