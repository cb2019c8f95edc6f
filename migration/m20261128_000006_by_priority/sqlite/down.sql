CREATE INDEX tasks_undated ON tasks (user_id, completed, id) WHERE due_date IS NULL;
CREATE INDEX tasks_dated ON tasks (user_id, completed, id) WHERE due_date IS NOT NULL;
DROP INDEX tasks_by_priority;
DROP INDEX tasks_prioritized_undated;
DROP INDEX tasks_prioritized;
DROP INDEX tasks_dated_only;
DROP INDEX tasks_plain;
DROP TABLE sqlite_stat1;
-- Some builds of SQLite create it, too.
DROP TABLE IF EXISTS sqlite_stat4;
