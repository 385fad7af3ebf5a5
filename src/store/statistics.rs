//! Counts (Art. 5(2), 33(3)(a)): leads by state, basis and age; requests that are open, overdue, or were late.
//!
//! A statement counts the leads of one day by a range of the primary key, since their identifiers are in
//! order of time: so each stays far below its time limit with ten million leads in the table. (Measured on
//! PostgreSQL, cold: 3 s for 860,000 leads, so a whole month of them would not do.)

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Result, StoreError,
    account::Duties,
    dialect::{Columns as _, Dialect, values},
    sql::{Sql, statements},
};
use crate::{
    clock::{due_at, from_micros, months_before},
    domain::{
        lead::{CloseOutcome, LawfulBasis, LeadId, LeadState},
        retention::RetentionPolicy,
    },
};

statements! {
    OLDEST_LEAD = "SELECT id FROM lead ORDER BY id LIMIT 1";
    LEADS = "SELECT lawful_basis, restrictions <> 0, closed_at IS NOT NULL, COUNT(*) FROM lead \
             WHERE id >= $1 AND id < $2 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    // As `RetentionPolicy::erase_by` has it; by the index of the restricted leads, which are few.
    OVERDUE_RESTRICTED = "SELECT COUNT(*) FROM lead WHERE restrictions <> 0 \
                          AND (submitted_at <= $1 OR closed_outcome = 1 AND closed_at <= $2 \
                          OR closed_outcome = 2 AND closed_at <= $3 \
                          OR closed_outcome = 3 AND closed_at <= $4)";
    // From each lead that is restricted now to what a person asked for and does not have yet: an erasure
    // that awaits confirmation (of a lead that is not claimed by the controller meanwhile), or a reason that
    // the controller has to decide on and has not lifted since. The entry with the request's key is that
    // entry itself, or, where a request has an entry for each lead, the nearest with a key before it.
    OPEN_REQUESTS = "SELECT DISTINCT request.client_id, request.request_id, request.received_at \
        FROM lead CROSS JOIN ledger AS asked CROSS JOIN ledger AS keyed \
        CROSS JOIN rights_request AS request \
        WHERE lead.restrictions <> 0 AND asked.lead_id = lead.id \
        AND keyed.sequence = (SELECT before.sequence FROM ledger AS before \
            WHERE before.sequence <= asked.sequence AND before.request_id IS NOT NULL \
            ORDER BY before.sequence DESC LIMIT 1) \
        AND request.client_id = keyed.client_id AND request.request_id = keyed.request_id \
        AND asked.sequence <= keyed.sequence + request.leads \
        AND (asked.kind = 14 AND asked.detail = 3 AND (lead.restrictions & 32) = 0 \
            OR asked.kind = 4 AND (asked.detail = 1 AND (lead.restrictions & 2) <> 0 \
                OR asked.detail = 4 AND (lead.restrictions & 16) <> 0) \
            AND NOT EXISTS (SELECT 1 FROM ledger AS lifted WHERE lifted.lead_id = lead.id \
                AND lifted.kind IN (5, 21) AND lifted.detail = asked.detail \
                AND lifted.sequence > asked.sequence)) LIMIT $1";
    // Not what the controller asked for itself (lifting, a claim of its own): nobody waits for that.
    SURELY_LATE = "SELECT COUNT(*) FROM rights_request WHERE completed_at - received_at > $1 \
                   AND kind NOT IN (5, 21) AND NOT (kind = 4 AND detail = 5)";
    PERHAPS_LATE = "SELECT received_at, completed_at FROM rights_request \
                    WHERE completed_at - received_at > $1 AND completed_at - received_at <= $2 \
                    AND kind NOT IN (5, 21) AND NOT (kind = 4 AND detail = 5) LIMIT $3";
}

/// Ages that are told apart, in months: no lead that is not restricted is older.
const MONTHS_MAX: i32 = 36;
/// Requests looked at one by one; a controller with more of them open has other worries.
const REQUESTS_MAX: i64 = 10_000;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Counts, without personal data.
#[derive(Debug)]
pub struct Statistics {
    /// Leads held.
    pub leads: Vec<LeadCount>,
    /// Leads whose time is over and which a restriction keeps.
    pub overdue_restricted: i64,
    /// Requests that were answered after they were due.
    pub answered_late: i64,
    /// What is to be done.
    pub duties: Duties,
}

/// A number of leads of one kind.
#[derive(Clone, Copy, Debug)]
pub struct LeadCount {
    /// Their state.
    pub state: LeadState,
    /// Their basis.
    pub basis: LawfulBasis,
    /// Their age in whole months, at most 36.
    pub age_months: i32,
    /// How many.
    pub leads: i64,
}

/// Requests that are not settled, at most 10,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenRequests {
    /// How many there are.
    pub open: i64,
    /// How many of them are past their due date (Art. 12(3)).
    pub overdue: i64,
}

