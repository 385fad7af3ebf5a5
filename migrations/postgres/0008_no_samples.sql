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
