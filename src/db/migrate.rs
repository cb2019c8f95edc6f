//! Runs the migrations over one connection, whichever database it belongs to.

use migration::{Migrator, MigratorTrait};
use sea_orm::{DatabaseConnection, DbErr};

use super::DbError;

/// What to do to the schema.
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

/// Takes the step and tells where that leaves the schema.
///
/// The caller holds a transaction around it, and a lock: SeaORM's migrator takes neither.
pub(super) async fn take(step: Step, connection: &DatabaseConnection) -> Result<Migrations, DbError> {
    let known: Vec<String> = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    let applied = applied(connection).await?;
    if let Some(newer) = applied.iter().find(|name| !known.contains(name)) {
        return Err(DbError::Internal(format!(
            "the schema is newer than this program: it has {newer}; run the version that brought it"
        )));
    }
    match step {
        Step::Up => Migrator::up(connection, None).await.map_err(failed)?,
        Step::Down => Migrator::down(connection, Some(1)).await.map_err(failed)?,
        Step::Status => {}
    }
    let applied = self::applied(connection).await?;
    let migration = |name: String| Migration { applied: applied.contains(&name), name };
    Ok(Migrations(known.into_iter().map(migration).collect()))
}

async fn applied(connection: &DatabaseConnection) -> Result<Vec<String>, DbError> {
    let models = Migrator::get_migration_models(connection).await.map_err(failed)?;
    Ok(models.into_iter().map(|model| model.version).collect())
}

fn failed(error: DbErr) -> DbError {
    match error {
        DbErr::Conn(error) => DbError::Unavailable(error.to_string()),
        error => DbError::Internal(error.to_string()),
    }
}
