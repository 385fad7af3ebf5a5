//! D3: the real program, killed as it enters each call to the system that makes something durable, one after the
//! other until a run passes untouched. Then the backup comes back, and what was acknowledged must hold all the same.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use lead_intake::pb::{
    self, RestrictionReason, intake_service_client::IntakeServiceClient,
    ledger_service_client::LedgerServiceClient, privacy_service_client::PrivacyServiceClient,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
    time::timeout,
};
use tonic::{
    Status, metadata::AsciiMetadataValue, service::interceptor::InterceptedService,
    transport::Endpoint,
};

use crate::{
    rights,
    steps::erasure,
    support::{binary, strace, *},
};

/// Set by `.ci/soak`: every point, instead of some of the many writes.
pub const EVERY_POINT: &str = "LEAD_INTAKE_TEST_EVERY_POINT";
/// The longest that a start, or a call, may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(1);
/// More calls than any run makes.
pub const POINTS_MAX: usize = 2000;

/// A data directory and its database, ready to be copied.
struct Scene {
    /// As it was when the backup was taken.
    before: Place,
    /// Leads, in the order of [`ACTS`].
    leads: Vec<String>,
}

/// A data directory and its database.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub url: Option<String>,
}

/// What is done, one after the other, to a lead each.
const ACTS: [&str; 5] = ["erased", "restricted", "rectified", "withdrawn", "closed"];

fn mail(who: &str) -> String {
    format!("{who}@example.no")
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in files(from) {
        // Each start makes one, and there are many copies.
        if file.extension().is_some_and(|it| it == "db-ballast") {
            continue;
        }
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
    fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
}

impl Place {
    /// Nothing yet.
    pub async fn new(backend: Backend) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            url: match backend {
                Backend::Sqlite => None,
                Backend::Postgres => Some(new_postgres_database().await),
            },
        }
    }

    pub async fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(self.dir.path(), dir.path());
        let url = match &self.url {
            Some(url) => Some(copy_postgres_database(url).await),
            None => None,
        };
        Self { dir, url }
    }

    pub fn envs(&self) -> Vec<(&str, &str)> {
        let url = self.url.iter();
        url.map(|url| ("LEAD_INTAKE_DATABASE_URL", &**url))
            .collect()
    }

    /// Takes its database away.
    pub async fn remove(&self) {
        if let Some(url) = &self.url {
            drop_postgres_database(url).await;
        }
    }

    /// Puts the database of another place in the place of this one's.
    async fn restore(&mut self, backup: &Self) {
        if let Some(url) = &backup.url {
            self.url = Some(copy_postgres_database(url).await);
            return;
        }
        let db = |place: &Self, suffix| {
            let name = format!("lead-intake.db{suffix}");
            place.dir.path().join(name)
        };
        let _ = fs::remove_file(db(self, "-wal"));
        let _ = fs::remove_file(db(self, "-shm"));
        fs::copy(db(backup, ""), db(self, "")).unwrap();
    }
}

/// A server that may be killed at any moment.
struct Doomed {
    child: Child,
    api: SocketAddr,
    dir: PathBuf,
}

impl Doomed {
    /// Starts the server, to be killed at the `point`th of these calls of one of its threads. `None`: it was killed
    /// before it listened.
    async fn start(place: &Place, call: &str, point: usize) -> Option<Self> {
        let killed = [
            &*format!("trace={call}"),
            &*format!("inject={call}:signal=KILL:when={point}"),
        ];
        let mut child = strace::command(&place.envs(), &killed, &[])
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(place.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((api, _)) = binary::addresses(&line) {
                    return Some(api);
                }
            }
            None
        };
        let api = timeout(PATIENCE, listening)
            .await
            .expect("neither started nor killed");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self {
            child,
            api: api?,
            dir: place.dir.path().to_owned(),
        })
    }

    fn caller(&self, role: &str) -> Caller {
        caller(&self.dir, self.api, role)
    }

    /// Whether it was killed.
    fn is_dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Stops it gently; gives whether it came to its end by itself.
    async fn stop(mut self) -> bool {
        // It may have come to its end before it is asked.
        strace::ask_to_stop(&self.child).await;
        let ended = timeout(PATIENCE, self.child.wait())
            .await
            .expect("it does not end")
            .unwrap();
        ended.success()
    }
}

fn caller(dir: &Path, api: SocketAddr, role: &str) -> Caller {
    let token = fs::read_to_string(dir.join("tokens").join(role)).unwrap();
    let header: AsciiMetadataValue = format!("Bearer {}", token.trim()).parse().unwrap();
    let channel = Endpoint::from_shared(format!("http://{api}"))
        .unwrap()
        .timeout(PATIENCE)
        .connect_lazy();
    InterceptedService::new(trace::Recorded::new(channel), Bearer::new(header))
}

async fn scene(backend: Backend) -> Scene {
    let before = Place::new(backend).await;
    let server = binary::Binary::serve(before.dir.path(), &before.envs()).await;
    let mut intake = IntakeServiceClient::new(caller(before.dir.path(), server.api, "intake"));
    let mut leads = Vec::new();
    for act in ACTS {
        let form = if act == "withdrawn" {
            rights::consent_form(&mail(act))
        } else {
            form("Kari Nordmann", &mail(act))
        };
        leads.push(intake.submit_lead(form).await.unwrap().into_inner().lead_id);
    }
    let (ended, log) = server.signal("TERM").await;
    assert!(ended.success(), "{log}");
    Scene { before, leads }
}

