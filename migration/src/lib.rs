//! The database schema, as migrations written by hand in SQL, one file per database.
//!
//! Migrations know no entity: an entity follows the newest schema, a migration keeps describing its own day.

mod m20261121_000001_users_and_tasks;
mod m20261121_000002_idempotency_keys;
mod m20261121_000003_dated_and_undated;
mod m20261125_000004_hash_of_ids;

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

/// All migrations, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_users_and_tasks::Migration),
            Box::new(m20261121_000002_idempotency_keys::Migration),
            Box::new(m20261121_000003_dated_and_undated::Migration),
            Box::new(m20261125_000004_hash_of_ids::Migration),
        ]
    }
}

/// Runs the script of the database that is connected, one statement at a time: a distributed PostgreSQL takes no more.
async fn run(manager: &SchemaManager<'_>, sqlite: &str, postgres: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let script = match connection.get_database_backend() {
        DbBackend::Sqlite => sqlite,
        DbBackend::Postgres => postgres,
        other => return Err(DbErr::Migration(format!("there is no schema for {other:?}"))),
    };
    for statement in statements(script) {
        connection.execute_unprepared(&statement).await?;
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
