//! One connection: statements are prepared once on it and may be pipelined.
//!
//! Three flags say what may happen to it:
//!
//! | flag | set | effect |
//! |---|---|---|
//! | `silent` | while a read is overdue, or the pool examines the connection | no new statements |
//! | `changing` | from just before a change is sent until its answer | never cancelled; set aside if retired |
//! | `retirement` | once, with the reason | no new statements; the pool replaces it |

use std::{
    pin::pin,
    sync::{
        OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::TryStreamExt;
use tokio::{
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};
use tokio_postgres::{Client, Row, SimpleQueryMessage, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    sqlstate::{Failure, on_prepare, on_statement},
    value::Parameter,
};
use crate::db::{DbError, statement::Bound};

/// Time for a cancelled read to end.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(300);

/// Why a connection is replaced.
pub(super) const SILENT: &str = "it does not answer";
pub(super) const READ_ONLY: &str = "its server accepts no changes";

/// A connection. Reads share one; a change has one for itself.
pub(super) struct Connection {
    client: Client,
    tls: MakeRustlsConnect,
    /// The prepared statements, at their numbers.
    statements: RwLock<Vec<Option<Statement>>>,
    in_flight: AtomicUsize,
    /// Whether it must answer before it gets another statement.
    silent: AtomicBool,
    /// Whether a change was sent, not only prepared, and has no answer yet.
    changing: AtomicBool,
    /// Why the pool must replace it.
    retirement: OnceLock<&'static str>,
    retired: Notify,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

/// The result of a statement.
pub(super) struct Outcome {
    pub(super) rows: Vec<Row>,
    /// Number of rows returned or changed.
    pub(super) affected: u64,
}

impl Connection {
    pub(super) fn new(client: Client, tls: MakeRustlsConnect) -> Self {
        Self {
            client,
            tls,
            statements: RwLock::default(),
            in_flight: AtomicUsize::new(0),
            silent: AtomicBool::new(false),
            changing: AtomicBool::new(false),
            retirement: OnceLock::new(),
            retired: Notify::new(),
        }
    }

    /// Number of statements that wait for their answer.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Whether it may get statements.
    pub(super) fn is_usable(&self) -> bool {
        !self.silent.load(Relaxed) && self.retirement.get().is_none() && !self.client.is_closed()
    }

    /// Keeps new statements away from it, or allows them again.
    pub(super) fn doubt(&self, doubt: bool) {
        self.silent.store(doubt, Relaxed);
    }

    /// Retires it: the pool replaces it, and it ends when the statements in flight have ended.
    pub(super) fn retire(&self, reason: &'static str) {
        // The first reason counts.
        let _ = self.retirement.set(reason);
        self.retired.notify_one();
    }

    /// Waits until it is retired. Returns the reason.
    pub(super) async fn retired(&self) -> &'static str {
        self.retired.notified().await;
        self.retirement.get().copied().unwrap_or_default()
    }

    /// Waits until all statements that were sent before have ended, or the connection has.
    pub(super) async fn drained(&self) {
        if self.client.simple_query("").await.is_ok() {
            // The answers come in order, so the change has ended, too, even if its caller is gone.
            self.changing.store(false, Relaxed);
        }
    }

    /// Asks the server whether it accepts changes. The answer comes after those of all earlier statements.
    pub(super) async fn is_writable(&self) -> Result<bool, Failure> {
        let _flight = Flight::begin(&self.in_flight);
        let messages = self.client.simple_query("SHOW transaction_read_only").await;
        let is_off = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get(0) == Some("off"),
            _ => false,
        };
        messages.map(|messages| messages.iter().any(is_off)).map_err(|error| on_statement(&error))
    }

    /// Runs statements without arguments or rows, without a time limit.
    pub(super) async fn batch(&self, statements: &str) -> Result<(), DbError> {
        self.client.batch_execute(statements).await.map_err(|error| on_statement(&error).end())
    }

    /// Runs a read. At the deadline, calls `overdue` and cancels the read. If that gets no answer either, retires the
    /// connection.
    pub(super) async fn read(
        &self,
        statement: Bound<'_>,
        deadline: Instant,
        overdue: impl FnOnce(),
    ) -> Result<Outcome, Failure> {
        let _flight = Flight::begin(&self.in_flight);
        let mut answer = pin!(async {
            match self.run(statement, false).await {
                // The cancellation was for another read: PostgreSQL cancels the statement that runs at the moment.
                Err(Failure::Cancelled(_)) if Instant::now() < deadline => self.run(statement, false).await,
                answer => answer,
            }
        });
        if let Ok(answer) = timeout_at(deadline, &mut answer).await {
            return answer;
        }
        tracing::warn!(sql = statement.text(), "a read takes too long and is cancelled");
        self.silent.store(true, Relaxed);
        overdue();
        let (cancel, tls) = (self.client.cancel_token(), self.tls.clone());
        // The pool may have moved this connection to the changes in the meantime.
        if !self.is_changing() {
            tokio::spawn(async move { timeout(CANCEL_TIMEOUT, cancel.cancel_query(tls)).await });
        }
        let Ok(answer) = timeout(CANCEL_TIMEOUT, answer).await else {
            self.retire(SILENT);
            return Err(DbError::Unavailable("the database does not answer".to_owned()).into());
        };
        self.silent.store(false, Relaxed);
        answer
    }

    /// Runs a change, without a time limit.
    pub(super) async fn change(&self, statement: Bound<'_>) -> Result<Outcome, Failure> {
        let answer = self.run(statement, true).await;
        // If the caller drops this future before, `changing` stays set until `drained` has seen the answer.
        self.changing.store(false, Relaxed);
        answer
    }

    /// Whether a change was sent and has no answer yet. A change that was not sent has certainly not happened.
    pub(super) fn is_changing(&self) -> bool {
        self.changing.load(Relaxed)
    }

    /// Runs a statement, without a time limit. A statement that was sent runs to its end, even if the caller goes away.
    async fn run(&self, statement: Bound<'_>, change: bool) -> Result<Outcome, Failure> {
        match self.query(statement, change).await {
            Err(Failure::Stale(_)) => {
                self.remember(statement, None);
                self.query(statement, change).await
            }
            answer => answer,
        }
    }

    async fn query(&self, statement: Bound<'_>, change: bool) -> Result<Outcome, Failure> {
        let known = self.statements.read().unwrap_or_else(PoisonError::into_inner).get(statement.number()).cloned();
        let prepared = if let Some(prepared) = known.flatten() {
            prepared
        } else {
            let prepared = self.client.prepare(statement.text()).await.map_err(|error| on_prepare(&error))?;
            self.remember(statement, Some(prepared.clone()));
            prepared
        };
        if self.client.is_closed() {
            return Err(Failure::Again("the connection is lost".to_owned()));
        }
        if change {
            self.changing.store(true, Relaxed);
        }
        let answer = async {
            let mut stream = pin!(self.client.query_raw(&prepared, statement.values().map(Parameter)).await?);
            let mut rows = Vec::new();
            while let Some(row) = stream.try_next().await? {
                rows.push(row);
            }
            Ok(Outcome { rows, affected: stream.rows_affected().unwrap_or_default() })
        };
        answer.await.map_err(|error| on_statement(&error))
    }

    fn remember(&self, statement: Bound<'_>, prepared: Option<Statement>) {
        let mut statements = self.statements.write().unwrap_or_else(PoisonError::into_inner);
        let number = statement.number();
        if statements.len() <= number {
            statements.resize(number + 1, None);
        }
        if let Some(place) = statements.get_mut(number) {
            *place = prepared;
        }
    }
}

/// Counts a statement in flight until it is dropped.
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
