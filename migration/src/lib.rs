//! The database schema, as migrations written by hand in SQL, one file per database.
//!
//! Migrations know no entity: an entity follows the newest schema, a migration keeps describing its own day.

mod m20261121_000001_users_and_tasks;
mod m20261121_000002_idempotency_keys;
mod m20261121_000003_dated_and_undated;

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
        ]
    }
}

/// Runs the script of the database that is connected.
async fn run(manager: &SchemaManager<'_>, sqlite: &str, postgres: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let script = match connection.get_database_backend() {
        DbBackend::Sqlite => sqlite,
        DbBackend::Postgres => postgres,
        other => return Err(DbErr::Migration(format!("there is no schema for {other:?}"))),
    };
    connection.execute_unprepared(script).await.map(drop)
}
