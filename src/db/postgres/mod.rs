//! PostgreSQL: a few connections that all callers share, in two lanes, so that reads do not wait behind writes.

mod connection;
mod tls;
mod value;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use sea_orm::{
    ColumnType, Database, DbBackend, DbErr, ProxyDatabaseTrait, ProxyExecResult, ProxyRow, RuntimeErr, Statement,
    Value,
    sea_query::{Alias, CommonTableExpression, InsertStatement, WithClause},
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_postgres::{Client, types::Type};

use self::{
    connection::{Connection, Connector, Outcome, statement_failed},
    value::{Parameter, value},
};
use super::{
    DbError, Lanes, Rows,
    migrate::{self, Migrations, Step},
    row,
    url::PostgresServer,
};

/// How long a statement waits for a connection while there is none.
const WAIT: Duration = Duration::from_millis(1500);
/// Pauses between attempts to connect: the first, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Identifies the lock that migrations hold: any number, the same in every process.
const MIGRATION_LOCK: i64 = 0x746f_646f_5f61_7069;

/// A PostgreSQL server and the connections to it.
#[derive(Debug)]
pub(super) struct Postgres {
    connector: Connector,
    reads: Arc<Lane>,
    writes: Arc<Lane>,
    /// What keeps the connections up; dropped, they end.
    keepers: std::sync::Mutex<JoinSet<()>>,
    lanes: Lanes,
}

impl Postgres {
    /// Connects to nothing yet.
    pub(super) fn open(server: &PostgresServer, lanes: Lanes) -> Result<Self, DbError> {
        let connector = Connector::new(server.clone())?;
        let (reads, writes) = (Arc::default(), Arc::default());
        Ok(Self { connector, reads, writes, keepers: std::sync::Mutex::default(), lanes })
    }

    /// Starts to connect, and to keep connected.
    pub(super) fn connect(&self) {
        let mut keepers = self.keepers.lock().unwrap_or_else(PoisonError::into_inner);
        for (lane, connections) in [(&self.reads, self.lanes.reads), (&self.writes, self.lanes.writes)] {
            for _ in 0..connections {
                keepers.spawn(keep_connected(self.connector.clone(), lane.clone()));
            }
        }
    }

    /// Runs a query; once more where its connection is lost, since that does no harm.
    pub(super) async fn read<E: Rows>(&self, statement: &Statement) -> Result<Vec<E::Model>, DbError> {
        let outcome = match self.reads.run(statement).await {
            Err(DbError::Lost(_)) => self.reads.run(statement).await,
            outcome => outcome,
        };
        decode::<E>(outcome.map_err(|error| match error {
            DbError::Lost(text) => DbError::Unavailable(text),
            error => error,
        })?)
    }

    pub(super) async fn ping(&self) -> Result<(), DbError> {
        let statement = Statement::from_string(DbBackend::Postgres, "SELECT 1");
        self.reads.run(&statement).await.map(drop)
    }

    /// Runs a statement that changes rows and returns them.
    pub(super) async fn write<E: Rows>(&self, statement: &Statement) -> Result<Vec<E::Model>, DbError> {
        decode::<E>(self.writes.run(statement).await?)
    }

    /// Runs a statement that changes rows; answers how many.
    pub(super) async fn execute(&self, statement: &Statement) -> Result<u64, DbError> {
        Ok(self.writes.run(statement).await?.affected)
    }

