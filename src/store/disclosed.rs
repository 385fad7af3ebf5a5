//! Who was given a person's leads, and when first (Art. 15(1)(c)).

use std::collections::HashMap;

use super::{
    Candidate, Disclosure, Result, StoreError,
    bulk::{Bulk, ColumnType::Uuid},
    dialect::{Columns as _, Dialect, Value},
    tx::Tx,
};
use crate::{clock::from_micros, domain::lead::LeadId};

/// By the feed: with the page that reached a lead's submission, or later if it was withheld from that. By role, so that a
/// client that was never given anything costs one look-up.
pub(super) static FIND_DELIVERED: Bulk = Bulk::new(
    "SELECT lead.id, client.name, CASE WHEN withheld.lead_id IS NOT NULL \
         THEN withheld.disclosed_at ELSE (SELECT delivery.delivered_at FROM delivery \
         WHERE delivery.client_id = client.id AND delivery.upto >= (SELECT MIN(ledger.sequence) \
             FROM ledger WHERE ledger.lead_id = lead.id AND ledger.kind = 1) \
         ORDER BY delivery.upto LIMIT 1) END \
     FROM lead JOIN client ON client.role = 2 \
     LEFT JOIN withheld ON withheld.client_id = client.id AND withheld.lead_id = lead.id \
     WHERE lead.id IN (",
    &[Uuid],
    ") ORDER BY client.id",
);

/// By `GetLead`.
pub(super) static FIND_READINGS: Bulk = Bulk::new(
    "SELECT ledger.lead_id, client.name, MIN(ledger.at) FROM ledger \
     JOIN client ON client.id = ledger.client_id \
     WHERE ledger.kind = 9 AND ledger.lead_id IN (",
    &[Uuid],
    ") GROUP BY ledger.lead_id, client.name ORDER BY client.name",
);

impl<DB: Dialect> Tx<'_, DB> {
    /// Who was given each of these leads. To be asked with the head locked: then no reading comes in between this answer and the
    /// entry that records it. A page of the feed may; so all leads are looked up in one statement, and stand as they
    /// were at one time.
    pub(super) async fn disclosures(
        &mut self,
        leads: &[Candidate],
    ) -> Result<Vec<Vec<Disclosure>>> {
        let ids = leads.iter().map(|candidate| candidate.lead.facts.id);
        let mut found: HashMap<LeadId, Vec<Disclosure>> =
            ids.clone().map(|id| (id, Vec::new())).collect();
        for bulk in [&FIND_DELIVERED, &FIND_READINGS] {
            let ids = ids.clone().map(|id| Value::from(id.uuid())).collect();
            for (sql, ids) in DB::bulk(bulk, ids) {
                for row in self.fetch(sql, ids).await? {
                    let Some(at) = row.opt_int(2)? else { continue };
                    let given = Disclosure {
                        client: row.text(1)?,
                        at: from_micros(at),
                    };
                    let of_lead = found.get_mut(&row.uuid(0)?.into());
                    add(of_lead.ok_or(NOT_ASKED_FOR)?, given);
                }
            }
        }
        Ok(ids
            .map(|id| found.remove(&id).unwrap_or_default())
            .collect())
    }
}

const NOT_ASKED_FOR: StoreError =
    StoreError::Corrupt("a disclosure of a lead that was not asked for");

/// Of what a client was given in both ways, the first counts.
fn add(disclosures: &mut Vec<Disclosure>, given: Disclosure) {
    let known = disclosures
        .iter_mut()
        .find(|known| known.client == given.client);
    match known {
        Some(known) => known.at = known.at.min(given.at),
        None => disclosures.push(given),
    }
}
