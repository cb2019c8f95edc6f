//! One connection: statements are pipelined on it, prepared once, and bounded in time.

use std::{
    collections::HashMap,
    error::Error as _,
    io,
    pin::pin,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::TryStreamExt;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::{Client, Error, Row, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{tls, value::Parameter};
use crate::db::{DbError, statement::Bound, url::PostgresServer};

/// Time for a cancelled statement to end.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(300);

/// What it takes to connect.
#[derive(Clone)]
pub(super) struct Connector {
    server: PostgresServer,
    tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.server.fmt(f)
    }
}

impl Connector {
    pub(super) fn new(server: PostgresServer) -> Result<Self, DbError> {
        let tls = tls::connector(&server.tls)?;
        Ok(Self { server, tls })
    }

    /// A connection, and the work of driving it, which ends when the connection does.
    pub(super) async fn connect(&self) -> Result<(Client, impl Future<Output = Result<(), Error>> + use<>), DbError> {
        self.server.config.connect(self.tls.clone()).await.map_err(|error| connect_failed(&error))
    }

    /// As [`Connector::connect`], for statements to be pipelined.
    pub(super) async fn open(&self) -> Result<(Connection, impl Future<Output = Result<(), Error>> + use<>), DbError> {
        let (client, driver) = self.connect().await?;
        let (statements, in_flight) = (RwLock::default(), AtomicUsize::new(0));
        Ok((Connection { client, tls: self.tls.clone(), statements, in_flight }, driver))
    }
}

/// A connection that many callers share.
pub(super) struct Connection {
    client: Client,
    tls: MakeRustlsConnect,
    /// By their text.
    statements: RwLock<HashMap<String, tokio_postgres::Statement>>,
    in_flight: AtomicUsize,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

/// What a statement gave.
pub(super) struct Outcome {
    pub(super) rows: Vec<Row>,
    /// How many rows it gave or changed.
    pub(super) affected: u64,
}

impl Connection {
    /// How many statements wait for their answer.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Runs a statement, and cancels it at the deadline. A caller that goes away changes nothing: what was sent runs to
    /// its end.
    pub(super) async fn run(&self, statement: Bound<'_>, deadline: Instant) -> Result<Outcome, DbError> {
        let _flight = Flight::begin(&self.in_flight);
        let mut answer = pin!(self.answer(statement, deadline));
        if let Ok(answer) = timeout_at(deadline, &mut answer).await {
            return answer;
        }
        tracing::warn!(sql = statement.text(), "a statement takes too long and is cancelled");
        let (cancel, tls) = (self.client.cancel_token(), self.tls.clone());
        tokio::spawn(async move { timeout(CANCEL_TIMEOUT, cancel.cancel_query(tls)).await });
        let silent = |_| Err(DbError::Unknown("the database does not answer".to_owned()));
        timeout(CANCEL_TIMEOUT, answer).await.unwrap_or_else(silent)
    }

    async fn answer(&self, statement: Bound<'_>, deadline: Instant) -> Result<Outcome, DbError> {
        let answer = match self.query(statement).await {
            // A cancellation that was meant for another statement on this connection, or came late; this one was not run.
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) && Instant::now() < deadline => {
                self.query(statement).await
            }
            Err(error) if is_stale(&error) => {
                self.statements.write().unwrap_or_else(PoisonError::into_inner).remove(statement.text());
                self.query(statement).await
            }
            answer => answer,
        };
        answer.map_err(|error| statement_failed(&error))
    }

    async fn query(&self, statement: Bound<'_>) -> Result<Outcome, Error> {
        let known = self.statements.read().unwrap_or_else(PoisonError::into_inner).get(statement.text()).cloned();
        let prepared = if let Some(prepared) = known {
            prepared
        } else {
            let prepared = self.client.prepare(statement.text()).await?;
            let mut statements = self.statements.write().unwrap_or_else(PoisonError::into_inner);
            statements.insert(statement.text().to_owned(), prepared.clone());
            prepared
        };
        let mut stream = pin!(self.client.query_raw(&prepared, statement.values().map(Parameter)).await?);
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await? {
            rows.push(row);
        }
        Ok(Outcome { rows, affected: stream.rows_affected().unwrap_or_default() })
    }
}

struct Flight<'a>(&'a AtomicUsize);

impl<'a> Flight<'a> {
    fn begin(in_flight: &'a AtomicUsize) -> Self {
        in_flight.fetch_add(1, Relaxed);
        Self(in_flight)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Whether the statement, prepared earlier, must be prepared anew: the schema has changed, or a pooler has forgotten it.
/// It was not run.
fn is_stale(error: &Error) -> bool {
    error.as_db_error().is_some_and(|error| match *error.code() {
        SqlState::FEATURE_NOT_SUPPORTED => error.message().contains("cached plan"),
        SqlState::INVALID_SQL_STATEMENT_NAME => true,
        _ => false,
    })
}

/// Why there is no connection: the server is away, or will not have us.
fn connect_failed(error: &Error) -> DbError {
    match statement_failed(error) {
        DbError::Unknown(text) | DbError::Unavailable(text) if !is_tls(error) => DbError::Unavailable(text),
        DbError::Unknown(text) | DbError::Unavailable(text) | DbError::Internal(text) => DbError::Refused(text),
        other => other,
    }
}

/// Why a statement gave no result, by its SQLSTATE (PostgreSQL's appendix A).
pub(super) fn statement_failed(error: &Error) -> DbError {
    let text = text(error);
    let Some(refusal) = error.as_db_error() else {
        let io = error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>);
        return if io || error.is_closed() { DbError::Unknown(text) } else { DbError::Internal(text) };
    };
    let code = refusal.code().code();
    match (code, code.get(..2).unwrap_or_default()) {
        ("23505", _) => DbError::Unique(text),
        ("23503", _) => DbError::ForeignKey(text),
        // Cannot connect now, cancelled, locked, read-only: nothing was done.
        ("57P03" | "57014" | "55P03" | "25006", _) => DbError::Unavailable(text),
        // The protocol is violated (a pooler that will not have a parameter); no such database.
        ("08P01" | "3D000", _) | (_, "28") => DbError::Refused(text),
        // The connection or its server ends.
        (_, "08" | "57") => DbError::Unknown(text),
        // Rolled back for another; out of disk, memory or connections; an error of its system.
        (_, "40" | "53" | "58") => DbError::Unavailable(text),
        _ => DbError::Internal(text),
    }
}

/// Whether a certificate or the like was not to the liking of rustls.
fn is_tls(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.and_then(io::Error::get_ref).and_then(|source| source.downcast_ref::<rustls::Error>()).is_some()
}

/// The error with its causes, without the details of the server's own errors, which quote rows.
fn text(error: &Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
