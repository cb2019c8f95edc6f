//! The statements of moves and of the deletion of a user. Exports are the only queries for the tasks of all users.

use sea_orm::{
    ColumnTrait, DeleteMany, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::Expr,
};

use crate::{
    db::{Among, Count, Find, Missing, Statements, arguments},
    tasks::{entity as task, idempotency as key, owner as user},
};

/// Rows that one statement reads.
pub(super) const PAGE: u64 = 1000;
/// Most rows that one statement inserts: 12 values each are still far below the limit of both databases.
pub(super) const ROWS: usize = 500;

arguments! {
    /// An owner.
    pub(super) struct Owner { owner }
}

pub(super) static TASKS_OF: Statements<(), Owner, DeleteMany<task::Entity>> =
    Statements::new(|(), of: Owner<u64>| task::Entity::delete_many().filter(task::Column::UserId.eq(of.owner)));

pub(super) static KEYS_OF: Statements<(), Owner, DeleteMany<key::Entity>> =
    Statements::new(|(), of: Owner<u64>| key::Entity::delete_many().filter(key::Column::UserId.eq(of.owner)));

pub(super) static USER: Statements<(), Owner, DeleteMany<user::Entity>> =
    Statements::new(|(), of: Owner<u64>| user::Entity::delete_many().filter(user::Column::Id.eq(of.owner)));

/// Whether only the rows of one user are wanted.
pub(super) type OneUser = bool;

arguments! {
    /// The user, the primary key of the row before the page, and the time after which keys have not expired.
    pub(super) struct Page { user, last_user, last, expiry }
}

/// The users of an export.
fn users(one: OneUser, of: &Page<u64>) -> Select<user::Entity> {
    user::Entity::find().apply_if(one.then_some(of.user), |query, user| query.filter(user::Column::Id.eq(user)))
}

fn tasks(one: OneUser, of: &Page<u64>) -> Select<task::Entity> {
    task::Entity::find().apply_if(one.then_some(of.user), |query, user| query.filter(task::Column::UserId.eq(user)))
}

/// Without the expired ones, which no request can use.
fn keys(one: OneUser, of: &Page<u64>) -> Select<key::Entity> {
    key::Entity::find()
        .filter(key::Column::CreatedAt.gt(of.expiry))
        .apply_if(one.then_some(of.user), |query, user| query.filter(key::Column::UserId.eq(user)))
}

pub(super) static USERS: Statements<OneUser, Page, Find<user::Model>> = Statements::new(|one, of: Page<u64>| {
    Find(users(one, &of).filter(user::Column::Id.gt(of.last_user)).order_by_asc(user::Column::Id).limit(PAGE))
});

pub(super) static TASKS: Statements<OneUser, Page, Find<task::Model>> = Statements::new(|one, of: Page<u64>| {
    let [user, id] = [task::Column::UserId, task::Column::Id];
    let position = Expr::tuple([Expr::col(user), Expr::col(id)]);
    let last = Expr::tuple([Expr::val(of.last_user), Expr::val(of.last)]);
    Find(tasks(one, &of).filter(position.gt(last)).order_by_asc(user).order_by_asc(id).limit(PAGE))
});

pub(super) static KEYS: Statements<OneUser, Page, Find<key::Model>> = Statements::new(|one, of: Page<u64>| {
    let [user, key] = [key::Column::UserId, key::Column::Key];
    let position = Expr::tuple([Expr::col(user), Expr::col(key)]);
    let last = Expr::tuple([Expr::val(of.last_user), Expr::val(of.last)]);
    Find(keys(one, &of).filter(position.gt(last)).order_by_asc(user).order_by_asc(key).limit(PAGE))
});

pub(super) static USER_COUNT: Statements<OneUser, Page, Count<user::Entity>> =
    Statements::new(|one, of: Page<u64>| Count(users(one, &of)));
pub(super) static TASK_COUNT: Statements<OneUser, Page, Count<task::Entity>> =
    Statements::new(|one, of: Page<u64>| Count(tasks(one, &of)));
pub(super) static KEY_COUNT: Statements<OneUser, Page, Count<key::Entity>> =
    Statements::new(|one, of: Page<u64>| Count(keys(one, &of)));

/// Statements about a number of rows, each with its values.
pub(super) type Many<S> = Statements<usize, Vec<sea_orm::Value>, S>;

pub(super) static NEW_USERS: Many<Missing<user::Entity>> =
    Statements::new(|rows, ()| Missing { entity: user::Entity, rows });
pub(super) static NEW_TASKS: Many<Missing<task::Entity>> =
    Statements::new(|rows, ()| Missing { entity: task::Entity, rows });
pub(super) static NEW_KEYS: Many<Missing<key::Entity>> =
    Statements::new(|rows, ()| Missing { entity: key::Entity, rows });

pub(super) static OLD_USERS: Many<Among<user::Model>> =
    Statements::new(|values, ()| Among { owner: None, column: user::Column::Id, values });
pub(super) static OLD_TASKS: Many<Among<task::Model>> =
    Statements::new(|values, ()| Among { owner: Some(task::Column::UserId), column: task::Column::Id, values });
pub(super) static OLD_KEYS: Many<Among<key::Model>> =
    Statements::new(|values, ()| Among { owner: Some(key::Column::UserId), column: key::Column::Key, values });
