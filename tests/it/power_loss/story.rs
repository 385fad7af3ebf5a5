//! Lives of the program over one data directory, recorded: a first start and a gentle stop; acts amid submissions, and kills,
//! which leave what was not flushed in the system's memory; and lives that find it there.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use lead_intake::pb::{
    self, RestrictionReason, crm_service_client::CrmServiceClient,
    intake_service_client::IntakeServiceClient, ledger_service_client::LedgerServiceClient,
    privacy_service_client::PrivacyServiceClient,
};
use prost::Message;
use tokio::{sync::Semaphore, task::JoinSet};
use tonic::{Response, Status};

use super::record::{self, Record};
use crate::{
    rights,
    steps::erasure,
    support::{binary::Binary, strace, *},
};

/// What is done to a lead each, of those that were submitted in the first life: in the second; the fifth of them in the third;
/// and the last is begun in the fifth and acknowledged in the sixth.
pub const ACTS: [&str; 6] = [
    "erased",
    "restricted",
    "rectified",
    "withdrawn",
    "closed",
    "forgotten",
];
/// The mailbox of the lead that is rectified, from then on.
pub const RIGHT: &str = "right@example.no";
const CLIENTS: usize = 3;
/// Acknowledgements after which the second life ends.
const SECOND_LIFE: u32 = 18;
/// The most forms of a client in that life.
const EACH: usize = 12;
/// The mirror's flushes wait for half a second: time enough to kill the program before one. The database's are of the other call.
const SLOW: &str = "inject=fdatasync:delay_enter=500000";

pub fn mail(who: &str) -> String {
    format!("{who}@example.no")
}

/// What a caller was told.
#[derive(Clone, Debug)]
pub enum Told {
    Lead { id: String, email: String },
    Act(&'static str),
    Checkpoint { note: String },
}

/// What was recorded, and what was promised at which step of it.
pub struct Story {
    pub record: Record,
    /// In order: the step before which everything was done that was acknowledged with it.
    pub promises: Vec<(usize, Told)>,
    /// The step from which the program said that it listens, and who may use the tokens.
    pub listens: usize,
    /// The step after which the database's copy was taken, and that copy.
    pub backed_up: usize,
    pub backup: PathBuf,
    /// The mailbox of every form that was sent.
    pub sent: HashSet<String>,
    /// The leads of [`ACTS`].
    pub leads: Vec<String>,
    /// Where the public key lies that verifies checkpoints.
    pub verifier: PathBuf,
    /// The directory that the record is about.
    pub root: PathBuf,
    _dir: tempfile::TempDir,
}

/// What the clients of all lives know.
#[derive(Default)]
struct Journal {
    /// Where the record stood before the call, the answer, and what it told.
    answers: Vec<((usize, u64), Vec<u8>, Told)>,
    sent: HashSet<String>,
}

/// One life, as its clients see it.
#[derive(Clone)]
struct Life {
    number: usize,
    /// The file that strace writes.
    written: PathBuf,
    data: PathBuf,
    journal: Arc<Mutex<Journal>>,
}

impl Life {
    async fn start(&self, also: Option<&str>) -> Binary {
        let expressions = record::expressions();
        let expressions = expressions.iter().map(|it| &**it).chain(also);
        let expressions: Vec<_> = expressions.collect();
        let command = strace::recorded(&self.written, &expressions);
        Binary::serve_by(command, "127.0.0.1:0", &self.data).await
    }

    /// Makes a call, and notes what it is told.
    async fn note<T: Message>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
        told: impl FnOnce(&T) -> Told,
    ) -> Result<T, Status> {
        let from = (self.number, fs::metadata(&self.written).unwrap().len());
        let answer = call.await?.into_inner();
        let noted = (from, answer.encode_to_vec(), told(&answer));
        self.journal.lock().unwrap().answers.push(noted);
        Ok(answer)
    }

    async fn submit(
        &self,
        intake: &mut IntakeServiceClient<Caller>,
        form: pb::SubmitLeadRequest,
    ) -> Result<String, Status> {
        let email = form.email.clone();
        self.journal.lock().unwrap().sent.insert(email.clone());
        let told = |stored: &pb::SubmitLeadResponse| Told::Lead {
            id: stored.lead_id.clone(),
            email,
        };
        let stored = self.note(intake.submit_lead(form), told).await?;
        Ok(stored.lead_id)
    }

