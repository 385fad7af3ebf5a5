//! The callers of a replica: takes the steps of a run there, and gives the answers in a form that can be compared.

use lead_intake::{
    pb::{
        self, crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
        ledger_service_client::LedgerServiceClient, privacy_service_client::PrivacyServiceClient,
    },
    rpc::cursor,
};
use serde_json::{Value, json};
use tonic::{
    Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};

use super::{
    op::{Answer, Op, inner},
    state::{Entry, Hint},
};
use crate::{steps::*, support::*};

/// The tokens of a world's callers.
pub struct Tokens {
    pub intake: String,
    pub privacy: String,
    pub auditor: String,
    pub crms: Vec<String>,
}

/// A replica's callers, over one connection.
#[derive(Clone)]
pub struct Callers {
    intake: IntakeServiceClient<Caller>,
    privacy: PrivacyServiceClient<Caller>,
    pub auditor: Auditor,
    pub crms: Vec<Crm>,
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

impl Callers {
    pub fn new(api: std::net::SocketAddr, tokens: &Tokens) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{api}")).unwrap();
        let channel: Channel = endpoint.connect_lazy();
        let caller = |token: &String| {
            let header = format!("Bearer {token}").parse().unwrap();
            InterceptedService::new(trace::Recorded::new(channel.clone()), Bearer::new(header))
        };
        let crm = |token: &String| {
            CrmServiceClient::new(caller(token)).max_decoding_message_size(64 * 1024 * 1024)
        };
        Self {
            intake: IntakeServiceClient::new(caller(&tokens.intake)),
            privacy: PrivacyServiceClient::new(caller(&tokens.privacy)),
            auditor: LedgerServiceClient::new(caller(&tokens.auditor)),
            crms: tokens.crms.iter().map(crm).collect(),
        }
    }

    /// Takes a step; gives the answer, and what of it the model cannot know.
    pub async fn take(&mut self, op: &Op, epoch: i64) -> (Answer, Hint) {
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
                    let next = cursor::decode(&page.next_cursor, epoch);
                    hint.next = next.ok().flatten().unwrap_or(-1);
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
            of_a_person => self.ask(of_a_person, &mut hint).await,
        };
        (answer, hint)
    }

    async fn ask(&mut self, op: Op, hint: &mut Hint) -> Answer {
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
                let answer = answer.map(|done| without_texts(done, hint));
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
            _ => unreachable!("no call"),
        }
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

/// An erasure's answer with each text as one letter; the hashes are kept for the end.
fn without_texts(mut done: pb::EraseSubjectResponse, hint: &mut Hint) -> pb::EraseSubjectResponse {
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
        hint.proofs
            .push((proof.sequence, std::mem::take(&mut proof.hash)));
    }
    done
}
