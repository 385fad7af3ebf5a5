-- How far the sweep's rounds have come, and what they saw of the clock: one row for all replicas.
CREATE TABLE sweep (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    run BIGINT NOT NULL,
    seen_at BIGINT,
    is_doubted BOOLEAN NOT NULL,
    swept_at BIGINT
);

INSERT INTO sweep (id, run, is_doubted) VALUES (1, 0, FALSE);