    /// Some clients at once, each until it is refused or has sent so many. Each acknowledgement is a permit.
    fn submissions(&self, server: &Binary, each: usize) -> (JoinSet<()>, Arc<Semaphore>) {
        let acknowledged = Arc::new(Semaphore::new(0));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let mut intake = IntakeServiceClient::new(server.caller(&self.data, "intake"));
            let (life, acknowledged) = (self.clone(), acknowledged.clone());
            clients.spawn(async move {
                for number in 0..each {
                    let email = mail(&format!("power-{}-{client}-{number}", life.number));
                    let form = form("Kari Nordmann", &email);
                    if life.submit(&mut intake, form).await.is_err() {
                        return;
                    }
                    acknowledged.add_permits(1);
                }
            });
        }
        (clients, acknowledged)
    }

    async fn act(&self, server: &Binary, act: &'static str, lead: &str) {
        let caller = |role| server.caller(&self.data, role);
        let mut privacy = PrivacyServiceClient::new(caller("privacy"));
        let lead_id = lead.to_owned();
        match act {
            "restricted" => {
                let reason = RestrictionReason::SubjectLegalClaim;
                let call = privacy.restrict_lead(rights::restriction(lead, reason));
                self.note(call, |_| Told::Act(act)).await.map(drop)
            }
            "rectified" => {
                self.journal.lock().unwrap().sent.insert(RIGHT.to_owned());
                let call = privacy.rectify_lead(rights::correction(lead, 1, "email", RIGHT));
                self.note(call, |_| Told::Act(act)).await.map(drop)
            }
            "withdrawn" => {
                let mut intake = IntakeServiceClient::new(caller("intake"));
                let call = intake.withdraw_consent(pb::WithdrawConsentRequest { lead_id });
                self.note(call, |_| Told::Act(act)).await.map(drop)
            }
            "closed" => {
                let mut crm = CrmServiceClient::new(caller("crm"));
                let call = crm.close_lead(pb::CloseLeadRequest {
                    lead_id,
                    outcome: pb::CloseOutcome::Answered.into(),
                });
                self.note(call, |_| Told::Act(act)).await.map(drop)
            }
            _ => unreachable!(),
        }
        .unwrap();
    }

    async fn erase(&self, server: &Binary, act: &'static str, request: pb::EraseSubjectRequest) {
        let mut privacy = PrivacyServiceClient::new(server.caller(&self.data, "privacy"));
        let call = privacy.erase_subject(request);
        self.note(call, |_| Told::Act(act)).await.unwrap();
    }

    /// Waits until nothing is left of an erasure: until the log was moved into the database and cut.
    async fn cleaned_up(&self, server: &Binary, erased: &pb::EraseSubjectRequest) {
        let mut privacy = PrivacyServiceClient::new(server.caller(&self.data, "privacy"));
        let request = pb::GetErasureReceiptRequest {
            request_id: erased.request.clone().unwrap().request_id,
            ..Default::default()
        };
        eventually(async || {
            let receipt = privacy.get_erasure_receipt(request.clone()).await.unwrap();
            (receipt.into_inner().clean_up() == pb::CleanUp::Done).then_some(())
        })
        .await;
    }

    /// Bytes of the mirror's files of this kind.
    fn mirrored(&self, kind: &str) -> u64 {
        let files = files(&self.data.join("ledger")).into_iter();
        let meant = files.filter(|it| it.file_name().unwrap().to_str().unwrap().starts_with(kind));
        meant.map(|it| fs::metadata(it).unwrap().len()).sum()
    }

    async fn checkpoint(&self, server: &Binary) {
        let mut ledger = LedgerServiceClient::new(server.caller(&self.data, "auditor"));
        let call = ledger.get_checkpoint(pb::GetCheckpointRequest::default());
        let told = |answer: &pb::GetCheckpointResponse| Told::Checkpoint {
            note: answer.note.clone(),
        };
        self.note(call, told).await.unwrap();
    }
}

async fn stop_gently(server: Binary) {
    let (code, log) = strace::stop(server).await;
    assert_eq!(code, Some(0), "{log}");
}

async fn first_life(life: &Life) -> Vec<String> {
    let server = life.start(None).await;
    let mut intake = IntakeServiceClient::new(server.caller(&life.data, "intake"));
    let mut leads = Vec::new();
    for act in ACTS {
        let form = match act {
            "withdrawn" => rights::consent_form(&mail(act)),
            _ => form("Kari Nordmann", &mail(act)),
        };
        leads.push(life.submit(&mut intake, form).await.unwrap());
    }
    stop_gently(server).await;
    leads
}

/// Acts amid submissions, with a clean-up, a checkpoint, and a kill in the end.
async fn second_life(life: &Life, leads: &[String]) {
    let mut server = life.start(None).await;
    let (clients, acknowledged) = life.submissions(&server, EACH);
    let request = erasure(&mail(ACTS[0]));
    life.erase(&server, ACTS[0], request.clone()).await;
    life.cleaned_up(&server, &request).await;
    for (act, lead) in ACTS.iter().zip(leads).take(4).skip(1) {
        life.act(&server, act, lead).await;
    }
    life.checkpoint(&server).await;
    let enough = acknowledged.acquire_many(SECOND_LIFE).await;
    enough.unwrap().forget();
    kill(&mut server).await;
    clients.join_all().await;
}

