-- A list by priority needs the tasks without one in the order of creation. Tasks with neither a due date nor a priority,
-- which are most, stay in one index besides that of titles.
CREATE INDEX tasks_plain ON tasks (user_id, completed, id) WHERE due_date IS NULL AND priority = 0;
CREATE INDEX tasks_dated_only ON tasks (user_id, completed, id) WHERE due_date IS NOT NULL AND priority = 0;
CREATE INDEX tasks_prioritized ON tasks (user_id, completed, id) WHERE priority <> 0;
CREATE INDEX tasks_prioritized_undated ON tasks (user_id, completed, id) WHERE due_date IS NULL AND priority <> 0;
CREATE INDEX tasks_by_priority ON tasks (user_id, completed, priority, id) WHERE priority <> 0;
-- Last: from here on, reads wait as well.
DROP INDEX tasks_undated;
DROP INDEX tasks_dated;
