//! What befalls a world beside its calls: replicas that stop or are killed, a database or a mirror that fails, calls that
//! meet, a backup that comes back. After each of them the invariants are looked at on every replica.
//!
//! To add one, add it to [`Trouble`] and say in [`Run::trouble`] what it does.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use lead_intake::pb::{self, EntryKind};
use tonic::Code;

use super::{
    callers::known,
    end,
    house::{End, Place},
    op::{Answer, Op, difference},
    run::{Run, Told},
    settle::{Call, Seen, settle},
    state::{Hint, Model},
};
use crate::{
    no_entry_no_change::{break_ledger, mend_ledger},
    steps::ledger_after,
    support::*,
};

/// The longest time that calls run before a kill, in microseconds: most take less.
const BEFORE_KILL_MAX: usize = 4000;
/// Calls under way at the same time.
const CALLS_MAX: usize = 3;
/// Files of the mirror that cannot be begun: more than are tried while one call is made.
const BLOCKED: u64 = 40;

/// What befalls a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A replica is stopped and started.
    Restart,
    /// A replica is killed while calls are under way.
    Kill,
    /// The database ends every session while calls are under way.
    Sever,
    /// Nothing but calls that meet.
    Meet,
    /// The ledger takes no entry.
    NoLedger,
    /// A mirror takes nothing.
    NoMirror,
    /// A backup is taken.
    BackUp,
    /// The last backup comes back.
    Restore,
}

use Trouble::{BackUp, Kill, Meet, NoLedger, NoMirror, Restart, Restore, Sever};

/// How often each comes, of so many.
const ODDS: [Trouble; 16] = [
    Restart, Kill, Kill, Kill, Kill, Sever, Sever, Meet, Meet, NoLedger, NoMirror, NoMirror,
    BackUp, BackUp, Restore, Restore,
];

impl Run {
    pub async fn trouble(&mut self) {
        let trouble = ODDS[self.draw.below(ODDS.len())];
        let replica = self.draw.below(self.house.replicas());
        let is_after_loss = |(_, then): &(_, Model)| then.head() < self.model.head();
        let trouble = match trouble {
            Sever if self.house.world.backend == Backend::Sqlite => Kill,
            Restore if !self.backup.as_ref().is_some_and(is_after_loss) => BackUp,
            other => other,
        };
        self.story.tell(Told::Trouble(replica, trouble));
        match trouble {
            Restart => {
                let before = self.house.places().await;
                self.house.end(replica, End::Stopped).await;
                self.house.start(replica).await;
                let cut_off = self.take_cut_off();
                if !cut_off.is_empty() {
                    self.settle(&cut_off, before, trouble).await;
                }
            }
            Kill | Sever | Meet => self.meet(trouble, replica).await,
            NoLedger => self.no_ledger(replica).await,
            NoMirror => self.no_mirror(replica).await,
            BackUp => self.back_up(replica).await,
            Restore => self.restore(replica).await,
        }
        self.count(&format!("{trouble:?}"));
        self.look(trouble == Restore).await;
    }

    /// A call that acts on leads or reads them.
    fn call(&mut self) -> Op {
        loop {
            let op = self.draw.step(&self.model);
            if !matches!(op, Op::Sweep | Op::Wait(_)) {
                return op;
            }
        }
    }

    /// Calls at the same time, and what befalls them; what became of them is looked up.
    async fn meet(&mut self, trouble: Trouble, victim: usize) {
        let count = 1 + self.draw.below(CALLS_MAX);
        let before = self.house.places().await;
        let mut calls = Vec::new();
        let mut readers = BTreeSet::new();
        for _ in 0..count {
            let op = self.call();
            // Of two pages of one client nobody could tell which was read.
            if let Op::Pull(by, _) = op
                && !readers.insert(by)
            {
                continue;
            }
            let replica = match self.draw.below(3) {
                0 => self.draw.below(self.house.replicas()),
                _ => victim,
            };
            self.story.tell(Told::Step(replica, Box::new(op.clone())));
            let mut callers = self.house.callers(replica).clone();
            let epoch = self.model.epoch;
            calls.push(tokio::spawn(async move {
                let (answer, hint) = callers.take(&op, epoch).await;
                Call::of(op, answer, hint)
            }));
        }
        if trouble != Meet {
            let wait = self.draw.below(BEFORE_KILL_MAX);
            tokio::time::sleep(Duration::from_micros(u64::try_from(wait).unwrap())).await;
        }
        if trouble == Kill {
            self.house.end(victim, End::Killed).await;
        } else if trouble == Sever {
            self.house.sever().await;
        }
        let mut answered = Vec::new();
        for call in calls {
            answered.push(call.await.unwrap());
        }
        if trouble == Kill {
            self.house.start(victim).await;
            answered.extend(self.take_cut_off());
        }
        self.settle(&answered, before, trouble).await;
        if trouble == Sever {
            self.keep_cut_off(answered);
        }
    }