/// An act, and a kill when the mirror has its entry, and has not flushed it.
async fn third_life(life: &Life, lead: &str) {
    let mut server = life.start(Some(SLOW)).await;
    let before = life.mirrored("entries-");
    life.act(&server, ACTS[4], lead).await;
    eventually(async || (life.mirrored("entries-") > before).then_some(())).await;
    kill(&mut server).await;
}

/// Adds nothing: so nothing new flushes what the kill left.
async fn fourth_life(life: &Life) {
    stop_gently(life.start(Some(SLOW)).await).await;
}

/// A kill in the midst of an act: it is written ahead, and not flushed.
async fn fifth_life(life: &Life, request: pb::EraseSubjectRequest) {
    let mut server = life.start(Some(SLOW)).await;
    let mut privacy = PrivacyServiceClient::new(server.caller(&life.data, "privacy"));
    let before = life.mirrored("ahead-");
    let asked = tokio::spawn(async move { privacy.erase_subject(request).await });
    eventually(async || (life.mirrored("ahead-") > before).then_some(())).await;
    kill(&mut server).await;
    asked.await.unwrap().unwrap_err();
}

/// Finds what was begun done, and its caller hears so before the mirror's entries are flushed.
async fn sixth_life(life: &Life, request: pb::EraseSubjectRequest) {
    let server = life.start(Some(SLOW)).await;
    life.erase(&server, ACTS[5], request).await;
    let (clients, _) = life.submissions(&server, 3);
    clients.join_all().await;
    stop_gently(server).await;
}

async fn kill(server: &mut Binary) {
    assert!(strace::signal(&server.child, "KILL").await);
    server.end().await;
}

/// Lives it, and finds in the record where each answer left.
pub async fn live() -> Story {
    let dir = tempfile::tempdir().unwrap();
    // As the system names it.
    let top = dir.path().canonicalize().unwrap();
    let root = top.join("disk");
    fs::create_dir(&root).unwrap();
    let data = root.join("data");
    let journal = Arc::<Mutex<Journal>>::default();
    let life = |number: usize| Life {
        number,
        written: top.join(format!("life-{number}")),
        data: data.clone(),
        journal: journal.clone(),
    };
    let mut record = Record::default();
    let leads = first_life(&life(0)).await;
    record.add(0, &life(0).written, &root);
    let backed_up = record.steps.len();
    let (backup, verifier) = (top.join("backup.db"), top.join("checkpoint.pub"));
    fs::copy(data.join("lead-intake.db"), &backup).unwrap();
    fs::copy(data.join("checkpoint.pub"), &verifier).unwrap();
    second_life(&life(1), &leads).await;
    record.add(1, &life(1).written, &root);
    third_life(&life(2), &leads[4]).await;
    record.add(2, &life(2).written, &root);
    fourth_life(&life(3)).await;
    record.add(3, &life(3).written, &root);
    let request = erasure(&mail(ACTS[5]));
    fifth_life(&life(4), request.clone()).await;
    record.add(4, &life(4).written, &root);
    sixth_life(&life(5), request).await;
    record.add(5, &life(5).written, &root);
    is_all_modelled(&record, &root);
    let Journal { answers, sent } = std::mem::take(&mut *journal.lock().unwrap());
    let answers = answers.into_iter().map(|(from, answer, told)| {
        let step = record.sent(from, &answer);
        (step.expect("the answer is in the record"), told)
    });
    let mut promises: Vec<_> = answers.collect();
    promises.sort_by_key(|(step, _)| *step);
    Story {
        listens: record.sent((0, 0), b"listening on ").unwrap(),
        record,
        promises,
        backed_up,
        backup,
        sent,
        leads,
        verifier,
        root,
        _dir: dir,
    }
}

/// With everything kept the model is the directory itself: or a call is missing in it.
fn is_all_modelled(record: &Record, root: &Path) {
    let mut disk = super::disk::Disk::new(HashSet::new());
    for step in 0..record.steps.len() {
        disk.step(record, step);
    }
    let all = tempfile::tempdir().unwrap();
    let mut random = random::Random::new(0);
    disk.leave(super::disk::Kept::All, &mut random, all.path());
    let below = |root: &Path| -> HashSet<PathBuf> {
        let of = |file: PathBuf| file.strip_prefix(root).unwrap().to_owned();
        files(root).into_iter().map(of).collect()
    };
    assert_eq!(below(all.path()), below(root));
    for file in below(root) {
        let same = fs::read(all.path().join(&file)).unwrap() == fs::read(root.join(&file)).unwrap();
        assert!(same, "{} is not what the record says", file.display());
    }
}
