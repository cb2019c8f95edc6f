//! A lease: a connection that one statement has for itself.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};

use super::{Pool, no_connection};
use crate::db::{
    DbError,
    postgres::{
        Held, STATEMENT_TIMEOUT,
        connection::{Connection, Outcome, READ_ONLY, SILENT},
        sqlstate::Failure,
    },
    statement::Bound,
};

/// A connection that one statement has for itself, with the statement's turns. Dropping it gives the connection back,
/// or sets it aside if the statement may still be running.
#[derive(Debug)]
pub(in crate::db::postgres) struct Lease {
    pool: Arc<Pool>,
    connection: Arc<Connection>,
    pub(in crate::db::postgres) turns: Option<Held>,
    deadline: Instant,
    /// Start of the lease.
    since: Instant,
    /// Whether the statement may still be running.
    busy: bool,
}

impl Lease {
    pub(super) fn new(pool: Arc<Pool>, connection: Arc<Connection>, turns: Option<Held>, deadline: Instant) -> Self {
        Self { pool, connection, turns, deadline, since: Instant::now(), busy: false }
    }

    /// Runs a change and waits for its answer until the deadline.
    ///
    /// # Errors
    ///
    /// At the deadline [`DbError::Unknown`] if the change was sent, and [`DbError::Unavailable`] if it was not: then it
    /// never will be, because the future that would send it is dropped.
    pub(in crate::db::postgres) async fn change(&mut self, statement: Bound<'_>) -> Result<Outcome, Failure> {
        tracing::debug!(sql = statement.text(), "run");
        self.busy = true;
        let Ok(answer) = timeout_at(self.deadline, pin!(self.connection.change(statement))).await else {
            self.pool.doubtful.store(true, Relaxed);
            let text = "the database did not answer the change in time".to_owned();
            return Err(if self.connection.is_changing() {
                DbError::Unknown(text)
            } else {
                DbError::Unavailable(text)
            }
            .into());
        };
        self.busy = false;
        match &answer {
            Ok(_) => self.pool.doubtful.store(false, Relaxed),
            Err(Failure::ReadOnly(_)) => self.retire(READ_ONLY),
            Err(_) => {}
        }
        answer
    }

    /// Checks that the server accepts changes.
    pub(in crate::db::postgres) async fn is_writable(&mut self) -> Result<(), Failure> {
        self.busy = true;
        let answer = timeout_at(self.deadline, self.connection.is_writable()).await.map_err(|_| no_connection())?;
        self.busy = false;
        if answer? {
            return Ok(());
        }
        self.retire(READ_ONLY);
        Err(Failure::ReadOnly("the database accepts no changes".to_owned()))
    }

    /// Runs a read on a borrowed connection.
    pub(super) async fn read(&mut self, statement: Bound<'_>) -> Result<Outcome, Failure> {
        self.busy = true;
        let answer = self.connection.read(statement, self.deadline, || ()).await;
        self.busy = false;
        if Instant::now() >= self.deadline {
            // The cancellation may arrive late, and would then cancel the next change on this connection.
            self.connection.retire(SILENT);
        }
        answer
    }

    /// Retires the connection, and suspects the others.
    fn retire(&self, reason: &'static str) {
        self.connection.retire(reason);
        self.pool.suspect();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let connection = self.connection.clone();
        if !self.busy {
            return self.pool.give_back(connection);
        }
        let (pool, turns, limit) = (self.pool.clone(), self.turns.take(), self.since + STATEMENT_TIMEOUT);
        // Without a runtime the process is ending.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                // The caller left before the answer, or waited for its turn so long that the answer had little time. The
                // connection is good if it answers within the time that any statement has.
                if timeout_at(limit, connection.drained()).await.is_ok() {
                    pool.give_back(connection);
                } else {
                    connection.retire(SILENT);
                    // Before `suspect`, because a `Notified` misses notifications before its creation.
                    let lost = pool.lost.notified();
                    pool.suspect();
                    // The change keeps its turns while it may be running: the next change of the same row would only
                    // wait behind it. But if other connections are silent as well, the database is away, and turns that
                    // nobody gives back would block the row for long.
                    tokio::select! {
                        () = connection.drained() => {}
                        () = lost => drop(turns),
                    }
                }
            });
        }
    }
}
