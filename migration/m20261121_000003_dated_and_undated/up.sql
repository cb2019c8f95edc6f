-- A task is in the indexes of the dated or in that of the undated: most have no due date, and are in one index less.
-- Databases of the days before have other indexes under these names, or lack one.
DROP INDEX IF EXISTS tasks_by_status;
DROP INDEX IF EXISTS tasks_by_title;
DROP INDEX IF EXISTS tasks_by_due_date;
CREATE INDEX tasks_undated ON tasks (user_id, completed, id) WHERE due_date IS NULL;
CREATE INDEX tasks_dated ON tasks (user_id, completed, id) WHERE due_date IS NOT NULL;
CREATE INDEX tasks_by_title ON tasks (user_id, completed, title_key, id);
CREATE INDEX tasks_by_due_date ON tasks (user_id, completed, due_date, id) WHERE due_date IS NOT NULL;
