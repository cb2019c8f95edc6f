//! SQLite: reads run inline, on a connection of each worker thread; writes go to one thread that commits in groups.

mod error;
mod file;
mod migrate;
mod value;
mod writer;

use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig, params_from_iter};
use sea_orm::ColumnType;
use thread_local::ThreadLocal;
use tokio::{sync::Notify, time::timeout};

use self::{
    error::failed,
    file::Files,
    value::{Parameter, value},
    writer::Writer,
};
use super::{
    DbError, Rows, row,
    statement::{Bound, Run, Sql},
    url::SqliteFile,
};

/// How long a connection waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(1);
/// How long a request waits for the file to be opened.
const OPENING: Duration = Duration::from_millis(1200);

/// A database file.
#[derive(Debug)]
pub(super) struct Sqlite {
    file: SqliteFile,
    open: OnceLock<Open>,
    opened: Notify,
}

/// A file that is open, with its schema up to date.
#[derive(Debug)]
struct Open {
    files: Arc<Files>,
    writer: Writer,
    readers: ThreadLocal<Connection>,
    /// For threads that have not read yet: they read on where the file has lost its name meanwhile.
    spare: Mutex<Vec<Connection>>,
    /// For the checkpoint at the end: by then the path may lead to another file.
    last: Mutex<Connection>,
}

impl Sqlite {
    /// Opens nothing yet.
    pub(super) fn new(file: SqliteFile) -> Self {
        Self { file, open: OnceLock::new(), opened: Notify::new() }
    }

    /// Opens the file for reads and changes.
    pub(super) fn connect(&self) -> Result<(), DbError> {
        let connection = file::open(&self.file)?;
        let cannot = |error: std::io::Error| DbError::Unavailable(error.to_string());
        let last = Mutex::new(file::open(&self.file)?);
        let files = Arc::new(Files::of(&self.file.path));
        // Those of the runtime and the main thread.
        let threads = 1 + std::thread::available_parallelism().map_or(1, usize::from);
        let spare = (0..threads).map(|_| reader(&self.file.path, &files)).collect::<Result<_, _>>()?;
        let writer = Writer::start(connection, files.clone()).map_err(cannot)?;
        file::warn_of_others(&self.file.path);
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

    /// Runs a query here and now: a point query takes microseconds, less than handing it to another thread.
    pub(super) async fn read<E: Rows>(&self, statement: Bound<'_>) -> Result<Vec<E::Model>, DbError> {
        query::<E>(self.open().await?.reader(&self.file.path)?, statement)
    }

    /// Whether queries are answered and changes can be made.
    pub(super) async fn ping(&self) -> Result<(), DbError> {
        let open = self.open().await?;
        let lost = open.files.check().is_err();
        if lost || open.writer.is_doubtful() {
            if !lost {
                open.files.check_room()?;
            }
            // Writes a page even where the number stays what it is.
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
    pub(super) async fn write<E: Rows>(&self, run: Run<Sql>) -> Result<Vec<E::Model>, DbError> {
        self.open().await?.writer.run(move |connection| query::<E>(connection, run.statement())).await
    }

    /// Runs a statement that changes rows; answers how many.
    pub(super) async fn execute(&self, run: Run<Sql>) -> Result<u64, DbError> {
        self.open().await?.writer.run(move |connection| execute(connection, run.statement())).await
    }

    /// Runs statements of which either all happen or none.
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
                // The group's transaction goes on if this fails, so this needs a bracket of its own.
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

    /// Copies the write-ahead log into the main file, as far as no other process reads from it.
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

/// A connection for reads, of the very file that the writer has.
fn reader(path: &Path, files: &Files) -> Result<Connection, DbError> {
    files.check()?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // It opens the log with its first read.
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(())).map_err(failed)?;
    files.check()?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, DbError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| DbError::Unavailable(format!("{}: {error}", path.display())))?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    // The planner may not look at what is bound: a new LIMIT would make it compile a cached statement again.
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

fn query<E: Rows>(connection: &Connection, statement: Bound<'_>) -> Result<Vec<E::Model>, DbError> {
    tracing::debug!(sql = statement.text(), "query");
    let mut prepared = connection.prepare_cached(statement.text()).map_err(failed)?;
    let parameters = statement.values().map(Parameter);
    let mut rows = prepared.query(params_from_iter(parameters)).map_err(failed)?;
    let mut models = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let value = |index, kind: &ColumnType| value(row.get_ref(index).map_err(failed)?, kind);
        models.push(row::decode::<E>(statement.types(), value)?);
    }
    Ok(models)
}
