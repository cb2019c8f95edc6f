-- Times are whole microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Clustered by owner and id: ids grow with time, so the newest page of a user is one stretch of the table.
CREATE TABLE tasks (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id BLOB NOT NULL CHECK (length(id) = 16),
    title TEXT NOT NULL,
    title_key TEXT NOT NULL,
    description TEXT,
    completed INTEGER NOT NULL CHECK (completed IN (0, 1)),
    due_date INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX tasks_id ON tasks (id);
CREATE INDEX tasks_by_status ON tasks (user_id, completed, id);
CREATE INDEX tasks_by_title ON tasks (user_id, completed, title_key, id);
CREATE INDEX tasks_by_due_date ON tasks (user_id, completed, due_date, id);
