-- Distributes the tables of todo-api by user over the workers of a Citus cluster, so that each request concerns one shard.
--
-- Run it by hand on the coordinator, with the extension in place and the migrations applied (`todo-api migrate`):
--
--     psql --set ON_ERROR_STOP=1 --file deploy/citus.sql "$DATABASE_URL"
--
-- It may be run again: what is distributed already stays as it is. Changes wait until it has ended.

BEGIN;

SELECT create_distributed_table('users', 'id')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'users'::regclass);

SELECT create_distributed_table('tasks', 'user_id', colocate_with => 'users')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'tasks'::regclass);

SELECT create_distributed_table('idempotency_keys', 'user_id', colocate_with => 'users')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'idempotency_keys'::regclass);

-- Every node has the list of migrations, so that an instance may use any of them.
SELECT create_reference_table('seaql_migrations')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'seaql_migrations'::regclass);

-- What stood on the coordinator has been copied to the workers.
SELECT truncate_local_data_after_distributing_table(name::regclass)
FROM (VALUES ('idempotency_keys'), ('tasks'), ('users')) AS tables (name);

COMMIT;
