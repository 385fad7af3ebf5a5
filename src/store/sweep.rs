//! The sweep: what has reached its time is found and erased (Art. 5(1)(e)).
//!
//! A round is claimed by its number, so that one replica runs it: whoever raises `run` from what it knew
//! has it, and nobody has two within [`crate::domain::sweep::SWEEP_EVERY`]. No time of day decides that, since
//! a clock that jumped could block every replica, or hurry one. Then batches, each a transaction that finds,
//! judges, deletes and records. The statements only find: [`Act::Expire`] decides. To let leads end in one more
//! way, add it to the policy's `erase_by`, and a statement that finds such leads by an index.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Candidate, Result, RetentionStore, StoreError,
    act::{candidate_at, new_entries},
    dialect::{Columns as _, Dialect, Value, values},
    erase::DELETE_LEADS,
    error::retrying,
    sql::{Sql, SqlStore, candidate_columns, statements},
};
use crate::{
    clock::from_micros,
    domain::{
        lead::{CloseOutcome, LeadId},
        lifecycle::Act,
        retention::RetentionPolicy,
        sweep::{ClockJudgement, ClockMemory, horizon},
    },
};

/// Leads of a batch: the ledger's head is locked while their entries are written.
const BATCH: i64 = 500;

statements! {
    STATE = "SELECT run, seen_at, is_doubted, swept_at FROM sweep WHERE id = 1";
    CLAIM = "UPDATE sweep SET run = run + 1, seen_at = $2, is_doubted = $3 \
             WHERE id = 1 AND run = $1";
    FINISH = "UPDATE sweep SET swept_at = $2 WHERE id = 1 AND run = $1";
    // Identifiers are in order of time, so this reads the oldest end of the table and no more.
    TOO_OLD = concat!(
        "SELECT ", candidate_columns!(), " FROM lead \
         WHERE lead.id < $1 AND lead.submitted_at <= $2 AND lead.restrictions = 0 \
         ORDER BY lead.id LIMIT $3"
    );
    GRACE_OVER = concat!(
        "SELECT ", candidate_columns!(), " FROM lead \
         WHERE lead.closed_at <= $1 AND lead.closed_outcome = $2 AND lead.restrictions = 0 \
         ORDER BY lead.closed_at, lead.id LIMIT $3"
    );
    // Each lead once: -1 kept by a restriction, the outcome if its grace is over, 0 too old.
    PREVIEW = "SELECT overdue, COUNT(*), MIN(submitted_at) FROM ( \
                   SELECT submitted_at, CASE WHEN restrictions <> 0 THEN -1 \
                       WHEN (closed_outcome = 1 AND closed_at <= $3) \
                         OR (closed_outcome = 2 AND closed_at <= $4) \
                         OR (closed_outcome = 3 AND closed_at <= $5) THEN closed_outcome \
                       ELSE 0 END AS overdue \
                   FROM lead WHERE (id < $1 AND submitted_at <= $2) \
                       OR (closed_outcome = 1 AND closed_at <= $3) \
                       OR (closed_outcome = 2 AND closed_at <= $4) \
                       OR (closed_outcome = 3 AND closed_at <= $5)) AS ended \
               GROUP BY overdue";
}

/// Why a caller thinks that it may run a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It has just started and waited for nothing.
    Start,
    /// It knew this number of rounds a full wait ago.
    After(i64),
}

/// What a caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The number of rounds so far, this one included.
    pub run: i64,
    /// What it may do.
    pub claimed: Claimed,
}

/// What came of claiming a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is this caller's round, if the clock is trusted.
    Round(ClockJudgement),
    /// Another caller had a round meanwhile, or it is too early.
    NotDue,
}

/// A way in which a lead's time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// It reached the longest time that a lead may stay.
    Age,
    /// It was closed in this way, and the grace is over.
    Closed(CloseOutcome),
}

impl Overdue {
    /// Every way.
    pub const ALL: [Self; 4] = [
        Self::Closed(CloseOutcome::Answered),
        Self::Closed(CloseOutcome::NotRelevant),
        Self::Closed(CloseOutcome::Converted),
        Self::Age,
    ];
}

/// What a batch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Leads erased.
    pub erased: u64,
    /// Whether more may be left to erase.
    pub has_more: bool,
}

/// What a round would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Leads that are too old.
    pub too_old: i64,
    /// Leads whose grace is over, in the order of [`CloseOutcome::ALL`].
    pub grace_over: [i64; 3],
    /// Leads that a restriction keeps though their time is over (Art. 18).
    pub kept_restricted: i64,
    /// When the oldest lead of those to erase was submitted.
    pub oldest: Option<Timestamp>,
    /// When a round last came to its end.
    pub swept_at: Option<Timestamp>,
    /// What a round would make of the clock.
    pub clock: ClockJudgement,
}

/// The one row.
struct State {
    run: i64,
    clock: ClockMemory,
    swept_at: Option<Timestamp>,
}

#[async_trait]
impl<DB: Dialect> RetentionStore for SqlStore<DB> {
    async fn claim_sweep(&self, turn: Turn, now: Timestamp) -> Result<Claim> {
        let claim = || self.sql.claim_sweep(turn, now);
        self.sql.on_ballast(|| retrying(claim)).await
    }

    async fn sweep_batch(
        &self,
        overdue: Overdue,
        policy: &RetentionPolicy,
        now: Timestamp,
    ) -> Result<Batch> {
        let sweep = || self.sql.sweep_batch(overdue, policy, now);
        self.sql.on_ballast(|| retrying(sweep)).await
    }

