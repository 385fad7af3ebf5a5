//! A small disk of a test's own: a tmpfs. Mounted where nobody else sees it, and gone with the test; or, on a machine that
//! allows no such thing to its users (Ubuntu since 24.04), by whoever may mount.

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
                      /mnt` works (Debian: sysctl kernel.unprivileged_userns_clone=1), or root, or sudo without a password \
                      (a container: as root, with --cap-add SYS_ADMIN --security-opt apparmor=unconfined)";
/// Runs its arguments as root, or fails.
const AS_ROOT: &str = r#"if [ "$(id -u)" -eq 0 ]; then exec "$@"; else exec sudo -n "$@"; fi"#;

/// The disk, for as long as this is.
pub struct SmallDisk {
    /// Has the namespaces; none, if the disk is mounted for everybody.
    holder: Option<Child>,
    dir: tempfile::TempDir,
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.holder.is_none() {
            let mut unmount = std::process::Command::new("sh");
            let _ = unmount
                .args(["-c", AS_ROOT, "sh", "umount", "--lazy"])
                .arg(self.dir.path())
                .status();
        }
    }
}

impl SmallDisk {
    /// A new one of this size, such as `64m`.
    pub async fn new(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        match hold(size, dir.path()).await {
            Ok(holder) => Self {
                holder: Some(holder),
                dir,
            },
            Err(why) => {
                let script = r#"
                    as_root=$1 options="size=$2,mode=0700,uid=$(id -u),gid=$(id -g)"
                    exec sh -c "$as_root" sh mount -t tmpfs -o "$options" small "$3""#;
                let mut mount = Command::new("sh");
                mount.args(["-c", script, "sh", AS_ROOT, size]);
                let mounted = mount.arg(dir.path()).output().await.unwrap();
                let also = String::from_utf8_lossy(&mounted.stderr);
                assert!(mounted.status.success(), "{NEEDED}: {why}{also}");
                Self { holder: None, dir }
            }
        }
    }

    fn holder(&self) -> Option<String> {
        let holder = self.holder.as_ref()?;
        Some(holder.id().expect("it runs").to_string())
    }

    /// A path on the disk, as a program on it sees it.
    pub fn inside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same, as the test sees it.
    pub fn outside(&self, name: &str) -> PathBuf {
        let inside = self.inside(name);
        match self.holder() {
            Some(holder) => {
                let root = PathBuf::from(format!("/proc/{holder}/root"));
                root.join(inside.strip_prefix("/").unwrap())
            }
            None => inside,
        }
    }

    /// A program that sees the disk.
    fn command(&self, program: &str) -> Command {
        let Some(holder) = self.holder() else {
            return command_of(Path::new(program), &[]);
        };
        let mut command = command_of(Path::new("nsenter"), &[]);
        command.args(["-t", &holder, "-U", "-m", "--preserve-credentials"]);
        command.arg(program);
        command
    }

    /// Mounts it anew, read-only.
    pub async fn becomes_read_only(&self) {
        let mut remount = self.command("sh");
        remount.args(["-c", AS_ROOT, "sh", "mount", "-o", "remount,ro"]);
        let remounted = remount.arg(self.dir.path()).output().await.unwrap();
        let said = String::from_utf8_lossy(&remounted.stderr);
        assert!(remounted.status.success(), "{said}");
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

/// Mounts a disk in namespaces of their own; gives who has them, or why that cannot be done.
async fn hold(size: &str, dir: &Path) -> Result<Child, String> {
    let script = r#"mount -t tmpfs -o "size=$1,mode=0700" small "$2" && echo mounted && exec cat"#;
    let mut holder = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, "sh", size])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let said = timeout(PATIENCE, lines.next_line()).await;
    if said.expect("unshare hangs").unwrap().as_deref() == Some("mounted") {
        return Ok(holder);
    }
    let mut why = String::new();
    let mut err = holder.stderr.take().unwrap();
    err.read_to_string(&mut why).await.unwrap();
    Err(why)
}
