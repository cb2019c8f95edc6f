-- A list by priority needs the tasks without one in the order of creation. Tasks with neither a due date nor a priority,
-- which are most, stay in one index besides that of titles.
CREATE INDEX tasks_plain ON tasks (user_id, completed, id) WHERE due_date IS NULL AND priority = 0;
CREATE INDEX tasks_dated_only ON tasks (user_id, completed, id) WHERE due_date IS NOT NULL AND priority = 0;
CREATE INDEX tasks_prioritized ON tasks (user_id, completed, id) WHERE priority <> 0;
CREATE INDEX tasks_prioritized_undated ON tasks (user_id, completed, id) WHERE due_date IS NULL AND priority <> 0;
CREATE INDEX tasks_by_priority ON tasks (user_id, completed, priority, id) WHERE priority <> 0;
DROP INDEX tasks_undated;
DROP INDEX tasks_dated;

-- Without statistics, SQLite guesses that a user has ten tasks, and rather reads all of them than an index. These figures
-- say that a user may have many, and few of one status.
PRAGMA analysis_limit = 1;
ANALYZE tasks;
PRAGMA analysis_limit = 0;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('tasks', 'tasks', '1000000 10000 1'),
    ('tasks', 'tasks_id', '1000000 1'),
    ('tasks', 'tasks_by_title', '1000000 10000 1000 10 1'),
    ('tasks', 'tasks_by_due_date', '1000000 10000 1000 10 1'),
    ('tasks', 'tasks_plain', '1000000 10000 1000 1'),
    ('tasks', 'tasks_dated_only', '1000000 10000 1000 1'),
    ('tasks', 'tasks_prioritized', '1000000 10000 1000 1'),
    ('tasks', 'tasks_prioritized_undated', '1000000 10000 1000 1'),
    ('tasks', 'tasks_by_priority', '1000000 10000 1000 300 1');
ANALYZE sqlite_schema;