/// Leads of one age, by a range of their identifiers: from `start` on, below `end`.
struct Slice {
    age_months: i32,
    start: Uuid,
    end: Uuid,
}

/// All that there can be, from the newest on: each month in days, so that one statement counts few.
fn slices(now: Timestamp) -> Vec<Slice> {
    let mut slices = Vec::new();
    // Nothing is submitted in the future, but another replica's clock may be ahead of this one's.
    let mut end = Uuid::max();
    for age_months in 0..MONTHS_MAX {
        let last = months_before(now, age_months + 1);
        let mut time = months_before(now, age_months);
        while time > last {
            time = from_micros(time.as_microsecond() - DAY).max(last);
            let start = first_after(time);
            slices.push(Slice {
                age_months,
                start,
                end,
            });
            end = start;
        }
    }
    slices.push(Slice {
        age_months: MONTHS_MAX,
        start: Uuid::nil(),
        end,
    });
    slices
}

/// The least identifier of a lead that was submitted after a time, by the millisecond.
fn first_after(time: Timestamp) -> Uuid {
    let next = time.as_millisecond().saturating_add(1);
    let next = Timestamp::from_millisecond(next).unwrap_or(time);
    LeadId::new(next, [0; 10]).uuid()
}

impl<DB: Dialect> Sql<DB> {
    pub(super) async fn statistics(
        &self,
        duties: Duties,
        policy: &RetentionPolicy,
        now: Timestamp,
    ) -> Result<Statistics> {
        let over = |outcome| policy.closed_before(outcome, now).as_microsecond();
        let limits = values![
            policy.submitted_before(now).as_microsecond(),
            over(CloseOutcome::Answered),
            over(CloseOutcome::NotRelevant),
            over(CloseOutcome::Converted),
        ];
        let rows = self.read(OVERDUE_RESTRICTED, limits).await?;
        Ok(Statistics {
            leads: self.leads_by_age(now).await?,
            overdue_restricted: rows.first().map_or(Ok(0), |row| row.int(0))?,
            answered_late: self.answered_late().await?,
            duties,
        })
    }

    /// Slice by slice, from the newest lead to the oldest.
    async fn leads_by_age(&self, now: Timestamp) -> Result<Vec<LeadCount>> {
        let oldest = self.read(OLDEST_LEAD, Vec::new()).await?;
        let Some(oldest) = oldest.first() else {
            return Ok(Vec::new());
        };
        let oldest = oldest.uuid(0)?;
        let mut counts = BTreeMap::new();
        for slice in slices(now).into_iter().filter(|slice| slice.end > oldest) {
            for row in self.read(LEADS, values![slice.start, slice.end]).await? {
                let kind = (slice.age_months, row.int(0)?, row.bool(1)?, row.bool(2)?);
                *counts.entry(kind).or_default() += row.int(3)?;
            }
        }
        let counts = counts.into_iter();
        counts
            .map(|((age_months, basis, is_restricted, is_closed), leads)| {
                Ok(LeadCount {
                    state: LeadState::of(is_restricted, is_closed),
                    basis: LawfulBasis::from_number(basis)
                        .ok_or(StoreError::Corrupt("a lead without a lawful basis"))?,
                    age_months,
                    leads,
                })
            })
            .collect()
    }

    pub(super) async fn open_requests(&self, now: Timestamp) -> Result<OpenRequests> {
        let mut requests = OpenRequests::default();
        for row in self.read(OPEN_REQUESTS, values![REQUESTS_MAX]).await? {
            requests.open += 1;
            if due_at(from_micros(row.int(2)?)) < now {
                requests.overdue += 1;
            }
        }
        Ok(requests)
    }

    /// A month has 28 to 31 days: between the two the calendar decides, beyond it nothing has to.
    async fn answered_late(&self) -> Result<i64> {
        let (shortest, longest) = (28 * DAY, 31 * DAY);
        let rows = self.read(SURELY_LATE, values![longest]).await?;
        let mut late = rows.first().map_or(Ok(0), |row| row.int(0))?;
        let between = values![shortest, longest, REQUESTS_MAX];
        for row in self.read(PERHAPS_LATE, between).await? {
            if from_micros(row.int(1)?) > due_at(from_micros(row.int(0)?)) {
                late += 1;
            }
        }
        Ok(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slices cover every identifier once, however long the months before are.
    #[test]
    fn slices_meet_without_a_gap() {
        for now in [
            "2026-11-23T12:00:00Z",
            "2028-03-31T00:00:00Z",
            "2027-03-01T23:59:59Z",
        ] {
            let slices = slices(now.parse().expect("a date in the table"));
            assert_eq!(slices.first().map(|slice| slice.end), Some(Uuid::max()));
            assert_eq!(slices.last().map(|slice| slice.start), Some(Uuid::nil()));
            assert!(slices.iter().all(|slice| slice.start < slice.end));
            assert!(slices.windows(2).all(|pair| pair[0].start == pair[1].end));
            assert!(slices.len() < 1200, "{}", slices.len());
        }
    }
}
