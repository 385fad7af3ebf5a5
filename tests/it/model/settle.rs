//! What became of calls that were under way at the same time, and of which some were never answered.
//!
//! An unanswered call may have happened or not. Whoever looks afterwards sees the ledger and what the database has of
//! each CRM client; there must be one order of the calls, with some of the unanswered ones left out, in which the
//! model gives every answer that was given and ends where the service is.

use std::sync::Arc;

use lead_intake::pb::{self, EntryKind};
use tonic::Code;

use super::{
    house::Place,
    op::{Answer, Op},
    rules::Policy,
    state::{Entry, Hint, Model, Past},
};
use crate::{
    rights::correction,
    support::{START, form, new_id, subject},
};

/// A call, and its answer, if there was one.
pub struct Call {
    pub op: Op,
    pub answer: Option<(Answer, Hint)>,
}

/// What is seen afterwards.
pub struct Seen {
    /// What the ledger has that the model does not.
    pub entries: Vec<Entry>,
    pub places: Vec<Place>,
    /// The same before the calls.
    pub before: Vec<Place>,
}

impl Call {
    /// A call and what came back.
    pub fn of(op: Op, answer: Answer, hint: Hint) -> Self {
        let is_answer = match &answer {
            // Cut off on its way, or by a database that went away.
            Answer::Refused(_, reason) => {
                !matches!(&**reason, "" | "STORE_UNAVAILABLE" | "STOPPING")
            }
            _ => true,
        };
        Self {
            op,
            answer: is_answer.then_some((answer, hint)),
        }
    }

    pub fn show(&self) -> String {
        let answer = self.answer.as_ref().map(|(answer, _)| answer.show());
        let answer = answer.unwrap_or_else(|| "nothing".to_owned());
        format!("{}\n  answered {answer}", self.op.show())
    }

    /// It lost a race and says so: nothing happened.
    fn is_contended(&self) -> bool {
        let contended = Answer::Refused(Code::Aborted, "CONTENDED".to_owned());
        self.answer
            .as_ref()
            .is_some_and(|(answer, _)| *answer == contended)
    }
}

/// The model after the calls; `None`: no order of them leads to what is seen.
pub fn settle(model: &Model, calls: &[Call], seen: &Seen) -> Option<Model> {
    let open: Vec<_> = calls.iter().filter(|call| !call.is_contended()).collect();
    Order {
        base: model.ledger.len(),
        seen,
    }
    .follow(model, &open, &[])
}

struct Order<'a> {
    /// Entries of the ledger before the calls.
    base: usize,
    seen: &'a Seen,
}

impl Order<'_> {
    /// The model after the calls that are open, in some order, and after what was before them.
    fn follow(&self, model: &Model, open: &[&Call], before: &[Arc<Past>]) -> Option<Model> {
        let new = &model.ledger[self.base..];
        if self.seen.entries.get(..new.len()) != Some(new) {
            return None;
        }
        if open.is_empty() {
            let is_there = new.len() == self.seen.entries.len();
            return (is_there && is_placed(model, &self.seen.places)).then(|| model.clone());
        }
        let mut pasts = before.to_vec();
        pasts.push(Arc::new(Past {
            leads: model.leads.clone(),
            readers: model.readers.clone(),
            entries: model.ledger.len(),
        }));
        for (place, call) in open.iter().enumerate() {
            let mut rest = open.to_vec();
            rest.remove(place);
            // Such a call may have read before one that came first.
            let reads = reads_first(&call.op).then_some(before);
            let views = [None].into_iter();
            let views = views.chain(reads.unwrap_or_default().iter().cloned().map(Some));
            for view in views {
                let mut model = model.clone();
                model.past = view;
                for mut after in self.after(&model, call) {
                    after.past = None;
                    if let Some(end) = self.follow(&after, &rest, &pasts) {
                        return Some(end);
                    }
                }
            }
        }
        None
    }

    /// What a call may have made of the model.
    fn after(&self, model: &Model, call: &Call) -> Vec<Model> {
        let Some((answer, hint)) = &call.answer else {
            let happened = happened(model, &call.op, self.seen);
            return happened.into_iter().chain([model.clone()]).collect();
        };
        let mut after = model.clone();
        let is_it = after.answer(&call.op, hint) == *answer;
        is_it.then_some(after).into_iter().collect()
    }
}

/// Whether a call reads before it records: one about a person, and a page.
fn reads_first(op: &Op) -> bool {
    matches!(
        op,
        Op::Find(_) | Op::Export(_) | Op::Erase(_) | Op::Object(_) | Op::Pull(..)
    )
}

