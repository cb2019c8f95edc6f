//! PostgreSQL: a few connections that all callers share.

mod connect;
mod connection;
mod migrate;
mod pool;
mod sqlstate;
mod tls;
mod turns;
mod value;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sea_orm::{ColumnType, DbBackend, Statement};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_postgres::config::TargetSessionAttrs;
use uuid::Uuid;

use self::{
    connect::Connector,
    connection::Outcome,
    pool::{Pool, no_connection},
    sqlstate::Failure,
    turns::{Turn, Turns},
    value::value,
};
use super::{
    DbError, Lanes, Rows, row,
    statement::{Bound, Run, Sql},
    url::PostgresServer,
};

/// Time for the statements of one request to get a connection and be answered. Poolers take no time limit of ours, so we
/// keep it.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_millis(1200);
/// Pauses between attempts at a statement that conflicts with another transaction: the first, and the longest.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// The least time that a further attempt must have, so that its answer is most likely not cut off.
const ATTEMPT: Duration = Duration::from_millis(300);
/// How many changes one row has in the database: where a connection does not answer, its change keeps a turn, and the next
/// must not wait for that.
const ROW: usize = 2;
/// Of four connections for changes, one tenant may have one.
const SHARE: usize = 4;
/// Whose change it is, which is nobody's where this is empty, and of which row, if there is one by now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) tenant: &'a str,
    pub(super) row: Option<Uuid>,
}

/// What a change has while it may be in the database.
type Held = (Option<Turn<Uuid>>, Turn<Arc<str>>);

/// A PostgreSQL server and the connections to it.
#[derive(Debug)]
pub(super) struct Postgres {
    connector: Connector,
    pool: Arc<Pool>,
    rows: Arc<Turns<Uuid>>,
    tenants: Arc<Turns<Arc<str>>>,
    /// What keeps the connections up; dropped, they end.
    keepers: Mutex<JoinSet<()>>,
    lanes: Lanes,
}

impl Postgres {
    /// Connects to nothing yet.
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

    /// Starts to connect, and to keep connected.
    pub(super) fn connect(&self) {
        let mut keepers = self.keepers.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..self.lanes.reads + self.lanes.writes {
            keepers.spawn(self.pool.clone().keep_connected(self.connector.clone()));
        }
    }

    /// Runs a query; again where its connection is lost or another transaction is in its way, since that does no harm.
    pub(super) async fn read<E: Rows>(
        &self,
        statement: Bound<'_>,
        deadline: Instant,
    ) -> Result<Vec<E::Model>, DbError> {
        decode::<E>(statement, self.query(statement, deadline).await?)
    }

    async fn query(&self, statement: Bound<'_>, deadline: Instant) -> Result<Outcome, DbError> {
        let mut pause = PAUSE;
        loop {
            let failure = match self.pool.read(statement, deadline).await {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            let passes = matches!(failure, Failure::Again(_) | Failure::Final(DbError::Unknown(_)));
            if !passes || !rest(&mut pause, deadline).await {
                return Err(match failure.end() {
                    DbError::Unknown(text) => DbError::Unavailable(text),
                    error => error,
                });
            }
        }
    }

    /// Runs a statement that changes rows and returns them.
    pub(super) async fn write<E: Rows>(
        &self,
        subject: Subject<'_>,
        statement: Bound<'_>,
        deadline: Instant,
    ) -> Result<Vec<E::Model>, DbError> {
        decode::<E>(statement, self.change(subject, statement, deadline).await?)
    }

    /// Runs a statement that changes rows; answers how many.
    pub(super) async fn execute(
        &self,
        subject: Subject<'_>,
        statement: Bound<'_>,
        deadline: Instant,
    ) -> Result<u64, DbError> {
        Ok(self.change(subject, statement, deadline).await?.affected)
    }

    /// Runs a statement that does all of what belongs together.
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

    /// Runs a change, again where it certainly has not happened and the next attempt may succeed.
    async fn change(&self, subject: Subject<'_>, statement: Bound<'_>, deadline: Instant) -> Result<Outcome, DbError> {
        let turns = timeout_at(deadline, self.turns(subject)).await;
        let waiting = "an earlier change of the same row or user has had no answer yet";
        let mut turns = Some(turns.map_err(|_| DbError::Unavailable(waiting.to_owned()))?);
        let mut pause = PAUSE;
        loop {
            let lease = timeout_at(deadline, self.pool.lease(turns.take(), deadline)).await;
            let mut lease = lease.map_err(|_| no_connection().end())?;
            let failure = match lease.change(statement).await {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            let passes = matches!(failure, Failure::Again(_) | Failure::ReadOnly(_));
            turns = if passes { lease.turns.take() } else { None };
            drop(lease);
            if !passes || !rest(&mut pause, deadline).await {
                return Err(failure.end());
            }
        }
    }

    /// Waits until the change may take a connection. The row comes first, so that those who wait for it take nothing from
    /// the tenant's other changes.
    async fn turns(&self, Subject { tenant, row }: Subject<'_>) -> Held {
        let row = match row {
            Some(row) => Some(self.rows.turn(row).await),
            None => None,
        };
        (row, self.tenants.turn(tenant.into()).await)
    }

    /// Whether queries are answered and changes can be made.
    pub(super) async fn ping(&self) -> Result<(), DbError> {
        let deadline = Instant::now() + STATEMENT_TIMEOUT;
        let run = |sql: &str| Run::new(Sql::from(Statement::from_string(DbBackend::Postgres, sql)), Vec::new());
        if self.pool.is_doubtful() {
            // The server may answer and yet commit nothing, as when the standby is away that it waits for.
            match self.change(ITS_SUBJECT, run(HARMLESS_CHANGE).statement(), deadline).await {
                // The role may have no right to this.
                Ok(_) | Err(DbError::Internal(_)) => {}
                Err(error) => return Err(error),
            }
        } else {
            self.writable(deadline).await?;
        }
        self.query(run("SELECT 1").statement(), deadline).await.map(drop)
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

/// What cannot be done without a commit, and leaves everything as it is.
const HARMLESS_CHANGE: &str = "UPDATE seaql_migrations SET applied_at = applied_at \
                               WHERE version = (SELECT min(version) FROM seaql_migrations)";
/// One at a time.
const ITS_SUBJECT: Subject<'_> = Subject { tenant: "", row: Some(Uuid::nil()) };

/// Waits for some time before the next attempt; `false` where that would have too little time to be answered.
async fn rest(pause: &mut Duration, deadline: Instant) -> bool {
    let next = Instant::now() + *pause;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
    if next + ATTEMPT > deadline {
        return false;
    }
    sleep_until(next).await;
    true
}

fn decode<E: Rows>(statement: Bound<'_>, outcome: Outcome) -> Result<Vec<E::Model>, DbError> {
    let rows = outcome.rows.iter();
    rows.map(|row| row::decode::<E>(statement.types(), |index, kind: &ColumnType| value(row, index, kind))).collect()
}
