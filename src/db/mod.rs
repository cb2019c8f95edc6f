//! The connection layer: SeaORM's entities and query builder describe statements, [`Db`] runs them.
//!
//! No line outside this folder knows which database runs.

mod backup;
mod bulk;
mod foreign;
mod migrate;
mod outage;
mod postgres;
mod row;
mod session;
mod sqlite;
mod statement;
mod url;

use std::{sync::Arc, time};

use sea_orm::{DbBackend, DeleteMany, EntityTrait, Value};
use tokio::time::Instant;
use uuid::Uuid;

pub use self::{
    backup::{Copied, FileError},
    bulk::{Among, Count, Missing},
    migrate::Migrations,
    outage::Outage,
    row::{Field, Row, Values},
    session::{Session, Transaction},
    statement::{Arguments, Build, Fill, Find, Inserts, Merge, Rows, Sql, Statements, Update},
    url::{DatabaseUrl, InvalidUrl},
};
use self::{migrate::Step, postgres::Subject};
pub(crate) use self::{row::row, statement::arguments};
use crate::telemetry::{
    self,
    metrics::{Metrics, Operation},
    traces::{self, ClientSpan},
};

/// A database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Db(Arc<Backend>);

#[derive(Debug)]
enum Backend {
    Sqlite(Box<sqlite::Sqlite>),
    Postgres(postgres::Postgres),
}

/// Number of connections to a PostgreSQL server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes {
    /// Connections that reads share.
    pub reads: usize,
    /// Connections for changes, each for one change at a time.
    pub writes: usize,
}

/// The errors of a statement, by what the caller can do about them.
///
/// The texts are for the log: they may name columns and files, and never reach a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DbError {
    /// A unique or primary key has that value already; nothing was written.
    Unique(String),
    /// A row that the new one refers to is missing; nothing was written.
    ForeignKey(String),
    /// The database cannot be reached or cannot write (disk full, I/O error); nothing was written, and it may recover
    /// by itself.
    Unavailable(String),
    /// The outcome is unknown: the change was made, or not, or may still be made.
    Unknown(String),
    /// The database rejects the connection: wrong password, unknown certificate, no such database.
    Refused(String),
    /// The database belongs to another program, or this one cannot use it.
    Unsuitable(String),
    /// A defect of this program or of the schema.
    Internal(String),
}

impl DbError {
    /// The text alone, without the kind.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Unique(text)
            | Self::ForeignKey(text)
            | Self::Unavailable(text)
            | Self::Unknown(text)
            | Self::Refused(text)
            | Self::Unsuitable(text)
            | Self::Internal(text) => text,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Unique(_) => "unique constraint",
            Self::ForeignKey(_) => "foreign key",
            Self::Unavailable(_) => "unavailable",
            Self::Unknown(_) => "unknown outcome",
            Self::Refused(_) => "refused",
            Self::Unsuitable(_) => "unsuitable",
            Self::Internal(_) => "internal",
        }
    }
}

impl std::fmt::Display for DbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind(), self.text())
    }
}

impl std::error::Error for DbError {}

impl Db {
    /// The database at this URL. Connects to nothing before [`Db::connect`].
    ///
    /// # Errors
    ///
    /// [`DbError::Refused`] if TLS cannot be set up.
    pub fn open(url: &DatabaseUrl, lanes: Lanes) -> Result<Self, DbError> {
        Ok(Self(Arc::new(match url {
            DatabaseUrl::Sqlite(file) => Backend::Sqlite(Box::new(sqlite::Sqlite::new(file.clone()))),
            DatabaseUrl::Postgres(server) => Backend::Postgres(postgres::Postgres::open(server, lanes)?),
        })))
    }

    /// Connects and stays connected, or opens the file. Call it once, when the schema is up to date. Before it,
    /// statements wait, and then fail with [`DbError::Unavailable`].
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`] if the file cannot be opened.
    pub fn connect(&self) -> Result<(), DbError> {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.connect(),
            Backend::Postgres(postgres) => {
                postgres.connect();
                Ok(())
            }
        }
    }

    /// The database for one request of this tenant. Its statements share one deadline. On PostgreSQL, the changes of a
    /// tenant share a quarter of the connections.
    #[must_use]
    pub fn of<'a>(&'a self, tenant: &'a str) -> Requested<'a> {
        Requested {
            db: self,
            subject: Subject { tenant, row: None },
            deadline: Instant::now() + postgres::STATEMENT_TIMEOUT,
        }
    }

    fn backend(&self) -> DbBackend {
        match &*self.0 {
            Backend::Sqlite(_) => DbBackend::Sqlite,
            Backend::Postgres(_) => DbBackend::Postgres,
        }
    }

    /// Checks that the database answers and accepts changes.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`] and [`DbError::Unknown`] if it does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.ping().await,
            Backend::Postgres(postgres) => postgres.ping().await,
        }
    }

    /// Applies all pending migrations. Many processes may do so at once.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`], [`DbError::Refused`] and [`DbError::Unsuitable`], or [`DbError::Internal`] if the
    /// schema is newer than this program.
    pub async fn migrate_up(&self) -> Result<Migrations, DbError> {
        self.migrate(Step::Up).await
    }

    /// Rolls back the newest migration, and removes its data.
    ///
    /// # Errors
    ///
    /// As [`Db::migrate_up`].
    pub async fn migrate_down(&self) -> Result<Migrations, DbError> {
        self.migrate(Step::Down).await
    }

    /// Reports which migrations are applied, and changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Db::migrate_up`].
    pub async fn migrations(&self) -> Result<Migrations, DbError> {
        self.migrate(Step::Status).await
    }

    async fn migrate(&self, step: Step) -> Result<Migrations, DbError> {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.migrate(step).await,
            Backend::Postgres(postgres) => postgres.migrate(step).await,
        }
    }

    /// Sets the figures of its connections or files.
    pub fn report(&self, metrics: &Metrics) {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.report(metrics),
            Backend::Postgres(postgres) => postgres.report(metrics),
        }
    }

    /// Ends the use of the database. On SQLite, copies the log into the main file.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`]. No acknowledged write is lost: the log still has it.
    pub fn close(self) -> Result<(), DbError> {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.checkpoint(),
            Backend::Postgres(_) => Ok(()),
        }
    }
}

