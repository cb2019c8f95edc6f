//! Copies of the database as a file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

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

/// A file that was copied, and its copy: absolute paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The original.
    pub from: PathBuf,
    /// The copy.
    pub to: PathBuf,
}

impl Copied {
    pub(super) fn new(from: &Path, to: &Path) -> Result<Self, FileError> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(|error| FileError::of(path, error));
        Ok(Self { from: absolute(from)?, to: absolute(to)? })
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
    pub async fn backup(&self, to: &Path) -> Result<Copied, FileError> {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.backup(to).await,
            Backend::Postgres(_) => Err(elsewhere("pg_dump makes a backup of it").into()),
        }
    }

    /// Copies a backup to the place of the database, if it is intact and there is no database yet.
    ///
    /// # Errors
    ///
    /// [`FileError`]. Then there is no new file.
    pub async fn restore(&self, from: &Path) -> Result<Copied, FileError> {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.restore(from).await,
            Backend::Postgres(_) => Err(elsewhere("pg_restore or psql restores a backup of it").into()),
        }
    }
}

fn elsewhere(instead: &str) -> DbError {
    DbError::Unsuitable(format!("it names a PostgreSQL server; {instead}"))
}
