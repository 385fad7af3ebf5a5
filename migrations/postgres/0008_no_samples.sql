-- PostgreSQL's statistics (ANALYZE, which autovacuum runs) keep a hundred values of each column as samples, and
-- keep them when the leads are erased. No samples of what is sealed or hashed; setting the type that the columns
-- have drops those that are there, and rewrites nothing.
ALTER TABLE lead
    ALTER COLUMN sealed SET STATISTICS 0,
    ALTER COLUMN email_index SET STATISTICS 0,
    ALTER COLUMN phone_index SET STATISTICS 0,
    ALTER COLUMN content_mac SET STATISTICS 0,
    ALTER COLUMN sealed TYPE bytea,
    ALTER COLUMN email_index TYPE bytea,
    ALTER COLUMN phone_index TYPE bytea,
    ALTER COLUMN content_mac TYPE bytea;

-- One erased lead is reason enough for a vacuum, and for one that takes its entries out of the indexes: left to
-- itself, PostgreSQL waits for a fifth of the table, and leaves the indexes be for less than a fiftieth of its pages.
ALTER TABLE lead SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1,
    vacuum_index_cleanup = on
);
