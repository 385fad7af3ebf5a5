-- Rotation of keys (docs/decisions/0013). Of each key: the generation of the ring that brought it, when the
-- database first saw it, and when it was retired. A retired key stays as its commitment: its number is never
-- used again, and a ring that still seals with it is known.
ALTER TABLE key_commitment ADD COLUMN generation BIGINT NOT NULL DEFAULT 1;
ALTER TABLE key_commitment ADD COLUMN recorded_at BIGINT;
ALTER TABLE key_commitment ADD COLUMN retired_at BIGINT;

-- The newest ring that the database has seen, and the question whether every replica has one at least as new.
CREATE TABLE key_ring (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    generation BIGINT NOT NULL,
    primary_sealing BIGINT NOT NULL,
    primary_index BIGINT NOT NULL,
    asked BIGINT NOT NULL,
    objections BIGINT NOT NULL
);

INSERT INTO key_ring (id, generation, primary_sealing, primary_index, asked, objections)
VALUES (1, 0, 0, 0, 0, 0);

-- The oldest ring that may write what is sealed, or look anybody up. Here, because every entry locks this row.
ALTER TABLE ledger_head ADD COLUMN ring_min BIGINT NOT NULL DEFAULT 1;

-- The key of a lead's look-up values and of the keyed hash of its submission.
ALTER TABLE lead ADD COLUMN index_key_id BIGINT NOT NULL DEFAULT 1;
