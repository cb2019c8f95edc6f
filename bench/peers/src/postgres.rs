//! PostgreSQL as in todo-api: all requests share a few connections, which pipeline their statements.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio_postgres::{Client, NoTls, Row, Statement, error::SqlState, types::ToSql};
use uuid::Uuid;

use crate::{
    sql,
    store::{Result, Store},
    task::{Task, Update, now, title_key},
};

/// Numbers of connections: the defaults of todo-api.
const READS: usize = 2;
const WRITES: usize = 16;

/// The connections to a server.
pub(crate) struct Postgres {
    reads: Connections,
    writes: Connections,
}

impl Postgres {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        Ok(Self { reads: Connections::open(url, READS).await?, writes: Connections::open(url, WRITES).await? })
    }
}

/// Connections, which are used in turn.
struct Connections {
    all: Vec<Connection>,
    next: AtomicUsize,
}

impl Connections {
    async fn open(url: &str, count: usize) -> Result<Self> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Connection::open(url).await?);
        }
        Ok(Self { all, next: AtomicUsize::new(0) })
    }

    fn next(&self) -> &Connection {
        &self.all[self.next.fetch_add(1, Relaxed) % self.all.len()]
    }
}

/// A connection with its prepared statements.
struct Connection {
    client: Client,
    task: Statement,
    newest: Statement,
    pending: Statement,
    insert: Statement,
    update: Statement,
    toggle: Statement,
    set: Statement,
    delete: Statement,
}

impl Connection {
    async fn open(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let pending = sql::pending(|range| format!("SELECT * FROM ({range} ORDER BY id DESC LIMIT 20) AS range"));
        Ok(Self {
            task: client.prepare(sql::TASK).await?,
            newest: client.prepare(sql::NEWEST).await?,
            pending: client.prepare(&pending).await?,
            insert: client.prepare(sql::INSERT).await?,
            update: client.prepare(sql::UPDATE).await?,
            toggle: client.prepare(sql::TOGGLE).await?,
            set: client.prepare(sql::SET).await?,
            delete: client.prepare(sql::DELETE).await?,
            client,
        })
    }

    async fn one(&self, statement: &Statement, arguments: &[&(dyn ToSql + Sync)]) -> Result<Option<Task>> {
        Ok(self.client.query_opt(statement, arguments).await?.map(task))
    }
}

impl Store for Postgres {
    async fn task(&self, owner: &str, id: Uuid) -> Result<Option<Task>> {
        let connection = self.reads.next();
        connection.one(&connection.task, &[&owner, &id]).await
    }

    async fn newest(&self, owner: &str, pending: bool) -> Result<Vec<Task>> {
        let connection = self.reads.next();
        let statement = if pending { &connection.pending } else { &connection.newest };
        let rows = connection.client.query(statement, &[&owner]).await?;
        Ok(rows.into_iter().map(task).collect())
    }

    async fn create(&self, task: Task) -> Result<Task> {
        let Connection { client, insert, .. } = self.writes.next();
        let (key, priority) = (title_key(&task.title), task.priority as i32);
        let row: [&(dyn ToSql + Sync); 10] = [
            &task.user_id,
            &task.id,
            &task.title,
            &key,
            &task.description,
            &task.completed,
            &priority,
            &task.tags,
            &task.due_date,
            &task.created_at,
        ];
        match client.execute(insert, &row).await {
            Err(error) if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => {
                client.execute(sql::INSERT_OWNER, &[&task.user_id, &task.created_at]).await?;
                client.execute(insert, &row).await?;
            }
            inserted => drop(inserted?),
        }
        Ok(task)
    }

    async fn update(&self, owner: &str, id: Uuid, to: Update) -> Result<Option<Task>> {
        let connection = self.writes.next();
        let (key, now) = (title_key(&to.title), now());
        connection.one(&connection.update, &[&to.title, &key, &to.description, &now, &owner, &id]).await
    }

    async fn toggle(&self, owner: &str, id: Uuid) -> Result<Option<Task>> {
        let connection = self.writes.next();
        connection.one(&connection.toggle, &[&now(), &owner, &id]).await
    }

    async fn set(&self, owner: &str, id: Uuid, completed: bool) -> Result<Option<Task>> {
        let connection = self.writes.next();
        connection.one(&connection.set, &[&completed, &now(), &owner, &id]).await
    }

    async fn delete(&self, owner: &str, id: Uuid) -> Result<bool> {
        let connection = self.writes.next();
        Ok(connection.client.execute(&connection.delete, &[&owner, &id]).await? > 0)
    }
}

fn task(row: Row) -> Task {
    Task {
        id: row.get(0),
        title: row.get(1),
        description: row.get(2),
        completed: row.get(3),
        priority: row.get::<_, i32>(4).into(),
        tags: row.get(5),
        due_date: row.get(6),
        user_id: row.get(7),
        created_at: row.get(8),
        updated_at: row.get(9),
        version: row.get(10),
    }
}