    /// Runs migrations on a connection of their own, inside one transaction under a lock that is released with it: both
    /// pass through a pooler.
    pub(super) async fn migrate(&self, step: Step) -> Result<Migrations, DbError> {
        let (client, driver) = self.connector.connect().await?;
        let driver = tokio::spawn(driver);
        let failed = |error| match statement_failed(&error) {
            DbError::Lost(text) => DbError::Unavailable(text),
            error => error,
        };
        let begin = format!(
            "BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;
             SET LOCAL idle_in_transaction_session_timeout = '1min'; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
        );
        client.batch_execute(&begin).await.map_err(failed)?;
        let session = Session(Arc::new(client));
        let seaorm = Database::connect_proxy(DbBackend::Postgres, Arc::new(Box::new(session.clone())))
            .await
            .map_err(|error| DbError::Internal(error.to_string()))?;
        let outcome = migrate::take(step, &seaorm).await;
        let end = if outcome.is_ok() && step != Step::Status { "COMMIT" } else { "ROLLBACK" };
        session.0.batch_execute(end).await.map_err(failed)?;
        driver.abort();
        outcome
    }
}

/// Several inserts as one statement, which happen together or not at all.
pub(super) fn together(mut inserts: Vec<InsertStatement>) -> Statement {
    let last = inserts.pop().unwrap_or_default();
    if inserts.is_empty() {
        return super::build(&last, DbBackend::Postgres);
    }
    let mut with = WithClause::new();
    for (n, insert) in inserts.into_iter().enumerate() {
        let name = Alias::new(format!("insert_{n}"));
        with.cte(CommonTableExpression::new().query(insert).table_name(name).to_owned());
    }
    super::build(&last.with(with), DbBackend::Postgres)
}

fn decode<E: Rows>(outcome: Outcome) -> Result<Vec<E::Model>, DbError> {
    let columns = row::columns::<E>();
    let rows = outcome.rows.iter();
    rows.map(|row| row::decode::<E>(&columns, |index, kind: &ColumnType| value(row, index, kind))).collect()
}

/// Connections of one kind.
#[derive(Debug, Default)]
struct Lane {
    live: RwLock<Vec<Arc<Connection>>>,
    joined: Notify,
}

impl Lane {
    /// Runs a statement on the connection that has the fewest in flight, so that none waits behind a slow one.
    async fn run(&self, statement: &Statement) -> Result<Outcome, DbError> {
        tracing::debug!(sql = statement.sql, "run");
        let connection = match self.least_busy() {
            Some(connection) => connection,
            None => timeout(WAIT, self.next())
                .await
                .map_err(|_| DbError::Unavailable("there is no connection to the database".to_owned()))?,
        };
        connection.run(statement).await
    }

    fn least_busy(&self) -> Option<Arc<Connection>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.iter().min_by_key(|connection| connection.in_flight()).cloned()
    }

    async fn next(&self) -> Arc<Connection> {
        loop {
            let joined = self.joined.notified();
            match self.least_busy() {
                Some(connection) => return connection,
                None => joined.await,
            }
        }
    }

    fn join(&self, connection: Arc<Connection>) {
        self.live.write().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.joined.notify_waiters();
    }

    fn leave(&self, connection: &Arc<Connection>) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.retain(|other| !Arc::ptr_eq(other, connection));
    }
}

/// Keeps one connection of a lane up: connects, drives it, and starts over when it is lost.
async fn keep_connected(connector: Connector, lane: Arc<Lane>) {
    let mut pause = PAUSE;
    let mut told = false;
    loop {
        match connector.open().await {
            Ok((connection, driver)) => {
                (pause, told) = (PAUSE, false);
                let connection = Arc::new(connection);
                lane.join(connection.clone());
                let end = driver.await;
                lane.leave(&connection);
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

/// The one connection over which SeaORM's migrator runs.
#[derive(Clone)]
struct Session(Arc<Client>);

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

#[async_trait::async_trait]
impl ProxyDatabaseTrait for Session {
    async fn query(&self, statement: Statement) -> Result<Vec<ProxyRow>, DbErr> {
        let values = statement.values.as_ref().map_or(&[][..], |values| &values.0);
        let prepared = self.0.prepare(&statement.sql).await.map_err(session_failed)?;
        let parameters: Vec<Parameter<'_>> = values.iter().map(Parameter).collect();
        let parameters: Vec<_> =
            parameters.iter().map(|parameter| parameter as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
        let rows = self.0.query(&prepared, &parameters).await.map_err(session_failed)?;
        let row = |row: &tokio_postgres::Row| {
            let value = |(index, column): (usize, &tokio_postgres::Column)| {
                let value = match *column.type_() {
                    Type::INT8 => Value::BigInt(row.try_get(index).map_err(session_failed)?),
                    _ => Value::String(row.try_get(index).map_err(session_failed)?),
                };
                Ok((column.name().to_owned(), value))
            };
            row.columns().iter().enumerate().map(value).collect::<Result<BTreeMap<_, _>, DbErr>>().map(ProxyRow::new)
        };
        rows.iter().map(row).collect()
    }

    async fn execute(&self, statement: Statement) -> Result<ProxyExecResult, DbErr> {
        if statement.values.is_none() {
            // A migration's script: several statements at once.
            self.0.batch_execute(&statement.sql).await.map_err(session_failed)?;
        } else {
            self.query(statement).await?;
        }
        Ok(ProxyExecResult::default())
    }
}

fn session_failed(error: tokio_postgres::Error) -> DbErr {
    match statement_failed(&error) {
        DbError::Unavailable(text) | DbError::Lost(text) => DbErr::Conn(RuntimeErr::Internal(text)),
        error => DbErr::Exec(RuntimeErr::Internal(error.to_string())),
    }
}
