//! Takes the steps of a run at a real server, and compares each answer with the model's.

use std::collections::BTreeMap;

use lead_intake::{
    domain::retention::GraceDays,
    pb::{
        self, crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
        privacy_service_client::PrivacyServiceClient,
    },
    rpc::cursor,
    token::Role,
};
use serde_json::{Value, json};
use tonic::{Status, service::interceptor::InterceptedService};

use super::{
    draw::Draw,
    end,
    feed::crm_name,
    op::{Answer, Op, inner},
    rules::Policy,
    state::{Entry, Hint, Model},
};
use crate::{rounds, steps::*, support::*};

/// CRM clients of a world.
const READERS: usize = 3;

/// A server and its callers, over one connection each.
pub struct Under {
    intake: IntakeServiceClient<Caller>,
    privacy: PrivacyServiceClient<Caller>,
    pub crms: Vec<CrmServiceClient<Caller>>,
    /// Number and hash of each entry that a receipt named.
    pub proofs: Vec<(i64, String)>,
}

/// How often each kind of answer was given.
pub type Tally = BTreeMap<String, usize>;

/// Runs one world: this many steps from this seed.
pub async fn world(backend: Backend, seed: u64, steps: usize) -> Tally {
    let mut world = World::new(backend).await;
    // Short times, so that they end within a run; every second world has a grace.
    let grace = if seed.is_multiple_of(2) {
        [0, 0, 0]
    } else {
        [5, 0, 9]
    };
    let policy = Policy { max_age: 10, grace };
    world.settings.retention.max_age_days = policy.max_age;
    world.settings.retention.grace = GraceDays {
        answered: grace[0],
        not_relevant: grace[1],
        converted: grace[2],
    };
    let replica = world.start().await;
    // The service's own first round is over; the next would be in ten minutes.
    while rounds::run_number(&world, &replica.store).await == 0 {
        tokio::task::yield_now().await;
    }
    let mut under = Under::new(&world, &replica).await;
    let entries = ledger(&replica).await.iter().map(known).collect();
    let mut model = Model::new(START.parse().unwrap(), policy, entries, READERS);
    let mut draw = Draw::new(seed);
    let mut tally = Tally::new();
    for place in 0..steps {
        let op = draw.step(&model);
        if let Op::Wait(seconds) = op {
            world.clock.advance_seconds(seconds);
        }
        let (answer, hint) = if matches!(op, Op::Sweep) {
            let erased = rounds::sweep(&world, &replica).await;
            (Answer::Swept(erased), Hint::default())
        } else {
            under.take(&op).await
        };
        let is_new = !hint.lead_id.is_empty() && !model.leads.contains_key(&hint.lead_id);
        if is_new {
            draw.knows(&hint.lead_id);
        }
        let expected = model.answer(&op, &hint);
        assert!(
            answer == expected,
            "seed {seed}, step {place} on {backend:?}: {}\n  answered {}\n  expected {}",
            op.show(),
            answer.show(),
            expected.show(),
        );
        *tally
            .entry(format!("{} {}", op.name(), answer.name()))
            .or_default() += 1;
    }
    end::check(&replica, &mut under, &model).await;
    for entry in &model.ledger {
        *tally
            .entry(format!("{:?} {}", entry.kind, entry.detail))
            .or_default() += 1;
    }
    replica.stop().await;
    tally
}

/// An entry as the model keeps it.
pub fn known(entry: &pb::LedgerEntry) -> Entry {
    let at = entry.recorded_at.as_ref().unwrap();
    Entry {
        kind: entry.kind(),
        lead_id: entry.lead_id.clone(),
        client: entry.client.clone(),
        request_id: entry.request_id.clone(),
        detail: entry.detail,
        submission: entry.submission_sequence,
        at: jiff::Timestamp::new(at.seconds, at.nanos).unwrap(),
    }
}

impl Under {
    async fn new(world: &World, replica: &Replica) -> Self {
        let channel = replica.channel();
        let caller = |token: &str| {
            let header = format!("Bearer {token}").parse().unwrap();
            InterceptedService::new(channel.clone(), Bearer::new(header))
        };
        let mut crms = Vec::new();
        for by in 0..READERS {
            let token = world
                .new_token(&replica.store, &crm_name(by), Role::Crm)
                .await;
            crms.push(CrmServiceClient::new(caller(token.expose())));
        }
        Self {
            intake: IntakeServiceClient::new(caller(replica.token(Role::Intake))),
            privacy: PrivacyServiceClient::new(caller(replica.token(Role::Privacy))),
            crms,
            proofs: Vec::new(),
        }
    }

