//! The statements of the store, each built once. Their arguments stand in the order that the constants tell.

use sea_orm::{
    ColumnTrait, DeleteMany, EntityTrait, ExprTrait, QueryFilter, QueryTrait, Select, UpdateMany,
    sea_query::{Condition, Expr, Func, Order as Direction},
};

use super::{
    dto::{Order, Status},
    entity::{Column, Entity},
    idempotency, owner,
};
use crate::db::{Fill, Inserts, Merge, Statements, argument};

/// Arguments of the statements on one task of the owner's, and the first of those of lists.
const OWNER: u64 = argument(0);
const ID: u64 = argument(1);
const VERSION: u64 = argument(2);
const NOW: u64 = argument(3);
/// The values of an update begin here.
const VALUES: usize = 4;

/// Whether a statement is about one version of a task only.
pub(super) type Versioned = bool;

/// Whose and which task: what every statement on a task of the owner's names in its own WHERE.
fn is(versioned: Versioned) -> Condition {
    Condition::all()
        .add(Column::UserId.eq(OWNER))
        .add(Column::Id.eq(ID))
        .add_option(versioned.then(|| Column::Version.eq(VERSION)))
}

/// One of the owner's tasks.
pub(super) static TASK: Statements<(), Select<Entity>> = Statements::new(|()| Entity::find().filter(is(false)));

/// A task, whoever's it is. Its one argument is the id.
pub(super) static ANYONES: Statements<(), Select<Entity>> =
    Statements::new(|()| Entity::find().filter(Column::Id.eq(argument(0))));

pub(super) static DELETIONS: Statements<Versioned, DeleteMany<Entity>> =
    Statements::new(|versioned| Entity::delete_many().filter(is(versioned)));

/// What `updateTask` may change.
pub(super) const CHANGEABLE: [Column; 5] =
    [Column::Title, Column::TitleKey, Column::Description, Column::Completed, Column::DueDate];

/// When a change was made: never before the change before it, whatever the clocks of the instances say.
fn time_of_change() -> Expr {
    Func::greatest([Expr::col(Column::UpdatedAt), Expr::val(NOW)]).into()
}

/// By which columns change; their values are the arguments from [`VALUES`] on.
pub(super) static UPDATES: Statements<([bool; CHANGEABLE.len()], Versioned), UpdateMany<Entity>> =
    Statements::new(|(changed, versioned)| {
        let mut update = Entity::update_many()
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, time_of_change());
        let columns = CHANGEABLE.into_iter().zip(changed).filter(|(_, changed)| *changed);
        for (n, (column, _)) in columns.enumerate() {
            update = update.col_expr(column, Expr::val(argument(VALUES + n)));
        }
        update.filter(is(versioned))
    });

/// Of tasks whose `completed` it changes: to the argument at [`VALUES`], or, where none is set, to the other state.
pub(super) static COMPLETIONS: Statements<(bool, Versioned), UpdateMany<Entity>> =
    Statements::new(|(set, versioned)| {
        let toggled = Expr::col(Column::Completed).not();
        let completed = if set { Expr::val(argument(VALUES)) } else { toggled };
        Entity::update_many()
            .col_expr(Column::Completed, completed)
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, time_of_change())
            .filter(is(versioned))
            .apply_if(set.then(|| argument(VALUES)), |update, completed| update.filter(Column::Completed.ne(completed)))
    });

/// Which rows come into being together with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct New {
    pub(super) owner: bool,
    pub(super) key: bool,
}

/// Arguments are the values of the rows: owner, key, task.
pub(super) static INSERTS: Statements<New, Inserts> = Statements::new(|New { owner, key }| {
    let mut inserts = Inserts::default();
    if owner {
        inserts = inserts.new_row(owner::Entity, owner::Column::Id);
    }
    if key {
        inserts = inserts.row(idempotency::Entity);
    }
    inserts.row(Entity)
});

/// A part of a list that one statement reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    pub(super) status: Status,
    pub(super) tasks: Sorted,
    pub(super) order: Order,
    /// Whether it begins behind a task, or else with the first.
    pub(super) behind: bool,
}

/// Tasks in an order that an index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sorted {
    Created,
    Title,
    /// Those with a due date, by that.
    Dated,
    /// Those without, by creation.
    Undated,
}

const LIMIT: u64 = argument(1);
const LAST_ID: u64 = argument(2);
/// The title or the due date of the last task.
const LAST: u64 = argument(3);

/// Each reads one stretch of an index, or merges two.
pub(super) static STRETCHES: Statements<Stretch, Merge<Entity>> = Statements::new(stretch);

/// The dated tasks of a stretch and, where they leave room, the first of the undated: no index has those last in both
/// directions. It is one statement, so that a task whose due date comes or goes meanwhile is on the page once. The rows are
/// in no order that the databases promise.
pub(super) static DATED_THEN_UNDATED: Statements<Stretch, Fill<Entity>> = Statements::new(|dated| Fill {
    first: stretch(dated),
    then: stretch(Stretch { tasks: Sorted::Undated, behind: false, ..dated }),
});

fn stretch(Stretch { status, tasks, order, behind }: Stretch) -> Merge<Entity> {
    // The order of ids is the order of creation.
    let sort_key = match tasks {
        Sorted::Created | Sorted::Undated => None,
        Sorted::Title => Some(Column::TitleKey),
        Sorted::Dated => Some(Column::DueDate),
    };
    let after = behind.then(|| {
        let (position, last) = sort_key.map_or_else(
            || (Expr::col(Column::Id), Expr::val(LAST_ID)),
            |column| {
                let position = Expr::tuple([Expr::col(column), Expr::col(Column::Id)]);
                (position, Expr::tuple([Expr::val(LAST), Expr::val(LAST_ID)]))
            },
        );
        match order {
            Order::Asc => position.gt(last),
            Order::Desc => position.lt(last),
        }
    });
    // All but the primary key have the status before what they sort by.
    let statuses: &[Option<bool>] = match (status, tasks) {
        (Status::All, Sorted::Created) => &[None],
        (Status::All, _) => &[Some(false), Some(true)],
        (Status::Pending, _) => &[Some(false)],
        (Status::Completed, _) => &[Some(true)],
    };
    // Those of one status by creation are in two indexes, the others in one.
    let dated: &[Option<bool>] = match (status, tasks) {
        (Status::All, Sorted::Created) | (_, Sorted::Title) => &[None],
        (_, Sorted::Created) => &[Some(true), Some(false)],
        (_, Sorted::Dated) => &[Some(true)],
        (_, Sorted::Undated) => &[Some(false)],
    };
    let stretch = |completed: Option<bool>, dated: Option<bool>| {
        let due_date = Expr::col(Column::DueDate);
        let dated = dated.map(|dated| if dated { due_date.is_not_null() } else { due_date.is_null() });
        let condition = Condition::all()
            .add(Column::UserId.eq(OWNER))
            .add_option(completed.map(|completed| Column::Completed.eq(completed)))
            .add_option(dated)
            .add_option(after.clone());
        Entity::find().filter(condition)
    };
    let selects = statuses.iter().flat_map(|status| dated.iter().map(|dated| stretch(*status, *dated)));
    let direction = match order {
        Order::Asc => Direction::Asc,
        Order::Desc => Direction::Desc,
    };
    let order = sort_key.into_iter().chain([Column::Id]).map(|column| (column, direction.clone()));
    Merge { selects: selects.collect(), order: order.collect(), limit: LIMIT }
}
