//! A connection that one statement has for itself.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};

use super::{Pool, no_connection};
use crate::db::{
    DbError,
    postgres::{
        Held,
        connection::{Connection, Outcome, READ_ONLY, SILENT},
        sqlstate::Failure,
    },
    statement::Bound,
};

/// A connection that one statement has for itself, and its turns.
#[derive(Debug)]
pub(in crate::db::postgres) struct Lease {
    pool: Arc<Pool>,
    connection: Arc<Connection>,
    pub(in crate::db::postgres) turns: Option<Held>,
    deadline: Instant,
    /// Whether the statement may still be running.
    busy: bool,
}

impl Lease {
    pub(super) fn new(pool: Arc<Pool>, connection: Arc<Connection>, turns: Option<Held>, deadline: Instant) -> Self {
        Self { pool, connection, turns, deadline, busy: false }
    }

    /// Runs a change and waits for its answer until the deadline.
    pub(in crate::db::postgres) async fn change(&mut self, statement: Bound<'_>) -> Result<Outcome, Failure> {
        tracing::debug!(sql = statement.text(), "run");
        self.busy = true;
        let Ok(answer) = timeout_at(self.deadline, self.connection.change(statement)).await else {
            self.pool.doubtful.store(true, Relaxed);
            let text = "the change has no answer in time".to_owned();
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

    /// Whether the server takes changes.
    pub(in crate::db::postgres) async fn is_writable(&mut self) -> Result<(), Failure> {
        self.busy = true;
        let answer = timeout_at(self.deadline, self.connection.is_writable()).await.map_err(|_| no_connection())?;
        self.busy = false;
        if answer? {
            return Ok(());
        }
        self.retire(READ_ONLY);
        Err(Failure::ReadOnly("the database takes no changes".to_owned()))
    }

    pub(super) async fn read(&mut self, statement: Bound<'_>) -> Result<Outcome, Failure> {
        self.busy = true;
        let answer = self.connection.read(statement, self.deadline, || ()).await;
        self.busy = false;
        if Instant::now() >= self.deadline {
            // The cancellation may come late, and must not hit a change.
            self.connection.retire(SILENT);
        }
        answer
    }

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
        let (pool, turns, deadline) = (self.pool.clone(), self.turns.take(), self.deadline);
        // Only the end of the process leaves nobody to run this.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if timeout_at(deadline, connection.drained()).await.is_ok() {
                    pool.give_back(connection);
                } else {
                    connection.retire(SILENT);
                    let lost = pool.lost.notified();
                    pool.suspect();
                    // Until it ends the change is in the database, and keeps its turns; unless the database cannot even
                    // have got it, as far as the other connections show.
                    tokio::select! {
                        () = connection.drained() => {}
                        () = lost => drop(turns),
                    }
                }
            });
        }
    }
}
