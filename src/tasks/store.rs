//! The queries, each of one owner. Knows no HTTP.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, ExprTrait, Insert, IntoActiveModel, QueryFilter, QueryOrder,
    QueryTrait, UpdateMany,
    sea_query::{Expr, OnConflict, Order as Direction},
};
use uuid::Uuid;

use super::{
    dto::{Order, Sort, Status, TaskCreate},
    entity::{ActiveModel, Column, Entity, Model},
    owner,
};
use crate::{
    db::{Db, DbError},
    timestamp::Timestamp,
};

/// The tasks of one user: the only way to the table.
#[derive(Debug)]
pub(super) struct Tasks<'a> {
    db: &'a Db,
    owner: &'a str,
}

/// Why a task was not read or changed; nothing was changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StoreError {
    /// No user has a task with this id.
    NotFound,
    /// The task is another user's.
    Forbidden,
    /// The database failed.
    Db(DbError),
}

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl<'a> Tasks<'a> {
    pub(super) const fn of(db: &'a Db, owner: &'a str) -> Self {
        Self { db, owner }
    }

    /// The user's tasks in the order asked for; ties break by id.
    pub(super) async fn list(&self, status: Status, sort: Sort, order: Order) -> Result<Vec<Model>, DbError> {
        let completed = match status {
            Status::All => None,
            Status::Pending => Some(false),
            Status::Completed => Some(true),
        };
        let direction = match order {
            Order::Asc => Direction::Asc,
            Order::Desc => Direction::Desc,
        };
        let tasks = Entity::find()
            .filter(Column::UserId.eq(self.owner))
            .apply_if(completed, |tasks, completed| tasks.filter(Column::Completed.eq(completed)));
        let tasks = match sort {
            // The order of ids is the order of creation.
            Sort::Created => tasks,
            Sort::Title => tasks.order_by(Column::TitleKey, direction.clone()),
            Sort::DueDate => {
                tasks.order_by(Column::DueDate.is_null(), Direction::Asc).order_by(Column::DueDate, direction.clone())
            }
        };
        self.db.all(tasks.order_by(Column::Id, direction)).await
    }

    /// Creates a task; the first one of a user brings the user's own row with it.
    pub(super) async fn create(&self, task: TaskCreate) -> Result<Model, DbError> {
        let task = task.into_row(self.owner, Timestamp::now());
        match self.db.insert(task.clone().into_active_model()).await {
            Err(DbError::ForeignKey(_)) => {
                let owner = owner::Model { id: self.owner.to_owned(), created_at: task.created_at };
                let owner = Insert::one(owner.into_active_model())
                    .on_conflict(OnConflict::column(owner::Column::Id).do_nothing().to_owned());
                let inserts = vec![owner.into_query(), Insert::one(task.clone().into_active_model()).into_query()];
                self.db.insert_together(inserts).await?;
            }
            inserted => inserted?,
        }
        Ok(task)
    }

    pub(super) async fn get(&self, id: Uuid) -> Result<Model, StoreError> {
        let task = Entity::find().filter(Column::UserId.eq(self.owner)).filter(Column::Id.eq(id));
        match self.db.one(task).await? {
            Some(task) => Ok(task),
            None => Err(self.missing(id).await),
        }
    }

    /// Changes the columns that are set, and none else; where none is, the task stays as it is.
    pub(super) async fn update(&self, id: Uuid, change: ActiveModel) -> Result<Model, StoreError> {
        if !change.is_changed() {
            return self.get(id).await;
        }
        let update = Entity::update_many()
            .set(change)
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, Expr::val(now()));
        self.change(id, update).await
    }

    /// Flips whether the task is done, or sets it: then a task that is in that state already does not change.
    pub(super) async fn complete(&self, id: Uuid, completed: Option<bool>) -> Result<Model, StoreError> {
        let (completed, changes) = match completed {
            None => (Expr::col(Column::Completed).not(), Expr::val(true)),
            Some(completed) => (Expr::val(completed), Column::Completed.ne(completed)),
        };
        let version =
            Expr::case(changes.clone(), Expr::col(Column::Version).add(1)).finally(Expr::col(Column::Version));
        let updated_at = Expr::case(changes, Expr::val(now())).finally(Expr::col(Column::UpdatedAt));
        let update = Entity::update_many()
            .col_expr(Column::Completed, completed)
            .col_expr(Column::Version, version.into())
            .col_expr(Column::UpdatedAt, updated_at.into());
        self.change(id, update).await
    }

    pub(super) async fn delete(&self, id: Uuid) -> Result<(), StoreError> {
        let task = Entity::delete_many().filter(Column::UserId.eq(self.owner)).filter(Column::Id.eq(id));
        match self.db.delete(task).await? {
            0 => Err(self.missing(id).await),
            _ => Ok(()),
        }
    }

    async fn change(&self, id: Uuid, update: UpdateMany<Entity>) -> Result<Model, StoreError> {
        let update = update.filter(Column::UserId.eq(self.owner)).filter(Column::Id.eq(id));
        match self.db.update(update).await?.pop() {
            Some(task) => Ok(task),
            None => Err(self.missing(id).await),
        }
    }

    /// Why a statement that named the owner found no task: asked only then, so a hit costs one statement.
    async fn missing(&self, id: Uuid) -> StoreError {
        match self.db.one(Entity::find().filter(Column::Id.eq(id))).await {
            Ok(Some(task)) if task.user_id != self.owner => StoreError::Forbidden,
            // Either there is none, or it came into being in between.
            Ok(_) => StoreError::NotFound,
            Err(error) => error.into(),
        }
    }
}

fn now() -> DateTime<Utc> {
    Timestamp::now().into()
}
