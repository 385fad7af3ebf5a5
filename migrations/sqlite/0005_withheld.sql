-- Who was passed a lead that was restricted at the time, and so was told nothing of it; and when it was
-- given the lead after all.
CREATE TABLE withheld (
    client_id INTEGER NOT NULL REFERENCES client (id),
    lead_id BLOB NOT NULL,
    withheld_at INTEGER NOT NULL,
    disclosed_at INTEGER,
    PRIMARY KEY (client_id, lead_id)
) STRICT, WITHOUT ROWID;
