-- A toggle, the most frequent change, then moves no entry of any index; and only the dated are in the order of due dates.
DROP INDEX tasks_by_status;
DROP INDEX tasks_by_title;
DROP INDEX tasks_by_due_date;
CREATE INDEX tasks_by_title ON tasks (user_id, title_key, id);
CREATE INDEX tasks_by_due_date ON tasks (user_id, due_date, id) WHERE due_date IS NOT NULL;
