//! PostgreSQL: a few connections that all callers share.

mod connect;
mod connection;
mod migrate;
mod pool;
mod session;
mod sqlstate;
mod tls;
mod turns;
mod value;

use std::{
    pin::pin,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use sea_orm::{DbBackend, Statement};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_postgres::config::TargetSessionAttrs;
use uuid::Uuid;

pub(super) use self::session::Session;
use self::{
    connect::Connector,
    connection::Outcome,
    pool::{Pool, no_connection},
    sqlstate::Failure,
    turns::{Turn, Turns},
};
use super::{
    DbError, Lanes, Row, Values,
    statement::{Bound, Run, Sql},
    url::PostgresServer,
};
use crate::telemetry::metrics::Metrics;

/// Time for all statements of a request, waiting for connections included. Poolers reject a `statement_timeout`, so the
/// server measures the time itself.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_millis(1200);
/// Pauses between attempts if a statement conflicts with another transaction: the first, and the longest.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// Minimum time left to send a change, and for a retry: with less, the answer would most likely come too late.
const ATTEMPT: Duration = Duration::from_millis(300);
/// Maximum number of changes of one row in the database. Two, because a change on a silent connection keeps its turn,
/// and the next change must not wait for that.
const ROW: usize = 2;
/// One tenant may use one of this many connections for changes.
const SHARE: usize = 4;
/// Lifts `transaction_timeout` for a transaction. A plain SET would fail before PostgreSQL 17, which introduced it.
const NO_TRANSACTION_TIMEOUT: &str = "SELECT set_config('transaction_timeout', '0', TRUE) \
                                      WHERE current_setting('transaction_timeout', TRUE) IS NOT NULL";

/// The tenant of a change (empty for the server itself), and the row, if it exists already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) tenant: &'a str,
    pub(super) row: Option<Uuid>,
}

/// The turns of a change, which it keeps while it may be in the database.
type Held = (Option<Turn<Uuid>>, Turn<Arc<str>>);

/// A PostgreSQL server and the connections to it.
#[derive(Debug)]
pub(super) struct Postgres {
    connector: Connector,
    pool: Arc<Pool>,
    rows: Arc<Turns<Uuid>>,
    tenants: Arc<Turns<Arc<str>>>,
    /// The tasks that keep the connections up. They end when this is dropped.
    keepers: Mutex<JoinSet<()>>,
    lanes: Lanes,
}

impl Postgres {
    /// Does not connect yet.
    pub(super) fn open(server: &PostgresServer, lanes: Lanes) -> Result<Self, DbError> {
        let read_only = server.target_session_attrs() == TargetSessionAttrs::Any;
        Ok(Self {
            connector: Connector::new(server.clone())?,
            pool: Pool::new(lanes, read_only),
            rows: Turns::new(ROW),
            tenants: Turns::new(lanes.writes.div_ceil(SHARE)),
            keepers: Mutex::default(),
            lanes,
        })
    }

    /// Sets the figures of its connections.
    pub(super) fn report(&self, metrics: &Metrics) {
        self.pool.report(metrics);
    }

    /// Starts the tasks that connect and keep the connections up.
    pub(super) fn connect(&self) {
        let mut keepers = self.keepers.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..self.lanes.reads + self.lanes.writes {
            keepers.spawn(self.pool.clone().keep_connected(self.connector.clone()));
        }
    }

    /// Runs a query. Repeats it if its connection is lost or it conflicts with another transaction: that is always
    /// safe.
    pub(super) async fn read<R: Row>(&self, statement: Bound<'_>, deadline: Instant) -> Result<Vec<R>, DbError> {
        decode(&self.query(statement, deadline).await?)
    }