    async fn finish_sweep(&self, run: i64, now: Timestamp) -> Result<()> {
        let finish = || self.sql.finish_sweep(run, now);
        self.sql.on_ballast(finish).await
    }

    async fn preview_sweep(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<Preview> {
        self.sql.preview_sweep(policy, now).await
    }
}

impl<DB: Dialect> Sql<DB> {
    async fn claim_sweep(&self, turn: Turn, now: Timestamp) -> Result<Claim> {
        let mut tx = self.begin().await?;
        let row = tx.fetch_optional(STATE, Vec::new()).await?;
        let State { run, clock, .. } = state(row.as_ref())?;
        let is_due = match turn {
            Turn::Start => clock.allows_at_once(now),
            Turn::After(known) => known == run,
        };
        let not_due = |run| Claim {
            run,
            claimed: Claimed::NotDue,
        };
        if !is_due {
            return Ok(not_due(run));
        }
        let judgement = clock.judge(now);
        let is_doubted = judgement != ClockJudgement::Trusted;
        let row = values![run, now.as_microsecond(), is_doubted];
        let is_ours = tx.execute(CLAIM, row).await? == 1;
        tx.commit().await?;
        Ok(if is_ours {
            Claim {
                run: run + 1,
                claimed: Claimed::Round(judgement),
            }
        } else {
            // Another replica raised it since it was read.
            not_due(run + 1)
        })
    }

    async fn finish_sweep(&self, run: i64, now: Timestamp) -> Result<()> {
        let mut tx = self.begin().await?;
        // A later round may have begun meanwhile: then its end is the one to tell.
        tx.execute(FINISH, values![run, now.as_microsecond()])
            .await?;
        tx.commit().await
    }

    async fn sweep_batch(
        &self,
        overdue: Overdue,
        policy: &RetentionPolicy,
        now: Timestamp,
    ) -> Result<Batch> {
        let by = horizon(now);
        let mut tx = self.begin().await?;
        let (sql, values) = overdue.find(policy, by);
        let rows = tx.fetch(sql, values).await?;
        let (mut places, mut entries) = (Vec::new(), Vec::new());
        for row in &rows {
            let candidate: Candidate = candidate_at(row)?;
            let facts = &candidate.lead.facts;
            let transition = facts.apply(Act::Expire, by, policy)?;
            if transition.after.is_none() {
                places.extend(values![facts.id.uuid(), facts.revision]);
                // Nobody asked: the service itself is client 0.
                entries.extend(new_entries(0, &candidate, &transition));
            }
        }
        if entries.is_empty() {
            return Ok(Batch {
                erased: 0,
                has_more: false,
            });
        }
        let erased = tx.execute_bulk(&DELETE_LEADS, places).await?;
        if u64::try_from(entries.len()) != Ok(erased) {
            return Err(StoreError::Contended);
        }
        let entries = tx.append(&entries, now).await?;
        self.residue.left();
        tx.commit().await?;
        self.signal.moved(&entries);
        Ok(Batch {
            erased,
            has_more: i64::try_from(rows.len()).is_ok_and(|found| found == BATCH),
        })
    }

    async fn preview_sweep(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<Preview> {
        let by = horizon(now);
        let (_, mut values) = Overdue::Age.find(policy, by);
        // The limit is not the preview's.
        values.pop();
        for outcome in CloseOutcome::ALL {
            let bound = policy.closed_before(outcome, by);
            values.extend(values![bound.as_microsecond()]);
        }
        let state = state(self.read(STATE, Vec::new()).await?.first())?;
        let mut preview = Preview {
            too_old: 0,
            grace_over: [0; 3],
            kept_restricted: 0,
            oldest: None,
            swept_at: state.swept_at,
            clock: state.clock.judge(now),
        };
        for row in self.read(PREVIEW, values).await? {
            let (overdue, leads) = (row.int(0)?, row.int(1)?);
            let outcomes = CloseOutcome::ALL.iter().zip(&mut preview.grace_over);
            match overdue {
                -1 => {
                    preview.kept_restricted = leads;
                    continue;
                }
                0 => preview.too_old = leads,
                _ => outcomes
                    .filter(|(outcome, _)| **outcome as i64 == overdue)
                    .for_each(|(_, count)| *count = leads),
            }
            let oldest = row.opt_int(2)?.map(from_micros);
            preview.oldest = preview.oldest.into_iter().chain(oldest).min();
        }
        Ok(preview)
    }
}

impl Overdue {
    /// The statement that finds a batch of such leads, which end by this time, and its values.
    fn find(self, policy: &RetentionPolicy, by: Timestamp) -> (&'static str, Vec<Value>) {
        match self {
            Self::Age => {
                let bound = policy.submitted_before(by);
                // The first identifier of the next millisecond.
                let next = bound
                    .checked_add(std::time::Duration::from_millis(1))
                    .unwrap_or(bound);
                let next = LeadId::new(next, [0; 10]);
                (TOO_OLD, values![next.uuid(), bound.as_microsecond(), BATCH])
            }
            Self::Closed(outcome) => {
                let bound = policy.closed_before(outcome, by);
                let row = values![bound.as_microsecond(), outcome as i64, BATCH];
                (GRACE_OVER, row)
            }
        }
    }
}

fn state<R: super::dialect::Columns>(row: Option<&R>) -> Result<State> {
    let row = row.ok_or(StoreError::Corrupt("the sweep has no row"))?;
    Ok(State {
        run: row.int(0)?,
        clock: ClockMemory {
            seen_at: row.opt_int(1)?.map(from_micros),
            is_doubted: row.bool(2)?,
        },
        swept_at: row.opt_int(3)?.map(from_micros),
    })
}
