-- SQLite's ANALYZE keeps whole rows of every index as samples, among them values of the blind indexes, and keeps
-- them when the leads are erased. The service makes none; its clean-up drops what somebody else makes.
DROP TABLE IF EXISTS sqlite_stat4;
