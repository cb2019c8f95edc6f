-- Distributes the tables of todo-api by user over the workers of a Citus cluster, so that each request concerns one shard.
--
-- Run it on the coordinator, after the extension was created and the migrations were applied (`todo-api migrate`):
--
--     psql --set ON_ERROR_STOP=1 --file deploy/citus.sql "$DATABASE_URL"
--
-- It is safe to run it again: it skips distributed tables. Changes wait until it has ended.

BEGIN;

SELECT create_distributed_table('users', 'id')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'users'::regclass);

SELECT create_distributed_table('tasks', 'user_id', colocate_with => 'users')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'tasks'::regclass);

SELECT create_distributed_table('idempotency_keys', 'user_id', colocate_with => 'users')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'idempotency_keys'::regclass);

-- Every node has the list of migrations, so that instances can connect to any node.
SELECT create_reference_table('seaql_migrations')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'seaql_migrations'::regclass);

-- The rows on the coordinator have been copied to the workers.
SELECT truncate_local_data_after_distributing_table(name::regclass)
FROM (VALUES ('idempotency_keys'), ('tasks'), ('users')) AS tables (name);

COMMIT;
