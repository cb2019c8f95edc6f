//! SQLite as in todo-api: reads run inline, on one connection for each worker thread. One thread makes all changes, and
//! commits those that have queued up together.

use std::{thread, time::Duration};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Error, OptionalExtension, Params, Row, ffi::SQLITE_CONSTRAINT_FOREIGNKEY, params};
use thread_local::ThreadLocal;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{
    sql,
    store::{Result, Store},
    task::{Task, Update, now, title_key},
};

/// Maximum number of changes in one commit.
const GROUP: usize = 256;

/// A database file.
pub(crate) struct Sqlite {
    path: String,
    pending: String,
    readers: ThreadLocal<Connection>,
    writer: mpsc::UnboundedSender<Change>,
}

/// Runs in the transaction of a group.
type Change = Box<dyn FnOnce(&Connection) -> Answer + Send>;
/// Sends the result to the caller, when the group is committed.
type Answer = Box<dyn FnOnce()>;

impl Sqlite {
    pub(crate) fn open(path: &str) -> Self {
        let (writer, changes) = mpsc::unbounded_channel();
        let connection = connect(path).unwrap();
        thread::spawn(move || commit_groups(&connection, changes));
        Self { path: path.to_owned(), pending: sql::pending(|range| range), readers: ThreadLocal::new(), writer }
    }

    fn reader(&self) -> rusqlite::Result<&Connection> {
        self.readers.get_or_try(|| connect(&self.path))
    }

    /// Runs a change on the thread. Returns its result when it is on disk.
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let change: Change = Box::new(move |connection| {
            let result = change(connection);
            Box::new(move || drop(answer.send(result)))
        });
        self.writer.send(change).map_err(|error| error.to_string())?;
        Ok(answered.await??)
    }
}

impl Store for Sqlite {
    async fn task(&self, owner: &str, id: Uuid) -> Result<Option<Task>> {
        Ok(one(self.reader()?, sql::TASK, params![owner, id.as_bytes()])?)
    }

    async fn newest(&self, owner: &str, pending: bool) -> Result<Vec<Task>> {
        let mut statement = self.reader()?.prepare_cached(if pending { &self.pending } else { sql::NEWEST })?;
        let tasks = statement.query_map([owner], task)?;
        Ok(tasks.collect::<rusqlite::Result<_>>()?)
    }

    async fn create(&self, task: Task) -> Result<Task> {
        self.write(|connection| {
            match insert(connection, &task) {
                Err(Error::SqliteFailure(error, _)) if error.extended_code == SQLITE_CONSTRAINT_FOREIGNKEY => {
                    let owner = params![task.user_id, task.created_at.timestamp_micros()];
                    connection.prepare_cached(sql::INSERT_OWNER)?.execute(owner)?;
                    insert(connection, &task)?;
                }
                inserted => drop(inserted?),
            }
            Ok(task)
        })
        .await
    }

    async fn update(&self, owner: &str, id: Uuid, to: Update) -> Result<Option<Task>> {
        let owner = owner.to_owned();
        self.write(move |connection| {
            let (key, now) = (title_key(&to.title), now().timestamp_micros());
            one(connection, sql::UPDATE, params![to.title, key, to.description, now, owner, id.as_bytes()])
        })
        .await
    }

    async fn toggle(&self, owner: &str, id: Uuid) -> Result<Option<Task>> {
        let owner = owner.to_owned();
        self.write(move |connection| {
            one(connection, sql::TOGGLE, params![now().timestamp_micros(), owner, id.as_bytes()])
        })
        .await
    }

    async fn set(&self, owner: &str, id: Uuid, completed: bool) -> Result<Option<Task>> {
        let owner = owner.to_owned();
        self.write(move |connection| {
            one(connection, sql::SET, params![completed, now().timestamp_micros(), owner, id.as_bytes()])
        })
        .await
    }

    async fn delete(&self, owner: &str, id: Uuid) -> Result<bool> {
        let owner = owner.to_owned();
        let deleted = self
            .write(move |connection| connection.prepare_cached(sql::DELETE)?.execute(params![owner, id.as_bytes()]));
        Ok(deleted.await? > 0)
    }
}

fn connect(path: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    Ok(connection)
}

fn commit_groups(connection: &Connection, mut changes: mpsc::UnboundedReceiver<Change>) {
    let execute = |sql| connection.prepare_cached(sql).unwrap().execute(()).unwrap();
    while let Some(first) = changes.blocking_recv() {
        execute("BEGIN IMMEDIATE");
        let mut answers = vec![first(connection)];
        while answers.len() < GROUP
            && let Ok(next) = changes.try_recv()
        {
            answers.push(next(connection));
        }
        execute("COMMIT");
        for answer in answers {
            answer();
        }
    }
}

fn one(connection: &Connection, sql: &str, arguments: impl Params) -> rusqlite::Result<Option<Task>> {
    connection.prepare_cached(sql)?.query_row(arguments, task).optional()
}

fn insert(connection: &Connection, task: &Task) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql::INSERT)?.execute(params![
        task.user_id,
        task.id.as_bytes(),
        task.title,
        title_key(&task.title),
        task.description,
        task.completed,
        task.priority as i32,
        task.tags,
        task.due_date.as_ref().map(DateTime::timestamp_micros),
        task.created_at.timestamp_micros(),
    ])
}

fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: Uuid::from_bytes(row.get(0)?),
        title: row.get(1)?,
        description: row.get(2)?,
        completed: row.get(3)?,
        priority: row.get::<_, i32>(4)?.into(),
        tags: row.get(5)?,
        due_date: row.get::<_, Option<i64>>(6)?.map(time),
        user_id: row.get(7)?,
        created_at: time(row.get(8)?),
        updated_at: time(row.get(9)?),
        version: row.get(10)?,
    })
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}
