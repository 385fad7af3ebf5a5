-- How far a client had dealt with the feed, each time it went past a tombstone: the first row at or after a
-- tombstone says when the client acknowledged it (Art. 19).
CREATE TABLE acknowledgement (
    client_id BIGINT NOT NULL REFERENCES client (id),
    upto BIGINT NOT NULL,
    acknowledged_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, upto)
);

-- What was acknowledged before this table was, with the last time known: never earlier than it was.
INSERT INTO acknowledgement (client_id, upto, acknowledged_at)
SELECT client_id, acknowledged, acknowledged_at FROM consumer
WHERE acknowledged > 0 AND acknowledged_at IS NOT NULL;

-- The tombstones alone, for what a client that is far behind has still to acknowledge.
CREATE INDEX ledger_tombstone ON ledger (sequence) WHERE kind IN (7, 8);
