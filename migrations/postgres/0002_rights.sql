-- How an enquiry ended, beside when: it decides how long the lead stays and what its tombstone says.
ALTER TABLE lead ADD COLUMN closed_outcome BIGINT;

-- The few leads that are closed or restricted, for the sweep and for counting them.
CREATE INDEX lead_closed ON lead (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX lead_restricted ON lead (id) WHERE restrictions <> 0;
