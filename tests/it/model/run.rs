//! Takes the steps of a run at real replicas, and compares each answer with the model's.

use std::collections::{BTreeMap, VecDeque};

use lead_intake::pb::{self, EntryKind};
use prost::Message as _;

use super::{
    backup::Backup,
    callers::known,
    copies::Copy,
    draw::Draw,
    end,
    house::House,
    op::{Answer, Op, difference},
    rules::Policy,
    settle::Call,
    state::{Hint, Model},
    troubles::Trouble,
};
use crate::{lookup, steps::ledger_after, support::*};

/// CRM clients of a world.
const READERS: usize = 3;
/// Steps that a failure shows.
const SHOWN: usize = 25;

/// How often each kind of answer was given.
pub type Tally = BTreeMap<String, usize>;

/// A world under way.
pub struct Run {
    pub house: House,
    pub model: Model,
    pub draw: Draw,
    /// What each CRM client keeps.
    pub copies: Vec<Copy>,
    pub backup: Option<(Backup, Model)>,
    /// Acts that were cut off, and the ledger's last number then.
    pub cut_off: (i64, Vec<Call>),
    /// Number and hash of each entry that a receipt named.
    pub proofs: Vec<(i64, String)>,
    pub tally: Tally,
    pub story: Story,
}

/// The last steps, told when the run fails. The people in them are made up.
pub struct Story {
    title: String,
    place: usize,
    steps: VecDeque<Told>,
}

/// A step, put into words only when it is asked for: that takes longer than the step.
pub enum Told {
    Step(usize, Box<Op>),
    Trouble(usize, Trouble),
}

impl Story {
    pub fn tell(&mut self, step: Told) {
        if self.steps.len() == SHOWN {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let show = |step: &Told| match step {
                Told::Step(replica, op) => format!("  {replica}: {}", op.show()),
                Told::Trouble(replica, trouble) => format!("  {replica}: {trouble:?}"),
            };
            let steps: Vec<_> = self.steps.iter().map(show).collect();
            let steps = steps.join("\n");
            println!(
                "{}, step {}; the last ones:\n{steps}",
                self.title, self.place
            );
        }
    }
}

/// Runs one world: this many steps from this seed, of a thousand of which so many are troubles.
pub async fn world(backend: Backend, seed: u64, steps: usize, troubles: usize) -> Tally {
    // Short times, so that they end within a run; every second world has a grace.
    let grace = if seed.is_multiple_of(2) {
        [0, 0, 0]
    } else {
        [5, 0, 9]
    };
    let policy = Policy { max_age: 10, grace };
    let story = Story {
        title: format!("seed {seed} on {backend:?}"),
        place: 0,
        steps: VecDeque::new(),
    };
    let mut house = House::new(backend, policy, READERS).await;
    let auditor = &mut house.callers(0).auditor;
    let entries = ledger_after(auditor, 0).await.unwrap();
    let entries = entries.iter().map(known).collect();
    let mut run = Run {
        house,
        model: Model::new(START.parse().unwrap(), policy, entries, READERS),
        draw: Draw::new(seed),
        copies: (0..READERS).map(|_| Copy::new()).collect(),
        backup: None,
        cut_off: (0, Vec::new()),
        proofs: Vec::new(),
        tally: Tally::new(),
        story,
    };
    for place in 0..steps {
        run.story.place = place;
        if run.draw.below(1000) < troubles {
            run.trouble().await;
        } else {
            let op = run.draw.step(&run.model);
            run.step(op).await;
        }
    }
    run.end().await
}

impl Run {
    /// Takes a step at a replica.
    pub async fn step(&mut self, op: Op) {
        let replica = self.draw.below(self.house.replicas());
        self.story.tell(Told::Step(replica, Box::new(op.clone())));
        let (answer, hint) = match op {
            Op::Sweep => {
                let swept = self.house.sweep(replica).await;
                (Answer::Swept(swept), Hint::default())
            }
            Op::Wait(seconds) => {
                self.house.wait(seconds).await;
                (Answer::Waited, Hint::default())
            }
            _ => {
                let epoch = self.model.epoch;
                self.house.callers(replica).take(&op, epoch).await
            }
        };
        let expected = self.model.answer(&op, &hint);
        assert!(
            answer == expected,
            "{}",
            difference(&op, &answer, &expected)
        );
        self.keep(&op, &answer, &hint);
    }

    /// Keeps of an answer what its callers keep.
    pub fn keep(&mut self, op: &Op, answer: &Answer, hint: &Hint) {
        if !hint.lead_id.is_empty() {
            self.draw.knows(&hint.lead_id);
        }
        self.proofs.extend(hint.proofs.iter().cloned());
        if let (Op::Pull(by, request), Answer::Done(_, page)) = (op, answer) {
            let page = pb::PullLeadsResponse::decode(&**page).unwrap();
            self.copies[*by].take(&request.cursor, &page);
        }
        self.count(&format!("{} {}", op.name(), answer.name()));
    }

    pub fn count(&mut self, what: &str) {
        *self.tally.entry(what.to_owned()).or_default() += 1;
    }

    async fn end(mut self) -> Tally {
        for by in 0..self.copies.len() {
            self.catch_up(by).await;
        }
        for replica in 0..self.house.replicas() {
            end::check(self.house.callers(replica), &self.proofs, &self.model).await;
        }
        end::check_leads(self.house.callers(0), &self.model).await;
        let mut raw = self.house.raw().await;
        let faults = lookup::faults(&mut raw).await;
        assert_eq!(faults, [0, 0], "the look-up indexes");
        self.house.keep(raw).await;
        let entries = std::mem::take(&mut self.model.ledger);
        for entry in entries {
            // What a restore has there is a number of an entry.
            match entry.kind {
                EntryKind::Restored => self.count("Restored"),
                kind => self.count(&format!("{kind:?} {}", entry.detail)),
            }
        }
        self.house.close().await;
        self.tally
    }
}
