-- The planner looked through all leads for the few of the tail, once ANALYZE had seen a ledger much longer than its
-- leads are many: as every store's is that erases. SQLite takes the tables of a CROSS JOIN in the order they stand in;
-- and told that the tail is short, it makes no filter of all leads to go through it.
DROP VIEW lead_by_value;

CREATE VIEW lead_by_value AS
SELECT blind_index.value, ledger.lead_id
FROM blind_index JOIN ledger ON ledger.sequence = blind_index.sequence
UNION ALL
SELECT lead.email_index, lead.id
FROM ledger CROSS JOIN lead ON lead.id = ledger.lead_id
WHERE likelihood(ledger.sequence > (SELECT sequence FROM blind_index_head), 0.000001)
AND ledger.kind = 1
UNION ALL
SELECT lead.phone_index, lead.id
FROM ledger CROSS JOIN lead ON lead.id = ledger.lead_id
WHERE likelihood(ledger.sequence > (SELECT sequence FROM blind_index_head), 0.000001)
AND ledger.kind = 1;
