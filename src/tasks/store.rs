//! The queries, each of one owner. Knows no HTTP.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, ExprTrait, Insert, IntoActiveModel, QueryFilter, QueryTrait,
    UpdateMany,
    sea_query::{Condition, Expr, OnConflict, Order as Direction},
};
use uuid::Uuid;

use super::{
    cursor::Position,
    dto::{Order, Sort, Status, TaskCreate, TaskResponse},
    entity::{ActiveModel, Column, Entity, Model},
    idempotency::{self, IdempotencyKey},
    owner,
};
use crate::{
    auth::User,
    db::{Db, DbError},
    timestamp::Timestamp,
};

/// How often a create is tried again where another request with its key came in between.
const ATTEMPTS: usize = 3;

/// The tasks of one user: the only way to the table.
#[derive(Debug)]
pub(super) struct Tasks<'a> {
    db: &'a Db,
    owner: &'a User,
}

/// Why a task was not read or changed; nothing was changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StoreError {
    /// No user has a task with this id.
    NotFound,
    /// The task is another user's.
    Forbidden,
    /// The task has another version than any expected.
    Stale,
    /// The key stands for another request.
    KeyReused,
    /// The database failed.
    Db(DbError),
}

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// Which tasks, in which order, from where.
#[derive(Debug)]
pub(super) struct List {
    pub(super) status: Status,
    pub(super) sort: Sort,
    pub(super) order: Order,
    pub(super) limit: usize,
    pub(super) after: Option<Position>,
}

/// Some tasks of a list, and where the next page begins, if there is one.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) tasks: Vec<Model>,
    pub(super) next: Option<Position>,
}

/// What became of a create.
#[derive(Debug)]
pub(super) enum Creation {
    /// A new task.
    New(Model),
    /// The answer to the first request with this key.
    Replayed(TaskResponse),
}

impl<'a> Tasks<'a> {
    pub(super) const fn of(db: &'a Db, owner: &'a User) -> Self {
        Self { db, owner }
    }

    /// A page of the user's tasks; ties break by id. Each statement reads one stretch of an index, or merges two.
    pub(super) async fn list(&self, list: &List) -> Result<Page, DbError> {
        let first = match list.order {
            Order::Asc => Uuid::nil(),
            Order::Desc => Uuid::max(),
        };
        let start = (list.sort == Sort::DueDate).then(|| match list.order {
            Order::Asc => Position::Dated(Timestamp::min(), first),
            Order::Desc => Position::Dated(Timestamp::max(), first),
        });
        let after = list.after.clone().or(start);
        // One more than asked for tells whether there is more.
        let wanted = list.limit + 1;
        let mut tasks = self.stretch(list, after.as_ref(), wanted).await?;
        if let Some(Position::Dated(..)) = after
            && tasks.len() < wanted
        {
            // No index has the undated last in both directions: they are a list of their own, behind the dated.
            let undated = Some(&Position::Undated(first));
            tasks.extend(self.stretch(list, undated, wanted - tasks.len()).await?);
        }
        let more = tasks.len() > list.limit;
        tasks.truncate(list.limit);
        let next = tasks.last().filter(|_| more).map(|last| match (list.sort, last.due_date) {
            (Sort::Created, _) => Position::Created(last.id),
            (Sort::Title, _) => Position::Title(last.title_key.clone(), last.id),
            (Sort::DueDate, Some(due_date)) => Position::Dated(due_date.into(), last.id),
            (Sort::DueDate, None) => Position::Undated(last.id),
        });
        Ok(Page { tasks, next })
    }

