-- Whether the ledger was ever mirrored: from then on a start without the mirror is refused.
ALTER TABLE store ADD COLUMN has_mirror INTEGER NOT NULL DEFAULT FALSE;