/// Does everything, until the server is gone. Gives what was acknowledged.
async fn act(server: &Doomed, leads: &[String]) -> Vec<&'static str> {
    let mut privacy = PrivacyServiceClient::new(server.caller("privacy"));
    let mut intake = IntakeServiceClient::new(server.caller("intake"));
    let mut crm = pb::crm_service_client::CrmServiceClient::new(server.caller("crm"));
    let mut done = Vec::new();
    for (act, lead) in ACTS.iter().zip(leads) {
        let closing = || pb::CloseLeadRequest {
            lead_id: lead.clone(),
            outcome: pb::CloseOutcome::Answered.into(),
        };
        let answer: Result<(), Status> = match *act {
            "erased" => privacy
                .erase_subject(erasure(&mail("erased")))
                .await
                .map(drop),
            "restricted" => {
                let request = rights::restriction(lead, RestrictionReason::SubjectLegalClaim);
                privacy.restrict_lead(request).await.map(drop)
            }
            "rectified" => {
                let request = rights::correction(lead, 1, "email", "right@example.no");
                privacy.rectify_lead(request).await.map(drop)
            }
            "withdrawn" => {
                let request = pb::WithdrawConsentRequest {
                    lead_id: lead.clone(),
                };
                intake.withdraw_consent(request).await.map(drop)
            }
            _ => crm.close_lead(closing()).await.map(drop),
        };
        if answer.is_err() {
            break;
        }
        done.push(*act);
    }
    done
}

/// After a restore everything that was acknowledged holds, and the ledger too.
async fn check(place: &Place, leads: &[String], done: &[&str], what: &str) {
    let server = binary::Binary::serve(place.dir.path(), &place.envs()).await;
    let caller = |role| caller(place.dir.path(), server.api, role);
    let mut privacy = PrivacyServiceClient::new(caller("privacy"));
    for (act, lead) in ACTS.iter().zip(leads) {
        let find = pb::FindSubjectRequest {
            request: subject(&mail(act)),
        };
        let found = privacy.find_subject(find).await.unwrap().into_inner().leads;
        let state = found
            .iter()
            .find(|it| it.lead_id == *lead)
            .map(pb::MatchedLead::state);
        if !done.contains(act) {
            continue;
        }
        match *act {
            "restricted" | "rectified" => {
                assert_eq!(state, Some(pb::LeadState::Restricted), "{what}: {act}");
            }
            _ => assert_eq!(state, None, "{what}: {act}"),
        }
    }
    let mut ledger = LedgerServiceClient::new(caller("auditor"));
    let verified = ledger
        .verify_ledger(pb::VerifyLedgerRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(verified.intact, "{what}: {verified:?}");
    let (ended, log) = server.signal("TERM").await;
    assert!(ended.success(), "{what}: {log}");
}

/// The points at which a call is killed: all, or of the many writes some.
fn stride(call: &str) -> usize {
    match call {
        "pwrite64" | "sendto" if std::env::var_os(EVERY_POINT).is_none() => 11,
        _ => 1,
    }
}

pub fn calls(backend: Backend) -> &'static [&'static str] {
    match backend {
        Backend::Sqlite => &["fdatasync", "fsync", "rename", "ftruncate", "pwrite64"],
        // The database is another process: what is sent to it is what may be cut off.
        Backend::Postgres => &["fdatasync", "fsync", "rename", "sendto"],
    }
}

on_both! {
    /// E4, D3: killed at each step of the acts; the backup from before them comes back; each act that was
    /// acknowledged holds.
    async fn d3_e4_acts_survive_a_kill_and_an_old_backup(backend: Backend) {
        let scene = scene(backend).await;
        for call in calls(backend) {
            let mut killed = 0;
            for point in (1..POINTS_MAX).step_by(stride(call)) {
                let mut place = scene.before.copy().await;
                let mut is_clean = false;
                let mut done = Vec::new();
                if let Some(mut server) = Doomed::start(&place, call, point).await {
                    done = act(&server, &scene.leads).await;
                    is_clean = !server.is_dead() && server.stop().await;
                }
                place.restore(&scene.before).await;
                check(&place, &scene.leads, &done, &format!("{call} {point}")).await;
                if is_clean {
                    assert_eq!(done, ACTS);
                    break;
                }
                killed += 1;
            }
            assert!(killed > 0 || *call == "rename" || *call == "ftruncate", "{call} was never met");
        }
    }

    /// E4, D3: killed at each step of a restore; the next start ends it.
    async fn d3_e4_a_restore_survives_a_kill(backend: Backend) {
        let scene = scene(backend).await;
        let mut after = scene.before.copy().await;
        // No thread makes so many calls: nothing is killed.
        let server = Doomed::start(&after, "fdatasync", 60_000).await.unwrap();
        assert_eq!(act(&server, &scene.leads).await, ACTS);
        assert!(server.stop().await);
        after.restore(&scene.before).await;
        for call in calls(backend) {
            for point in (1..POINTS_MAX).step_by(stride(call)) {
                let place = after.copy().await;
                let is_clean = match Doomed::start(&place, call, point).await {
                    Some(mut server) => !server.is_dead() && server.stop().await,
                    None => false,
                };
                check(&place, &scene.leads, &ACTS, &format!("{call} {point}")).await;
                if is_clean {
                    break;
                }
            }
        }
    }
}
