//! SQLite: reads run inline, on a connection of each worker thread; writes go to one thread that commits in groups.

mod migrate;
mod value;

use std::{
    fs,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rusqlite::{
    Connection, ErrorCode, OpenFlags,
    config::DbConfig,
    ffi::{SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE},
    params_from_iter,
};
use sea_orm::ColumnType;
use thread_local::ThreadLocal;
use tokio::sync::{mpsc, oneshot};

use self::value::{Parameter, value};
use super::{
    DbError, Rows, row,
    statement::{Bound, Run, Sql},
    url::SqliteFile,
};

/// How many writes one commit, and so one fsync, may carry.
const GROUP: usize = 256;
/// How many writes may wait for the writer; further ones wait for a place.
const QUEUE: usize = 1024;
/// How long a connection waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(1);
/// How long a write waits for a place in the queue.
const WAIT: Duration = Duration::from_millis(800);

/// An open database file.
#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    writer: mpsc::Sender<Write>,
    readers: ThreadLocal<Connection>,
}

/// A write: runs inside the group's transaction (or is told why there is none), and is then told how that ended.
type Write = Box<dyn FnOnce(Result<&Connection, &DbError>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(&Result<(), DbError>)>;

impl Sqlite {
    pub(super) fn open(file: &SqliteFile) -> Result<Self, DbError> {
        let cannot = |error: std::io::Error| DbError::Unavailable(format!("{}: {error}", file.path.display()));
        if let (true, Some(folder)) = (file.create, file.path.parent()) {
            fs::create_dir_all(folder).map_err(cannot)?;
        }
        let create = if file.create { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
        let connection = connect(&file.path, OpenFlags::SQLITE_OPEN_READ_WRITE | create)?;
        let journal: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
        if journal != "wal" {
            let problem = "its file system cannot share memory between processes, which the write-ahead log needs";
            return Err(DbError::Refused(format!("{}: {problem}", file.path.display())));
        }
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        let (writer, queue) = mpsc::channel(QUEUE);
        thread::Builder::new().name("sqlite-writer".into()).spawn(move || write(&connection, queue)).map_err(cannot)?;
        Ok(Self { path: file.path.clone(), writer, readers: ThreadLocal::new() })
    }

    /// Runs a query here and now: a point query takes microseconds, less than handing it to another thread.
    pub(super) fn read<E: Rows>(&self, statement: Bound<'_>) -> Result<Vec<E::Model>, DbError> {
        query::<E>(self.reader()?, statement)
    }

    pub(super) fn ping(&self) -> Result<(), DbError> {
        self.reader()?.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(())).map_err(failed)
    }

    fn reader(&self) -> Result<&Connection, DbError> {
        self.readers.get_or_try(|| connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY))
    }

    /// Runs a statement that changes rows and returns them.
    pub(super) async fn write<E: Rows>(&self, run: Run<Sql>) -> Result<Vec<E::Model>, DbError> {
        self.transact(move |connection| query::<E>(connection, run.statement())).await
    }

    /// Runs a statement that changes rows; answers how many.
    pub(super) async fn execute(&self, run: Run<Sql>) -> Result<u64, DbError> {
        self.transact(move |connection| execute(connection, run.statement())).await
    }

    /// Runs statements of which either all happen or none.
    pub(super) async fn execute_together(&self, run: Run<Vec<Sql>>) -> Result<(), DbError> {
        self.transact(move |connection| {
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

    /// Has the writer run `work` and answers once its group is committed, and so on disk.
    ///
    /// A caller that goes away changes nothing: what was handed over runs to its end.
    async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let (answer, answered) = oneshot::channel();
        let write: Write = Box::new(move |connection| {
            let result = connection.map_err(DbError::clone).and_then(work);
            Box::new(move |committed| drop(answer.send(committed.clone().and(result))))
        });
        let unavailable = |what: &str| DbError::Unavailable(format!("the writer {what}"));
        let place = tokio::time::timeout(WAIT, self.writer.reserve()).await.map_err(|_| unavailable("is busy"))?;
        place.map_err(|_| unavailable("has ended"))?.send(write);
        answered.await.map_err(|_| unavailable("failed"))?
    }

    /// Copies the write-ahead log into the main file, as far as no other process reads from it.
    pub(super) fn checkpoint(&self) -> Result<(), DbError> {
        let connection = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).map_err(failed)
    }
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

/// The writer: takes what waits, runs it inside one transaction, and answers only after the commit.
fn write(connection: &Connection, mut queue: mpsc::Receiver<Write>) {
    while let Some(first) = queue.blocking_recv() {
        let group = AssertUnwindSafe(|| commit_group(connection, first, &mut queue));
        // Only a defect panics; its group is answered by the drop of its channels, and the next one starts afresh.
        if std::panic::catch_unwind(group).is_err() && !connection.is_autocommit() {
            drop(connection.execute_batch("ROLLBACK"));
        }
    }
}

fn commit_group(connection: &Connection, first: Write, queue: &mut mpsc::Receiver<Write>) {
    if let Err(error) = run(connection, "BEGIN IMMEDIATE") {
        // All have waited as long as the first: none shall wait for one attempt after the other.
        let mut refused = Some(first);
        while let Some(write) = refused {
            write(Err(&error))(&Ok(()));
            refused = queue.try_recv().ok();
        }
        return;
    }
    let mut answers = vec![first(Ok(connection))];
    // After a full disk or an I/O error SQLite has rolled back everything: nothing may run outside the transaction.
    while answers.len() < GROUP && !connection.is_autocommit() {
        let Ok(next) = queue.try_recv() else { break };
        answers.push(next(Ok(connection)));
    }
    let committed = if connection.is_autocommit() {
        Err(DbError::Unavailable("SQLite rolled the transaction back".into()))
    } else {
        run(connection, "COMMIT")
    };
    if committed.is_err() && !connection.is_autocommit() {
        drop(connection.execute_batch("ROLLBACK"));
    }
    for answer in answers {
        answer(&committed);
    }
}

fn run(connection: &Connection, sql: &str) -> Result<(), DbError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(())).map(drop).map_err(failed)
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

fn failed(error: rusqlite::Error) -> DbError {
    let text = error.to_string();
    let rusqlite::Error::SqliteFailure(cause, _) = error else { return DbError::Internal(text) };
    match (cause.code, cause.extended_code) {
        (_, SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY) => DbError::Unique(text),
        (_, SQLITE_CONSTRAINT_FOREIGNKEY) => DbError::ForeignKey(text),
        (
            ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure,
            _,
        ) => DbError::Unavailable(text),
        _ => DbError::Internal(text),
    }
}