/// The database as one request uses it. The futures of PostgreSQL are boxed, so that a request on SQLite, which needs much
/// smaller ones, does not carry their size.
#[derive(Debug, Clone, Copy)]
pub struct Requested<'a> {
    db: &'a Db,
    subject: Subject<'a>,
    deadline: Instant,
}

impl Requested<'_> {
    /// For changes of this row: few of them are in the database at a time.
    #[must_use]
    pub fn on(mut self, row: Uuid) -> Self {
        self.subject.row = Some(row);
        self
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`] and [`DbError::Internal`].
    pub async fn one<K: Ord + Copy, A: Arguments, S: Rows>(
        &self,
        query: &Statements<K, A, S>,
        key: K,
        arguments: A,
    ) -> Result<Option<S::Row>, DbError> {
        Ok(self.all(query, key, arguments).await?.into_iter().next())
    }

    /// The rows of a query.
    ///
    /// # Errors
    ///
    /// As [`Requested::one`].
    pub async fn all<K: Ord + Copy, A: Arguments, S: Rows>(
        &self,
        query: &Statements<K, A, S>,
        key: K,
        arguments: A,
    ) -> Result<Vec<S::Row>, DbError> {
        let query = query.bind(self.db.backend(), key, arguments);
        let timing = self.begin(Operation::Select, || query.statement().text().to_owned());
        timing.end(match &*self.db.0 {
            Backend::Sqlite(sqlite) => sqlite.read(query.statement()).await,
            Backend::Postgres(postgres) => Box::pin(postgres.read(query.statement(), self.deadline)).await,
        })
    }

    /// Begins a statement of this kind, with this text.
    fn begin(&self, operation: Operation, text: impl FnOnce() -> String) -> Timing {
        let system = match &*self.db.0 {
            Backend::Sqlite(_) => "sqlite",
            Backend::Postgres(_) => "postgresql",
        };
        Timing {
            metrics: telemetry::metrics().map(|metrics| (metrics, system, operation, time::Instant::now())),
            span: traces::statement(system, operation.name(), text),
        }
    }

    /// Runs several inserts as one: all happen, or none.
    ///
    /// # Errors
    ///
    /// Any [`DbError`]. Then none was made, except that [`DbError::Unknown`] leaves this open.
    pub async fn insert<K: Ord + Copy>(
        &self,
        inserts: &Statements<K, Vec<Value>, Inserts>,
        key: K,
        rows: Vec<Value>,
    ) -> Result<(), DbError> {
        let inserts = inserts.bind(self.db.backend(), key, rows);
        let texts = || inserts.statements().map(|insert| insert.text().to_owned()).collect::<Vec<_>>().join("; ");
        let timing = self.begin(Operation::Insert, texts);
        timing.end(match &*self.db.0 {
            Backend::Sqlite(sqlite) => sqlite.execute_together(inserts).await,
            Backend::Postgres(postgres) => {
                Box::pin(postgres.execute_together(self.subject, inserts, self.deadline)).await
            }
        })
    }

    /// Updates rows and returns them with their new values.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub async fn update<K: Ord + Copy, A: Arguments, R: Row>(
        &self,
        update: &Statements<K, A, Update<R>>,
        key: K,
        arguments: A,
    ) -> Result<Vec<R>, DbError> {
        let update = update.bind(self.db.backend(), key, arguments);
        let timing = self.begin(Operation::Update, || update.statement().text().to_owned());
        timing.end(match &*self.db.0 {
            Backend::Sqlite(sqlite) => sqlite.write(update).await,
            Backend::Postgres(postgres) => {
                Box::pin(postgres.write(self.subject, update.statement(), self.deadline)).await
            }
        })
    }

    /// Deletes rows and returns their number.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub async fn delete<K: Ord + Copy, A: Arguments, E: EntityTrait>(
        &self,
        delete: &Statements<K, A, DeleteMany<E>>,
        key: K,
        arguments: A,
    ) -> Result<u64, DbError> {
        let delete = delete.bind(self.db.backend(), key, arguments);
        let timing = self.begin(Operation::Delete, || delete.statement().text().to_owned());
        timing.end(match &*self.db.0 {
            Backend::Sqlite(sqlite) => sqlite.execute(delete).await,
            Backend::Postgres(postgres) => {
                Box::pin(postgres.execute(self.subject, delete.statement(), self.deadline)).await
            }
        })
    }
}

/// A statement that runs: for the metrics the database, the kind of the statement and its start; and its span.
struct Timing {
    metrics: Option<(&'static Metrics, &'static str, Operation, time::Instant)>,
    span: ClientSpan,
}

impl Timing {
    /// Counts the statement, and ends its span. Gives its outcome back.
    fn end<T>(mut self, outcome: Result<T, DbError>) -> Result<T, DbError> {
        let kind = |error: &DbError| error.kind().replace(' ', "_");
        if let Some((metrics, system, operation, started)) = self.metrics {
            let error = outcome.as_ref().err().map(kind);
            metrics.statement(system, operation, error.as_deref(), started.elapsed());
        }
        outcome.inspect_err(|error| self.span.fail(kind(error), error))
    }
}
