//! The database schema, as migrations written by hand in SQL.
//!
//! Each migration is a folder beside `src/`, and an entry of the index [`MIGRATIONS`]. The folder has the migration's name,
//! and contains nothing but SQL, in one of two layouts:
//!
//! | both databases run the same script | each database has its own |
//! |---|---|
//! | `up.sql`, `down.sql` | `sqlite/up.sql`, `sqlite/down.sql`, `postgres/up.sql`, `postgres/down.sql` |
//! | `shared!` in the index | `per_database!` in the index |
//!
//! A released migration is never edited: databases that have applied it would not notice. A test compares every script
//! with its checksum in `migration/checksums`. CONTRIBUTING.md has the steps to add a migration.
//!
//! Migrations use no entities: an entity follows the newest schema, and a migration does not change.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager, async_trait,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

/// The index entry of a migration whose scripts run on both databases.
macro_rules! shared {
    ($name:literal) => {
        Migration { name: $name, sqlite: scripts!($name), postgres: scripts!($name) }
    };
}

/// The index entry of a migration that has scripts for each database.
macro_rules! per_database {
    ($name:literal) => {
        Migration { name: $name, sqlite: scripts!($name, "/sqlite"), postgres: scripts!($name, "/postgres") }
    };
}

/// The scripts in a folder.
macro_rules! scripts {
    ($($folder:literal),+) => {
        Scripts {
            up: include_str!(concat!("../", $($folder,)+ "/up.sql")),
            down: include_str!(concat!("../", $($folder,)+ "/down.sql")),
        }
    };
}

/// All migrations, oldest first.
const MIGRATIONS: &[Migration] = &[
    // Users, their tasks, and the indexes that serve every order of the list.
    per_database!("m20261121_000001_users_and_tasks"),
    // Keys under which a task was created, with the answer to repeat.
    per_database!("m20261121_000002_idempotency_keys"),
    // Indexes of dated and of undated tasks.
    shared!("m20261121_000003_dated_and_undated"),
    // On PostgreSQL, an index of the ids that is not unique.
    per_database!("m20261125_000004_hash_of_ids"),
];

/// Runs the migrations.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        MIGRATIONS.iter().map(|migration| Box::new(*migration) as Box<dyn MigrationTrait>).collect()
    }
}

#[derive(Clone, Copy)]
struct Migration {
    /// How the table `seaql_migrations` records it.
    name: &'static str,
    sqlite: Scripts,
    postgres: Scripts,
}

#[derive(Clone, Copy)]
struct Scripts {
    up: &'static str,
    down: &'static str,
}

impl Migration {
    /// The scripts of the database that is connected.
    fn scripts(&self, manager: &SchemaManager<'_>) -> Result<Scripts, DbErr> {
        match manager.get_database_backend() {
            DbBackend::Sqlite => Ok(self.sqlite),
            DbBackend::Postgres => Ok(self.postgres),
            other => Err(DbErr::Migration(format!("there is no schema for {other:?}"))),
        }
    }
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, self.scripts(manager)?.up).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, self.scripts(manager)?.down).await
    }
}

/// Runs a script one statement at a time: a distributed PostgreSQL takes no more.
async fn run(manager: &SchemaManager<'_>, script: &str) -> Result<(), DbErr> {
    for statement in statements(script) {
        manager.get_connection().execute_unprepared(&statement).await?;
    }
    Ok(())
}

/// The statements of a script. Its comments have lines of their own, and a semicolon does nothing but end a statement.
fn statements(script: &str) -> Vec<String> {
    let lines = script.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split(';').map(|statement| statement.trim().to_owned()).filter(|statement| !statement.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_split_into_its_statements() {
        let script = "-- One; not two.\nCREATE TABLE a (\n    id text\n);\n\nDROP TABLE b; DROP TABLE c;\n";
        assert_eq!(statements(script), ["CREATE TABLE a (\n    id text\n)", "DROP TABLE b", "DROP TABLE c"]);
        assert!(statements("").is_empty());
    }
}
