//! The statements of the store. Each is built once.

use sea_orm::{
    ColumnTrait, DeleteMany, EntityTrait, ExprTrait, Iterable, ModelTrait, QueryFilter, QueryTrait, Value,
    sea_query::{Condition, Expr, Func, Order as Direction},
};

use super::{
    entity::{Column, Entity, Model, OwnerOf, Task},
    idempotency,
    list::{Order, Selection, Status},
    owner,
};
use crate::db::{self, Arguments, Fill, Find, Inserts, Merge, Statements, arguments};

/// Whether a statement matches only one version of a task.
pub(super) type Versioned = bool;

/// The condition of every statement on one task of the owner.
fn is_task(owner: u64, id: u64, version: Option<u64>) -> Condition {
    Condition::all()
        .add(Column::UserId.eq(owner))
        .add(Column::Id.eq(id))
        .add_option(version.map(|version| Column::Version.eq(version)))
}

arguments! {
    /// One task of the owner.
    pub(super) struct Own { owner, id }
}

pub(super) static TASK: Statements<(), Own, Find<Task>> =
    Statements::new(|(), of: Own<u64>| Find(Entity::find().filter(is_task(of.owner, of.id, None))));

arguments! {
    /// A task of any owner.
    pub(super) struct AnyOwners { id }
}

/// Only to find out whether another user has the task.
pub(super) static OWNER_OF: Statements<(), AnyOwners, Find<OwnerOf>> =
    Statements::new(|(), of: AnyOwners<u64>| Find(Entity::find().filter(Column::Id.eq(of.id))));

arguments! {
    /// A task to delete.
    pub(super) struct Deletion { owner, id, version }
}

pub(super) static DELETIONS: Statements<Versioned, Deletion, DeleteMany<Entity>> =
    Statements::new(|versioned, of: Deletion<u64>| {
        Entity::delete_many().filter(is_task(of.owner, of.id, versioned.then_some(of.version)))
    });

/// The time of a change. It never goes back, even if the clocks of the instances differ.
fn time_of_change(now: u64) -> Expr {
    Func::greatest([Expr::col(Column::UpdatedAt), Expr::val(now)]).into()
}

/// A task to change.
#[derive(Debug, Clone)]
pub(super) struct Update<T = Value> {
    pub(super) owner: T,
    pub(super) id: T,
    pub(super) version: T,
    pub(super) now: T,
    /// One value for each column, in their order. The values of unchanged columns are not used.
    pub(super) values: Vec<T>,
}

impl Arguments for Update {
    type Places = Update<u64>;

    fn places(next: &mut dyn FnMut() -> u64) -> Update<u64> {
        let (owner, id, version, now) = (next(), next(), next(), next());
        Update { owner, id, version, now, values: Column::iter().map(|_| next()).collect() }
    }

    fn into_values(self) -> Vec<Value> {
        let Self { owner, id, version, now, values } = self;
        [owner, id, version, now].into_iter().chain(values).collect()
    }
}

/// A set of columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Columns(u32);

impl Columns {
    pub(super) const fn insert(&mut self, column: Column) {
        self.0 |= 1 << column as u32;
    }

    const fn contains(self, column: Column) -> bool {
        self.0 & (1 << column as u32) != 0
    }
}

/// Updates, by the columns that change.
pub(super) static UPDATES: Statements<(Columns, Versioned), Update, db::Update<Task>> =
    Statements::new(|(changed, versioned): (Columns, _), to: Update<u64>| {
        let update = Entity::update_many()
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, time_of_change(to.now));
        let changes =
            Column::iter().zip(to.values).filter(|(column, _)| column.is_changeable() && changed.contains(*column));
        let update = changes.fold(update, |update, (column, value)| update.col_expr(column, Expr::val(value)));
        db::Update(update.filter(is_task(to.owner, to.id, versioned.then_some(to.version))))
    });

arguments! {
    /// A task to complete or toggle.
    pub(super) struct Completion { owner, id, version, now, completed }
}

