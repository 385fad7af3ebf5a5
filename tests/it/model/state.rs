//! The model: what the service must know, in plain maps, and what it must answer to each step.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use lead_intake::{
    pb::{self, CloseOutcome, EntryKind, LawfulBasis},
    rpc::convert::timestamp,
};
use tonic::Code;

use super::{
    op::{Answer, Op},
    rules::{Cause, Lead, Policy},
};

/// What only the server can know of its answer.
#[derive(Clone, Default)]
pub struct Hint {
    /// The identifier of a new lead.
    pub lead_id: String,
    /// Where a page ended, and whether there is more.
    pub next: i64,
    pub has_more: bool,
    /// Number and hash of each entry that its receipt named.
    pub proofs: Vec<(i64, String)>,
}

impl Hint {
    /// That of a new lead, if none is known: for a look at what would be.
    pub fn of_nobody() -> Self {
        Self {
            lead_id: uuid::Uuid::nil().to_string(),
            ..Self::default()
        }
    }
}

/// An entry of the ledger, without its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: EntryKind,
    pub lead_id: String,
    pub client: String,
    pub request_id: String,
    pub detail: i32,
    pub submission: i64,
    pub at: Timestamp,
}

/// A CRM client's place.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    pub delivered: i64,
    pub acknowledged: i64,
    /// The head when a page last gave it something new.
    pub snapshot: i64,
    /// The leads it was told of, and when first.
    pub told: BTreeMap<String, Timestamp>,
}

/// A call that used a key: what it was, its answer, and the leads it touched.
#[derive(Clone)]
pub struct Used {
    pub op: Op,
    pub answer: Answer,
    pub touched: Vec<String>,
}

/// A lead that is gone.
#[derive(Clone)]
pub struct Gone {
    /// Who closed it, and how.
    pub closed: Option<(usize, CloseOutcome)>,
    pub at: Timestamp,
}

#[derive(Clone)]
pub struct Model {
    /// One more than there were restores.
    pub epoch: i64,
    pub now: Timestamp,
    pub policy: Policy,
    /// By identifier, which is in order of time.
    pub leads: BTreeMap<String, Lead>,
    pub gone: BTreeMap<String, Gone>,
    pub closed_by: HashMap<String, usize>,
    pub ledger: Vec<Entry>,
    pub readers: Vec<Reader>,
    /// By the caller's role and key.
    pub used: HashMap<(&'static str, String), Used>,
    /// Of calls that meet: what the call that comes next has seen, if it is one that reads before it writes.
    pub past: Option<Arc<Past>>,
}

/// What there was a moment ago.
pub struct Past {
    pub leads: BTreeMap<String, Lead>,
    pub readers: Vec<Reader>,
    /// The ledger's length.
    pub entries: usize,
}

pub fn refused(code: Code, reason: &str) -> Answer {
    Answer::Refused(code, reason.to_owned())
}

pub fn reused() -> Answer {
    refused(Code::AlreadyExists, "REQUEST_ID_REUSED")
}

pub fn not_found() -> Answer {
    refused(Code::NotFound, "LEAD_NOT_FOUND")
}

/// Art. 12(3): one calendar month on.
pub fn due(received_at: Timestamp) -> prost_types::Timestamp {
    let due = received_at.to_zoned(TimeZone::UTC).checked_add(1.month());
    timestamp(due.unwrap().timestamp())
}

impl Model {
    /// A world of this many readers in which no lead was submitted yet.
    pub fn new(now: Timestamp, policy: Policy, ledger: Vec<Entry>, readers: usize) -> Self {
        Self {
            epoch: 1,
            now,
            policy,
            leads: BTreeMap::new(),
            gone: BTreeMap::new(),
            closed_by: HashMap::new(),
            ledger,
            readers: vec![Reader::default(); readers],
            used: HashMap::new(),
            past: None,
        }
    }

    /// What the service must answer to a step. The world is then as it must be after it.
    pub fn answer(&mut self, op: &Op, hint: &Hint) -> Answer {
        match op {
            Op::Submit(request) => self.submit(op, request, hint),
            Op::Withdraw(request) => self.withdraw(&request.lead_id),
            Op::Pull(by, request) => self.pull(*by, request, hint),
            Op::Acknowledge(by, request) => self.acknowledge(*by, &request.cursor),
            Op::Get(by, request) => self.get(*by, &request.lead_id),
            Op::Close(by, request) => self.close(*by, request),
            Op::Find(request) => self.find(op, request),
            Op::Export(request) => self.export(op, request),
            Op::Erase(request) => self.erase(op, request),
            Op::Object(request) => self.object(op, request),
            Op::Rectify(request) => self.rectify(op, request),
            Op::Restrict(request) => self.restrict(op, request),
            Op::Lift(request) => self.lift(op, request),
            Op::Sweep => self.sweep(),
            Op::Wait(seconds) => {
                self.now += jiff::SignedDuration::from_secs(*seconds);
                Answer::Waited
            }
        }
    }

    /// Records something; gives its number.
    pub fn record(&mut self, kind: EntryKind, lead_id: &str, client: &str, detail: i32) -> i64 {
        self.ledger.push(Entry {
            kind,
            lead_id: lead_id.to_owned(),
            client: client.to_owned(),
            request_id: String::new(),
            detail,
            submission: 0,
            at: self.now,
        });
        self.head()
    }

    pub fn head(&self) -> i64 {
        i64::try_from(self.ledger.len()).unwrap()
    }

    /// Gives an entry its call's key.
    pub fn key(&mut self, sequence: i64, request_id: &str) {
        request_id.clone_into(&mut self.entry(sequence).request_id);
    }

    /// Gives an entry the number of its lead's submission.
    pub fn submission(&mut self, sequence: i64, submission: i64) {
        self.entry(sequence).submission = submission;
    }

