//! D5: the power goes, and with it whatever was not flushed. A `kill -9` cannot show that, since the system's memory outlives
//! the program.
//!
//! So the program's calls are recorded ([`story`], [`record`]), and from the record what a power loss at any moment may leave
//! on the disk is made ([`disk`], which says what is promised and what is not). There the real program is started, by itself
//! and without a hand's turn, and must have everything that was acknowledged before that moment.
//!
//! An acknowledgement's moment is the step at which its bytes begin to leave: nothing that was done later counts for it.
//! `LEAD_INTAKE_TEST_CUTS` makes it longer, as `.ci/soak` does; `LEAD_INTAKE_TEST_SEED` cuts elsewhere. The record is another
//! one in each run, so a failure keeps the disk that it was found on.
//!
//! Not in the story: retention by age, for which the real program's clock would have to be moved. The sweep erases as an
//! erasure does.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

mod disk;
mod record;
mod story;

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    sync::Arc,
    time::Instant,
};

use lead_intake::pb::{
    self, LeadState, crm_service_client::CrmServiceClient,
    ledger_service_client::LedgerServiceClient, privacy_service_client::PrivacyServiceClient,
};
use tokio::{sync::Semaphore, task::JoinSet};

use self::{
    disk::{Disk, Kept},
    record::{Call, Record},
    story::{ACTS, RIGHT, Story, Told, mail},
};
use crate::{
    steps::pull_all,
    support::{
        binary::{Binary, command, run},
        random::Random,
        *,
    },
};

const CUTS: &str = "LEAD_INTAKE_TEST_CUTS";
const CUTS_SHORT: usize = 100;
const SEED: &str = "LEAD_INTAKE_TEST_SEED";
/// Programs that run at once.
const AT_ONCE: usize = 2;
/// Of the cuts after the backup, one in so many is followed by its return.
const RESTORED: usize = 4;

/// A power loss.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Before this step.
    step: usize,
    kept: Kept,
    seed: u64,
    /// Whether the database's old copy comes back afterwards.
    restores: bool,
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |it| it.parse().unwrap())
}

/// At each acknowledgement; before each flush of the first start, with empty files; and at random moments.
fn cuts(story: &Story, count: usize, seed: usize) -> Vec<Cut> {
    let mut random = Random::new(seed.try_into().unwrap());
    let mut cuts = Vec::new();
    for (number, (step, told)) in story.promises.iter().enumerate() {
        let is_act = matches!(told, Told::Act(_));
        let kept = (is_act || number % 2 == 0).then_some(Kept::Nothing);
        cuts.push(Cut::at(*step, kept, false, &mut random));
        if is_act {
            cuts.push(Cut::at(*step, kept, true, &mut random));
        }
    }
    let moments: Vec<usize> = story.record.of_files().collect();
    let flushes = moments.iter().filter(|step| {
        let flushed = story.record.flushed(**step);
        flushed.is_some_and(|path| !is_database(path))
    });
    let first = flushes.take_while(|step| **step < story.listens);
    for step in first {
        cuts.push(Cut::at(*step, Some(Kept::Names), false, &mut random));
    }
    while cuts.len() < count {
        let step = moments[random.below(moments.len())];
        let restores = step >= story.backed_up && random.below(RESTORED) == 0;
        cuts.push(Cut::at(step, None, restores, &mut random));
    }
    cuts
}

fn is_database(path: &Path) -> bool {
    path.to_str().unwrap().contains("lead-intake.db")
}

impl Cut {
    /// `kept`: none, by chance.
    fn at(step: usize, kept: Option<Kept>, restores: bool, random: &mut Random) -> Self {
        let by_chance = match random.below(10) {
            0..3 => Kept::Nothing,
            3 => Kept::Names,
            4 => Kept::All,
            _ => Kept::Some(1 + random.below(7)),
        };
        Self {
            step,
            kept: kept.unwrap_or(by_chance),
            seed: random.bits(),
            restores,
        }
    }
}