/// Sets `completed` to the argument, or toggles it. Matches only tasks that it changes.
pub(super) static COMPLETIONS: Statements<(bool, Versioned), Completion, db::Update<Task>> =
    Statements::new(|(set, versioned), to: Completion<u64>| {
        let toggled = Expr::col(Column::Completed).not();
        let completed = if set { Expr::val(to.completed) } else { toggled };
        let update = Entity::update_many()
            .col_expr(Column::Completed, completed)
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, time_of_change(to.now))
            .filter(is_task(to.owner, to.id, versioned.then_some(to.version)))
            .apply_if(set.then_some(to.completed), |update, completed| update.filter(Column::Completed.ne(completed)));
        db::Update(update)
    });

/// The rows to insert together.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRows<'a> {
    pub(super) owner: Option<&'a owner::Model>,
    pub(super) key: Option<&'a idempotency::Model>,
    pub(super) task: &'a Model,
}

/// The kinds of rows besides the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct New {
    owner: bool,
    key: bool,
}

impl NewRows<'_> {
    /// The key of their statement.
    pub(super) const fn kinds(self) -> New {
        New { owner: self.owner.is_some(), key: self.key.is_some() }
    }

    /// The values of all rows, in the order of [`INSERTS`].
    pub(super) fn values(self) -> Vec<Value> {
        let Self { owner, key, task } = self;
        let owner = owner.into_iter().flat_map(values);
        owner.chain(key.into_iter().flat_map(values)).chain(values(task)).collect()
    }
}

/// The values of a row, in the order of its columns.
pub(super) fn values<M: ModelTrait>(row: &M) -> impl Iterator<Item = Value> {
    <M::Entity as EntityTrait>::Column::iter().map(|column| row.get(column))
}

/// The arguments are [`NewRows::values`].
pub(super) static INSERTS: Statements<New, Vec<Value>, Inserts> = Statements::new(|New { owner, key }, ()| {
    let mut inserts = Inserts::default();
    if owner {
        inserts = inserts.new_row(owner::Entity, owner::Column::Id);
    }
    if key {
        inserts = inserts.row(idempotency::Entity);
    }
    inserts.row(Entity)
});

/// A range of a list that one statement reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    pub(super) of: Selection,
    pub(super) tasks: Sorted,
    /// Whether it begins after a task, or else with the first one.
    pub(super) behind: bool,
}

/// Tasks in the order of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sorted {
    Created,
    Title,
    /// Tasks with a due date, by that date.
    Dated,
    /// Tasks without a due date, by creation.
    Undated,
    /// Tasks with a priority, by that priority.
    Prioritized,
    /// Tasks without a priority, by creation.
    Unprioritized,
}

arguments! {
    /// The owner, the number of tasks, and the task before them: its id, and its title, due date or priority.
    pub(super) struct Tasks { owner, limit, last_id, last_key }
}

/// Each reads one range of an index, or merges several.
pub(super) static STRETCHES: Statements<Stretch, Tasks, Merge<Task>> =
    Statements::new(|tasks, of: Tasks<u64>| stretch(tasks, &of));

/// The tasks of a range and, if they leave room, the first tasks of another kind. No index has undated tasks last in both
/// directions, and the index by priority leaves out the tasks without one, which are most. With two statements, a task
/// could be on the page twice if its due date or priority changes in between. The databases do not guarantee the order of
/// the rows.
pub(super) static STRETCHES_AND_MORE: Statements<(Stretch, Sorted), Tasks, Fill<Task>> =
    Statements::new(|(first, more), of: Tasks<u64>| Fill {
        first: stretch(first, &of),
        then: stretch(Stretch { tasks: more, behind: false, ..first }, &of),
    });

