//! The queries, each of one owner. Knows no HTTP.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue, EntityTrait, Iterable, ModelTrait, UpdateMany, Value};
use uuid::Uuid;

use super::{
    cursor::Position,
    dto::{Order, Sort, Status, TaskCreate, TaskResponse},
    entity::{ActiveModel, Entity, Model},
    idempotency::{self, IdempotencyKey},
    owner,
    statements::{
        ANYONES, CHANGEABLE, COMPLETIONS, DATED_THEN_UNDATED, DELETIONS, INSERTS, New, STRETCHES, Sorted, Stretch,
        TASK, UPDATES, Versioned,
    },
};
use crate::{
    auth::User,
    db::{Db, DbError, Requested, Statements},
    timestamp::Timestamp,
};

/// How often a create is tried again where another request with its key came in between.
const ATTEMPTS: usize = 3;

/// The tasks of one user: the only way to the table.
#[derive(Debug)]
pub(super) struct Tasks<'a> {
    db: Requested<'a>,
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
    pub(super) fn of(db: &'a Db, owner: &'a User) -> Self {
        Self { db: db.of(owner.id()), owner }
    }

    /// A page of the user's tasks; ties break by id.
    pub(super) async fn list(&self, list: &List) -> Result<Page, DbError> {
        let sorted = match (list.sort, &list.after) {
            (Sort::Created, _) => Sorted::Created,
            (Sort::Title, _) => Sorted::Title,
            (Sort::DueDate, Some(Position::Undated(_))) => Sorted::Undated,
            (Sort::DueDate, _) => Sorted::Dated,
        };
        // One more than asked for tells whether there is more.
        let mut tasks = self.stretch(list, sorted, list.limit + 1).await?;
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

    /// The first of these tasks, or the first behind the position; behind the dated ones come the undated.
    async fn stretch(&self, list: &List, tasks: Sorted, limit: usize) -> Result<Vec<Model>, DbError> {
        let mut arguments = vec![self.owner.id().into(), (limit as u64).into()];
        match &list.after {
            Some(Position::Created(id) | Position::Undated(id)) => arguments.push((*id).into()),
            Some(Position::Title(key, id)) => arguments.extend([(*id).into(), key.as_str().into()]),
            Some(Position::Dated(due_date, id)) => {
                arguments.extend([(*id).into(), DateTime::<Utc>::from(*due_date).into()]);
            }
            None => {}
        }
        let stretch = Stretch { status: list.status, tasks, order: list.order, behind: list.after.is_some() };
        if tasks != Sorted::Dated {
            return self.db.all(&STRETCHES, stretch, arguments).await;
        }
        let mut tasks = self.db.all(&DATED_THEN_UNDATED, stretch, arguments).await?;
        // They come in this order, but nothing promises that.
        tasks.sort_by(|one, other| {
            let (dated, key) = (|task: &Model| task.due_date.is_none(), |task: &Model| (task.due_date, task.id));
            dated(one).cmp(&dated(other)).then_with(|| match list.order {
                Order::Asc => key(one).cmp(&key(other)),
                Order::Desc => key(other).cmp(&key(one)),
            })
        });
        Ok(tasks)
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
            let owned = vec![self.owner.id().into(), key.0.as_str().into()];
            match self.db.one(&idempotency::FIRST, (), owned.clone()).await? {
                Some(first) if first.expired() => {
                    let expired = owned.into_iter().chain([first.created_at.into()]).collect();
                    self.db.delete(&idempotency::OUTDATED, (), expired).await?;
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
        let rows = || key.into_iter().flat_map(values).chain(values(task));
        let new = New { owner: false, key: key.is_some() };
        let inserted = self.db.insert(&INSERTS, new, rows().collect()).await;
        let Err(DbError::ForeignKey(_)) = inserted else { return inserted };
        let owner = owner::Model { id: self.owner.id().to_owned(), created_at: task.created_at };
        self.db.insert(&INSERTS, New { owner: true, ..new }, values(&owner).chain(rows()).collect()).await
    }

    pub(super) async fn get(&self, id: Uuid) -> Result<Model, StoreError> {
        match self.db.one(&TASK, (), self.task(id, None)).await? {
            Some(task) => Ok(task),
            None => Err(self.missing(id, None).await),
        }
    }

    /// Changes the columns that are set, and none else; where none is, the task stays as it is.
    pub(super) async fn update(
        &self,
        id: Uuid,
        mut change: ActiveModel,
        expected: Option<&[i64]>,
    ) -> Result<Model, StoreError> {
        if !change.is_changed() {
            let task = self.get(id).await?;
            let stale = expected.is_some_and(|versions| !versions.contains(&task.version));
            return if stale { Err(StoreError::Stale) } else { Ok(task) };
        }
        let mut changed = [false; CHANGEABLE.len()];
        let mut values = Vec::new();
        for (column, changed) in CHANGEABLE.into_iter().zip(&mut changed) {
            if let ActiveValue::Set(value) = change.take(column) {
                *changed = true;
                values.push(value);
            }
        }
        let version = self.version(id, expected).await?;
        match self.change(&UPDATES, changed, id, version, values).await? {
            Some(task) => Ok(task),
            None => Err(self.missing(id, version).await),
        }
    }

    /// Toggles whether the task is done, or sets it: a task that is in that state already stays as it is.
    pub(super) async fn complete(
        &self,
        id: Uuid,
        completed: Option<bool>,
        expected: Option<&[i64]>,
    ) -> Result<Model, StoreError> {
        let version = self.version(id, expected).await?;
        loop {
            let values = completed.map(Value::from).into_iter().collect();
            if let Some(task) = self.change(&COMPLETIONS, completed.is_some(), id, version, values).await? {
                return Ok(task);
            }
            let Some(completed) = completed else { return Err(self.missing(id, version).await) };
            match self.db.one(&TASK, (), self.task(id, None)).await? {
                Some(task) if version.is_some_and(|version| version != task.version) => return Err(StoreError::Stale),
                Some(task) if task.completed == completed => return Ok(task),
                // Another request has changed its state in between: try again.
                Some(_) => {}
                None => return Err(self.missing(id, version).await),
            }
        }
    }

    /// Changes the task, if there is one that the statement changes.
    async fn change<K: Ord + Copy>(
        &self,
        updates: &Statements<(K, Versioned), UpdateMany<Entity>>,
        key: K,
        id: Uuid,
        version: Option<i64>,
        values: Vec<Value>,
    ) -> Result<Option<Model>, DbError> {
        let now = DateTime::<Utc>::from(Timestamp::now());
        let mut arguments = self.task(id, version);
        arguments.push(now.into());
        arguments.extend(values);
        Ok(self.db.on(id).update(updates, (key, version.is_some()), arguments).await?.pop())
    }

    pub(super) async fn delete(&self, id: Uuid, expected: Option<&[i64]>) -> Result<(), StoreError> {
        let version = self.version(id, expected).await?;
        match self.db.on(id).delete(&DELETIONS, version.is_some(), self.task(id, version)).await? {
            0 => Err(self.missing(id, version).await),
            _ => Ok(()),
        }
    }

    /// Whose and which task a statement is about, and in which version.
    fn task(&self, id: Uuid, version: Option<i64>) -> Vec<Value> {
        vec![self.owner.id().into(), id.into(), version.into()]
    }

    /// The version that a change asks for, if it does. Of several it is the one that the task has now.
    async fn version(&self, id: Uuid, expected: Option<&[i64]>) -> Result<Option<i64>, StoreError> {
        match expected {
            None => Ok(None),
            Some([version]) => Ok(Some(*version)),
            Some(versions) => {
                let Model { version, .. } = self.get(id).await?;
                if versions.contains(&version) { Ok(Some(version)) } else { Err(StoreError::Stale) }
            }
        }
    }

    /// Why a statement that named the owner found no task: asked only then, so a hit costs one statement.
    ///
    /// The owner's own task is looked for first: where tasks are distributed by user, only the look for anyone's goes
    /// everywhere.
    async fn missing(&self, id: Uuid, version: Option<i64>) -> StoreError {
        if version.is_some() {
            match self.db.one(&TASK, (), self.task(id, None)).await {
                Ok(Some(_)) => return StoreError::Stale,
                Ok(None) => {}
                Err(error) => return error.into(),
            }
        }
        match self.db.one(&ANYONES, (), vec![id.into()]).await {
            Ok(Some(task)) if task.user_id != self.owner.id() => StoreError::Forbidden,
            // Either there is none, or it came into being in between.
            Ok(_) => StoreError::NotFound,
            Err(error) => error.into(),
        }
    }
}

fn values<M: ModelTrait>(row: &M) -> impl Iterator<Item = Value> {
    <M::Entity as EntityTrait>::Column::iter().map(|column| row.get(column))
}
