//! PostgreSQL: a few connections that all callers share, in two lanes, so that reads do not wait behind writes.

mod connection;
mod migrate;
mod tls;
mod value;

use std::{
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
    time::Duration,
};

use sea_orm::{ColumnType, DbBackend, Statement};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use self::{
    connection::{Connection, Connector, Outcome},
    value::value,
};
use super::{
    DbError, Lanes, Rows, row,
    statement::{Bound, Run, Sql},
    url::PostgresServer,
};

/// Time for a statement to get a connection and be answered; then it is cancelled. Poolers take no time limit of ours,
/// so we keep it.
const STATEMENT_TIMEOUT: Duration = Duration::from_millis(1200);
/// Pauses between attempts to connect: the first, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A PostgreSQL server and the connections to it.
#[derive(Debug)]
pub(super) struct Postgres {
    connector: Connector,
    pool: Arc<Pool>,
    /// What keeps the connections up; dropped, they end.
    keepers: std::sync::Mutex<JoinSet<()>>,
    lanes: Lanes,
}

impl Postgres {
    /// Connects to nothing yet.
    pub(super) fn open(server: &PostgresServer, lanes: Lanes) -> Result<Self, DbError> {
        let connector = Connector::new(server.clone())?;
        Ok(Self { connector, pool: Arc::default(), keepers: std::sync::Mutex::default(), lanes })
    }

    /// Starts to connect, and to keep connected.
    pub(super) fn connect(&self) {
        let mut keepers = self.keepers.lock().unwrap_or_else(PoisonError::into_inner);
        for (lane, connections) in [(Lane::Reads, self.lanes.reads), (Lane::Writes, self.lanes.writes)] {
            for _ in 0..connections {
                keepers.spawn(keep_connected(self.connector.clone(), self.pool.clone(), lane));
            }
        }
    }

    /// Runs a query; once more where its connection is lost, since that does no harm.
    pub(super) async fn read<E: Rows>(&self, statement: Bound<'_>) -> Result<Vec<E::Model>, DbError> {
        decode::<E>(statement, self.query(statement).await?)
    }

    async fn query(&self, statement: Bound<'_>) -> Result<Outcome, DbError> {
        let deadline = Instant::now() + STATEMENT_TIMEOUT;
        let outcome = match self.pool.run(Lane::Reads, statement, deadline).await {
            Err(DbError::Unknown(_)) if Instant::now() < deadline => {
                self.pool.run(Lane::Reads, statement, deadline).await
            }
            outcome => outcome,
        };
        outcome.map_err(|error| match error {
            DbError::Unknown(text) => DbError::Unavailable(text),
            error => error,
        })
    }

    pub(super) async fn ping(&self) -> Result<(), DbError> {
        let statement = Statement::from_string(DbBackend::Postgres, "SELECT 1");
        self.query(Run::new(Sql::from(statement), Vec::new()).statement()).await.map(drop)
    }

    /// Runs a statement that changes rows and returns them.
    pub(super) async fn write<E: Rows>(&self, statement: Bound<'_>) -> Result<Vec<E::Model>, DbError> {
        decode::<E>(statement, self.change(statement).await?)
    }

    /// Runs a statement that changes rows; answers how many.
    pub(super) async fn execute(&self, statement: Bound<'_>) -> Result<u64, DbError> {
        Ok(self.change(statement).await?.affected)
    }

    /// Runs a statement that does all of what belongs together.
    pub(super) async fn execute_together(&self, run: Run<Vec<Sql>>) -> Result<(), DbError> {
        for statement in run.statements() {
            self.execute(statement).await?;
        }
        Ok(())
    }

    async fn change(&self, statement: Bound<'_>) -> Result<Outcome, DbError> {
        self.pool.run(Lane::Writes, statement, Instant::now() + STATEMENT_TIMEOUT).await
    }
}

fn decode<E: Rows>(statement: Bound<'_>, outcome: Outcome) -> Result<Vec<E::Model>, DbError> {
    let rows = outcome.rows.iter();
    rows.map(|row| row::decode::<E>(statement.types(), |index, kind: &ColumnType| value(row, index, kind))).collect()
}

/// What a connection is kept for. While a lane has none, its statements take the other.
#[derive(Debug, Clone, Copy)]
enum Lane {
    Reads,
    Writes,
}

/// The connections that there are.
#[derive(Debug, Default)]
struct Pool {
    reads: RwLock<Vec<Arc<Connection>>>,
    writes: RwLock<Vec<Arc<Connection>>>,
    joined: Notify,
}

impl Pool {
    async fn run(&self, lane: Lane, statement: Bound<'_>, deadline: Instant) -> Result<Outcome, DbError> {
        tracing::debug!(sql = statement.text(), "run");
        let connection = match self.pick(lane) {
            Some(connection) => connection,
            None => timeout_at(deadline, self.next(lane))
                .await
                .map_err(|_| DbError::Unavailable("there is no connection to the database".to_owned()))?,
        };
        connection.run(statement, deadline).await
    }

    /// The connection that has the fewest statements in flight, so that none waits behind a slow one.
    fn pick(&self, lane: Lane) -> Option<Arc<Connection>> {
        let least_busy = |live: &RwLock<Vec<Arc<Connection>>>| {
            let live = live.read().unwrap_or_else(PoisonError::into_inner);
            live.iter().min_by_key(|connection| connection.in_flight()).cloned()
        };
        let (own, other) = match lane {
            Lane::Reads => (&self.reads, &self.writes),
            Lane::Writes => (&self.writes, &self.reads),
        };
        least_busy(own).or_else(|| least_busy(other))
    }

    async fn next(&self, lane: Lane) -> Arc<Connection> {
        loop {
            let joined = self.joined.notified();
            match self.pick(lane) {
                Some(connection) => return connection,
                None => joined.await,
            }
        }
    }

    fn lane(&self, lane: Lane) -> RwLockWriteGuard<'_, Vec<Arc<Connection>>> {
        let live = match lane {
            Lane::Reads => &self.reads,
            Lane::Writes => &self.writes,
        };
        live.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, lane: Lane, connection: Arc<Connection>) {
        self.lane(lane).push(connection);
        self.joined.notify_waiters();
    }

    fn leave(&self, lane: Lane, connection: &Arc<Connection>) {
        self.lane(lane).retain(|other| !Arc::ptr_eq(other, connection));
    }
}

/// Keeps one connection of a lane up: connects, drives it, and starts over when it is lost.
async fn keep_connected(connector: Connector, pool: Arc<Pool>, lane: Lane) {
    let mut pause = PAUSE;
    let mut told = false;
    loop {
        match connector.open().await {
            Ok((connection, driver)) => {
                (pause, told) = (PAUSE, false);
                let connection = Arc::new(connection);
                pool.join(lane, connection.clone());
                let end = driver.await;
                pool.leave(lane, &connection);
                tracing::warn!(
                    cause = end.err().map(|error| error.to_string()),
                    "a connection to the database is lost"
                );
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%error, "cannot connect to the database; trying on");
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
