//! A connection of its own for a command that reads or changes much: its statements have no time limit, and it says
//! itself where a transaction begins and ends.

use sea_orm::{DbBackend, EntityTrait};

use super::{Arguments, Backend, Build, Count, Db, DbError, Rows, Sql, Statements, postgres, sqlite, statement::Run};

/// A connection outside the pools. If it is dropped within a transaction, the database rolls that back.
#[derive(Debug)]
pub struct Session(Kind);

#[derive(Debug)]
enum Kind {
    Sqlite(Box<sqlite::Session>),
    Postgres(Box<postgres::Session>),
}

/// The kind of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// For reads, which all see the same state of the database.
    Snapshot,
    /// For changes, of which all happen, or none.
    Change,
}

impl Db {
    /// Whether several sessions can make changes at the same time.
    #[must_use]
    pub fn changes_in_parallel(&self) -> bool {
        matches!(&*self.0, Backend::Postgres(_))
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`], [`DbError::Refused`] and [`DbError::Unsuitable`].
    pub async fn session(&self) -> Result<Session, DbError> {
        Ok(Session(match &*self.0 {
            Backend::Sqlite(sqlite) => Kind::Sqlite(Box::new(sqlite.session()?)),
            Backend::Postgres(postgres) => Kind::Postgres(Box::new(postgres.session().await?)),
        }))
    }
}

impl Session {
    const fn backend(&self) -> DbBackend {
        match self.0 {
            Kind::Sqlite(_) => DbBackend::Sqlite,
            Kind::Postgres(_) => DbBackend::Postgres,
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`]
    pub async fn begin(&self, transaction: Transaction) -> Result<(), DbError> {
        match &self.0 {
            Kind::Sqlite(session) => session.begin(transaction),
            Kind::Postgres(session) => session.begin(transaction).await,
        }
    }

    /// Commits the transaction.
    ///
    /// # Errors
    ///
    /// Any [`DbError`]. Then nothing was changed, except that [`DbError::Unknown`] leaves this open.
    pub async fn commit(&self) -> Result<(), DbError> {
        match &self.0 {
            Kind::Sqlite(session) => session.commit().await,
            Kind::Postgres(session) => session.commit().await,
        }
    }

    /// The rows of a query.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub async fn all<K: Ord + Copy, A: Arguments, S: Rows>(
        &self,
        query: &Statements<K, A, S>,
        key: K,
        arguments: A,
    ) -> Result<Vec<S::Row>, DbError> {
        let run = query.bind(self.backend(), key, arguments);
        match &self.0 {
            Kind::Sqlite(session) => session.all(run.statement()),
            Kind::Postgres(session) => session.all(run.statement()).await,
        }
    }

    /// The number of rows of a query.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub async fn count<K: Ord + Copy, A: Arguments, E: EntityTrait>(
        &self,
        query: &Statements<K, A, Count<E>>,
        key: K,
        arguments: A,
    ) -> Result<u64, DbError> {
        let run: Run<Sql> = query.bind(self.backend(), key, arguments);
        let count = match &self.0 {
            Kind::Sqlite(session) => session.number(run.statement())?,
            Kind::Postgres(session) => session.number(run.statement()).await?,
        };
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Runs a change, and returns the number of changed rows.
    ///
    /// # Errors
    ///
    /// Any [`DbError`]. Then the transaction cannot go on.
    pub async fn execute<K: Ord + Copy, A: Arguments, S: Build<Built = Sql>>(
        &self,
        change: &Statements<K, A, S>,
        key: K,
        arguments: A,
    ) -> Result<u64, DbError> {
        let run = change.bind(self.backend(), key, arguments);
        match &self.0 {
            Kind::Sqlite(session) => session.execute(run.statement()),
            Kind::Postgres(session) => session.execute(run.statement()).await,
        }
    }

    /// Removes what the files still have of deleted rows, if the files are this program's own.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`] if another process holds the file for long, or the disk is full.
    pub fn wipe(&self) -> Result<(), DbError> {
        match &self.0 {
            Kind::Sqlite(session) => session.wipe(),
            // Its files belong to the database server, which reuses their space after a vacuum.
            Kind::Postgres(_) => Ok(()),
        }
    }
}
