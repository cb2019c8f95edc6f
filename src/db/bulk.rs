//! Statements about many rows, for commands that move a whole database.

use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, Iterable, QueryFilter, QueryTrait, Select, StatementBuilder,
    sea_query::{Alias, Expr, OnConflict, Query},
};

use super::{
    Row,
    statement::{Build, Find, Rows, Sql, argument},
};

/// Inserts rows, except those whose key the table has already. The arguments are the values of the rows, in the order of
/// their columns.
#[derive(Debug)]
pub struct Missing<E> {
    /// The table.
    pub entity: E,
    /// The number of rows. Databases limit the number of values of a statement: PostgreSQL to 65,535, SQLite to 32,766.
    pub rows: usize,
}

impl<E: EntityTrait> Build for Missing<E> {
    type Built = Sql;

    fn build(self, backend: DbBackend) -> Sql {
        let columns = E::Column::iter().count();
        let mut insert = Query::insert();
        insert.into_table(self.entity).columns(E::Column::iter());
        for row in 0..self.rows {
            insert.values_panic((row * columns..(row + 1) * columns).map(|place| argument(place).into()));
        }
        insert.on_conflict(OnConflict::new().do_nothing().to_owned());
        StatementBuilder::build(&insert, &backend).into()
    }
}

/// The rows with one of these values in a column. The arguments are the owner, if there is one, and the values.
#[derive(Debug)]
pub struct Among<R: Row> {
    /// The column of the owner, if only one owner's rows are wanted.
    pub owner: Option<<R::Entity as EntityTrait>::Column>,
    /// The column.
    pub column: <R::Entity as EntityTrait>::Column,
    /// The number of values.
    pub values: usize,
}

impl<R: Row> Build for Among<R> {
    type Built = Sql;

    fn build(self, backend: DbBackend) -> Sql {
        let first = usize::from(self.owner.is_some());
        let values = (first..first + self.values).map(argument);
        let mut query = R::Entity::find().filter(self.column.is_in(values));
        if let Some(owner) = self.owner {
            query = query.filter(owner.eq(argument(0)));
        }
        Find::<R>(query).build(backend)
    }
}

impl<R: Row> Rows for Among<R> {
    type Row = R;
}

/// The number of rows of a query.
#[derive(Debug)]
pub struct Count<E: EntityTrait>(pub Select<E>);

impl<E: EntityTrait> Build for Count<E> {
    type Built = Sql;

    fn build(self, backend: DbBackend) -> Sql {
        let rows = self.0.into_query();
        let count = Query::select().expr(Expr::cust("COUNT(*)")).from_subquery(rows, Alias::new("counted")).to_owned();
        StatementBuilder::build(&count, &backend).into()
    }
}
