//! The statements of the store, each built once. Their arguments stand in the order that the constants tell.

use sea_orm::{
    ColumnTrait, DeleteMany, EntityTrait, ExprTrait, QueryFilter, QueryTrait, Select, UpdateMany,
    sea_query::{Condition, Expr, Order as Direction},
};

use super::{
    dto::{Order, Sort, Status},
    entity::{Column, Entity},
    idempotency, owner,
};
use crate::db::{Inserts, Merge, Statements, argument};

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

/// By which columns change; their values are the arguments from [`VALUES`] on.
pub(super) static UPDATES: Statements<([bool; CHANGEABLE.len()], Versioned), UpdateMany<Entity>> =
    Statements::new(|(changed, versioned)| {
        let mut update = Entity::update_many()
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, Expr::val(NOW));
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
            .col_expr(Column::UpdatedAt, Expr::val(NOW))
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

/// A part of a list that one statement reads: what comes behind a position of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    pub(super) status: Status,
    pub(super) sort: Sort,
    pub(super) order: Order,
    pub(super) behind: Option<Behind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Behind {
    Created,
    Title,
    Dated,
    Undated,
}

const LIMIT: u64 = argument(1);
const LAST_ID: u64 = argument(2);
/// The title or the due date of the last task.
const LAST: u64 = argument(3);

/// Each reads one stretch of an index, or merges two.
pub(super) static STRETCHES: Statements<Stretch, Merge<Entity>> =
    Statements::new(|Stretch { status, sort, order, behind }| {
        let behind_last = |left: Expr, right: Expr| match order {
            Order::Asc => left.gt(right),
            Order::Desc => left.lt(right),
        };
        let behind_id = || behind_last(Expr::col(Column::Id), Expr::val(LAST_ID));
        let behind_pair = |column| {
            let pair = Expr::tuple([Expr::col(column), Expr::col(Column::Id)]);
            behind_last(pair, Expr::tuple([Expr::val(LAST), Expr::val(LAST_ID)]))
        };
        let condition = behind.map(|behind| match behind {
            Behind::Created => behind_id(),
            Behind::Title => behind_pair(Column::TitleKey),
            // No comparison with NULL is true, so behind a due date there are only tasks that have one.
            Behind::Dated => behind_pair(Column::DueDate),
            Behind::Undated => Expr::col(Column::DueDate).is_null().and(behind_id()),
        });
        let columns: &[Column] = match sort {
            // The order of ids is the order of creation.
            Sort::Created => &[Column::Id],
            Sort::Title => &[Column::TitleKey, Column::Id],
            Sort::DueDate => &[Column::DueDate, Column::Id],
        };
        // The indexes have the status before what they sort by, but for the primary key.
        let statuses: &[Option<bool>] = match (status, sort) {
            (Status::All, Sort::Created) => &[None],
            (Status::All, Sort::Title | Sort::DueDate) => &[Some(false), Some(true)],
            (Status::Pending, _) => &[Some(false)],
            (Status::Completed, _) => &[Some(true)],
        };
        let selects = statuses.iter().map(|completed| {
            Entity::find()
                .filter(Column::UserId.eq(OWNER))
                .apply_if(*completed, |tasks, completed| tasks.filter(Column::Completed.eq(completed)))
                .apply_if(condition.clone(), QueryFilter::filter)
        });
        let direction = match order {
            Order::Asc => Direction::Asc,
            Order::Desc => Direction::Desc,
        };
        let order = columns.iter().map(|column| (*column, direction.clone())).collect();
        Merge { selects: selects.collect(), order, limit: LIMIT }
    });
