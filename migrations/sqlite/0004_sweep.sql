-- How far the sweep's rounds have come, and what they saw of the clock: one row for all replicas.
CREATE TABLE sweep (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    run INTEGER NOT NULL,
    seen_at INTEGER,
    is_doubted INTEGER NOT NULL,
    swept_at INTEGER
) STRICT;

INSERT INTO sweep (id, run, is_doubted) VALUES (1, 0, FALSE);
