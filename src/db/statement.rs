//! Statements that are built once and run many times, with different arguments.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use sea_orm::{
    DbBackend, DeleteMany, EntityTrait, Iterable, Order, QueryTrait, Select, Statement, StatementBuilder, UpdateMany,
    Value,
    sea_query::{
        Alias, CommonTableExpression, Expr, ExprTrait, InsertStatement, JoinType, OnConflict, Query, SelectStatement,
        UnionType, WithClause,
    },
};

use super::Row;

/// The arguments of a statement, each with a name.
pub trait Arguments {
    /// The same names, with a place in the statement for each argument.
    type Places;

    /// The places of the arguments, numbered by `next`.
    fn places(next: &mut dyn FnMut() -> u64) -> Self::Places;

    /// The arguments, in the order of their places.
    fn into_values(self) -> Vec<Value>;
}

/// The values of whole rows, for [`Inserts`], which number their places.
impl Arguments for Vec<Value> {
    type Places = ();

    fn places(_: &mut dyn FnMut() -> u64) {}

    fn into_values(self) -> Vec<Value> {
        self
    }
}

/// Declares the [`Arguments`] of statements as a struct, so a missing argument does not compile.
macro_rules! arguments {
    ($(#[$doc:meta])* $visibility:vis struct $name:ident { $($argument:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        $visibility struct $name<T = sea_orm::Value> {
            $($visibility $argument: T,)+
        }

        impl $crate::db::Arguments for $name {
            type Places = $name<u64>;

            fn places(next: &mut dyn FnMut() -> u64) -> $name<u64> {
                $name { $($argument: next(),)+ }
            }

            fn into_values(self) -> Vec<sea_orm::Value> {
                vec![$(self.$argument,)+]
            }
        }
    };
}
pub(crate) use arguments;

/// A placeholder for an argument, by its place from 0. Neither database can store a number as large as these, so a real
/// value cannot look like one.
#[must_use]
pub(super) const fn argument(place: usize) -> u64 {
    u64::MAX - place as u64
}

/// A cache of statements of one kind. Each is built when it is first used, from its key. None is ever removed, so the
/// number of keys must be limited.
pub struct Statements<K, A: Arguments, S: Build> {
    build: fn(K, A::Places) -> S,
    sqlite: RwLock<BTreeMap<K, Arc<S::Built>>>,
    postgres: RwLock<BTreeMap<K, Arc<S::Built>>>,
}

impl<K, A: Arguments, S: Build> fmt::Debug for Statements<K, A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<Self>())
    }
}

impl<K: Ord + Copy, A: Arguments, S: Build> Statements<K, A, S> {
    /// The statement for a key, with a placeholder for each argument.
    pub const fn new(build: fn(K, A::Places) -> S) -> Self {
        Self { build, sqlite: RwLock::new(BTreeMap::new()), postgres: RwLock::new(BTreeMap::new()) }
    }

    /// The statement for this key, with these arguments.
    pub(super) fn bind(&self, backend: DbBackend, key: K, arguments: A) -> Run<S::Built> {
        let built = if backend == DbBackend::Sqlite { &self.sqlite } else { &self.postgres };
        let known = built.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let built = known.unwrap_or_else(|| {
            let mut arguments = (0..).map(argument);
            let places = A::places(&mut || arguments.next().unwrap_or_default());
            let new = Arc::new((self.build)(key, places).build(backend));
            built.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(new).clone()
        });
        Run { built, arguments: arguments.into_values() }
    }
}

/// One or several statements, as SeaORM describes them.
pub trait Build {
    /// The form that is sent to a database.
    type Built;

    /// Writes it in the dialect of this database.
    fn build(self, backend: DbBackend) -> Self::Built;
}

/// A query, whose rows are of one kind.
pub trait Rows: Build<Built = Sql> {
    /// The kind.
    type Row: Row;
}

/// The text of a statement, and the values of its placeholders in order.
#[derive(Debug)]
pub struct Sql {
    /// One for each statement that the process builds, from 0.
    number: usize,
    text: String,
    placeholders: Vec<Placeholder>,
}

#[derive(Debug)]
enum Placeholder {
    Value(Value),
    Argument(usize),
}

