DROP INDEX tasks_undated;
DROP INDEX tasks_dated;
DROP INDEX tasks_by_due_date;
CREATE INDEX tasks_by_status ON tasks (user_id, completed, id);
CREATE INDEX tasks_by_due_date ON tasks (user_id, completed, due_date, id);