    /// Takes a step; gives the answer, and what of it the model cannot know.
    async fn take(&mut self, op: &Op) -> (Answer, Hint) {
        let mut hint = Hint::default();
        let answer = match op.clone() {
            Op::Submit(request) => {
                let mut answer = inner(self.intake.submit_lead(request).await);
                if let Ok(stored) = &mut answer {
                    hint.lead_id.clone_from(&stored.lead_id);
                    letter(&mut stored.consent_receipt);
                }
                Answer::of("SubmitLeadResponse", &answer)
            }
            Op::Withdraw(request) => {
                let mut answer = inner(self.intake.withdraw_consent(request).await);
                if let Ok(done) = &mut answer {
                    letter(&mut done.receipt);
                }
                Answer::of("WithdrawConsentResponse", &answer)
            }
            Op::Pull(by, request) => {
                let answer = inner(self.crms[by].pull_leads(request).await);
                if let Ok(page) = &answer {
                    hint.has_more = page.has_more;
                    hint.next = cursor::decode(&page.next_cursor, 1).unwrap().unwrap();
                }
                Answer::of("PullLeadsResponse", &answer)
            }
            Op::Acknowledge(by, request) => {
                let answer = inner(self.crms[by].acknowledge_leads(request).await);
                Answer::of("AcknowledgeLeadsResponse", &answer)
            }
            Op::Get(by, request) => Answer::of(
                "GetLeadResponse",
                &inner(self.crms[by].get_lead(request).await),
            ),
            Op::Close(by, request) => Answer::of(
                "CloseLeadResponse",
                &inner(self.crms[by].close_lead(request).await),
            ),
            Op::Sweep | Op::Wait(_) => Answer::Waited,
            of_a_person => self.ask(of_a_person).await,
        };
        (answer, hint)
    }

    async fn ask(&mut self, op: Op) -> Answer {
        let privacy = &mut self.privacy;
        match op {
            Op::Find(request) => Answer::of(
                "FindSubjectResponse",
                &inner(privacy.find_subject(request).await),
            ),
            Op::Export(request) => {
                let answer = inner(privacy.export_subject(request).await);
                Answer::of("ExportSubjectResponse", &answer.map(essence))
            }
            Op::Erase(request) => {
                let answer = inner(privacy.erase_subject(request).await);
                let answer = answer.map(|done| self.without_texts(done));
                Answer::of("EraseSubjectResponse", &answer)
            }
            Op::Object(request) => {
                let answer = inner(privacy.object_to_processing(request).await);
                let answer: Result<_, Status> = answer.map(|mut done| {
                    letter(&mut done.explanation);
                    done
                });
                Answer::of("ObjectToProcessingResponse", &answer)
            }
            Op::Rectify(request) => Answer::of(
                "RectifyLeadResponse",
                &inner(privacy.rectify_lead(request).await),
            ),
            Op::Restrict(request) => Answer::of(
                "RestrictLeadResponse",
                &inner(privacy.restrict_lead(request).await),
            ),
            Op::Lift(request) => Answer::of(
                "LiftRestrictionResponse",
                &inner(privacy.lift_restriction(request).await),
            ),
            _ => unreachable!("not asked by privacy tooling"),
        }
    }

    /// An erasure's answer with each text as one letter; the hashes are kept for the end.
    fn without_texts(&mut self, mut done: pb::EraseSubjectResponse) -> pb::EraseSubjectResponse {
        for refusal in done
            .leads
            .iter_mut()
            .filter_map(|lead| lead.refusal.as_mut())
        {
            letter(&mut refusal.reason);
            letter(&mut refusal.complaint);
            letter(&mut refusal.judicial_remedy);
        }
        for proof in done
            .receipt
            .iter_mut()
            .flat_map(|receipt| &mut receipt.entries)
        {
            self.proofs
                .push((proof.sequence, std::mem::take(&mut proof.hash)));
        }
        done
    }
}

/// A text as one letter: that it is there, and not what it says.
fn letter(text: &mut String) {
    if !text.is_empty() {
        "x".clone_into(text);
    }
}

/// What of an export is about its leads.
fn essence(made: pb::ExportSubjectResponse) -> pb::ExportSubjectResponse {
    let document: Value = serde_json::from_slice(&made.content).unwrap();
    let mut leads = document
        .get("data")
        .or(document.get("@graph"))
        .unwrap()
        .clone();
    for lead in leads.as_array_mut().unwrap() {
        if lead.get("notice").is_some() {
            lead["notice"] = lead["notice"]["version"].take();
            lead["restrictions"] = json!(lead["restrictions"].as_array().unwrap().len());
            lead["closedAt"] = lead["closedAt"].take();
        }
    }
    let mut told = serde_json::Map::new();
    for disclosure in document["15_1_c_recipients"]["disclosures"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let [lead, by, at] =
            ["lead", "recipient", "at"].map(|key| disclosure[key].as_str().unwrap());
        let twice = told.insert(format!("{lead} {by}"), json!(at));
        assert!(twice.is_none(), "each recipient once");
    }
    pb::ExportSubjectResponse {
        content: json!({ "leads": leads, "told": told })
            .to_string()
            .into_bytes(),
        leads: made.leads,
        unconfirmed: made.unconfirmed,
        due_at: made.due_at,
        ..Default::default()
    }
}
