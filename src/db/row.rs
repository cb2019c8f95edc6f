//! Rows: which columns a statement reads, and how a row is made of their values.

use sea_orm::EntityTrait;
use tokio_postgres::types::FromSql;

use super::{DbError, sqlite::Stored};

/// A row that statements return: all columns of an entity, or some of them. [`row!`](crate::db::row) implements it.
pub trait Row: Sized + Send + 'static {
    /// The table.
    type Entity: EntityTrait;

    /// The columns that a statement reads, in the order in which [`Row::read`] takes their values.
    fn columns() -> Vec<<Self::Entity as EntityTrait>::Column>;

    /// Makes a row of the values.
    ///
    /// # Errors
    ///
    /// [`DbError::Internal`] if a value has another type.
    fn read(values: Values<'_>) -> Result<Self, DbError>;
}

/// Implements [`Row`] for a struct: the columns of the entity whose values are its fields.
macro_rules! row {
    ($row:ty: $entity:ty { $($field:ident: $column:expr),+ $(,)? }) => {
        impl $crate::db::Row for $row {
            type Entity = $entity;

            fn columns() -> Vec<<$entity as sea_orm::EntityTrait>::Column> {
                vec![$($column),+]
            }

            fn read(mut values: $crate::db::Values<'_>) -> Result<Self, $crate::db::DbError> {
                Ok(Self { $($field: values.take()?),+ })
            }
        }
    };
}
pub(crate) use row;

/// The type of a column's value, as both databases store it.
pub trait Field: Stored + for<'a> FromSql<'a> {}

impl<T: Stored + for<'a> FromSql<'a>> Field for T {}

/// The values of a row, one after the other.
#[derive(Debug)]
pub struct Values<'a> {
    row: Source<'a>,
    next: usize,
}

#[derive(Debug)]
enum Source<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl<'a> From<&'a rusqlite::Row<'a>> for Values<'a> {
    fn from(row: &'a rusqlite::Row<'a>) -> Self {
        Self { row: Source::Sqlite(row), next: 0 }
    }
}

impl<'a> From<&'a tokio_postgres::Row> for Values<'a> {
    fn from(row: &'a tokio_postgres::Row) -> Self {
        Self { row: Source::Postgres(row), next: 0 }
    }
}

impl Values<'_> {
    /// The next value.
    ///
    /// # Errors
    ///
    /// [`DbError::Internal`] if it has another type.
    pub fn take<T: Field>(&mut self) -> Result<T, DbError> {
        let index = self.next;
        self.next += 1;
        match self.row {
            Source::Sqlite(row) => {
                row.get_ref(index).and_then(|stored| Ok(T::read(stored)?)).map_err(|error| mismatch(index, &error))
            }
            Source::Postgres(row) => row.try_get(index).map_err(|error| mismatch(index, &error)),
        }
    }
}

fn mismatch(index: usize, error: &dyn std::error::Error) -> DbError {
    DbError::Internal(format!("column {index} of a row has another type: {error}"))
}
