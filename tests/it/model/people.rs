//! The model's half for people: whose leads they are, copies, erasures, objections.

use std::collections::BTreeMap;

use lead_intake::{
    pb::{
        self, EntryKind, ErasureOutcome, ExportKind, LawfulBasis, ObjectionKind, RestrictionReason,
    },
    rpc::convert::timestamp,
};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::Code;

use super::{
    acts::BY,
    op::{Answer, Op},
    rules::{Cause, Judged, Lead},
    state::{Model, Used, due, refused, reused},
};

/// The person's leads, and those that may be theirs.
struct Found {
    theirs: Vec<String>,
    doubts: Vec<pb::UnconfirmedLead>,
}

impl Model {
    fn month(lead: &Lead) -> String {
        lead.submitted_at.strftime("%Y-%m").to_string()
    }

    fn look(&self, request: Option<&pb::SubjectRequest>) -> Result<Found, Answer> {
        let person = request
            .and_then(|request| request.subject.as_ref())
            .unwrap();
        let mut found = Found {
            theirs: Vec::new(),
            doubts: Vec::new(),
        };
        for (id, lead) in self.read() {
            match lead.judged(person) {
                Judged::NotTheirs => {}
                Judged::Doubt(reason) if !person.lead_ids.contains(id) => {
                    found.doubts.push(pb::UnconfirmedLead {
                        lead_id: id.clone(),
                        state: lead.state().into(),
                        submitted_month: Self::month(lead),
                        reason: reason.into(),
                    });
                }
                Judged::Theirs | Judged::Doubt(_) => found.theirs.push(id.clone()),
            }
        }
        if person.lead_ids.iter().all(|id| found.theirs.contains(id)) {
            Ok(found)
        } else {
            Err(refused(Code::FailedPrecondition, "NOT_A_CANDIDATE"))
        }
    }

    /// The leads as a call about a person has read them.
    fn read(&self) -> &BTreeMap<String, Lead> {
        self.past.as_ref().map_or(&self.leads, |past| &past.leads)
    }

    /// The same for a call that acts on them, or gives a copy: then they have not moved on since.
    fn look_to_act(&self, request: Option<&pb::SubjectRequest>) -> Result<Found, Answer> {
        let found = self.look(request)?;
        let read = self.read();
        let moved = |id: &String| {
            let now = self.leads.get(id).map(|lead| lead.revision);
            now != read.get(id).map(|lead| lead.revision)
        };
        if found.theirs.iter().any(moved) {
            return Err(refused(Code::Unknown, "it moved on"));
        }
        Ok(found)
    }

    /// Records a call about a person: under its key the first time.
    fn asked(&mut self, op: &Op, kind: EntryKind, request_id: &str, detail: i32) {
        let entry = self.record(kind, "", BY, detail);
        if self.earlier(request_id).is_none() {
            self.key(entry, request_id);
            self.first(op, request_id, Answer::Waited, Vec::new());
        }
    }

    pub fn find(&mut self, op: &Op, request: &pb::FindSubjectRequest) -> Answer {
        let asked = request.request.as_ref().unwrap();
        match self.earlier(&asked.request_id).map(|used| used.op) {
            None | Some(Op::Find(_)) => {}
            Some(_) => return reused(),
        }
        let found = match self.look(Some(asked)) {
            Ok(found) => found,
            Err(refused) => return refused,
        };
        self.asked(op, EntryKind::SubjectFound, &asked.request_id, 0);
        let matched = |id: &String| pb::MatchedLead {
            lead_id: id.clone(),
            state: self.read()[id].state().into(),
            submitted_month: Self::month(&self.read()[id]),
            revision: self.read()[id].revision,
        };
        let answer = pb::FindSubjectResponse {
            leads: found.theirs.iter().map(matched).collect(),
            unconfirmed: found.doubts,
            due_at: Some(due(self.now)),
        };
        Answer::done("FindSubjectResponse", &answer)
    }

