//! Runs migrations over one connection to either database.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use super::{DbError, foreign};

/// A change or a report of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Up,
    Down,
    Status,
}

/// The migrations that this program knows, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations(pub Vec<Migration>);

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its name, which begins with its date.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// Takes the step, and returns the state of the schema. Without pending migrations it creates nothing: the role may
/// lack the right to.
///
/// The caller must hold a transaction and a lock, because SeaORM's migrator takes neither.
pub(super) async fn take(step: Step, connection: &DatabaseConnection) -> Result<Migrations, DbError> {
    let known: Vec<String> = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    check_encoding(connection).await?;
    let applied = applied(connection).await?;
    if !applied.iter().any(|name| known.contains(name)) {
        let tables = tables(connection).await?;
        if let Some(problem) = foreign::tables(&tables, !applied.is_empty(), connection.get_database_backend()) {
            return Err(DbError::Unsuitable(problem));
        }
    } else if let Some(newer) = applied.iter().find(|name| !known.contains(name)) {
        return Err(DbError::Internal(format!(
            "the schema is newer than this program: it has {newer}; run the version that added it"
        )));
    }
    match step {
        Step::Up if applied.len() < known.len() => Migrator::up(connection, None).await.map_err(failed)?,
        Step::Down if !applied.is_empty() => Migrator::down(connection, Some(1)).await.map_err(failed)?,
        Step::Up | Step::Down | Step::Status => {}
    }
    let applied = self::applied(connection).await?;
    let migration = |name: String| Migration { applied: applied.contains(&name), name };
    Ok(Migrations(known.into_iter().map(migration).collect()))
}

/// The names of the applied migrations.
async fn applied(connection: &DatabaseConnection) -> Result<Vec<String>, DbError> {
    let there = match connection.get_database_backend() {
        DbBackend::Postgres => "SELECT to_regclass('seaql_migrations')::text AS name",
        _ => "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'seaql_migrations'",
    };
    if names(connection, there).await?.is_empty() {
        return Ok(Vec::new());
    }
    names(connection, "SELECT version AS name FROM seaql_migrations ORDER BY version").await
}

/// The tables in the schema in which this program would create its own.
async fn tables(connection: &DatabaseConnection) -> Result<Vec<String>, DbError> {
    if connection.get_database_backend() != DbBackend::Postgres {
        return names(connection, "SELECT lower(name) AS name FROM sqlite_schema WHERE type = 'table'").await;
    }
    if names(connection, "SELECT current_schema()::text AS name").await?.is_empty() {
        let problem = "no schema of its search_path exists: create one, such as with CREATE SCHEMA todo";
        return Err(DbError::Unsuitable(problem.to_owned()));
    }
    names(connection, "SELECT tablename::text AS name FROM pg_catalog.pg_tables WHERE schemaname = current_schema()")
        .await
}

/// Checks that the database can store titles: they may have any Unicode character.
async fn check_encoding(connection: &DatabaseConnection) -> Result<(), DbError> {
    if connection.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    match names(connection, "SELECT current_setting('server_encoding') AS name").await?.pop() {
        Some(encoding) if encoding != "UTF8" => Err(DbError::Unsuitable(format!(
            "the database has the encoding {encoding}, which lacks most characters: \
             create one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        ))),
        _ => Ok(()),
    }
}

/// The column `name` of the rows, without NULL.
async fn names(connection: &DatabaseConnection, sql: &str) -> Result<Vec<String>, DbError> {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.map_err(failed)?;
    let name = |row: &sea_orm::QueryResult| row.try_get::<Option<String>>("", "name").map_err(failed).transpose();
    rows.iter().filter_map(name).collect()
}

fn failed(error: DbErr) -> DbError {
    match error {
        DbErr::Conn(error) => DbError::Unavailable(error.to_string()),
        error => DbError::Internal(error.to_string()),
    }
}