/// What is wrong after a cut, and the disk that it was found on.
struct Wrong {
    cut: Cut,
    what: String,
    left: tempfile::TempDir,
}

/// Makes each cut, with these calls flushing nothing; gives what is wrong.
async fn cut_all(story: &Arc<Story>, mut cuts: Vec<Cut>, ignored: HashSet<usize>) -> Vec<Wrong> {
    cuts.sort_by_key(|cut| cut.step);
    let mut disk = Disk::new(ignored);
    let mut done = 0;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut checks = JoinSet::new();
    for cut in cuts {
        for step in done..cut.step {
            disk.step(&story.record, step);
        }
        done = cut.step;
        let place = places.clone().acquire_owned().await.unwrap();
        let left = tempfile::tempdir().unwrap();
        disk.leave(cut.kept, &mut Random::new(cut.seed), left.path());
        let story = story.clone();
        checks.spawn(async move {
            let found = check(&story, cut, left.path()).await;
            drop(place);
            found.err().map(|what| Wrong { cut, what, left })
        });
    }
    let found = checks.join_all().await;
    found.into_iter().flatten().collect()
}

/// Starts the program on what was left; everything that was acknowledged before the cut must hold.
async fn check(story: &Story, cut: Cut, left: &Path) -> Result<(), String> {
    let data = left.join("data");
    if cut.restores {
        let database = data.join("lead-intake.db");
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(data.join(format!("lead-intake.db{suffix}")));
        }
        fs::copy(&story.backup, database).map_err(|error| error.to_string())?;
    }
    let started = Binary::try_serve_by(command(&[]), "127.0.0.1:0", &data).await;
    let mut server = started.map_err(|log| format!("it does not start:\n{log}"))?;
    let found = if server.is_ready().await {
        promises_hold(story, cut, &data, &server).await
    } else {
        Err("it is not ready".to_owned())
    };
    server.child.kill().await.unwrap();
    found.map_err(|what| format!("{what}\n{}", server.log()))
}

async fn promises_hold(
    story: &Story,
    cut: Cut,
    data: &Path,
    server: &Binary,
) -> Result<(), String> {
    let promised = story.promises.iter().filter(|(step, _)| *step <= cut.step);
    let promised: Vec<&Told> = promised.map(|(_, told)| told).collect();
    for role in ["intake", "crm", "privacy", "auditor"] {
        let token = |data: &Path| fs::read(data.join("tokens").join(role)).unwrap_or_default();
        let (token, told) = (token(data), token(&story.root.join("data")));
        let is_whole = token.len() == told.len() && token.is_ascii() && !token.contains(&0);
        // Once it listens, the tokens may be in somebody's hands.
        if !is_whole || (cut.step > story.listens && token != told) {
            return Err(format!("the token of {role} is lost"));
        }
    }
    if !cut.restores {
        leads_are_there(story, &promised, data, server).await?;
    }
    for told in &promised {
        match told {
            Told::Act(act) => act_holds(story, act, cut.restores, data, server).await?,
            Told::Checkpoint { note } => checkpoint_continues(story, note, data, server).await?,
            Told::Lead { .. } => {}
        }
    }
    let mut ledger = LedgerServiceClient::new(server.caller(data, "auditor"));
    let verified = ledger.verify_ledger(pb::VerifyLedgerRequest {}).await;
    let verified = said(verified)?;
    verified
        .intact
        .then_some(())
        .ok_or_else(|| format!("{verified:?}"))
}

fn said<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Result<T, String> {
    let answer = answer.map_err(|status| status.to_string())?;
    Ok(answer.into_inner())
}

