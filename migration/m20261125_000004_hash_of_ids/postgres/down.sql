DROP INDEX tasks_id;
CREATE UNIQUE INDEX tasks_id ON tasks (id);
