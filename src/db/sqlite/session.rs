//! A connection besides those of a server, for commands.

use std::time::Duration;

use rusqlite::Connection;

use super::{
    Sqlite,
    error::{commit_failed, failed},
    execute, file, query,
};
use crate::db::{DbError, Row, Transaction, statement::Bound};

/// Longest wait for another process that locks the file: a command can wait longer than a request.
pub(super) const BUSY: Duration = Duration::from_secs(30);
/// Pause after a commit. SQLite lets processes that wait for the file try again at intervals, not in turn: without a gap,
/// a server would hardly get the lock during an import.
const GAP: Duration = Duration::from_millis(10);

/// A connection to the file.
#[derive(Debug)]
pub(in crate::db) struct Session {
    connection: Connection,
}

impl Sqlite {
    /// Opens the file.
    pub(in crate::db) fn session(&self) -> Result<Session, DbError> {
        let connection = file::open(&self.file)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        Ok(Session { connection })
    }
}

impl Session {
    pub(in crate::db) fn begin(&self, transaction: Transaction) -> Result<(), DbError> {
        let begin = match transaction {
            Transaction::Snapshot => "BEGIN",
            Transaction::Change => "BEGIN IMMEDIATE",
        };
        self.connection.execute_batch(begin).map_err(failed)
    }

    pub(in crate::db) async fn commit(&self) -> Result<(), DbError> {
        self.connection.execute_batch("COMMIT").map_err(commit_failed)?;
        tokio::time::sleep(GAP).await;
        Ok(())
    }

    pub(in crate::db) fn all<R: Row>(&self, statement: Bound<'_>) -> Result<Vec<R>, DbError> {
        query(&self.connection, statement)
    }

    pub(in crate::db) fn number(&self, statement: Bound<'_>) -> Result<i64, DbError> {
        let parameters = rusqlite::params_from_iter(statement.values().map(super::Parameter));
        self.connection.query_row(statement.text(), parameters, |row| row.get(0)).map_err(failed)
    }

    pub(in crate::db) fn execute(&self, statement: Bound<'_>) -> Result<u64, DbError> {
        execute(&self.connection, statement)
    }

    /// Writes the whole file again: SQLite leaves the bytes of deleted and of moved rows in the free space of its pages.
    /// Then empties the log, which has the pages from before.
    pub(in crate::db) fn wipe(&self) -> Result<(), DbError> {
        self.connection.execute_batch("VACUUM").map_err(failed)?;
        let log = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: bool = self.connection.query_row(log, (), |row| row.get(0)).map_err(failed)?;
        if busy { Err(DbError::Unavailable("another process reads from the log".to_owned())) } else { Ok(()) }
    }
}
