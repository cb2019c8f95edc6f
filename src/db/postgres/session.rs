//! A connection outside the pool, for commands.

use super::{NO_TRANSACTION_TIMEOUT, Postgres, connect::Driver, connection::Connection, decode};
use crate::db::{DbError, Row, Transaction, Values, statement::Bound};

/// The beginning of a transaction, with its own limits instead of those of the role.
const LIMITS: &str = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; \
                      SET LOCAL idle_in_transaction_session_timeout = 0";

/// A connection, and the task that drives it.
#[derive(Debug)]
pub(in crate::db) struct Session {
    connection: Connection,
    _driver: Driver,
}

impl Postgres {
    /// Connects.
    pub(in crate::db) async fn session(&self) -> Result<Session, DbError> {
        let (connection, driver) = self.connector.open().await?;
        Ok(Session { connection, _driver: driver })
    }
}

impl Session {
    pub(in crate::db) async fn begin(&self, transaction: Transaction) -> Result<(), DbError> {
        let kind = match transaction {
            Transaction::Snapshot => "REPEATABLE READ READ ONLY",
            // Whatever the default of the role: a serializable one could fail because of others.
            Transaction::Change => "READ COMMITTED READ WRITE",
        };
        self.connection
            .batch(&format!("BEGIN ISOLATION LEVEL {kind}; {LIMITS}; {NO_TRANSACTION_TIMEOUT}"))
            .await
            .map_err(undone)
    }

    pub(in crate::db) async fn commit(&self) -> Result<(), DbError> {
        self.connection.batch("COMMIT").await
    }

    pub(in crate::db) async fn all<R: Row>(&self, statement: Bound<'_>) -> Result<Vec<R>, DbError> {
        let outcome = self.connection.change(statement).await;
        decode(&outcome.map_err(|failure| undone(failure.end()))?)
    }

    pub(in crate::db) async fn number(&self, statement: Bound<'_>) -> Result<i64, DbError> {
        let outcome = self.connection.change(statement).await.map_err(|failure| undone(failure.end()))?;
        let row = outcome.rows.first().ok_or_else(|| DbError::Internal("a count has no number".to_owned()))?;
        Values::from(row).take()
    }

    pub(in crate::db) async fn execute(&self, statement: Bound<'_>) -> Result<u64, DbError> {
        let outcome = self.connection.change(statement).await;
        outcome.map(|outcome| outcome.affected).map_err(|failure| undone(failure.end()))
    }
}

/// A lost connection before the COMMIT: the server rolls back.
fn undone(error: DbError) -> DbError {
    match error {
        DbError::Unknown(text) => DbError::Unavailable(text),
        error => error,
    }
}
