//! Who was given a person's leads, and when first (Art. 15(1)(c)).

use std::collections::HashMap;

use super::{
    Candidate, Disclosure, Result,
    bulk::{Bulk, ColumnType::Uuid},
    dialect::{Columns as _, Dialect, Value},
    sql::submission,
    tx::Tx,
};
use crate::{clock::from_micros, domain::lead::LeadId};

/// For each of these leads and each CRM client: when the feed gave it, with the page that reached its submission, or later if
/// it was withheld from that; and when it was first read by its identifier. The ledger is looked up in for each: PostgreSQL
/// without statistics would plan a join as a walk through all of it.
pub(super) static FIND_DISCLOSURES: Bulk = Bulk::new(
    concat!(
        "SELECT lead.id, client.name, \
         CASE WHEN withheld.lead_id IS NOT NULL THEN withheld.disclosed_at \
         ELSE (SELECT delivery.delivered_at FROM delivery \
             WHERE delivery.client_id = client.id AND delivery.upto >= ",
        submission!(),
        " ORDER BY delivery.upto LIMIT 1) END, \
         (SELECT MIN(reading.at) FROM ledger AS reading WHERE reading.lead_id = lead.id \
             AND reading.kind = 9 AND reading.client_id = client.id) \
         FROM lead JOIN client ON client.role = 2 \
         LEFT JOIN withheld ON withheld.client_id = client.id AND withheld.lead_id = lead.id \
         WHERE lead.id IN ("
    ),
    &[Uuid],
    ") ORDER BY client.id",
);

impl<DB: Dialect> Tx<'_, DB> {
    /// Who was given each of these leads. To be asked with the head locked: then nobody reads one by its identifier in between this
    /// answer and the entry that records it. The feed may give one; so one statement looks all of them up, and they stand
    /// as they were at one time.
    pub(super) async fn disclosures(
        &mut self,
        leads: &[Candidate],
    ) -> Result<Vec<Vec<Disclosure>>> {
        let ids = leads.iter().map(|candidate| candidate.lead.facts.id);
        let mut found: HashMap<LeadId, Vec<Disclosure>> = HashMap::new();
        let values = ids.clone().map(|id| Value::from(id.uuid())).collect();
        for (sql, values) in DB::bulk(&FIND_DISCLOSURES, values) {
            for row in self.fetch(sql, values).await? {
                let times = [row.opt_int(2)?, row.opt_int(3)?];
                let Some(first) = times.into_iter().flatten().min() else {
                    continue;
                };
                let of_lead = found.entry(row.uuid(0)?.into()).or_default();
                of_lead.push(Disclosure {
                    client: row.text(1)?,
                    at: from_micros(first),
                });
            }
        }
        Ok(ids
            .map(|id| found.remove(&id).unwrap_or_default())
            .collect())
    }
}
