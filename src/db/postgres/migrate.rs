//! Migrations of a PostgreSQL database.

use std::{collections::BTreeMap, sync::Arc};

use sea_orm::{
    Database, DbBackend, DbErr, ProxyDatabaseTrait, ProxyExecResult, ProxyRow, RuntimeErr, Statement, Value,
};
use tokio_postgres::{Client, types::Type};

use super::{NO_TRANSACTION_TIMEOUT, Postgres, sqlstate::on_statement, value::Parameter};
use crate::db::{
    DbError,
    migrate::{self, Migrations, Step},
};

/// The key of the lock of migrations: any number, the same in all processes.
const MIGRATION_LOCK: i64 = 0x746f_646f_5f61_7069;

/// Begins the transaction of a migration, with its own isolation and limits instead of those of the role. At a stricter
/// isolation, a server that has waited for the lock would not see what another one has migrated.
const BEGIN: [&str; 5] = [
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    NO_TRANSACTION_TIMEOUT,
    "SET LOCAL lock_timeout = 0",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = '1min'",
];

impl Postgres {
    /// Runs migrations on their own connection, in one transaction, with a lock that ends with it. So they also work
    /// through a pooler.
    pub(in crate::db) async fn migrate(&self, step: Step) -> Result<Migrations, DbError> {
        let (client, _driver) = self.connector.connect().await?;
        let failed = |error| match on_statement(&error).end() {
            DbError::Unknown(text) => DbError::Unavailable(text),
            error => error,
        };
        for statement in BEGIN {
            client.execute(statement, &[]).await.map_err(failed)?;
        }
        client.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await.map_err(failed)?;
        let session = Session(Arc::new(client));
        let seaorm = Database::connect_proxy(DbBackend::Postgres, Arc::new(Box::new(session.clone())))
            .await
            .map_err(|error| DbError::Internal(error.to_string()))?;
        let outcome = migrate::take(step, &seaorm).await;
        let end = if outcome.is_ok() && step != Step::Status { "COMMIT" } else { "ROLLBACK" };
        session.0.execute(end, &[]).await.map_err(failed)?;
        outcome
    }
}

/// The connection of SeaORM's migrator.
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
        self.query(statement).await.map(|_| ProxyExecResult::default())
    }
}

fn session_failed(error: tokio_postgres::Error) -> DbErr {
    match on_statement(&error).end() {
        DbError::Unavailable(text) | DbError::Unknown(text) => DbErr::Conn(RuntimeErr::Internal(text)),
        error => DbErr::Exec(RuntimeErr::Internal(error.to_string())),
    }
}