    /// The first tasks of the list behind a position. No comparison with NULL is true, so behind a due date there are
    /// only tasks that have one.
    async fn stretch(&self, list: &List, after: Option<&Position>, limit: usize) -> Result<Vec<Model>, DbError> {
        let pair = |column| Expr::tuple([Expr::col(column), Expr::col(Column::Id)]);
        let behind = |left: Expr, right: Expr| match list.order {
            Order::Asc => left.gt(right),
            Order::Desc => left.lt(right),
        };
        let condition = after.map(|after| match after {
            Position::Created(id) => behind(Expr::col(Column::Id), Expr::val(*id)),
            Position::Title(key, id) => {
                behind(pair(Column::TitleKey), Expr::tuple([Expr::val(key.as_str()), Expr::val(*id)]))
            }
            Position::Dated(due_date, id) => {
                let due_date = Expr::val(DateTime::<Utc>::from(*due_date));
                behind(pair(Column::DueDate), Expr::tuple([due_date, Expr::val(*id)]))
            }
            Position::Undated(id) => {
                Expr::col(Column::DueDate).is_null().and(behind(Expr::col(Column::Id), Expr::val(*id)))
            }
        });
        let columns: &[Column] = match list.sort {
            // The order of ids is the order of creation.
            Sort::Created => &[Column::Id],
            Sort::Title => &[Column::TitleKey, Column::Id],
            Sort::DueDate => &[Column::DueDate, Column::Id],
        };
        // The indexes have the status before what they sort by, but for the primary key.
        let statuses: &[Option<bool>] = match (list.status, list.sort) {
            (Status::All, Sort::Created) => &[None],
            (Status::All, Sort::Title | Sort::DueDate) => &[Some(false), Some(true)],
            (Status::Pending, _) => &[Some(false)],
            (Status::Completed, _) => &[Some(true)],
        };
        let selects = statuses.iter().map(|completed| {
            Entity::find()
                .filter(Column::UserId.eq(self.owner.id()))
                .apply_if(*completed, |tasks, completed| tasks.filter(Column::Completed.eq(completed)))
                .apply_if(condition.clone(), QueryFilter::filter)
        });
        let direction = match list.order {
            Order::Asc => Direction::Asc,
            Order::Desc => Direction::Desc,
        };
        let order: Vec<_> = columns.iter().map(|column| (*column, direction.clone())).collect();
        self.db.merge(selects.collect(), &order, limit as u64).await
    }

    /// Creates a task; the first one of a user brings the user's own row with it. With a key, the first request creates
    /// and every later one gets the answer to that.
    pub(super) async fn create(&self, task: TaskCreate, key: Option<&IdempotencyKey>) -> Result<Creation, StoreError> {
        let fingerprint = key.map(|_| idempotency::fingerprint(&task)).unwrap_or_default();
        let task = task.into_row(self.owner.id(), Timestamp::now());
        let Some(key) = key else {
            self.insert(&task, None).await?;
            return Ok(Creation::New(task));
        };
        let reservation = idempotency::Model {
            user_id: self.owner.id().to_owned(),
            key: key.0.clone(),
            fingerprint,
            answer: idempotency::answer(&TaskResponse::from(task.clone()))?,
            created_at: task.created_at,
        };
        for _ in 0..ATTEMPTS {
            match self.insert(&task, Some(&reservation)).await {
                Err(DbError::Unique(_)) => {}
                inserted => return Ok(inserted.map(|()| Creation::New(task))?),
            }
            let first = idempotency::Entity::find()
                .filter(idempotency::Column::UserId.eq(self.owner.id()))
                .filter(idempotency::Column::Key.eq(key.0.as_str()));
            match self.db.one(first).await? {
                Some(first) if first.expired() => {
                    let expired = idempotency::Entity::delete_many()
                        .filter(idempotency::Column::UserId.eq(self.owner.id()))
                        .filter(idempotency::Column::Key.eq(key.0.as_str()))
                        .filter(idempotency::Column::CreatedAt.eq(first.created_at));
                    self.db.delete(expired).await?;
                }
                Some(first) if first.fingerprint != reservation.fingerprint => return Err(StoreError::KeyReused),
                Some(first) => return Ok(Creation::Replayed(idempotency::replay(&first)?)),
                // It has expired and gone since.
                None => {}
            }
        }
        Err(DbError::Unavailable("an idempotency key keeps changing".to_owned()).into())
    }

