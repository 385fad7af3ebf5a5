//! What a restore leaves to be told: itself, what is lost, and to everybody that they must start again.

use super::{
    ADD_CONSUMERS, ADD_DELIVERIES, DISCLOSE, DISCLOSE_READABLE, DISCLOSE_RELEASED, IS_LOST, LOST,
    NEXT_EPOCH, Restoration, Result, START_AGAIN, StoreError,
};
use crate::{
    domain::{
        erasure::ErasureCause,
        lead::{LeadId, RestrictionReason},
        lifecycle::{Act, Event, Transition},
        retention::RetentionPolicy,
    },
    ledger::{
        Entry, EntryKind, NewEntry,
        mirror::{Line, Lines},
    },
    store::{
        Candidate,
        act::new_entries,
        dialect::{Columns as _, Dialect, values},
    },
};

/// Lost leads that are told at once.
const PAGE: i64 = 500;
/// The service itself.
const NOBODY: i64 = 0;

impl<DB: Dialect> Restoration<DB> {
    /// Tells everything, in the order in which it must stand. `displaced`: what the mirror has after an entry from where on the
    /// database has other ones.
    pub(super) async fn tell_all(
        &mut self,
        displaced: Option<Lines>,
        agreed: i64,
        again: &[Line],
    ) -> Result<()> {
        self.tell().await?;
        self.tell_lost().await?;
        if let Some(lines) = displaced {
            self.tell_displaced(lines, agreed).await?;
        }
        self.apply_again(again).await?;
        self.contest().await?;
        self.start_again().await
    }

    /// Records the restore: the first entry that is not from before it.
    async fn tell(&mut self) -> Result<()> {
        let restored = NewEntry::new(EntryKind::Restored, NOBODY).detail(self.done.from);
        self.tx.append(&[restored], self.now).await.map(|_| ())
    }

    /// Writes a tombstone for each lead whose data is lost. What happened to it since the backup cannot be had
    /// back, nor can the person's rights be answered for it: whoever has a copy must let go of it.
    async fn tell_lost(&mut self) -> Result<()> {
        let mut after = self.done.from;
        loop {
            let range = values![after, self.head.sequence, PAGE];
            let rows = self.tx.fetch(LOST, range).await?;
            let mut entries = Vec::with_capacity(rows.len());
            for row in &rows {
                after = row.int(1)?;
                let lost = Event::Erased(ErasureCause::Lost);
                let id = LeadId::from(row.uuid(0)?);
                entries.push(NewEntry::of(lost, NOBODY, id, after));
            }
            if entries.is_empty() {
                return Ok(());
            }
            self.tx.append(&entries, self.now).await?;
            self.done.lost += i64::try_from(entries.len()).unwrap_or(0);
        }
    }

    /// The same for leads of which only the mirror knows after an entry, from where on the database has other ones.
    async fn tell_displaced(&mut self, lines: Lines, agreed: i64) -> Result<()> {
        let lost = Event::Erased(ErasureCause::Lost);
        for line in lines {
            let new = line?.entry.new;
            let (EntryKind::Submitted, Some(id)) = (new.kind, new.lead_id) else {
                continue;
            };
            if self.tx.fetch(IS_LOST, values![id.uuid()]).await?.is_empty() {
                continue;
            }
            // Whoever was given it was given it after that entry.
            let told = NewEntry::of(lost, NOBODY, id, agreed + 1);
            self.tx.append(&[told], self.now).await?;
            self.done.lost += 1;
        }
        Ok(())
    }

    /// Counts as given what was withheld and could be read when the backup was taken. Before anything is put back.
    pub(super) async fn note_readable(&mut self) -> Result<()> {
        let now = values![self.now.as_microsecond()];
        self.tx.execute(DISCLOSE_READABLE, now).await.map(|_| ())
    }

