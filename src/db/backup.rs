//! Copies of the database as a file.

use std::{fmt, path::Path};

use super::{Backend, Db, DbError};

/// Why a file was not written or not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileError {
    /// The database failed.
    Database(DbError),
    /// The file cannot be used: a line that names it.
    File(String),
}

impl From<DbError> for FileError {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

impl FileError {
    /// The error of this file.
    pub(super) fn of(path: &Path, problem: impl fmt::Display) -> Self {
        Self::File(format!("{}: {problem}", path.display()))
    }
}

impl Db {
    /// Checks that there is a database. Commands that only read must not create one.
    ///
    /// # Errors
    ///
    /// [`DbError::Unsuitable`] if its file is missing.
    pub fn must_exist(&self) -> Result<(), DbError> {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.must_exist(),
            Backend::Postgres(_) => Ok(()),
        }
    }

    /// Copies the database to a new file, as it is at one moment, while others read and change it.
    ///
    /// # Errors
    ///
    /// [`FileError`]. Then there is no new file.
    pub fn backup(&self, to: &Path) -> Result<(), FileError> {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.backup(to),
            Backend::Postgres(_) => Err(elsewhere("pg_dump makes a backup of it").into()),
        }
    }

    /// Copies a backup to the place of the database, if it is intact and there is no database yet.
    ///
    /// # Errors
    ///
    /// [`FileError`]. Then there is no new file.
    pub async fn restore(&self, from: &Path) -> Result<(), FileError> {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.restore(from).await,
            Backend::Postgres(_) => Err(elsewhere("pg_restore or psql restores a backup of it").into()),
        }
    }
}

fn elsewhere(instead: &str) -> DbError {
    DbError::Unsuitable(format!("it names a PostgreSQL server; {instead}"))
}