    /// Keeps the acts that nobody answered and that have not happened: what was written ahead for one whose session ended in its
    /// commit is done when its replica starts, if the ledger has not moved by then.
    fn keep_cut_off(&mut self, calls: Vec<Call>) {
        let calls = calls.into_iter().filter(|call| call.answer.is_none());
        let calls = calls
            .filter(|call| self.is_written_ahead(&call.op))
            .collect();
        self.cut_off = (self.model.head(), calls);
    }

    /// The acts that may have been done at a start.
    fn take_cut_off(&mut self) -> Vec<Call> {
        let (head, calls) = std::mem::take(&mut self.cut_off);
        if head == self.model.head() {
            calls
        } else {
            Vec::new()
        }
    }

    /// Whether a call would end or limit processing now.
    fn is_written_ahead(&self, op: &Op) -> bool {
        let mut after = self.model.clone();
        after.answer(op, &Hint::of_nobody());
        limits(&after, &self.model)
    }

    async fn settle(&mut self, calls: &[Call], before: Vec<Place>, trouble: Trouble) {
        let replica = self.draw.below(self.house.replicas());
        let auditor = &mut self.house.callers(replica).auditor;
        let head = self.model.head();
        // A database that was away may be so for a moment more.
        let entries = eventually(async || ledger_after(auditor, head).await.ok()).await;
        let seen = Seen {
            entries: entries.iter().map(known).collect(),
            places: self.house.places().await,
            before,
        };
        let Some(after) = settle(&self.model, calls, &seen) else {
            let calls: Vec<_> = calls.iter().map(Call::show).collect();
            panic!(
                "no order of the calls leads here:\n{}\nentries {:#?}\nplaces {:?}, before {:?}",
                calls.join("\n"),
                seen.entries,
                seen.places,
                seen.before,
            );
        };
        let submitted = seen.entries.iter();
        let submitted = submitted.filter(|entry| entry.kind == EntryKind::Submitted);
        for entry in submitted {
            self.draw.knows(&entry.lead_id);
        }
        for Call { op, answer } in calls {
            match answer {
                Some((answer, hint)) => {
                    let hint = Hint {
                        // It is known already.
                        lead_id: String::new(),
                        ..hint.clone()
                    };
                    self.keep(op, answer, &hint);
                }
                None => self.count(&format!("{trouble:?} unanswered")),
            }
        }
        let happened = after.head() - head;
        let answered = calls.iter().filter(|call| call.answer.is_some()).count();
        if answered == 0 && happened > 0 {
            self.count(&format!("{trouble:?} unanswered and done"));
        }
        self.model = after;
    }

    /// A1: a call that must leave an entry, and cannot, fails and changes nothing.
    async fn no_ledger(&mut self, replica: usize) {
        let op = self.call();
        break_ledger(&self.house.world).await;
        let failed = self.try_at(replica, &op).await;
        mend_ledger(&self.house.world).await;
        let records = |after: &Model, before: &Model| after.head() > before.head();
        self.judge(&op, failed, "STORE_UNAVAILABLE", records);
    }

    /// A1: a call that ends or limits processing, and whose mirror takes nothing, fails and changes nothing.
    async fn no_mirror(&mut self, replica: usize) {
        // Most that is asked has no part in the mirror: so the first of some that has.
        let found = (0..20).find_map(|_| {
            let op = self.call();
            self.is_written_ahead(&op).then_some(op)
        });
        // The mirror would notice only with the next act that its file is gone.
        let Some(op) = found else {
            return;
        };
        let blocked = Blocked::new(&self.house.mirror(replica));
        let failed = self.try_at(replica, &op).await;
        blocked.unblock();
        self.judge(&op, failed, "MIRROR_UNAVAILABLE", limits);
    }

    async fn try_at(&mut self, replica: usize, op: &Op) -> (Answer, Hint) {
        self.story.tell(Told::Step(replica, Box::new(op.clone())));
        let epoch = self.model.epoch;
        self.house.callers(replica).take(op, epoch).await
    }

    /// Whether a call failed for this reason where it had to, and nowhere else.
    fn judge(
        &mut self,
        op: &Op,
        (answer, mut hint): (Answer, Hint),
        reason: &str,
        must_fail: impl Fn(&Model, &Model) -> bool,
    ) {
        let mut after = self.model.clone();
        let made_up = hint.lead_id.is_empty();
        if made_up {
            hint.lead_id = Hint::of_nobody().lead_id;
        }
        let mut expected = after.answer(op, &hint);
        let failed = Answer::Refused(Code::Unavailable, reason.to_owned());
        // A submission is written before it is known to be a repeat.
        let may_fail = matches!(op, Op::Submit(_)) && answer == failed;
        if must_fail(&after, &self.model) || may_fail {
            expected = failed;
        } else {
            self.model = after;
        }
        assert!(answer == expected, "{}", difference(op, &answer, &expected));
        if made_up {
            hint.lead_id.clear();
        }
        self.keep(op, &answer, &hint);
    }

