-- Hash indexes: half the work of others when a value falls anywhere (docs/decisions/0021), and they hold no values.
DROP INDEX lead_email;
DROP INDEX lead_phone;
CREATE INDEX lead_email ON lead USING hash (email_index) WHERE email_index IS NOT NULL;
CREATE INDEX lead_phone ON lead USING hash (phone_index) WHERE phone_index IS NOT NULL;

-- Who has a value: the same on both databases.
CREATE VIEW lead_by_value AS
SELECT email_index AS value, id AS lead_id FROM lead WHERE email_index IS NOT NULL
UNION ALL
SELECT phone_index, id FROM lead WHERE phone_index IS NOT NULL;