    pub fn export(&mut self, op: &Op, request: &pb::ExportSubjectRequest) -> Answer {
        let asked = request.request.as_ref().unwrap();
        match self.earlier(&asked.request_id).map(|used| used.op) {
            None => {}
            Some(Op::Export(first)) if first.kind == request.kind => {}
            Some(_) => return reused(),
        }
        let found = match self.look_to_act(Some(asked)) {
            Ok(found) => found,
            Err(refused) => return refused,
        };
        let document = self.document(request.kind(), &found.theirs);
        self.asked(
            op,
            EntryKind::SubjectExported,
            &asked.request_id,
            request.kind,
        );
        for id in &found.theirs {
            let entry = self.record(EntryKind::LeadExported, id, BY, 0);
            self.submission(entry, self.leads[id].submission);
        }
        let answer = pb::ExportSubjectResponse {
            content: document.to_string().into_bytes(),
            leads: i32::try_from(found.theirs.len()).unwrap(),
            unconfirmed: found.doubts,
            due_at: Some(due(self.now)),
            ..Default::default()
        };
        Answer::done("ExportSubjectResponse", &answer)
    }

    /// What an export must have of these leads; [`super::run::essence`] takes the same from a real one.
    fn document(&self, kind: ExportKind, ids: &[String]) -> Value {
        let leads = ids.iter().map(|id| {
            let lead = &self.leads[id];
            if kind == ExportKind::Portability {
                return person(&lead.content);
            }
            json!({
                "lead": id,
                "subject": person(&lead.content),
                "lawfulBasis": match lead.basis {
                    LawfulBasis::Consent => "eu-gdpr:A6-1-a",
                    _ => "eu-gdpr:A6-1-b-enter-into-contract",
                },
                "consent": lead.consent,
                "notice": "1.1",
                "state": lead.state().as_str_name().trim_start_matches("LEAD_STATE_"),
                "restrictions": lead.reasons.len(),
                "submittedAt": lead.submitted_at.to_string(),
                "closedAt": lead.closing.map(|(_, at)| at.to_string()),
                "restricted": lead.hidden(),
                "eraseBy": lead.erase_by(self.policy).to_string(),
            })
        });
        let leads: Vec<Value> = leads.collect();
        let mut told = BTreeMap::new();
        if kind == ExportKind::Access {
            // As of now, whatever it has read before: they are asked for last.
            for (by, reader) in self.readers.iter().enumerate() {
                for (id, at) in reader.told.iter().filter(|(id, _)| ids.contains(id)) {
                    told.insert(
                        format!("{id} {}", super::feed::crm_name(by)),
                        at.to_string(),
                    );
                }
            }
        }
        json!({ "leads": leads, "told": told })
    }

    pub fn erase(&mut self, op: &Op, request: &pb::EraseSubjectRequest) -> Answer {
        let asked = request.request.as_ref().unwrap();
        let confirmed = request.confirm_supersedes_restriction;
        if !request.dry_run
            && let Some(used) = self.earlier(&asked.request_id)
        {
            return match &used.op {
                Op::Erase(first) if first.ground == request.ground => self.again(asked, &used),
                _ => reused(),
            };
        }
        let looked = if request.dry_run {
            self.look(Some(asked))
        } else {
            self.look_to_act(Some(asked))
        };
        let found = match looked {
            Ok(found) => found,
            Err(refused) => return refused,
        };
        let outcomes: Vec<_> = found
            .theirs
            .iter()
            .map(|id| (id.clone(), self.read()[id].asked_to_erase(confirmed)))
            .collect();
        let mut answer = pb::EraseSubjectResponse {
            leads: outcomes
                .iter()
                .map(|(id, outcome)| erased(id, *outcome))
                .collect(),
            unconfirmed: found.doubts,
            receipt: None,
            due_at: Some(due(self.now)),
        };
        if request.dry_run {
            self.record(EntryKind::SubjectFound, "", BY, 0);
            return Answer::done("EraseSubjectResponse", &answer);
        }
        let sequence = self.record(EntryKind::ErasureRequested, "", BY, request.ground);
        self.key(sequence, &asked.request_id);
        let mut proofs = vec![pb::ReceiptEntry {
            sequence,
            ..Default::default()
        }];
        for (id, outcome) in &outcomes {
            let sequence = if *outcome == ErasureOutcome::Erased {
                self.bury(id, BY, Cause::Request)
            } else {
                let entry = self.record(EntryKind::ErasureRefused, id, BY, (*outcome).into());
                self.submission(entry, self.leads[id].submission);
                entry
            };
            proofs.push(pb::ReceiptEntry {
                sequence,
                lead_id: id.clone(),
                outcome: (*outcome).into(),
                hash: String::new(),
            });
        }
        answer.receipt = Some(pb::ErasureReceipt {
            request_id: asked.request_id.clone(),
            erased_at: Some(timestamp(self.now)),
            ground: request.ground,
            entries: proofs,
        });
        let answer = Answer::done("EraseSubjectResponse", &answer);
        self.first(op, &asked.request_id, answer, found.theirs)
    }