/// Every lead that was acknowledged can be pulled, as it was sent; and nothing can that nobody sent.
async fn leads_are_there(
    story: &Story,
    promised: &[&Told],
    data: &Path,
    server: &Binary,
) -> Result<(), String> {
    let mut crm = CrmServiceClient::new(server.caller(data, "crm"));
    let (changes, _) = pull_all(&mut crm, "", 1000).await;
    let leads = changes.into_iter().filter_map(|change| change.lead);
    let leads: HashMap<String, String> = leads.map(|lead| (lead.lead_id, lead.email)).collect();
    for told in promised {
        if let Told::Lead { id, email } = told
            && !story.leads.contains(id)
            && leads.get(id) != Some(email)
        {
            return Err(format!("{email} was acknowledged and is lost"));
        }
    }
    let torn = leads.values().find(|email| !story.sent.contains(*email));
    torn.map_or(Ok(()), |email| Err(format!("nobody sent {email}")))
}

async fn act_holds(
    story: &Story,
    act: &str,
    is_restored: bool,
    data: &Path,
    server: &Binary,
) -> Result<(), String> {
    let place = ACTS.iter().position(|it| *it == act).unwrap();
    let mut privacy = PrivacyServiceClient::new(server.caller(data, "privacy"));
    let mut state = async |email: &str| {
        let request = subject(email);
        let found = said(
            privacy
                .find_subject(pb::FindSubjectRequest { request })
                .await,
        )?;
        let mut leads = found.leads.iter();
        let lead = leads.find(|it| it.lead_id == story.leads[place]);
        Ok::<_, String>(lead.map(pb::MatchedLead::state))
    };
    let found = (state(&mail(act)).await?, state(RIGHT).await?);
    let holds = match act {
        "restricted" => found == (Some(LeadState::Restricted), None),
        // Its values are in no mirror: so what is known to be wrong is used by nobody.
        "rectified" if is_restored => found == (Some(LeadState::Restricted), None),
        "rectified" => found == (None, Some(LeadState::Available)),
        _ => found == (None, None),
    };
    let what = format!("{act} was acknowledged and does not hold: {found:?}");
    holds.then_some(()).ok_or(what)
}

/// The checkpoint that somebody was given is the beginning of the ledger, and the ledger not shorter.
async fn checkpoint_continues(
    story: &Story,
    note: &str,
    data: &Path,
    server: &Binary,
) -> Result<(), String> {
    let kept = tempfile::tempdir().unwrap();
    let since = kept.path().join("first.note");
    fs::write(&since, note).unwrap();
    let (data, since, url) = (data.to_str(), since.to_str(), server.url());
    let args = ["ledger", "checkpoint", "--url", &*url];
    let rest = ["--data-dir", data.unwrap(), "--since", since.unwrap()];
    let key = ["--public-key", story.verifier.to_str().unwrap()];
    let ran = run(&[], &[&args[..], &rest, &key].concat(), "").await;
    let what = format!("the checkpoint does not continue: {}", ran.err);
    (ran.code == Some(0)).then_some(()).ok_or(what)
}

/// The flushes of the write-ahead log that `synchronous=NORMAL` does not make: all but that of a new log's header, and that
/// of a checkpoint, which moves the log into the database (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
fn flushes_of_commits(record: &Record) -> HashSet<usize> {
    let is = |path: &Path, name: &str| path.ends_with(name);
    let of_database = |call: &Call| match call {
        Call::Flush { path, .. } | Call::Write { path, .. } => {
            is(path, "lead-intake.db") || is(path, "lead-intake.db-wal")
        }
        _ => false,
    };
    let mut of_thread: HashMap<u32, Vec<usize>> = HashMap::new();
    for (number, recorded) in record.calls.iter().enumerate() {
        if of_database(&recorded.call) {
            of_thread.entry(recorded.thread).or_default().push(number);
        }
    }
    let call = |number: &usize| &record.calls[*number].call;
    let of_commit = |around: &[usize]| {
        let is_of_log =
            matches!(call(&around[1]), Call::Flush { path, .. } if is(path, "lead-intake.db-wal"));
        let is_header = matches!(call(&around[0]), Call::Write { path, at: Some(0), .. } if is(path, "lead-intake.db-wal"));
        let moves =
            matches!(call(&around[2]), Call::Write { path, .. } if is(path, "lead-intake.db"));
        is_of_log && !is_header && !moves
    };
    let around = of_thread.values().flat_map(|calls| calls.windows(3));
    let of_commits = around.filter(|around| of_commit(around));
    of_commits.map(|around| around[1]).collect()
}