    async fn back_up(&mut self, first: usize) {
        let head = self.model.head();
        let backup = self.house.back_up(first, head).await;
        self.backup = Some((backup, self.model.clone()));
    }

    /// E4: the backup comes back under a mirror that has everything since.
    async fn restore(&mut self, first: usize) {
        if !self.take_cut_off().is_empty() {
            // Recorded, so the ledger moves: a restore that does what was cut off, too, is more than the model knows.
            let nobody = subject("nobody@example.no");
            self.step(Op::Find(pb::FindSubjectRequest { request: nobody }))
                .await;
        }
        let end = if self.draw.below(2) == 0 {
            End::Stopped
        } else {
            End::Killed
        };
        self.house.end_all(end, self.model.head()).await;
        let (backup, then) = self.backup.take().unwrap();
        self.house.restore(&backup).await;
        self.model.restore(&then);
        self.backup = Some((backup, then));
        self.house.start_all(first).await;
    }

    /// What must hold now: on each replica, and in one CRM's own copy.
    async fn look(&mut self, is_whole: bool) {
        let ids = self.draw.some_leads(20);
        for replica in 0..self.house.replicas() {
            let callers = self.house.callers(replica);
            end::check_now(callers, &self.model, is_whole, &ids).await;
        }
        let by = self.draw.below(self.copies.len());
        self.catch_up(by).await;
    }

    /// A CRM client reads on to the end from where it was, from the beginning if its cursor expired.
    pub async fn catch_up(&mut self, by: usize) {
        loop {
            let request = pb::PullLeadsRequest {
                cursor: self.copies[by].cursor.clone(),
                page_size: 100,
            };
            let is_expired = self.model.position(&request.cursor).is_err();
            self.step(Op::Pull(by, request)).await;
            if is_expired {
                self.copies[by].start_again(self.model.epoch);
            } else if self.is_at_the_end(by) {
                break;
            }
        }
        self.copies[by].check(by, &self.model);
    }

    fn is_at_the_end(&self, by: usize) -> bool {
        let at = self.model.position(&self.copies[by].cursor);
        let Ok(Some(at)) = at else {
            return false;
        };
        (at + 1..=self.model.head()).all(|sequence| self.model.heard(by, sequence).is_none())
    }
}

/// Whether something that came after ends or limits processing.
fn limits(after: &Model, before: &Model) -> bool {
    let mut new = after.ledger[before.ledger.len()..].iter();
    new.any(|entry| is_written_ahead(entry.kind))
}

/// What a mirror hears of before it is committed.
fn is_written_ahead(kind: EntryKind) -> bool {
    matches!(
        kind,
        EntryKind::Rectified
            | EntryKind::ConsentWithdrawn
            | EntryKind::Restricted
            | EntryKind::Released
            | EntryKind::Objected
            | EntryKind::Erased
            | EntryKind::HandedOver
            | EntryKind::Closed
            | EntryKind::ReasonLifted
    )
}

/// A mirror in which nothing can be written ahead: its file is gone, and something is in the way of the next ones.
struct Blocked {
    blocks: Vec<std::path::PathBuf>,
    /// What was in the file, which comes back: it may not be anywhere else yet.
    taken: Option<(std::path::PathBuf, Vec<u8>)>,
}

impl Blocked {
    fn new(mirror: &Path) -> Self {
        let file = |number: u64| mirror.join(format!("ahead-{number:010}.jsonl"));
        let name = |path: &Path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let number = name.strip_prefix("ahead-")?.strip_suffix(".jsonl")?;
            number.parse::<u64>().ok()
        };
        let last = files(mirror).iter().filter_map(|path| name(path)).max();
        let taken = last.map(|last| (file(last), fs::read(file(last)).unwrap()));
        if let Some((path, _)) = &taken {
            fs::remove_file(path).unwrap();
        }
        let blocks = (1..last.unwrap_or(0) + BLOCKED).map(file);
        let blocks: Vec<_> = blocks.filter(|path| !path.exists()).collect();
        for block in &blocks {
            fs::create_dir(block).unwrap();
        }
        Self { blocks, taken }
    }

    fn unblock(self) {
        for block in self.blocks {
            fs::remove_dir(block).unwrap();
        }
        if let Some((path, bytes)) = self.taken {
            fs::write(path, bytes).unwrap();
        }
    }
}
