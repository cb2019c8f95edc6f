BEGIN TRANSACTION;
CREATE TABLE idempotency_keys (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    answer TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "idempotency_keys" VALUES('alice','all','lcqqX2yomi20mDfPKOUHLdoA3M6bYdCOrtGjy6F4L70','{"id":"01a221aa-7260-7df7-81fd-19a70c261e2b","title":"Ça va? 🎉","description":"\n“Two” litres,\t''the blue one''","completed":true,"due_date":"2026-12-01T08:00:00.123456Z","user_id":"alice","created_at":"2026-11-28T10:19:08.256873Z","updated_at":"2026-11-28T10:19:08.256873Z"}',1795861148256873);
INSERT INTO "idempotency_keys" VALUES('alice','gone','vbJL1aD+Ib7vORhjepeZp1GBVeO3+poVRI9eR77VmTg','{"id":"01a221aa-7267-7041-be06-2eb25afac0ec","title":"Deleted since","description":null,"completed":false,"due_date":null,"user_id":"alice","created_at":"2026-11-28T10:19:08.263016Z","updated_at":"2026-11-28T10:19:08.263016Z"}',1795861148263016);
INSERT INTO "idempotency_keys" VALUES('alice','nulls','2EN91ppABqV+EacgjQhqDFsAhRaERbpBDBUYSqeeEss','{"id":"01a221aa-725d-7e08-89f0-5fc0eb77bbf2","title":"Call Ann","description":null,"completed":false,"due_date":null,"user_id":"alice","created_at":"2026-11-28T10:19:08.253877Z","updated_at":"2026-11-28T10:19:08.253877Z"}',1795861148253877);
INSERT INTO "idempotency_keys" VALUES('alice','some','fBjKgiZgsYQWTUCsOAck2VDzyraMMwLkzF/I/nzkXd0','{"id":"01a221aa-7263-7d70-a5dc-3b991808d3ae","title":"Later","description":null,"completed":false,"due_date":"2026-12-02T00:00:00Z","user_id":"alice","created_at":"2026-11-28T10:19:08.259840Z","updated_at":"2026-11-28T10:19:08.259840Z"}',1795861148259840);
INSERT INTO "idempotency_keys" VALUES('alice','title','b02PfO4PvmJE93acUDuZBmeA4cYZXpwrDkRQndE/+II','{"id":"01a221aa-7256-78b0-b389-f35922906ecb","title":"Buy milk","description":null,"completed":false,"due_date":null,"user_id":"alice","created_at":"2026-11-28T10:19:08.246543Z","updated_at":"2026-11-28T10:19:08.246543Z"}',1795861148246543);
INSERT INTO "idempotency_keys" VALUES('bob','title','FSWGjz3Lt+8LakTV0o6cVY4eQM1uA5WOF3epP+6P2Y0','{"id":"01a221aa-7269-7b68-ac29-45cea5063b56","title":"Bob''s own","description":null,"completed":false,"due_date":null,"user_id":"bob","created_at":"2026-11-28T10:19:08.265713Z","updated_at":"2026-11-28T10:19:08.265713Z"}',1795861148265713);
CREATE TABLE "seaql_migrations" ( "version" varchar NOT NULL PRIMARY KEY, "applied_at" integer NOT NULL );
INSERT INTO "seaql_migrations" VALUES('m20261121_000001_users_and_tasks',1795861148);
INSERT INTO "seaql_migrations" VALUES('m20261121_000002_idempotency_keys',1795861148);
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
INSERT INTO "tasks" VALUES('alice',X'01A221AA725678B0B389F35922906ECB','Changed since','changed since',NULL,0,NULL,2,1795861148246543,1795861148268757);
INSERT INTO "tasks" VALUES('alice',X'01A221AA725D7E0889F05FC0EB77BBF2','Call Ann','call ann',NULL,0,NULL,1,1795861148253877,1795861148253877);
INSERT INTO "tasks" VALUES('alice',X'01A221AA72607DF781FD19A70C261E2B','Ça va? 🎉','ça va? 🎉','
“Two” litres,	''the blue one''',1,1796112000123456,1,1795861148256873,1795861148256873);
INSERT INTO "tasks" VALUES('alice',X'01A221AA72637D70A5DC3B991808D3AE','Later','later',NULL,0,1796169600000000,1,1795861148259840,1795861148259840);
INSERT INTO "tasks" VALUES('bob',X'01A221AA72697B68AC2945CEA5063B56','Bob''s own','bob''s own',NULL,0,NULL,1,1795861148265713,1795861148265713);
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "users" VALUES('alice',1795861148246543);
INSERT INTO "users" VALUES('bob',1795861148265713);
CREATE UNIQUE INDEX tasks_id ON tasks (id);
CREATE INDEX tasks_by_status ON tasks (user_id, completed, id);
CREATE INDEX tasks_by_title ON tasks (user_id, completed, title_key, id);
CREATE INDEX tasks_by_due_date ON tasks (user_id, completed, due_date, id);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
COMMIT;