impl From<Statement> for Sql {
    fn from(statement: Statement) -> Self {
        static STATEMENTS: AtomicUsize = AtomicUsize::new(0);
        let values = statement.values.map(|values| values.0).unwrap_or_default();
        let placeholder = |value| match value {
            Value::BigUnsigned(Some(number)) if i64::try_from(number).is_err() => {
                Placeholder::Argument(usize::try_from(u64::MAX - number).unwrap_or(usize::MAX))
            }
            value => Placeholder::Value(value),
        };
        let placeholders = values.into_iter().map(placeholder).collect();
        Self { number: STATEMENTS.fetch_add(1, Relaxed), text: statement.sql, placeholders }
    }
}

/// A built statement, with the arguments of one run.
#[derive(Debug)]
pub(super) struct Run<B> {
    built: Arc<B>,
    arguments: Vec<Value>,
}

impl<B> Run<B> {
    pub(super) fn new(built: B, arguments: Vec<Value>) -> Self {
        Self { built: Arc::new(built), arguments }
    }
}

impl Run<Sql> {
    pub(super) fn statement(&self) -> Bound<'_> {
        Bound { sql: &self.built, arguments: &self.arguments }
    }
}

impl Run<Vec<Sql>> {
    pub(super) fn statements(&self) -> impl ExactSizeIterator<Item = Bound<'_>> {
        self.built.iter().map(|sql| Bound { sql, arguments: &self.arguments })
    }
}

/// A statement with its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound<'a> {
    sql: &'a Sql,
    arguments: &'a [Value],
}

impl<'a> Bound<'a> {
    /// Tells statements apart without comparing their texts. Statements are built once, so it stays small.
    pub(super) const fn number(self) -> usize {
        self.sql.number
    }

    pub(super) fn text(self) -> &'a str {
        &self.sql.text
    }

    /// One value for each placeholder. [`Arguments`] have a value for each place. A missing one would have a type that
    /// no database knows, and the statement would fail.
    pub(super) fn values(self) -> impl ExactSizeIterator<Item = &'a Value> {
        self.sql.placeholders.iter().map(move |placeholder| match placeholder {
            Placeholder::Value(value) => value,
            Placeholder::Argument(place) => self.arguments.get(*place).unwrap_or(&Value::TinyUnsigned(None)),
        })
    }
}

/// The rows of a query. Only the columns of `R` are read.
#[derive(Debug)]
pub struct Find<R: Row>(pub Select<R::Entity>);

impl<R: Row> Find<R> {
    fn into_select(self) -> SelectStatement {
        self.0.into_query().clear_selects().columns(R::columns()).to_owned()
    }
}

impl<R: Row> Build for Find<R> {
    type Built = Sql;

    fn build(self, backend: DbBackend) -> Sql {
        StatementBuilder::build(&self.into_select(), &backend).into()
    }
}

impl<R: Row> Rows for Find<R> {
    type Row = R;
}

impl<E: EntityTrait> Build for DeleteMany<E> {
    type Built = Sql;

    fn build(self, backend: DbBackend) -> Sql {
        QueryTrait::build(&self, backend).into()
    }
}

/// An update that returns the changed rows.
#[derive(Debug)]
pub struct Update<R: Row>(pub UpdateMany<R::Entity>);

impl<R: Row> Build for Update<R> {
    type Built = Sql;

    fn build(self, backend: DbBackend) -> Sql {
        let mut update = self.0.into_query();
        update.returning(Query::returning().columns(R::columns()));
        StatementBuilder::build(&update, &backend).into()
    }
}

impl<R: Row> Rows for Update<R> {
    type Row = R;
}

/// The first rows of several queries merged, in this order. It is one statement, so it sees one state of the database,
/// and it reads one range of an index for each query.
#[derive(Debug)]
pub struct Merge<R: Row> {
    /// The queries.
    pub selects: Vec<Find<R>>,
    /// The order, by columns of `R`: the databases sort a merge only by columns that it has.
    pub order: Vec<(<R::Entity as EntityTrait>::Column, Order)>,
    /// Maximum number of rows.
    pub limit: u64,
}

impl<R: Row> Merge<R> {
    fn into_select(self, backend: DbBackend) -> SelectStatement {
        let first = |mut select: SelectStatement| {
            for (column, direction) in &self.order {
                select.order_by(*column, direction.clone());
            }
            select.limit(self.limit).to_owned()
        };
        // PostgreSQL's planner merges ranges only if each is a subquery with its own ORDER BY and LIMIT.
        let apart = backend == DbBackend::Postgres && self.selects.len() > 1;
        let stretch = |select| rows_of::<R>().from_subquery(first(select), Alias::new("stretch")).to_owned();
        let selects = self.selects.into_iter().map(Find::into_select);
        let mut stretches = selects.map(|select| if apart { stretch(select) } else { select });
        let mut merged = stretches.next().unwrap_or_default();
        merged.unions(stretches.map(|stretch| (UnionType::All, stretch)));
        first(merged)
    }
}