/// The model after an unanswered call that happened, if it can have.
fn happened(model: &Model, op: &Op, seen: &Seen) -> Option<Model> {
    let mut after = model.clone();
    let mut hint = Hint::default();
    match op {
        Op::Pull(by, request) => {
            let ((next, _, _, disclosed), before) = (seen.places[*by], seen.before[*by]);
            if (next, disclosed) == (before.0, before.3) {
                // A page that leaves nothing gave nothing new, if it was read at all.
                return None;
            }
            let start = model.position(&request.cursor).ok()?;
            let is_read = after.reading(*by, |then| {
                let reader = &then.readers[*by];
                let start = start.unwrap_or(reader.acknowledged);
                let is_read = start <= reader.delivered && (start..=then.head()).contains(&next);
                if is_read {
                    then.given(*by, start, next);
                }
                is_read
            });
            return is_read.then_some(after);
        }
        Op::Submit(request) if is_first(model, request) => {
            let is_it = |entry: &&Entry| {
                entry.kind == EntryKind::Submitted && entry.request_id == request.request_id
            };
            let entry = seen.entries.iter().find(is_it)?;
            hint.lead_id.clone_from(&entry.lead_id);
        }
        _ => {}
    }
    after.answer(op, &hint);
    Some(after)
}

fn is_first(model: &Model, request: &pb::SubmitLeadRequest) -> bool {
    let key = ("intake", request.request_id.clone());
    !model.used.contains_key(&key)
}

fn is_placed(model: &Model, places: &[Place]) -> bool {
    let mut both = model.readers.iter().zip(places);
    both.all(|(reader, (delivered, acknowledged, snapshot, _))| {
        // A page that gives nothing new leaves no snapshot.
        reader.delivered == *delivered
            && reader.acknowledged == *acknowledged
            && (*snapshot == 0 || reader.snapshot == *snapshot)
    })
}

/// A model with one reader and one lead, and that lead.
fn one_lead() -> (Model, String) {
    let policy = Policy {
        max_age: 10,
        grace: [0; 3],
    };
    let mut model = Model::new(START.parse().unwrap(), policy, Vec::new(), 1);
    let lead_id = new_id().to_string();
    let hint = Hint {
        lead_id: lead_id.clone(),
        ..Hint::default()
    };
    model.answer(&Op::Submit(form("Kari", "kari@example.no")), &hint);
    (model, lead_id)
}

fn copy_for(email: &str) -> Op {
    Op::Export(pb::ExportSubjectRequest {
        request: subject(email),
        kind: pb::ExportKind::Access.into(),
        ..Default::default()
    })
}

/// A page is read before it is recorded: what it shows may be older than a copy for the person that does not tell of it.
#[test]
fn a_page_may_be_read_before_a_call_that_is_recorded_before_it() {
    let (model, lead_id) = one_lead();
    let pull = Op::Pull(0, pb::PullLeadsRequest::default());
    let hint = Hint {
        next: 1,
        ..Hint::default()
    };
    let page = model.clone().answer(&pull, &hint);
    let mut calls = vec![Call::of(pull, page, hint)];
    let mut after = model.clone();
    for op in [
        Op::Rectify(correction(&lead_id, 1, "name", "Kari Nordmann")),
        copy_for("kari@example.no"),
    ] {
        let answer = after.answer(&op, &Hint::default());
        calls.push(Call::of(op, answer, Hint::default()));
    }
    let seen = Seen {
        entries: after.ledger[1..].to_vec(),
        places: vec![(1, 0, 1, 0)],
        before: vec![(0, 0, 0, 0)],
    };
    assert!(settle(&model, &calls, &seen).is_some());
}

/// A copy looks for leads, and another comes; who was given those that it has, it asks when it is recorded.
#[test]
fn a_copy_may_have_read_leads_before_it_knows_who_was_given_them() {
    let (model, _) = one_lead();
    let pull = || Op::Pull(0, pb::PullLeadsRequest::default());
    let next = |next| Hint {
        next,
        ..Hint::default()
    };
    let (submit, copy) = (
        Op::Submit(form("Kari", "kari@example.no")),
        copy_for("kari@example.no"),
    );
    let mut of_one = model.clone();
    of_one.answer(&pull(), &next(1));
    let copied = of_one.answer(&copy, &Hint::default());
    let mut of_two = model.clone();
    let hint = Hint {
        lead_id: new_id().to_string(),
        ..Hint::default()
    };
    let stored = of_two.answer(&submit, &hint);
    let page = of_two.answer(&pull(), &next(2));
    let calls = [
        Call::of(copy, copied, Hint::default()),
        Call::of(pull(), page, next(2)),
        Call::of(submit, stored, hint),
    ];
    let seen = Seen {
        entries: [&of_two.ledger[1..], &of_one.ledger[1..]].concat(),
        places: vec![(2, 0, 2, 0)],
        before: vec![(0, 0, 0, 0)],
    };
    assert!(settle(&model, &calls, &seen).is_some());
}

/// A page that nobody got may reach what was submitted meanwhile.
#[test]
fn an_unanswered_page_may_have_a_lead_that_is_not_there_yet() {
    let (model, _) = one_lead();
    let submit = Op::Submit(form("Ola", "ola@example.no"));
    let mut after = model.clone();
    after.answer(&submit, &Hint::of_nobody());
    let calls = [Op::Pull(0, pb::PullLeadsRequest::default()), submit];
    let calls = calls.map(|op| Call { op, answer: None });
    let seen = Seen {
        entries: after.ledger[1..].to_vec(),
        places: vec![(2, 0, 2, 0)],
        before: vec![(0, 0, 0, 0)],
    };
    assert!(settle(&model, &calls, &seen).is_some());
}