    /// Inserts what belongs together: the task, the key that it was created under, and its owner if there is none yet.
    async fn insert(&self, task: &Model, key: Option<&idempotency::Model>) -> Result<(), DbError> {
        let inserts = || {
            let key = key.map(|key| Insert::one(key.clone().into_active_model()).into_query());
            key.into_iter().chain([Insert::one(task.clone().into_active_model()).into_query()])
        };
        let inserted = self.db.insert_together(inserts().collect()).await;
        let Err(DbError::ForeignKey(_)) = inserted else { return inserted };
        let owner = owner::Model { id: self.owner.id().to_owned(), created_at: task.created_at };
        let owner = Insert::one(owner.into_active_model())
            .on_conflict(OnConflict::column(owner::Column::Id).do_nothing().to_owned());
        self.db.insert_together([owner.into_query()].into_iter().chain(inserts()).collect()).await
    }

    pub(super) async fn get(&self, id: Uuid) -> Result<Model, StoreError> {
        let task = Entity::find().filter(Column::UserId.eq(self.owner.id())).filter(Column::Id.eq(id));
        match self.db.one(task).await? {
            Some(task) => Ok(task),
            None => Err(self.missing(id, None).await),
        }
    }

    /// Changes the columns that are set, and none else; where none is, the task stays as it is.
    pub(super) async fn update(
        &self,
        id: Uuid,
        change: ActiveModel,
        expected: Option<&[i64]>,
    ) -> Result<Model, StoreError> {
        if !change.is_changed() {
            let task = self.get(id).await?;
            let stale = expected.is_some_and(|versions| !versions.contains(&task.version));
            return if stale { Err(StoreError::Stale) } else { Ok(task) };
        }
        let update = Entity::update_many()
            .set(change)
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, Expr::val(now()));
        self.change(id, update, expected).await
    }

    /// Toggles whether the task is done, or sets it: then a task that is in that state already does not change.
    pub(super) async fn complete(
        &self,
        id: Uuid,
        completed: Option<bool>,
        expected: Option<&[i64]>,
    ) -> Result<Model, StoreError> {
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
        self.change(id, update, expected).await
    }

    pub(super) async fn delete(&self, id: Uuid, expected: Option<&[i64]>) -> Result<(), StoreError> {
        match self.db.delete(Entity::delete_many().filter(self.is(id, expected))).await? {
            0 => Err(self.missing(id, expected).await),
            _ => Ok(()),
        }
    }

    async fn change(
        &self,
        id: Uuid,
        update: UpdateMany<Entity>,
        expected: Option<&[i64]>,
    ) -> Result<Model, StoreError> {
        match self.db.update(update.filter(self.is(id, expected))).await?.pop() {
            Some(task) => Ok(task),
            None => Err(self.missing(id, expected).await),
        }
    }

    /// Whose and which task, and in which version: what every change names in its own WHERE.
    fn is(&self, id: Uuid, expected: Option<&[i64]>) -> Condition {
        let versions = expected.map(|versions| match versions {
            // Tags that no task can have: never true, since every task has a version.
            [] => Column::Version.is_null(),
            versions => Column::Version.is_in(versions.iter().copied()),
        });
        Condition::all().add(Column::UserId.eq(self.owner.id())).add(Column::Id.eq(id)).add_option(versions)
    }

    /// Why a statement that named the owner found no task: asked only then, so a hit costs one statement.
    async fn missing(&self, id: Uuid, expected: Option<&[i64]>) -> StoreError {
        match self.db.one(Entity::find().filter(Column::Id.eq(id))).await {
            Ok(Some(task)) if task.user_id != self.owner.id() => StoreError::Forbidden,
            Ok(Some(_)) if expected.is_some() => StoreError::Stale,
            // Either there is none, or it came into being in between.
            Ok(_) => StoreError::NotFound,
            Err(error) => error.into(),
        }
    }
}

fn now() -> DateTime<Utc> {
    Timestamp::now().into()
}
