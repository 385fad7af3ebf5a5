//! Objections of a person (Art. 21): one act on each of their leads, in one transaction.

use super::{
    Objection, Result, Selection, StoreError, SubjectLookup, act::new_entries, dialect::Dialect,
    sql::Sql,
};
use crate::{
    domain::{retention::RetentionPolicy, subject::ObjectionKind},
    ledger::{EntryKind, NewEntry},
};

impl<DB: Dialect> Sql<DB> {
    pub(super) async fn object(
        &self,
        subject: &SubjectLookup<'_>,
        kind: ObjectionKind,
    ) -> Result<Objection> {
        let client_id = subject.call.client_id;
        let mut tx = self.begin().await?;
        let asked = EntryKind::ObjectionRequested;
        // As in an erasure: before the key is looked up.
        let selection = tx.select(subject).await;
        if let Some(first) = tx.first_answer(subject, asked).await? {
            if first.detail != kind as i64 {
                return Err(StoreError::RequestIdReused);
            }
            let looked = NewEntry::new(EntryKind::SubjectFound, client_id);
            self.record(tx, &[looked], subject.call.now).await?;
            return Ok(Objection {
                leads: first.leads().collect(),
                unconfirmed: first.unconfirmed,
                received_at: first.received_at,
            });
        }
        let Selection { leads, unconfirmed } = selection?;
        let request = NewEntry::new(asked, client_id);
        let mut entries = vec![request.request(subject.call.request_id).detail(kind as i64)];
        for candidate in &leads {
            let facts = &candidate.lead.facts;
            // Neither act looks at the policy.
            let done = facts.apply(kind.act(), subject.call.now, &RetentionPolicy::default())?;
            tx.write(facts, &done).await?;
            entries.extend(new_entries(client_id, candidate, &done));
        }
        tx.add_request(&subject.call, &entries).await?;
        self.record(tx, &entries, subject.call.now).await?;
        Ok(Objection {
            leads: leads.iter().map(|it| it.lead.facts.id).collect(),
            unconfirmed,
            received_at: subject.call.received_at,
        })
    }
}