    /// Does acts again whose numbers are taken by now: what still ends or limits something.
    async fn apply_again(&mut self, lines: &[Line]) -> Result<()> {
        for Line { entry, .. } in lines {
            let (Some(id), Some(event)) = (entry.new.lead_id, entry.new.event()) else {
                continue;
            };
            if let Event::Released(_) = event {
                let lead = values![self.now.as_microsecond(), id.uuid()];
                self.tx.execute(DISCLOSE, lead).await?;
            }
            let Some(candidate) = self.tx.lead(id).await? else {
                continue;
            };
            if let Event::Rectified(_) = event {
                self.contested.insert(id);
            } else if let Some(transition) = again(&candidate, event, entry)? {
                self.record(&candidate, transition).await?;
            }
        }
        Ok(())
    }

    /// Restricts each lead whose correction is lost: what it says is known to be wrong (Art. 18(1)(a)).
    async fn contest(&mut self) -> Result<()> {
        for id in std::mem::take(&mut self.contested) {
            let Some(candidate) = self.tx.lead(id).await? else {
                continue;
            };
            let contested = RestrictionReason::AccuracyContested;
            let facts = &candidate.lead.facts;
            if !facts.restrictions.contains(contested) {
                let act = Act::Restrict(contested);
                let transition = facts.apply(act, self.now, &RetentionPolicy::default())?;
                self.record(&candidate, transition).await?;
            }
            self.done.contested += 1;
        }
        Ok(())
    }

    /// Makes every cursor expire, and counts everything as given that may have been given since the backup.
    async fn start_again(&mut self) -> Result<()> {
        self.tx.execute(NEXT_EPOCH, values![self.done.from]).await?;
        self.tx.execute(ADD_CONSUMERS, Vec::new()).await?;
        let (upto, snapshot) = (self.head.sequence, self.done.from);
        let row = values![upto, snapshot, self.now.as_microsecond()];
        self.tx.execute(ADD_DELIVERIES, row).await?;
        let row = values![self.now.as_microsecond(), self.done.from];
        self.tx.execute(DISCLOSE_RELEASED, row).await?;
        self.tx.execute(START_AGAIN, values![upto]).await?;
        Ok(())
    }

    async fn record(&mut self, candidate: &Candidate, transition: Transition) -> Result<()> {
        self.tx.write(&candidate.lead.facts, &transition).await?;
        self.done.erased += u64::from(transition.after.is_none());
        let entries = new_entries(NOBODY, candidate, &transition);
        self.tx.append(&entries, self.now).await.map(|_| ())
    }
}

/// What an act that is lost makes of the lead now; `None`: it has that already, or it would set something free.
fn again(candidate: &Candidate, event: Event, entry: &Entry) -> Result<Option<Transition>> {
    let facts = &candidate.lead.facts;
    let policy = RetentionPolicy::default();
    let at = crate::clock::from_micros(entry.at);
    Ok(match event {
        Event::Erased(_) | Event::HandedOver(_) => Some(Transition {
            after: None,
            events: vec![event],
        }),
        Event::Restricted(reason) if !facts.restrictions.contains(reason) => {
            Some(facts.apply(Act::Restrict(reason), at, &policy)?)
        }
        Event::ConsentWithdrawn if facts.consent => {
            Some(facts.apply(Act::WithdrawConsent, at, &policy)?)
        }
        Event::Objected => Some(facts.apply(Act::ObjectToMarketing, at, &policy)?),
        Event::Closed(_) if facts.closing.is_none() => Some(Transition {
            after: Some(facts.replay(event, at).ok_or(NO_LEAD)?),
            events: vec![event],
        }),
        Event::Restricted(_)
        | Event::ConsentWithdrawn
        | Event::Closed(_)
        | Event::Rectified(_)
        | Event::Released(_)
        | Event::ReasonLifted(_) => None,
    })
}

const NO_LEAD: StoreError = StoreError::Corrupt("a closing that leaves no lead");