    fn entry(&mut self, sequence: i64) -> &mut Entry {
        &mut self.ledger[usize::try_from(sequence).unwrap() - 1]
    }

    /// The end of a lead.
    pub fn bury(&mut self, id: &str, client: &str, cause: Cause) -> i64 {
        let lead = self.leads.remove(id).unwrap();
        let entry = self.record(lead.tombstone(cause), id, client, cause as i32);
        self.submission(entry, lead.submission);
        let closed = lead
            .closing
            .map(|(outcome, _)| (self.closed_by[id], outcome));
        let at = self.now;
        self.gone.insert(id.to_owned(), Gone { closed, at });
        entry
    }

    /// Art. 5(1)(e): what ends within two rounds of ten minutes goes, unless a restriction keeps it: first what
    /// was closed, outcome by outcome, in the order of the closings, then what is too old, the oldest first.
    fn sweep(&mut self) -> Answer {
        let by = self.now + jiff::SignedDuration::from_mins(20);
        let mut over = Vec::new();
        for (id, lead) in self.leads.iter().filter(|(_, lead)| !lead.hidden()) {
            let place = match lead.grace_end(self.policy) {
                Some((outcome, end)) if end <= by => (outcome as i32, end, Cause::Closed),
                _ if lead.erase_by(self.policy) <= by => {
                    (i32::MAX, lead.submitted_at, Cause::TimeEnded)
                }
                _ => continue,
            };
            over.push((place, id.clone()));
        }
        over.sort_by(|((one, end, _), id), ((other, its_end, _), its_id)| {
            (one, end, id).cmp(&(other, its_end, its_id))
        });
        let count = u64::try_from(over.len()).unwrap();
        for ((_, _, cause), id) in over {
            self.bury(&id, "", cause);
        }
        Answer::Swept(count)
    }

    fn submit(&mut self, op: &Op, request: &pb::SubmitLeadRequest, hint: &Hint) -> Answer {
        let key = ("intake", request.request_id.clone());
        let id = match self.used.get(&key) {
            Some(first) => {
                let id = first.touched[0].clone();
                match &first.op {
                    _ if !self.leads.contains_key(&id) => {
                        return refused(Code::FailedPrecondition, "LEAD_ERASED");
                    }
                    Op::Submit(same) if same == request => id,
                    _ => return reused(),
                }
            }
            None => self.store(op, request, hint),
        };
        let lead = &self.leads[&id];
        let by_age = lead.submitted_at + jiff::SignedDuration::from_hours(24 * self.policy.max_age);
        let answer = pb::SubmitLeadResponse {
            lead_id: id,
            submitted_at: Some(timestamp(lead.submitted_at)),
            erase_by: Some(timestamp(by_age)),
            lawful_basis: request.lawful_basis,
            consent_receipt: match request.lawful_basis() {
                LawfulBasis::Consent => "x".to_owned(),
                _ => String::new(),
            },
        };
        Answer::done("SubmitLeadResponse", &answer)
    }

    fn store(&mut self, op: &Op, request: &pb::SubmitLeadRequest, hint: &Hint) -> String {
        let id = hint.lead_id.clone();
        let is_new = !self.leads.contains_key(&id) && !self.gone.contains_key(&id);
        assert!(is_new, "a new lead has a new identifier");
        let submission = self.record(EntryKind::Submitted, &id, "intake", 0);
        self.key(submission, &request.request_id);
        let lead = Lead {
            content: pb::LeadFields {
                name: request.name.clone(),
                company: request.company.clone(),
                phone: request.phone.clone(),
                email: request.email.clone(),
            },
            basis: request.lawful_basis(),
            consent: request.consent,
            submitted_at: self.now,
            submission,
            closing: None,
            reasons: BTreeSet::new(),
            revision: 1,
        };
        self.leads.insert(id.clone(), lead);
        let used = Used {
            op: op.clone(),
            answer: Answer::Waited,
            touched: vec![id.clone()],
        };
        self.used
            .insert(("intake", request.request_id.clone()), used);
        id
    }

    fn withdraw(&mut self, id: &str) -> Answer {
        use pb::WithdrawalOutcome as Outcome;
        let outcome = match self.leads.get_mut(id) {
            None => Outcome::NothingHeld,
            Some(lead) if lead.basis == LawfulBasis::Consent && !lead.hidden() => {
                self.bury(id, "intake", Cause::Withdrawn);
                Outcome::Erased
            }
            Some(lead) => {
                let outcome = match lead.basis {
                    LawfulBasis::Consent => Outcome::ErasedWhenLifted,
                    _ => Outcome::FlagWithdrawn,
                };
                if std::mem::take(&mut lead.consent) {
                    lead.revision += 1;
                    self.record(EntryKind::ConsentWithdrawn, id, "intake", 0);
                }
                outcome
            }
        };
        let stays = matches!(outcome, Outcome::ErasedWhenLifted | Outcome::FlagWithdrawn);
        let rights = ["A15", "A16", "A17", "A18", "A20", "A77"].map(|it| format!("eu-gdpr:{it}"));
        // What says that consent was withdrawn, now or before; where it was never given nothing does.
        let is_proof =
            |entry: &Entry| entry.lead_id == id && entry.kind == EntryKind::ConsentWithdrawn;
        let proved = outcome == Outcome::Erased || stays && self.ledger.iter().any(is_proof);
        let answer = pb::WithdrawConsentResponse {
            outcome: outcome.into(),
            applicable_rights: if stays { rights.to_vec() } else { Vec::new() },
            receipt: if proved {
                "x".to_owned()
            } else {
                String::new()
            },
        };
        Answer::done("WithdrawConsentResponse", &answer)
    }
}