    async fn query(&self, statement: Bound<'_>, deadline: Instant) -> Result<Outcome, DbError> {
        let mut pause = PAUSE;
        loop {
            let failure = match self.pool.read(statement, deadline).await {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            let passes = matches!(failure, Failure::Again(_) | Failure::Final(DbError::Unknown(_)));
            if !passes || !wait_for_retry(&mut pause, deadline).await {
                return Err(match failure.end() {
                    DbError::Unknown(text) => DbError::Unavailable(text),
                    error => error,
                });
            }
        }
    }

    /// Runs a statement that changes rows and returns them.
    pub(super) async fn write<R: Row>(
        &self,
        subject: Subject<'_>,
        statement: Bound<'_>,
        deadline: Instant,
    ) -> Result<Vec<R>, DbError> {
        decode(&self.change(subject, statement, deadline).await?)
    }

    /// Runs a statement that changes rows, and returns their number.
    pub(super) async fn execute(
        &self,
        subject: Subject<'_>,
        statement: Bound<'_>,
        deadline: Instant,
    ) -> Result<u64, DbError> {
        Ok(self.change(subject, statement, deadline).await?.affected)
    }

    /// Runs inserts of which all happen, or none: here they are one statement.
    pub(super) async fn execute_together(
        &self,
        subject: Subject<'_>,
        run: Run<Vec<Sql>>,
        deadline: Instant,
    ) -> Result<(), DbError> {
        for statement in run.statements() {
            self.change(subject, statement, deadline).await?;
        }
        Ok(())
    }

    /// Runs a change. Retries it if it was certainly not made and a retry may succeed. A change that has waited too long
    /// is not sent: the caller would not learn whether it was made.
    async fn change(&self, subject: Subject<'_>, statement: Bound<'_>, deadline: Instant) -> Result<Outcome, DbError> {
        let latest = deadline.checked_sub(ATTEMPT).unwrap_or(deadline);
        let turns = timeout_at(latest, pin!(self.turns(subject))).await;
        let waiting = "earlier changes of the same row or user are still waiting for the database";
        let mut turns = Some(turns.map_err(|_| DbError::Unavailable(waiting.to_owned()))?);
        let mut pause = PAUSE;
        loop {
            let lease = timeout_at(latest, pin!(self.pool.lease(turns.take(), deadline))).await;
            let mut lease = lease.map_err(|_| no_connection().end())?;
            let failure = match lease.change(statement).await {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            let passes = matches!(failure, Failure::Again(_) | Failure::ReadOnly(_));
            turns = if passes { lease.turns.take() } else { None };
            drop(lease);
            if !passes || !wait_for_retry(&mut pause, deadline).await {
                return Err(failure.end());
            }
        }
    }

    /// Waits until the change may take a connection. The row comes first: a change that waits for its row must not use
    /// a turn of the tenant's other changes.
    async fn turns(&self, Subject { tenant, row }: Subject<'_>) -> Held {
        let row = match row {
            Some(row) => Some(self.rows.turn(row).await),
            None => None,
        };
        (row, self.tenants.turn(tenant.into()).await)
    }

    /// Checks that the database answers queries and accepts changes.
    pub(super) async fn ping(&self) -> Result<(), DbError> {
        let deadline = Instant::now() + STATEMENT_TIMEOUT;
        if self.pool.is_doubtful() {
            // The server may answer queries but commit nothing, for example if its synchronous standby is down.
            match self.change(PING_SUBJECT, HARMLESS_CHANGE.statement(), deadline).await {
                // `Internal`: the role may lack the right to change this table.
                Ok(_) | Err(DbError::Internal(_)) => {}
                Err(error) => return Err(error),
            }
        } else {
            self.writable(deadline).await?;
        }
        self.query(HARMLESS_QUERY.statement(), deadline).await.map(drop)
    }

    async fn writable(&self, deadline: Instant) -> Result<(), DbError> {
        loop {
            let lease = timeout_at(deadline, self.pool.lease(None, deadline)).await;
            let mut lease = lease.map_err(|_| no_connection().end())?;
            match lease.is_writable().await {
                Ok(()) => return Ok(()),
                Err(failure) if Instant::now() >= deadline => return Err(failure.end()),
                Err(_) => {}
            }
        }
    }
}

/// A query of no table.
static HARMLESS_QUERY: LazyLock<Run<Sql>> = LazyLock::new(|| without_arguments("SELECT 1"));
/// A change that needs a commit, but leaves all values as they are.
static HARMLESS_CHANGE: LazyLock<Run<Sql>> = LazyLock::new(|| {
    without_arguments(
        "UPDATE seaql_migrations SET applied_at = applied_at \
         WHERE version = (SELECT min(version) FROM seaql_migrations)",
    )
});
/// Concurrent pings share the turns of one row.
const PING_SUBJECT: Subject<'_> = Subject { tenant: "", row: Some(Uuid::nil()) };

fn without_arguments(sql: &str) -> Run<Sql> {
    Run::new(Statement::from_string(DbBackend::Postgres, sql).into(), Vec::new())
}

/// Waits before a retry. Returns false, at once, if the retry would have too little time.
async fn wait_for_retry(pause: &mut Duration, deadline: Instant) -> bool {
    let next = Instant::now() + *pause;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
    if next + ATTEMPT > deadline {
        return false;
    }
    sleep_until(next).await;
    true
}

fn decode<R: Row>(outcome: &Outcome) -> Result<Vec<R>, DbError> {
    // Not `collect`, which knows no minimum number of results, and so grows the vector several times.
    let mut rows = Vec::with_capacity(outcome.rows.len());
    for row in &outcome.rows {
        rows.push(R::read(Values::from(row))?);
    }
    Ok(rows)
}
