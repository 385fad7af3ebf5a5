//! A PostgreSQL server of a test's own, to be stopped, copied and promoted: by the programs that `scripts/test` found, as
//! the user that it found.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};
use tokio::{
    process::{Child, Command},
    time::{interval, timeout},
};

use super::{binary, new_id, pki::Issued};

/// Where PostgreSQL's programs are.
const BIN: &str = "LEAD_INTAKE_TEST_POSTGRES_BIN";
/// The words before a command that run it as PostgreSQL's user; empty if that is us.
const AS: &str = "LEAD_INTAKE_TEST_POSTGRES_AS";

/// The log of the run's own server, in a directory of PostgreSQL's user.
const LOG: &str = "LEAD_INTAKE_TEST_POSTGRES_LOG";

/// A running server; killed when dropped.
pub struct Cluster {
    pub address: SocketAddr,
    dir: PathBuf,
    password: String,
    settings: Vec<&'static str>,
    server: Child,
}

impl Cluster {
    /// A new server with these settings, such as `fsync=off`.
    pub async fn start(settings: &[&'static str]) -> Self {
        Self::start_in(make_dir().await, settings.to_vec()).await
    }

    /// A new server that takes TLS too.
    pub async fn start_with_tls(server: &Issued) -> Self {
        let dir = make_dir().await;
        for (file, name) in [
            (&server.certificate, "server.pem"),
            (&server.key, "server.key"),
        ] {
            put(&dir.join(name), &std::fs::read_to_string(file).unwrap()).await;
        }
        let settings = [
            "fsync=off",
            "ssl=on",
            "ssl_cert_file=../server.pem",
            "ssl_key_file=../server.key",
        ];
        Self::start_in(dir, settings.to_vec()).await
    }

    async fn start_in(dir: PathBuf, settings: Vec<&'static str>) -> Self {
        let password = new_id().simple().to_string();
        let file = dir.join("password");
        put(&file, &password).await;
        let data = format!("--pgdata={}", path(&dir.join("data")));
        let pwfile = format!("--pwfile={}", path(&file));
        let args = [
            &*data,
            &*pwfile,
            "--username=lead_intake_test",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ];
        done(&mut by_postgres(&program("initdb"), &args)).await;
        Self::launch(dir, password, settings).await
    }

    /// A standby of this one, under way.
    pub async fn standby(&self) -> Self {
        let dir = make_dir().await;
        let data = format!("--pgdata={}", path(&dir.join("data")));
        let port = format!("--port={}", self.address.port());
        let args = [
            &*data,
            &*port,
            "--host=127.0.0.1",
            "--username=lead_intake_test",
            "--no-password",
            "--write-recovery-conf",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
        ];
        let mut copy = by_postgres(&program("pg_basebackup"), &args);
        done(copy.env("PGPASSWORD", &self.password)).await;
        Self::launch(dir, self.password.clone(), vec!["fsync=off"]).await
    }

    async fn launch(dir: PathBuf, password: String, settings: Vec<&'static str>) -> Self {
        // Free a moment ago: where somebody else was quicker, the next one.
        for _ in 0..20 {
            let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = any.local_addr().unwrap();
            drop(any);
            let server = serve(&dir, address, &settings);
            let mut cluster = Self {
                address,
                dir: dir.clone(),
                password: password.clone(),
                settings: settings.clone(),
                server,
            };
            if cluster.answers().await {
                return cluster;
            }
        }
        panic!("no free port for PostgreSQL");
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        self.url_at(self.address, database)
    }

    /// The same by way of somebody in between.
    pub fn url_at(&self, address: SocketAddr, database: &str) -> String {
        let password = &self.password;
        format!("postgres://lead_intake_test:{password}@{address}/{database}")
    }

    /// Runs a statement as the superuser.
    pub async fn execute(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Ends it without a word to anybody, and starts it again at the same place.
    pub async fn restart_immediately(&mut self) {
        let process = self.server.id().expect("it runs");
        assert!(binary::send_signal(process, "QUIT").await);
        let ended = timeout(binary::PATIENCE, self.server.wait()).await;
        ended.expect("it did not stop").unwrap();
        self.server = serve(&self.dir, self.address, &self.settings);
        assert!(self.answers().await, "it did not start again");
    }

    /// Waits until it answers; `false` if it ended.
    async fn answers(&mut self) -> bool {
        let url = self.url("postgres");
        let asking = async {
            let mut tick = interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                if self.server.try_wait().unwrap().is_some() {
                    return false;
                }
                if PgConnection::connect(&url).await.is_ok() {
                    return true;
                }
            }
        };
        let answered = timeout(binary::PATIENCE, asking).await;
        answered.expect("PostgreSQL does not answer")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its processes follow it when they notice; the directory is theirs.
        let _ = self.server.start_kill();
        let remove = ["rm", "-rf", path(&self.dir)];
        let (program, args) = words(&remove);
        let _ = std::process::Command::new(program).args(args).status();
    }
}

fn serve(dir: &Path, address: SocketAddr, settings: &[&str]) -> Child {
    let port = format!("port={}", address.port());
    let data = dir.join("data");
    let mut args = vec!["-D", path(&data)];
    let always = [
        &*port,
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "logging_collector=off",
        "max_connections=100",
    ];
    for setting in always.iter().chain(settings) {
        args.extend(["-c", setting]);
    }
    by_postgres(&program("postgres"), &args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Writes a file that PostgreSQL's user may read and nobody else. Its content is in no list of processes.
async fn put(file: &Path, content: &str) {
    let script = r#"umask 077; printf '%s\n' "$CONTENT" > "$1""#;
    let mut write = by_postgres("sh", &["-c", script, "sh", path(file)]);
    done(write.env("CONTENT", content)).await;
}

/// A directory that belongs to PostgreSQL's user, in that of the run: so it goes with it, however the test ends.
async fn make_dir() -> PathBuf {
    let log = std::env::var(LOG)
        .unwrap_or_else(|_| panic!("{LOG} is not set: run the tests by scripts/test"));
    let template = Path::new(&log).with_file_name("cluster.XXXXXXXX");
    let mut mktemp = by_postgres("mktemp", &["-d", path(&template)]);
    let output = mktemp.stdout(Stdio::piped()).output().await.unwrap();
    assert!(output.status.success(), "mktemp failed");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

fn program(name: &str) -> String {
    let bin = std::env::var(BIN)
        .unwrap_or_else(|_| panic!("{BIN} is not set: run the tests by scripts/test"));
    format!("{bin}/{name}")
}

/// A command as PostgreSQL's user, in a directory that this one may enter.
fn by_postgres(program: &str, args: &[&str]) -> Command {
    let all = [&[program], args].concat();
    let (program, args) = words(&all);
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A command with the words before it that make it PostgreSQL's user's: program and arguments.
fn words(command: &[&str]) -> (String, Vec<String>) {
    let by = std::env::var(AS).unwrap_or_default();
    let mut words = by
        .split_whitespace()
        .chain(command.iter().copied())
        .map(str::to_owned);
    (words.next().unwrap(), words.collect())
}

async fn done(command: &mut Command) {
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
