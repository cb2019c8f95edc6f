//! The connection layer: SeaORM's entities and query builder describe statements, [`Db`] runs them.
//!
//! No line outside this folder knows which database runs.

mod migrate;
mod row;
mod sqlite;
mod url;

use std::sync::Arc;

use sea_orm::{
    ActiveModelTrait, DbBackend, DeleteMany, EntityTrait, Insert, IntoActiveModel, Iterable, QueryTrait, Select,
    Statement, TryIntoModel, UpdateMany,
    sea_query::{InsertStatement, Query},
};

pub use self::{
    migrate::Migrations,
    url::{DatabaseUrl, InvalidUrl},
};

/// An open database. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Db(Arc<sqlite::Sqlite>);

/// What can go wrong with a statement, told apart by what the caller can do about it.
///
/// The texts are for the log: they may name columns and files, and never reach a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DbError {
    /// A unique or primary key has that value already; nothing was written.
    Unique(String),
    /// A row that the new one refers to is missing; nothing was written.
    ForeignKey(String),
    /// The database cannot be reached or cannot write (disk full, I/O error); it may recover by itself.
    Unavailable(String),
    /// A mistake of this program or of the schema.
    Internal(String),
}

impl std::fmt::Display for DbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, text) = match self {
            Self::Unique(text) => ("unique constraint", text),
            Self::ForeignKey(text) => ("foreign key", text),
            Self::Unavailable(text) => ("unavailable", text),
            Self::Internal(text) => ("internal", text),
        };
        write!(f, "{kind}: {text}")
    }
}

impl std::error::Error for DbError {}

/// An entity whose rows can be rebuilt from column values, through its `ActiveModel`.
///
/// Every `DeriveEntityModel` is one; the trait only gives the bounds a name.
pub trait Rows: EntityTrait<Model: IntoActiveModel<Self::ActiveModel>, ActiveModel: Rebuilt<Self>> {}

impl<E> Rows for E where E: EntityTrait<Model: IntoActiveModel<E::ActiveModel>, ActiveModel: Rebuilt<E>> {}

/// See [`Rows`].
pub trait Rebuilt<E: EntityTrait>: ActiveModelTrait<Entity = E> + TryIntoModel<E::Model> {}

impl<E: EntityTrait, A: ActiveModelTrait<Entity = E> + TryIntoModel<E::Model>> Rebuilt<E> for A {}

impl Db {
    /// Opens the database and its connections.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`] where the file cannot be opened or created.
    pub fn open(url: &DatabaseUrl) -> Result<Self, DbError> {
        let DatabaseUrl::Sqlite(file) = url;
        Ok(Self(Arc::new(sqlite::Sqlite::open(file)?)))
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`] and [`DbError::Internal`].
    pub async fn one<E: Rows>(&self, select: Select<E>) -> Result<Option<E::Model>, DbError> {
        Ok(self.all(select).await?.into_iter().next())
    }

    /// All rows of a query.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`] and [`DbError::Internal`].
    #[allow(clippy::unused_async, reason = "a database behind a network answers later")]
    pub async fn all<E: Rows>(&self, select: Select<E>) -> Result<Vec<E::Model>, DbError> {
        self.0.read::<E>(&select.build(DbBackend::Sqlite))
    }

    /// Inserts one row, which must be complete.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub async fn insert<A: ActiveModelTrait>(&self, row: A) -> Result<(), DbError> {
        self.0.execute(Insert::one(row).build(DbBackend::Sqlite)).await.map(drop)
    }

    /// Runs several inserts that stand or fall together.
    ///
    /// # Errors
    ///
    /// Any [`DbError`]; then none of them has happened.
    pub async fn insert_together(&self, inserts: Vec<InsertStatement>) -> Result<(), DbError> {
        let statements = inserts.iter().map(build).collect();
        self.0.execute_together(statements).await
    }

    /// Updates rows and answers them as they are afterwards.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub async fn update<E: Rows>(&self, update: UpdateMany<E>) -> Result<Vec<E::Model>, DbError> {
        let mut update = update.into_query();
        update.returning(Query::returning().columns(E::Column::iter()));
        self.0.write::<E>(build(&update)).await
    }

    /// Deletes rows and answers how many.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub async fn delete<E: EntityTrait>(&self, delete: DeleteMany<E>) -> Result<u64, DbError> {
        self.0.execute(delete.build(DbBackend::Sqlite)).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`] where it does not.
    #[allow(clippy::unused_async, reason = "a database behind a network answers later")]
    pub async fn ping(&self) -> Result<(), DbError> {
        self.0.ping()
    }

    /// Applies every pending migration; safe when many processes start at once.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`], or [`DbError::Internal`] where the schema is newer than this program.
    pub async fn migrate_up(&self) -> Result<Migrations, DbError> {
        self.0.migrate(migrate::Step::Up).await
    }

    /// Rolls back the newest migration, with the data it brought.
    ///
    /// # Errors
    ///
    /// As [`Db::migrate_up`].
    pub async fn migrate_down(&self) -> Result<Migrations, DbError> {
        self.0.migrate(migrate::Step::Down).await
    }

    /// Tells which migrations are applied, and changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Db::migrate_up`].
    pub async fn migrations(&self) -> Result<Migrations, DbError> {
        self.0.migrate(migrate::Step::Status).await
    }

    #[allow(clippy::unused_async, reason = "a database behind a network answers later")]
    /// Ends the use of the database: on SQLite everything then stands in the one main file.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`]; no acknowledged write is lost by that.
    pub async fn close(self) -> Result<(), DbError> {
        self.0.checkpoint()
    }
}

fn build(statement: &impl sea_orm::StatementBuilder) -> Statement {
    sea_orm::StatementBuilder::build(statement, &DbBackend::Sqlite)
}
