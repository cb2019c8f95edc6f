BEGIN TRANSACTION;
CREATE TABLE idempotency_keys (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    answer TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "idempotency_keys" VALUES('alice','all','lcqqX2yomi20mDfPKOUHLdoA3M6bYdCOrtGjy6F4L70','{"format":1,"request":"/azicUPYZc1fxHZ26WtS1Xm8oODa7iUD6wGR2bYTc3c","id":"01a22298-be1a-794b-9d5e-bddfb996844e","title":"Ça va? 🎉","description":"\n“Two” litres,\t''the blue one''","completed":true,"priority":0,"tags":"[]","due_date":"2026-12-01T08:00:00.123456Z","user_id":"alice","created_at":"2026-11-28T14:39:25.210581Z","updated_at":"2026-11-28T14:39:25.210581Z"}',1795876765210581);
INSERT INTO "idempotency_keys" VALUES('alice','gone','vbJL1aD+Ib7vORhjepeZp1GBVeO3+poVRI9eR77VmTg','{"format":1,"request":"2KXREyA+dMWMLEV1mRdAt2e1UeS8Qzjho+wEGIyN9uE","id":"01a22298-be21-7624-a03f-1c41a6c8bfc0","title":"Deleted since","description":null,"completed":false,"priority":0,"tags":"[]","due_date":null,"user_id":"alice","created_at":"2026-11-28T14:39:25.217384Z","updated_at":"2026-11-28T14:39:25.217384Z"}',1795876765217384);
INSERT INTO "idempotency_keys" VALUES('alice','nulls','2EN91ppABqV+EacgjQhqDFsAhRaERbpBDBUYSqeeEss','{"format":1,"request":"iPo4qg1WC+v+482r14fvE8dknoLMDaY4FA7g+7fQnFQ","id":"01a22298-be17-7035-878c-8626b487b123","title":"Call Ann","description":null,"completed":false,"priority":0,"tags":"[]","due_date":null,"user_id":"alice","created_at":"2026-11-28T14:39:25.207013Z","updated_at":"2026-11-28T14:39:25.207013Z"}',1795876765207013);
INSERT INTO "idempotency_keys" VALUES('alice','some','fBjKgiZgsYQWTUCsOAck2VDzyraMMwLkzF/I/nzkXd0','{"format":1,"request":"DZ7sBAODpVcAhDq1LgextnVPB6r5CXWNZNdMz0qIIig","id":"01a22298-be1d-7c72-a29f-90bb98b53195","title":"Later","description":null,"completed":false,"priority":0,"tags":"[]","due_date":"2026-12-02T00:00:00Z","user_id":"alice","created_at":"2026-11-28T14:39:25.213778Z","updated_at":"2026-11-28T14:39:25.213778Z"}',1795876765213778);
INSERT INTO "idempotency_keys" VALUES('alice','title','b02PfO4PvmJE93acUDuZBmeA4cYZXpwrDkRQndE/+II','{"format":1,"request":"NBO+9A1MdquadwSpGGNA4gQRmW0ULigLD254uDIGysc","id":"01a22298-be04-7f1e-863a-e6f7d9c0ea5b","title":"Buy milk","description":null,"completed":false,"priority":0,"tags":"[]","due_date":null,"user_id":"alice","created_at":"2026-11-28T14:39:25.188945Z","updated_at":"2026-11-28T14:39:25.188945Z"}',1795876765188945);
INSERT INTO "idempotency_keys" VALUES('bob','example','fuAib/gy1ohWiQv6/WoNXQKpvslhuU4bMLPXDg3Fd5k','{"format":1,"request":"fuAib/gy1ohWiQv6/WoNXQKpvslhuU4bMLPXDg3Fd5k","id":"01a22298-be27-7def-a8fa-514957108793","title":"Buy milk","description":"Two litres, the blue one","completed":false,"priority":3,"tags":"[\"shop\",\"home\"]","due_date":"2026-11-27T17:00:00Z","user_id":"bob","created_at":"2026-11-28T14:39:25.223871Z","updated_at":"2026-11-28T14:39:25.223871Z"}',1795876765223871);
INSERT INTO "idempotency_keys" VALUES('bob','title','FSWGjz3Lt+8LakTV0o6cVY4eQM1uA5WOF3epP+6P2Y0','{"format":1,"request":"PHToY1793JhMZxtt4SZrmoIjE0o3rVDWiC5T/55f8Z8","id":"01a22298-be24-762d-aee4-331312e27f42","title":"Bob''s own","description":null,"completed":false,"priority":0,"tags":"[]","due_date":null,"user_id":"bob","created_at":"2026-11-28T14:39:25.220386Z","updated_at":"2026-11-28T14:39:25.220386Z"}',1795876765220386);
CREATE TABLE "seaql_migrations" ( "version" varchar NOT NULL PRIMARY KEY, "applied_at" integer NOT NULL );
INSERT INTO "seaql_migrations" VALUES('m20261121_000001_users_and_tasks',1795876764);
INSERT INTO "seaql_migrations" VALUES('m20261121_000002_idempotency_keys',1795876764);
INSERT INTO "seaql_migrations" VALUES('m20261121_000003_dated_and_undated',1795876764);
INSERT INTO "seaql_migrations" VALUES('m20261125_000004_hash_of_ids',1795876764);
INSERT INTO "seaql_migrations" VALUES('m20261128_000005_priority_and_tags',1795876764);
INSERT INTO "seaql_migrations" VALUES('m20261128_000006_by_priority',1795876764);
ANALYZE "sqlite_master";
INSERT INTO "sqlite_stat1" VALUES('tasks','tasks','1000000 10000 1');
INSERT INTO "sqlite_stat1" VALUES('tasks','tasks_id','1000000 1');
INSERT INTO "sqlite_stat1" VALUES('tasks','tasks_by_title','1000000 10000 1000 10 1');
INSERT INTO "sqlite_stat1" VALUES('tasks','tasks_by_due_date','1000000 10000 1000 10 1');
INSERT INTO "sqlite_stat1" VALUES('tasks','tasks_plain','1000000 10000 1000 1');
INSERT INTO "sqlite_stat1" VALUES('tasks','tasks_dated_only','1000000 10000 1000 1');
INSERT INTO "sqlite_stat1" VALUES('tasks','tasks_prioritized','1000000 10000 1000 1');
INSERT INTO "sqlite_stat1" VALUES('tasks','tasks_prioritized_undated','1000000 10000 1000 1');
INSERT INTO "sqlite_stat1" VALUES('tasks','tasks_by_priority','1000000 10000 1000 300 1');
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
    updated_at INTEGER NOT NULL, priority INTEGER NOT NULL DEFAULT 0, tags TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;
INSERT INTO "tasks" VALUES('alice',X'01A22298BE047F1E863AE6F7D9C0EA5B','Changed since','changed since',NULL,0,NULL,2,1795876765188945,1795876765246959,0,'[]');
INSERT INTO "tasks" VALUES('alice',X'01A22298BE177035878C8626B487B123','Call Ann','call ann',NULL,0,NULL,1,1795876765207013,1795876765207013,0,'[]');
INSERT INTO "tasks" VALUES('alice',X'01A22298BE1A794B9D5EBDDFB996844E','Ça va? 🎉','ça va? 🎉','
“Two” litres,	''the blue one''',1,1796112000123456,1,1795876765210581,1795876765210581,0,'[]');
INSERT INTO "tasks" VALUES('alice',X'01A22298BE1D7C72A29F90BB98B53195','Later','later',NULL,0,1796169600000000,1,1795876765213778,1795876765213778,0,'[]');
INSERT INTO "tasks" VALUES('bob',X'01A22298BE24762DAEE4331312E27F42','Bob''s own','bob''s own',NULL,0,NULL,1,1795876765220386,1795876765220386,0,'[]');
INSERT INTO "tasks" VALUES('bob',X'01A22298BE277DEFA8FA514957108793','Buy milk','buy milk','Two litres, the blue one',0,1795798800000000,1,1795876765223871,1795876765223871,3,'["shop","home"]');
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "users" VALUES('alice',1795876765188945);
INSERT INTO "users" VALUES('bob',1795876765220386);
CREATE UNIQUE INDEX tasks_id ON tasks (id);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
CREATE INDEX tasks_by_title ON tasks (user_id, completed, title_key, id);
CREATE INDEX tasks_by_due_date ON tasks (user_id, completed, due_date, id) WHERE due_date IS NOT NULL;
CREATE INDEX tasks_plain ON tasks (user_id, completed, id) WHERE due_date IS NULL AND priority = 0;
CREATE INDEX tasks_dated_only ON tasks (user_id, completed, id) WHERE due_date IS NOT NULL AND priority = 0;
CREATE INDEX tasks_prioritized ON tasks (user_id, completed, id) WHERE priority <> 0;
CREATE INDEX tasks_prioritized_undated ON tasks (user_id, completed, id) WHERE due_date IS NULL AND priority <> 0;
CREATE INDEX tasks_by_priority ON tasks (user_id, completed, priority, id) WHERE priority <> 0;
COMMIT;