/// The flushes of these files.
fn flushes_of(record: &Record, is_meant: impl Fn(&Path) -> bool) -> HashSet<usize> {
    let calls = record.calls.iter().enumerate();
    let meant =
        calls.filter(|(_, it)| matches!(&it.call, Call::Flush { path, .. } if is_meant(path)));
    meant.map(|(number, _)| number).collect()
}

/// Cuts at each acknowledgement of this kind after the backup, with these calls flushing nothing: what is found.
async fn control(
    story: &Arc<Story>,
    is_meant: fn(&Told) -> bool,
    restores: bool,
    ignored: HashSet<usize>,
) -> String {
    assert!(!ignored.is_empty(), "nothing is left out");
    let promises = story.promises.iter();
    let meant = promises.filter(|(step, told)| *step >= story.backed_up && is_meant(told));
    let cuts = meant.take(4).map(|(step, _)| Cut {
        step: *step,
        kept: Kept::Nothing,
        seed: 0,
        restores,
    });
    let found = cut_all(story, cuts.collect(), ignored).await;
    let found = found.into_iter().map(|wrong| wrong.what);
    found.collect::<Vec<_>>().join("\n")
}

/// D5: wherever the power goes, the program comes back ready by itself; every acknowledged lead is there as it was sent, every
/// acknowledged act holds, also when the database's old copy comes back, the checkpoint that was given out continues,
/// and the ledger and its mirror agree. The controls lose something: a log that is flushed as `synchronous=NORMAL` does
/// it, a mirror that is not flushed, and names that are not.
#[tokio::test(flavor = "multi_thread")]
async fn d5_a_power_loss_loses_nothing_that_was_acknowledged() {
    let begun = Instant::now();
    let story = Arc::new(story::live().await);
    let (count, seed) = (setting(CUTS, CUTS_SHORT), setting(SEED, 1));
    let lived = begun.elapsed();
    let cuts = cuts(&story, count, seed);
    let made = cuts.len();
    let found = cut_all(&story, cuts, HashSet::new()).await;
    println!(
        "seed {seed}: {} calls, {} acknowledgements, recorded in {lived:?}; {made} cuts, {} of them with something lost, in {:?}",
        story.record.calls.len(),
        story.promises.len(),
        found.len(),
        begun.elapsed(),
    );
    let told = found.into_iter().map(|Wrong { cut, what, left }| {
        let (before, left) = (story.record.tell(cut.step), left.keep());
        format!("{cut:?}, before {before}, on {}: {what}", left.display())
    });
    let told: Vec<_> = told.collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));

    let is_lead = |told: &Told| matches!(told, Told::Lead { .. });
    let is_act = |told: &Told| matches!(told, Told::Act("erased" | "restricted" | "closed"));
    let as_normal = flushes_of_commits(&story.record);
    let lost = control(&story, is_lead, false, as_normal).await;
    assert!(
        lost.contains("was acknowledged and is lost"),
        "blind: {lost}"
    );
    let is_mirror = |path: &Path| {
        let name = path.to_str().unwrap();
        name.contains("/ahead-") || name.contains("/entries-")
    };
    let mirror = flushes_of(&story.record, is_mirror);
    let lost = control(&story, is_act, true, mirror).await;
    assert!(
        lost.contains("was acknowledged and does not hold"),
        "blind: {lost}"
    );
    let names = flushes_of(&story.record, |path| story.root.join(path).is_dir());
    let lost = control(&story, is_lead, false, names).await;
    assert!(lost.contains("is lost"), "blind: {lost}");
    println!("with its controls, in {:?}", begun.elapsed());
}
