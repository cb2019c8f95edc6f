-- Text that is sorted or compared is COLLATE "C": the order of its bytes, the same on every server.

CREATE TABLE users (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    created_at timestamptz NOT NULL
);

-- The owner leads every key: a query reads one user's stretch of an index, and a sharded database can place by it.
CREATE TABLE tasks (
    user_id text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    title text NOT NULL,
    title_key text COLLATE "C" NOT NULL,
    description text,
    completed boolean NOT NULL,
    due_date timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, id)
);

CREATE UNIQUE INDEX tasks_id ON tasks (id);
CREATE INDEX tasks_by_status ON tasks (user_id, completed, id);
CREATE INDEX tasks_by_title ON tasks (user_id, completed, title_key, id);
CREATE INDEX tasks_by_due_date ON tasks (user_id, completed, due_date, id);
