//! Callers that never stop, and never try again: what fails once is told.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use lead_intake::pb;
use tokio::task::JoinSet;
use tonic::Status;

use super::Fleet;
use crate::{rights::correction, steps::erasure, support::*};

/// Callers at work.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    callers: JoinSet<Vec<String>>,
}

/// The connections of one caller: each of its calls goes to another replica than the one before.
struct Conversation {
    intake: pb::intake_service_client::IntakeServiceClient<Caller>,
    crm: pb::crm_service_client::CrmServiceClient<Caller>,
    privacy: pb::privacy_service_client::PrivacyServiceClient<Caller>,
    intake_elsewhere: pb::intake_service_client::IntakeServiceClient<Caller>,
    privacy_elsewhere: pb::privacy_service_client::PrivacyServiceClient<Caller>,
    /// Submissions of earlier rounds, to be repeated; and what they were answered.
    earlier: VecDeque<(pb::SubmitLeadRequest, String)>,
    cursor: String,
}

impl Traffic {
    pub fn start(fleet: &Fleet) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicU64::new(0));
        let mut callers = JoinSet::new();
        for number in 0..2 {
            let here = number % fleet.replicas.len();
            let elsewhere = (number + 1) % fleet.replicas.len();
            let conversation = Conversation {
                intake: fleet.intake(here),
                crm: fleet.crm(here),
                privacy: fleet.privacy(here),
                intake_elsewhere: fleet.intake(elsewhere),
                privacy_elsewhere: fleet.privacy(elsewhere),
                earlier: VecDeque::new(),
                cursor: String::new(),
            };
            callers.spawn(talk(number, conversation, stop.clone(), rounds.clone()));
        }
        Self {
            stop,
            rounds,
            callers,
        }
    }

    /// Waits until this much more was done: what a step is done in the midst of.
    pub async fn go_on(&self) {
        let before = self.rounds.load(Ordering::SeqCst);
        let enough = || self.rounds.load(Ordering::SeqCst) >= before + 4;
        eventually(async || enough().then_some(())).await;
    }

    /// What failed, of how many rounds.
    pub async fn stop(mut self) -> (Vec<String>, u64) {
        self.stop.store(true, Ordering::SeqCst);
        let mut failed = Vec::new();
        while let Some(caller) = self.callers.join_next().await {
            failed.extend(caller.unwrap());
        }
        (failed, self.rounds.load(Ordering::SeqCst))
    }
}

async fn talk(
    number: usize,
    mut conversation: Conversation,
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
) -> Vec<String> {
    let mut failed = Vec::new();
    let mut round = 0;
    while !stop.load(Ordering::SeqCst) {
        let mail = format!("caller-{number}-{round}@example.no");
        if let Err(what) = conversation.round(&mail, round).await {
            failed.push(format!("round {round} of caller {number}: {what}"));
        }
        round += 1;
        rounds.fetch_add(1, Ordering::SeqCst);
    }
    failed
}

/// A step, and how it failed.
fn told(step: &'static str) -> impl Fn(Status) -> String {
    move |status| format!("{step}: {:?} {}", status.code(), reason(&status))
}

fn same<T: PartialEq + std::fmt::Debug>(step: &str, is: &T, ought: &T) -> Result<(), String> {
    if is == ought {
        Ok(())
    } else {
        Err(format!("{step}: {is:?} instead of {ought:?}"))
    }
}

impl Conversation {
    /// Submits, finds, corrects, exports, repeats, pulls; and erases every third.
    async fn round(&mut self, mail: &str, round: usize) -> Result<(), String> {
        let form = pb::SubmitLeadRequest {
            phone: "40605600".to_owned(),
            ..form("Kari Nordmann", mail)
        };
        let stored = self.intake.submit_lead(form.clone()).await;
        let id = stored.map_err(told("submit"))?.into_inner().lead_id;

        let find = pb::FindSubjectRequest {
            request: subject(mail),
        };
        let found = self.privacy_elsewhere.find_subject(find).await;
        let found = found.map_err(told("find"))?.into_inner();
        let ids: Vec<_> = found.leads.iter().map(|lead| &lead.lead_id).collect();
        same("found", &ids, &vec![&id])?;

        let right = correction(&id, 1, "email", &format!("right-{mail}"));
        let right = self.privacy.rectify_lead(right).await;
        right.map_err(told("rectify"))?;

        let export = pb::ExportSubjectRequest {
            request: subject(&format!("right-{mail}")),
            kind: pb::ExportKind::Portability.into(),
            ..Default::default()
        };
        let copy = self.privacy_elsewhere.export_subject(export).await;
        let copy = copy.map_err(told("export"))?.into_inner();
        same("exported", &copy.leads, &1)?;
        let text = String::from_utf8_lossy(&copy.content).into_owned();
        same("corrected", &text.contains(&format!("right-{mail}")), &true)?;

        self.earlier.push_back((form, id));
        self.repeat().await?;
        self.pull().await?;
        if round.is_multiple_of(3) {
            let mail = format!("right-{mail}");
            let erase = erasure(&mail);
            let erased = self.privacy_elsewhere.erase_subject(erase).await;
            let erased = erased.map_err(told("erase"))?.into_inner();
            same("erased", &erased.leads.len(), &1)?;
            self.earlier.pop_back();
        }
        Ok(())
    }

    /// The oldest submission of some, once more: it gets its first answer, whatever keys there were then.
    async fn repeat(&mut self) -> Result<(), String> {
        if self.earlier.len() < 20 {
            return Ok(());
        }
        let Some((form, id)) = self.earlier.pop_front() else {
            return Ok(());
        };
        let again = self.intake_elsewhere.submit_lead(form).await;
        let again = again.map_err(told("repeat"))?.into_inner();
        same("repeated", &again.lead_id, &id)
    }

    async fn pull(&mut self) -> Result<(), String> {
        let request = pb::PullLeadsRequest {
            cursor: self.cursor.clone(),
            page_size: 1000,
        };
        let page = self.crm.pull_leads(request).await;
        self.cursor = page.map_err(told("pull"))?.into_inner().next_cursor;
        Ok(())
    }
}
