-- Nothing: PostgreSQL has no tail, its indexes are on the leads themselves.
SELECT 1;
