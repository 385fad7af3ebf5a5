-- The blind indexes beside the leads instead of on them: a submission writes no entry, its lead is put in later, many
-- at a time (docs/decisions/0021). All up to this number of the ledger are in; the view looks through the others.
CREATE TABLE blind_index_head (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL
) STRICT;

INSERT INTO blind_index_head (id, sequence)
SELECT 1, COALESCE(MAX(sequence), 0) FROM ledger;

-- A value, and the number of the lead's submission: it is shorter than the lead's identifier.
CREATE TABLE blind_index (
    value BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (value, sequence)
) STRICT, WITHOUT ROWID;

INSERT INTO blind_index (value, sequence)
SELECT lead.email_index, ledger.sequence
FROM lead JOIN ledger ON ledger.lead_id = lead.id AND ledger.kind = 1
WHERE lead.email_index IS NOT NULL
UNION ALL
SELECT lead.phone_index, ledger.sequence
FROM lead JOIN ledger ON ledger.lead_id = lead.id AND ledger.kind = 1
WHERE lead.phone_index IS NOT NULL
ORDER BY 1;

DROP INDEX lead_email;
DROP INDEX lead_phone;

-- Whatever deletes a lead, or gives it other values, takes its entries along: no statement can forget them.
CREATE TRIGGER lead_deleted AFTER DELETE ON lead
BEGIN
    DELETE FROM blind_index
    WHERE value IN (OLD.email_index, OLD.phone_index)
    AND sequence = (SELECT sequence FROM ledger WHERE lead_id = OLD.id AND kind = 1);
END;

CREATE TRIGGER lead_reindexed AFTER UPDATE OF email_index, phone_index ON lead
WHEN OLD.email_index IS NOT NEW.email_index OR OLD.phone_index IS NOT NEW.phone_index
BEGIN
    DELETE FROM blind_index
    WHERE value IN (OLD.email_index, OLD.phone_index)
    AND sequence = (SELECT sequence FROM ledger WHERE lead_id = OLD.id AND kind = 1);
    INSERT INTO blind_index (value, sequence)
    SELECT value, ledger.sequence
    FROM (SELECT NEW.email_index AS value UNION SELECT NEW.phone_index) AS entry
    JOIN ledger ON ledger.lead_id = NEW.id AND ledger.kind = 1
    JOIN blind_index_head ON ledger.sequence <= blind_index_head.sequence
    WHERE value IS NOT NULL;
END;

-- Who has a value: the same on both databases.
CREATE VIEW lead_by_value AS
SELECT blind_index.value, ledger.lead_id
FROM blind_index JOIN ledger ON ledger.sequence = blind_index.sequence
UNION ALL
SELECT lead.email_index, lead.id
FROM ledger JOIN lead ON lead.id = ledger.lead_id
WHERE ledger.sequence > (SELECT sequence FROM blind_index_head) AND ledger.kind = 1
UNION ALL
SELECT lead.phone_index, lead.id
FROM ledger JOIN lead ON lead.id = ledger.lead_id
WHERE ledger.sequence > (SELECT sequence FROM blind_index_head) AND ledger.kind = 1;
