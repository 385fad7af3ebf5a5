//! Draws the steps of a run from a seed: few people, phones and mailboxes, so that they are shared.

use lead_intake::{
    pb::{self, CloseOutcome, ErasureGround, ExportKind, LawfulBasis, ObjectionKind},
    rpc::{convert::timestamp, cursor},
};

use super::{op::Op, rules::Judged, state::Model};
use crate::support::random::Random;

/// Empty stands for a field that is not filled in.
const NAMES: [&str; 4] = ["Kari Nordmann", "Ola Nordmann", "kari nordmann", ""];
const COMPANIES: [&str; 3] = ["Nordmann AS", "", ""];
const PHONES: [&str; 4] = ["+4740605600", "+4722123456", "", ""];
const EMAILS: [&str; 5] = [
    "kari@example.no",
    "ola@example.no",
    "Kari@Example.no",
    "post@example.no",
    "",
];
/// The clock moves no further in one run: tokens live for a year.
const DAYS_MAX: i64 = 300;

pub struct Draw {
    random: Random,
    seconds_waited: i64,
    /// Calls that have a key.
    history: Vec<Op>,
    /// Every lead there ever was, oldest first.
    ids: Vec<String>,
}

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            seconds_waited: 0,
            history: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound)
    }

    /// A number from 1 to `bound`.
    fn upto(&mut self, bound: i32) -> i32 {
        1 + i32::try_from(self.below(usize::try_from(bound).unwrap())).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick(&mut self, from: &[&str]) -> String {
        from[self.below(from.len())].to_owned()
    }

    fn key(&mut self) -> String {
        uuid::Builder::from_random_bytes(
            (u128::from(self.random.bits()) << 64 | u128::from(self.random.bits())).to_be_bytes(),
        )
        .into_uuid()
        .to_string()
    }

    /// A new lead's identifier, as the server made it.
    pub fn knows(&mut self, id: &str) {
        if !self.ids.iter().any(|known| known == id) {
            self.ids.push(id.to_owned());
        }
    }

    /// Some of the leads there ever were.
    pub fn some_leads(&mut self, count: usize) -> Vec<String> {
        if self.ids.is_empty() {
            return Vec::new();
        }
        let places: Vec<_> = (0..count).map(|_| self.below(self.ids.len())).collect();
        places
            .iter()
            .map(|place| self.ids[*place].clone())
            .collect()
    }

    /// A lead: mostly one that is there, at times one that is gone or never was.
    pub fn lead(&mut self, model: &Model) -> String {
        if self.ids.is_empty() || self.chance(2) {
            return self.key();
        }
        if self.chance(85) && !model.leads.is_empty() {
            // Not in order of the identifiers, which no two runs share.
            let place = self.below(model.leads.len());
            let there = |id: &&String| model.leads.contains_key(*id);
            return self.ids.iter().filter(there).nth(place).unwrap().clone();
        }
        let place = self.below(self.ids.len());
        self.ids[place].clone()
    }

    /// The next step.
    pub fn step(&mut self, model: &Model) -> Op {
        if self.chance(8) && !self.history.is_empty() {
            let place = self.below(self.history.len());
            let mut op = self.history[place].clone();
            if self.chance(40) {
                self.twist(&mut op, model);
            }
            return op;
        }
        let by = self.below(model.readers.len());
        let op = match self.below(100) {
            0..24 => self.submission(),
            24..36 => self.page(by, model),
            36..40 => self.acknowledgement(by, model),
            40..46 => Op::Get(
                by,
                pb::GetLeadRequest {
                    lead_id: self.lead(model),
                },
            ),
            46..51 => Op::Close(
                by,
                pb::CloseLeadRequest {
                    lead_id: self.lead(model),
                    outcome: self.upto(CloseOutcome::Converted.into()),
                },
            ),
            51..55 => Op::Find(pb::FindSubjectRequest {
                request: Some(self.person(model)),
            }),
            55..60 => Op::Export(pb::ExportSubjectRequest {
                request: Some(self.person(model)),
                kind: self.upto(ExportKind::Portability.into()),
                ..Default::default()
            }),
            60..65 => self.erasure(model),
            65..68 => Op::Object(pb::ObjectToProcessingRequest {
                request: Some(self.person(model)),
                kind: self.upto(ObjectionKind::DirectMarketing.into()),
                ..Default::default()
            }),
            68..76 => self.correction(model),
            76..83 => Op::Restrict(pb::RestrictLeadRequest {
                request_id: self.key(),
                lead_id: self.lead(model),
                reason: self.upto(5),
                ..Default::default()
            }),
            83..90 => self.lifting(model),
            90..93 => Op::Withdraw(pb::WithdrawConsentRequest {
                lead_id: self.lead(model),
            }),
            93 => Op::Sweep,
            _ => self.wait(),
        };
        if !matches!(
            op,
            Op::Sweep | Op::Wait(_) | Op::Pull(..) | Op::Acknowledge(..) | Op::Get(..)
        ) {
            self.history.push(op.clone());
        }
        op
    }

    fn submission(&mut self) -> Op {
        let mut request = pb::SubmitLeadRequest {
            request_id: self.key(),
            name: self.pick(&NAMES),
            company: self.pick(&COMPANIES),
            phone: self.pick(&PHONES),
            email: self.pick(&EMAILS),
            lawful_basis: self.upto(LawfulBasis::PreContract.into()),
            consent: self.chance(50),
            notice_version: "1.1".to_owned(),
        };
        if request.name.is_empty() && request.company.is_empty() {
            request.company.push_str("Hansen ANS");
        }
        if request.phone.is_empty() && request.email.is_empty() {
            request.phone.push_str(PHONES[0]);
        }
        request.consent |= request.lawful_basis() == LawfulBasis::Consent;
        Op::Submit(request)
    }

    fn page(&mut self, by: usize, model: &Model) -> Op {
        let reader = &model.readers[by];
        let cursor = match self.below(10) {
            0..4 => String::new(),
            4 if self.chance(30) => {
                cursor::encode(model.epoch, reader.delivered + i64::from(self.upto(3)))
            }
            5 => self.position(model, reader.delivered),
            _ => cursor::encode(model.epoch, reader.delivered),
        };
        let page_size = match self.below(4) {
            0 => 0,
            1 => self.upto(3),
            _ => self.upto(40),
        };
        Op::Pull(by, pb::PullLeadsRequest { cursor, page_size })
    }

    fn acknowledgement(&mut self, by: usize, model: &Model) -> Op {
        let delivered = model.readers[by].delivered;
        let cursor = if self.chance(50) {
            cursor::encode(model.epoch, delivered)
        } else {
            self.position(model, delivered + 2)
        };
        Op::Acknowledge(by, pb::AcknowledgeLeadsRequest { cursor })
    }

    /// Any position up to this one; at times of an epoch that is over.
    fn position(&mut self, model: &Model, upto: i64) -> String {
        let position = self.below(usize::try_from(upto).unwrap() + 1);
        let is_over = model.epoch > 1 && self.chance(20);
        let epoch = model.epoch - i64::from(is_over);
        cursor::encode(epoch, i64::try_from(position).unwrap())
    }

    /// Somebody, known by a mailbox, a phone or both; at times with candidates, or with somebody's lead.
    pub fn person(&mut self, model: &Model) -> pb::SubjectRequest {
        let mut person = pb::Subject {
            email: self.pick(&EMAILS),
            phone: self.pick(&PHONES),
            name: if self.chance(30) {
                self.pick(&NAMES)
            } else {
                String::new()
            },
            lead_ids: Vec::new(),
        };
        if person.email.is_empty() && person.phone.is_empty() {
            person.phone.push_str(PHONES[1]);
        }
        if self.chance(40) {
            let in_doubt = |id: &&String| {
                let lead = model.leads.get(*id);
                lead.is_some_and(|lead| matches!(lead.judged(&person), Judged::Doubt(_)))
            };
            let mut ids: Vec<_> = self.ids.iter().filter(in_doubt).cloned().collect();
            ids.retain(|_| self.chance(30));
            person.lead_ids = ids;
        } else if self.chance(8) {
            person.lead_ids = vec![self.lead(model)];
        }
        pb::SubjectRequest {
            request_id: self.key(),
            subject: Some(person),
            ..Default::default()
        }
    }

    fn erasure(&mut self, model: &Model) -> Op {
        Op::Erase(pb::EraseSubjectRequest {
            request: Some(self.person(model)),
            ground: self.upto(ErasureGround::ChildData.into()),
            dry_run: self.chance(30),
            confirm_supersedes_restriction: self.chance(30),
            language: String::new(),
        })
    }

    fn correction(&mut self, model: &Model) -> Op {
        let lead_id = self.lead(model);
        let revision = model.leads.get(&lead_id).map_or(1, |lead| lead.revision);
        let mut fields = pb::LeadFields::default();
        let mut paths = Vec::new();
        for name in ["name", "company", "phone", "email"] {
            if !self.chance(40) {
                continue;
            }
            paths.push(name.to_owned());
            match name {
                "name" => fields.name = self.pick(&NAMES),
                "company" => fields.company = self.pick(&COMPANIES),
                "phone" => fields.phone = self.pick(&PHONES),
                _ => fields.email = self.pick(&EMAILS),
            }
        }
        if paths.is_empty() {
            paths.push("name".to_owned());
            fields.name.push_str("Kari Hansen");
        }
        Op::Rectify(pb::RectifyLeadRequest {
            request_id: self.key(),
            lead_id,
            field_mask: Some(prost_types::FieldMask { paths }),
            fields: Some(fields),
            expected_revision: if self.chance(90) {
                revision
            } else {
                self.upto(5).into()
            },
            ..Default::default()
        })
    }

    fn lifting(&mut self, model: &Model) -> Op {
        let lead_id = self.lead(model);
        let held = model
            .leads
            .get(&lead_id)
            .and_then(|lead| lead.reasons.first().copied());
        let mut informed_at = timestamp(model.now);
        informed_at.seconds += i64::from(self.chance(10));
        Op::Lift(pb::LiftRestrictionRequest {
            request_id: self.key(),
            lead_id,
            reason: held
                .filter(|_| self.chance(80))
                .unwrap_or_else(|| self.upto(5)),
            subject_informed_at: self.chance(95).then_some(informed_at),
        })
    }

    fn wait(&mut self) -> Op {
        let longest = if self.chance(70) { 60 } else { 4 * 86_400 };
        let seconds = i64::from(self.upto(longest)).min(DAYS_MAX * 86_400 - self.seconds_waited);
        self.seconds_waited += seconds;
        Op::Wait(seconds)
    }
}