fn stretch(Stretch { of: selection, tasks, behind }: Stretch, of: &Tasks<u64>) -> Merge<Task> {
    let Selection { status, order, sort: _ } = selection;
    // The order of ids is the order of creation.
    let sort_key = match tasks {
        Sorted::Created | Sorted::Undated | Sorted::Unprioritized => None,
        Sorted::Title => Some(Column::TitleKey),
        Sorted::Dated => Some(Column::DueDate),
        Sorted::Prioritized => Some(Column::Priority),
    };
    let after = behind.then(|| {
        let (position, last) = sort_key.map_or_else(
            || (Expr::col(Column::Id), Expr::val(of.last_id)),
            |column| {
                let position = Expr::tuple([Expr::col(column), Expr::col(Column::Id)]);
                (position, Expr::tuple([Expr::val(of.last_key), Expr::val(of.last_id)]))
            },
        );
        match order {
            Order::Asc => position.gt(last),
            Order::Desc => position.lt(last),
        }
    });
    // All indexes except the primary key have the status before the sort key.
    let statuses: &[Option<bool>] = match (status, tasks) {
        (Status::All, Sorted::Created) => &[None],
        (Status::All, _) => &[Some(false), Some(true)],
        (Status::Pending, _) => &[Some(false)],
        (Status::Completed, _) => &[Some(true)],
    };
    let kinds: &[Kind] = match (status, tasks) {
        (Status::All, Sorted::Created) | (_, Sorted::Title) => &[Kind::ANY],
        // The most common kind is last: SQLite passes the rows of the others through one merge more.
        (_, Sorted::Created) => &[Kind::PRIORITIZED, Kind::DATED_ONLY, Kind::PLAIN],
        (_, Sorted::Dated) => &[Kind::DATED],
        (_, Sorted::Undated) => &[Kind::PLAIN, Kind::PRIORITIZED_UNDATED],
        (_, Sorted::Prioritized) => &[Kind::PRIORITIZED],
        (_, Sorted::Unprioritized) => &[Kind::PLAIN, Kind::DATED_ONLY],
    };
    let stretch = |completed: Option<bool>, kind: Kind| {
        let condition = Condition::all()
            .add(Column::UserId.eq(of.owner))
            .add_option(completed.map(|completed| Column::Completed.eq(completed)))
            .add(kind.condition())
            .add_option(after.clone());
        Find(Entity::find().filter(condition))
    };
    let selects = statuses.iter().flat_map(|status| kinds.iter().map(|kind| stretch(*status, *kind)));
    let direction = match order {
        Order::Asc => Direction::Asc,
        Order::Desc => Direction::Desc,
    };
    let order = sort_key.into_iter().chain([Column::Id]).map(|column| (column, direction.clone()));
    Merge { selects: selects.collect(), order: order.collect(), limit: of.limit }
}

/// Tasks with or without a due date and a priority. Each of these kinds has its own indexes.
#[derive(Debug, Clone, Copy)]
struct Kind {
    dated: Option<bool>,
    prioritized: Option<bool>,
}

impl Kind {
    const ANY: Self = Self { dated: None, prioritized: None };
    const PLAIN: Self = Self { dated: Some(false), prioritized: Some(false) };
    const DATED: Self = Self { dated: Some(true), prioritized: None };
    const DATED_ONLY: Self = Self { dated: Some(true), prioritized: Some(false) };
    const PRIORITIZED: Self = Self { dated: None, prioritized: Some(true) };
    const PRIORITIZED_UNDATED: Self = Self { dated: Some(false), prioritized: Some(true) };

    /// The condition of their indexes, in the same words: the planners compare them.
    fn condition(self) -> Condition {
        let due_date = Expr::col(Column::DueDate);
        // A constant, not an argument: a planner cannot know what an argument implies.
        let (priority, none) = (Expr::col(Column::Priority), Expr::Constant(0.into()));
        Condition::all()
            .add_option(self.dated.map(|dated| if dated { due_date.is_not_null() } else { due_date.is_null() }))
            .add_option(self.prioritized.map(|has| if has { priority.ne(none) } else { priority.eq(none) }))
    }
}
