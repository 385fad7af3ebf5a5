-- SQLite's statistics (ANALYZE) keep whole rows of every index as samples, among them values of the blind
-- indexes, and keep them when the leads are erased. The service no longer makes any, and its clean-up drops
-- what somebody else makes.
DROP TABLE IF EXISTS sqlite_stat4;
DROP TABLE IF EXISTS sqlite_stat1;
