//! SQLite: reads run inline, on one connection for each worker thread. One thread makes all changes, in groups.

mod backup;
mod error;
mod file;
mod migrate;
mod session;
mod value;
mod writer;

use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig, params_from_iter};
use thread_local::ThreadLocal;
use tokio::{sync::Notify, time::timeout};

use self::{error::failed, file::Files, value::Parameter, writer::Writer};
pub(super) use self::{session::Session, value::Stored};
use super::{
    DbError, Row, Values,
    statement::{Bound, Run, Sql},
    url::SqliteFile,
};
use crate::telemetry::metrics::Metrics;

/// Longest wait of a connection for another process that locks the file.
const BUSY: Duration = Duration::from_secs(1);
/// Longest wait of a request for the file to be opened.
const OPENING: Duration = Duration::from_millis(1200);

/// A database file.
#[derive(Debug)]
pub(super) struct Sqlite {
    file: SqliteFile,
    open: OnceLock<Open>,
    opened: Notify,
}

/// An open file with an up-to-date schema.
#[derive(Debug)]
struct Open {
    files: Arc<Files>,
    writer: Writer,
    readers: ThreadLocal<Connection>,
    /// For threads that have not read yet, because they cannot open the file after it has lost its name.
    spare: Mutex<Vec<Connection>>,
    /// For the checkpoint at the end. By then, the path may name another file.
    last: Mutex<Connection>,
}

impl Sqlite {
    /// Does not open the file yet.
    pub(super) fn new(file: SqliteFile) -> Self {
        Self { file, open: OnceLock::new(), opened: Notify::new() }
    }

    /// Opens the file for reads and changes.
    pub(super) fn connect(&self) -> Result<(), DbError> {
        let connection = file::open(&self.file)?;
        let cannot = |error: std::io::Error| DbError::Unavailable(error.to_string());
        let last = Mutex::new(file::open(&self.file)?);
        let files = Arc::new(Files::of(&self.file.path));
        // The threads of the runtime, and the main thread.
        let threads = 1 + std::thread::available_parallelism().map_or(1, usize::from);
        let spare = (0..threads).map(|_| reader(&self.file.path, &files)).collect::<Result<_, _>>()?;
        let writer = Writer::start(connection, files.clone()).map_err(cannot)?;
        file::warn_if_shared(&self.file.path);
        drop(self.open.set(Open { files, writer, readers: ThreadLocal::new(), spare: Mutex::new(spare), last }));
        self.opened.notify_waiters();
        Ok(())
    }

    async fn open(&self) -> Result<&Open, DbError> {
        if let Some(open) = self.open.get() {
            return Ok(open);
        }
        let opened = async {
            loop {
                let opened = self.opened.notified();
                if let Some(open) = self.open.get() {
                    return open;
                }
                opened.await;
            }
        };
        let closed = || DbError::Unavailable("the database is not open yet".to_owned());
        timeout(OPENING, opened).await.map_err(|_| closed())
    }

    /// Runs a query on this thread: a point query takes microseconds, less than a switch to another thread.
    pub(super) async fn read<R: Row>(&self, statement: Bound<'_>) -> Result<Vec<R>, DbError> {
        query(self.open().await?.reader(&self.file.path)?, statement)
    }

    /// Checks that the database answers queries and accepts changes.
    pub(super) async fn ping(&self) -> Result<(), DbError> {
        let open = self.open().await?;
        let lost = open.files.check().is_err();
        if lost || open.writer.is_doubtful() {
            if !lost {
                open.files.check_room()?;
            }
            // Writes a page, even though the number does not change.
            let change = |connection: &Connection| {
                let version: i64 =
                    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
                connection.pragma_update(None, "user_version", version).map_err(failed)
            };
            return open.writer.run(change).await;
        }
        let reader = open.reader(&self.file.path)?;
        reader.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(())).map_err(failed)
    }

    /// Runs a statement that changes rows and returns them.
    pub(super) async fn write<R: Row>(&self, run: Run<Sql>) -> Result<Vec<R>, DbError> {
        self.open().await?.writer.run(move |connection| query(connection, run.statement())).await
    }

    /// Runs a statement that changes rows, and returns their number.
    pub(super) async fn execute(&self, run: Run<Sql>) -> Result<u64, DbError> {
        self.open().await?.writer.run(move |connection| execute(connection, run.statement())).await
    }

    /// Runs statements of which all happen, or none.
    pub(super) async fn execute_together(&self, run: Run<Vec<Sql>>) -> Result<(), DbError> {
        self.open()
            .await?
            .writer
            .run(move |connection| {
                let mut statements = run.statements();
                let execute = |statement| execute(connection, statement).map(drop);
                if statements.len() == 1 {
                    return statements.try_for_each(execute);
                }
                // If one fails, the others must be undone without the rest of the group: hence a savepoint.
                connection.execute_batch("SAVEPOINT together").map_err(failed)?;
                match statements.try_for_each(execute) {
                    Ok(()) => connection.execute_batch("RELEASE together").map_err(failed),
                    Err(error) => {
                        if !connection.is_autocommit() {
                            connection.execute_batch("ROLLBACK TO together; RELEASE together").map_err(failed)?;
                        }
                        Err(error)
                    }
                }
            })
            .await
    }

    /// Sets the figures of its queue and its files.
    pub(super) fn report(&self, metrics: &Metrics) {
        if let Some(open) = self.open.get() {
            let [database, log] = open.files.sizes();
            let (waiting, places) = open.writer.waiting();
            metrics.sqlite(waiting, places, database, log);
        }
    }

    /// Copies the write-ahead log into the main file, unless another process is reading from the log.
    pub(super) fn checkpoint(&self) -> Result<(), DbError> {
        let Some(open) = self.open.get() else { return Ok(()) };
        if open.files.share_locks() {
            let last = open.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).map_err(failed)?;
        }
        open.files.check()
    }
}

impl Open {
    fn reader(&self, path: &Path) -> Result<&Connection, DbError> {
        self.readers.get_or_try(|| {
            let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
            spare.map_or_else(|| reader(path, &self.files), Ok)
        })
    }
}

/// A connection for reads. The checks make sure that it opens the same file as the writer.
fn reader(path: &Path, files: &Files) -> Result<Connection, DbError> {
    files.check()?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // The first read opens the log.
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(())).map_err(failed)?;
    files.check()?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, DbError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| DbError::Unavailable(format!("{}: {error}", path.display())))?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    // Otherwise the planner would look at bound values, and compile a cached statement again for each new LIMIT.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn execute(connection: &Connection, statement: Bound<'_>) -> Result<u64, DbError> {
    tracing::debug!(sql = statement.text(), "execute");
    let mut prepared = connection.prepare_cached(statement.text()).map_err(failed)?;
    let parameters = statement.values().map(Parameter);
    let changed = prepared.execute(params_from_iter(parameters)).map_err(failed)?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

fn query<R: Row>(connection: &Connection, statement: Bound<'_>) -> Result<Vec<R>, DbError> {
    tracing::debug!(sql = statement.text(), "query");
    let mut prepared = connection.prepare_cached(statement.text()).map_err(failed)?;
    let parameters = statement.values().map(Parameter);
    let mut stored = prepared.query(params_from_iter(parameters)).map_err(failed)?;
    let mut rows = Vec::new();
    while let Some(row) = stored.next().map_err(failed)? {
        rows.push(R::read(Values::from(row))?);
    }
    Ok(rows)
}
