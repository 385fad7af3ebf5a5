//! A small disk of a test's own: a tmpfs that is mounted where nobody else sees it, and goes with the test.

use std::{
    fs::File,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::binary::{Binary, PATIENCE, command_of};

/// What a machine must allow.
const NEEDED: &str = "this test mounts a small disk: it needs user namespaces, in which `unshare -rm mount -t tmpfs none \
                      /mnt` works (Debian: sysctl kernel.unprivileged_userns_clone=1; a container: as root, with \
                      --cap-add SYS_ADMIN --security-opt apparmor=unconfined)";

/// The disk, for as long as this is.
pub struct SmallDisk {
    /// Has the namespaces.
    holder: Child,
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// A new one of this size, such as `64m`.
    pub async fn new(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script =
            r#"mount -t tmpfs -o "size=$1,mode=0700" small "$2" && echo mounted && exec cat"#;
        let mut holder = Command::new("unshare")
            .args(["-rm", "sh", "-c", script, "sh", size])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{NEEDED}: {error}"));
        let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        let said = timeout(PATIENCE, lines.next_line()).await;
        if said.expect("unshare hangs").unwrap().as_deref() != Some("mounted") {
            let mut why = String::new();
            let mut err = holder.stderr.take().unwrap();
            err.read_to_string(&mut why).await.unwrap();
            panic!("{NEEDED}: {why}");
        }
        Self { holder, dir }
    }

    fn holder(&self) -> String {
        self.holder.id().expect("it runs").to_string()
    }

    /// A path on the disk, as a program on it sees it.
    pub fn inside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same, as the test sees it.
    pub fn outside(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder()));
        root.join(self.inside(name).strip_prefix("/").unwrap())
    }

    /// A program that sees the disk.
    pub fn command(&self, program: &str) -> Command {
        let mut command = command_of(Path::new("nsenter"), &[]);
        command.args(["-t", &self.holder(), "-U", "-m", "--preserve-credentials"]);
        command.arg(program);
        command
    }

    /// The service, with its data directory on the disk.
    pub async fn serve(&self, data: &str) -> Binary {
        let program = self.command(env!("CARGO_BIN_EXE_lead-intake"));
        Binary::serve_by(program, "127.0.0.1:0", &self.inside(data)).await
    }

    /// Runs a program that sees the disk, to its end.
    pub async fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut command = self.command(program);
        let run = command.args(args).stdin(Stdio::null()).output();
        timeout(PATIENCE, run).await.expect("it hangs").unwrap()
    }

    /// Takes every block that is left.
    pub fn fill(&self) {
        let mut file = File::create(self.outside("filler")).unwrap();
        for len in [64 * 1024, 4096, 1] {
            let bytes = vec![1; len];
            loop {
                match file.write(&bytes) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Gives back what [`Self::fill`] took.
    pub fn free(&self) {
        std::fs::remove_file(self.outside("filler")).unwrap();
    }
}