fn rows_of<R: Row>() -> SelectStatement {
    Query::select().columns(R::columns()).to_owned()
}

impl<R: Row> Build for Merge<R> {
    type Built = Sql;

    fn build(self, backend: DbBackend) -> Sql {
        StatementBuilder::build(&self.into_select(backend), &backend).into()
    }
}

impl<R: Row> Rows for Merge<R> {
    type Row = R;
}

/// The rows of one merge and, if they are fewer than its limit, those of another. It is one statement, so it sees one
/// state of the database. It does not read the second if the first has enough rows.
#[derive(Debug)]
pub struct Fill<R: Row> {
    /// Always read.
    pub first: Merge<R>,
    /// Read only if the first leaves room.
    pub then: Merge<R>,
}

impl<R: Row> Rows for Fill<R> {
    type Row = R;
}

impl<R: Row> Build for Fill<R> {
    type Built = Sql;

    fn build(self, backend: DbBackend) -> Sql {
        let (first, then) = (Alias::new("first_rows"), Alias::new("then_rows"));
        let count = Expr::cust("COUNT(*)");
        let mut counted = Query::select().expr(count.clone()).from(first.clone()).to_owned();
        let (mut more, rest) = (rows_of::<R>(), self.then.into_select(backend));
        // Each database checks for room once and before it reads the rest, but only with its own form of the condition.
        if backend == DbBackend::Postgres {
            let room = Expr::SubQuery(None, Box::new(counted.into())).lt(self.first.limit);
            more.from_subquery(rest, then).and_where(room);
        } else {
            counted.and_having(count.lt(self.first.limit));
            let room = Alias::new("room");
            more.from_subquery(counted, room).join_subquery(JoinType::CrossJoin, rest, then, Expr::cust("TRUE"));
        }
        let all = rows_of::<R>().from(first.clone()).union(UnionType::All, more).to_owned();
        let with = CommonTableExpression::new().query(self.first.into_select(backend)).table_name(first).to_owned();
        StatementBuilder::build(&all.with(WithClause::new().cte(with).to_owned()), &backend).into()
    }
}

/// Inserts of one row each: all happen, or none. The arguments are the values of the rows, in the order of the inserts
/// and of their columns.
#[derive(Debug, Default)]
pub struct Inserts {
    statements: Vec<InsertStatement>,
    arguments: usize,
}

impl Inserts {
    /// Adds an insert.
    #[must_use]
    pub fn row<E: EntityTrait>(self, entity: E) -> Self {
        self.insert::<E>(entity, None)
    }

    /// Adds an insert that does nothing if a row has the same value of this column.
    #[must_use]
    pub fn new_row<E: EntityTrait>(self, entity: E, unique: E::Column) -> Self {
        self.insert(entity, Some(OnConflict::column(unique).do_nothing().to_owned()))
    }

    fn insert<E: EntityTrait>(mut self, entity: E, on_conflict: Option<OnConflict>) -> Self {
        let mut insert = Query::insert();
        let first = self.arguments;
        self.arguments += E::Column::iter().count();
        insert
            .into_table(entity)
            .columns(E::Column::iter())
            .values_panic((first..self.arguments).map(|place| argument(place).into()));
        if let Some(on_conflict) = on_conflict {
            insert.on_conflict(on_conflict);
        }
        self.statements.push(insert);
        self
    }
}

impl Build for Inserts {
    /// One statement for each row, to be run in one transaction, or one statement for all rows.
    type Built = Vec<Sql>;

    fn build(mut self, backend: DbBackend) -> Vec<Sql> {
        let build = |statement: InsertStatement| StatementBuilder::build(&statement, &backend).into();
        if backend == DbBackend::Sqlite || self.statements.len() < 2 {
            return self.statements.into_iter().map(build).collect();
        }
        let last = self.statements.pop().unwrap_or_default();
        let mut with = WithClause::new();
        for (n, insert) in self.statements.into_iter().enumerate() {
            let name = Alias::new(format!("insert_{n}"));
            with.cte(CommonTableExpression::new().query(insert).table_name(name).to_owned());
        }
        vec![StatementBuilder::build(&last.with(with), &backend).into()]
    }
}
