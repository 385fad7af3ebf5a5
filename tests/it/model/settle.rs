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
    state::{Entry, Hint, Model, Past},
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
        }));
        for (place, call) in open.iter().enumerate() {
            let mut rest = open.to_vec();
            rest.remove(place);
            // A call about a person may have read before one that came first.
            let reads = is_about_a_person(&call.op).then_some(before);
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

fn is_about_a_person(op: &Op) -> bool {
    matches!(
        op,
        Op::Find(_) | Op::Export(_) | Op::Erase(_) | Op::Object(_)
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
            let start = start.unwrap_or(model.readers[*by].acknowledged);
            if start <= model.readers[*by].delivered && start <= next {
                after.given(*by, start, next);
            }
            return Some(after);
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
