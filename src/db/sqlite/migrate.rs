//! Migrations of an SQLite file.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rusqlite::{
    Connection, params_from_iter,
    types::{FromSql, ValueRef},
};
use sea_orm::{
    Database, DbBackend, DbErr, ProxyDatabaseTrait, ProxyExecResult, ProxyRow, RuntimeErr, Statement, Value,
};
use tokio::{runtime::Handle, sync::oneshot};

use super::{Sqlite, error::failed, file, value::Parameter};
use crate::db::{
    DbError,
    migrate::{self, Migrations, Step},
    url::SqliteFile,
};

impl Sqlite {
    /// Runs migrations on their own connection and thread, because they may wait long for another process.
    pub(in crate::db) async fn migrate(&self, step: Step) -> Result<Migrations, DbError> {
        let (answer, answered) = oneshot::channel();
        let (file, runtime) = (self.file.clone(), Handle::current());
        let work = move || drop(answer.send(runtime.block_on(migrate(&file, step))));
        let failed = |what: &dyn std::fmt::Display| DbError::Unavailable(format!("the migration failed: {what}"));
        thread::Builder::new().name("sqlite-migration".into()).spawn(work).map_err(|error| failed(&error))?;
        answered.await.map_err(|error| failed(&error))?
    }
}

/// Longest wait for another process that migrates or writes.
const BUSY: Duration = Duration::from_secs(5);

/// Takes the step in one transaction, with the write lock.
pub(super) async fn migrate(file: &SqliteFile, step: Step) -> Result<Migrations, DbError> {
    let connection = file::open(file)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let session = Session(Arc::new(Mutex::new(connection)));
    let seaorm = Database::connect_proxy(DbBackend::Sqlite, Arc::new(Box::new(session.clone())))
        .await
        .map_err(|error| DbError::Internal(error.to_string()))?;
    let outcome = migrate::take(step, &seaorm).await;
    let end = if outcome.is_ok() && step != Step::Status { "COMMIT" } else { "ROLLBACK" };
    session.lock().execute_batch(end).map_err(failed)?;
    outcome
}

/// The connection of SeaORM's migrator.
#[derive(Debug, Clone)]
struct Session(Arc<Mutex<Connection>>);

impl Session {
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl ProxyDatabaseTrait for Session {
    async fn query(&self, statement: Statement) -> Result<Vec<ProxyRow>, DbErr> {
        let connection = self.lock();
        let mut prepared = connection.prepare(&statement.sql).map_err(session_failed)?;
        let names: Vec<String> = prepared.column_names().into_iter().map(str::to_owned).collect();
        let row = |row: &rusqlite::Row<'_>| {
            let value = |(index, name): (usize, &String)| {
                let value = match row.get_ref(index)? {
                    ValueRef::Integer(value) => Value::BigInt(Some(value)),
                    value => Value::String(Option::column_result(value)?),
                };
                Ok((name.clone(), value))
            };
            names.iter().enumerate().map(value).collect::<rusqlite::Result<_>>().map(ProxyRow::new)
        };
        let rows = prepared.query_map(params_from_iter(values(&statement)), row).map_err(session_failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(session_failed)
    }

    async fn execute(&self, statement: Statement) -> Result<ProxyExecResult, DbErr> {
        let connection = self.lock();
        let changed = match statement.values {
            // The script of a migration has several statements.
            None => connection.execute_batch(&statement.sql).map(|()| 0),
            Some(_) => connection.execute(&statement.sql, params_from_iter(values(&statement))),
        };
        Ok(ProxyExecResult::new(0, changed.map_err(session_failed)? as u64))
    }
}

fn values(statement: &Statement) -> impl Iterator<Item = Parameter<'_>> {
    statement.values.iter().flat_map(|values| &values.0).map(Parameter)
}

fn session_failed(error: rusqlite::Error) -> DbErr {
    match failed(error) {
        DbError::Unavailable(text) => DbErr::Conn(RuntimeErr::Internal(text)),
        error => DbErr::Exec(RuntimeErr::Internal(error.to_string())),
    }
}