    /// The first answer once more, with the doubts as they stand now. A lead that matches or is named, and
    /// was not touched, tells that it is another call.
    fn again(&mut self, asked: &pb::SubjectRequest, used: &Used) -> Answer {
        let mut unnamed = asked.clone();
        let person = unnamed.subject.as_mut().unwrap();
        let named = std::mem::take(&mut person.lead_ids);
        let mut found = match self.look(Some(&unnamed)) {
            Ok(found) => found,
            Err(refused) => return refused,
        };
        if found
            .theirs
            .iter()
            .chain(&named)
            .any(|id| !used.touched.contains(id))
        {
            return reused();
        }
        found
            .doubts
            .retain(|doubt| !used.touched.contains(&doubt.lead_id));
        self.record(EntryKind::SubjectFound, "", BY, 0);
        let Answer::Done(name, bytes) = &used.answer else {
            unreachable!("it was answered")
        };
        if *name == "EraseSubjectResponse" {
            let mut answer = pb::EraseSubjectResponse::decode(&**bytes).unwrap();
            answer.unconfirmed = found.doubts;
            Answer::done(name, &answer)
        } else {
            let mut answer = pb::ObjectToProcessingResponse::decode(&**bytes).unwrap();
            answer.unconfirmed = found.doubts;
            Answer::done(name, &answer)
        }
    }

    pub fn object(&mut self, op: &Op, request: &pb::ObjectToProcessingRequest) -> Answer {
        let asked = request.request.as_ref().unwrap();
        if let Some(used) = self.earlier(&asked.request_id) {
            return match &used.op {
                Op::Object(first) if first.kind == request.kind => self.again(asked, &used),
                _ => reused(),
            };
        }
        let found = match self.look_to_act(Some(asked)) {
            Ok(found) => found,
            Err(refused) => return refused,
        };
        let entry = self.record(EntryKind::ObjectionRequested, "", BY, request.kind);
        self.key(entry, &asked.request_id);
        for id in &found.theirs {
            if request.kind() == ObjectionKind::General {
                self.limit(id, BY, RestrictionReason::ObjectionPending.into());
            } else {
                self.record(EntryKind::Objected, id, BY, 0);
            }
        }
        let answer = pb::ObjectToProcessingResponse {
            lead_ids: found.theirs.clone(),
            explanation: "x".to_owned(),
            due_at: Some(due(self.now)),
            unconfirmed: found.doubts,
        };
        let answer = Answer::done("ObjectToProcessingResponse", &answer);
        self.first(op, &asked.request_id, answer, found.theirs)
    }
}

fn erased(id: &str, outcome: ErasureOutcome) -> pb::ErasedLead {
    let refusal = || pb::Refusal {
        reason: "x".to_owned(),
        complaint: "x".to_owned(),
        judicial_remedy: "x".to_owned(),
    };
    pb::ErasedLead {
        lead_id: id.to_owned(),
        outcome: outcome.into(),
        refusal: (outcome != ErasureOutcome::Erased).then(refusal),
    }
}

/// The fields that a person provided, as schema.org has them.
fn person(content: &pb::LeadFields) -> Value {
    // A lead without a name is a company's.
    let (kind, name) = if content.name.is_empty() {
        ("schema:Organization", &content.company)
    } else {
        ("schema:Person", &content.name)
    };
    let mut person = json!({ "@type": kind });
    for (key, value) in [
        ("schema:name", name),
        ("schema:telephone", &content.phone),
        ("schema:email", &content.email),
    ] {
        if !value.is_empty() {
            person[key] = json!(value);
        }
    }
    if !content.name.is_empty() && !content.company.is_empty() {
        let company = &content.company;
        person["schema:worksFor"] =
            json!({ "@type": "schema:Organization", "schema:name": company });
    }
    person
}
