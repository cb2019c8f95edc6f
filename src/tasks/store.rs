//! The queries. Each is for one owner. This module does not depend on HTTP.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, Iterable, Value};
use uuid::Uuid;

use super::{
    cursor::Position,
    entity::{ActiveModel, Column, Model, Task},
    idempotency::{self, KeyOf, Outdated, Request},
    list::{Order, Selection, Sort},
    owner,
    statements::{
        AnyOwners, COMPLETIONS, Columns, Completion, DELETIONS, Deletion, INSERTS, NewRows, OWNER_OF, Own, STRETCHES,
        STRETCHES_AND_MORE, Sorted, Stretch, TASK, Tasks as Listed, UPDATES, Update, Versioned,
    },
};
use crate::{
    auth::User,
    db::{self, Arguments, Db, DbError, Requested, Statements},
    timestamp::Timestamp,
};

/// Maximum number of attempts of a create if other requests with its key interfere.
const ATTEMPTS: usize = 3;

/// The tasks of one user. This is the only way to the table.
#[derive(Debug)]
pub(super) struct Tasks<'a> {
    db: Requested<'a>,
    owner: &'a User,
}

/// Why a task was not read or changed. Nothing was changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StoreError {
    /// No user has a task with this id.
    NotFound,
    /// The task belongs to another user.
    Forbidden,
    /// The task has none of the expected versions.
    Stale,
    /// The task has a version that is excluded.
    Excluded,
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

/// The versions of a task that a change may meet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected<'a> {
    /// Only these.
    pub(super) one_of: Option<&'a [i64]>,
    /// None of these.
    pub(super) none_of: Excluded<'a>,
}

/// The versions of a task that a change may not meet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Excluded<'a> {
    /// No version is excluded.
    #[default]
    Nothing,
    /// Whatever version it has.
    Everything,
    /// These.
    Versions(&'a [i64]),
}

impl Expected<'_> {
    /// Whether a look at the task tells which version the change asks for.
    const fn takes_a_look(self) -> bool {
        !matches!(self, Self { one_of: None | Some([_]), none_of: Excluded::Nothing })
    }

    /// Whether a change may meet this version.
    fn check(self, version: i64) -> Result<(), StoreError> {
        let excluded = match self.none_of {
            Excluded::Nothing => false,
            Excluded::Everything => true,
            Excluded::Versions(versions) => versions.contains(&version),
        };
        match self.one_of {
            Some(versions) if !versions.contains(&version) => Err(StoreError::Stale),
            _ if excluded => Err(StoreError::Excluded),
            _ => Ok(()),
        }
    }
}

/// What became of a create.
#[derive(Debug)]
pub(super) enum Creation {
    /// A new task.
    New(Task),
    /// The task as the first request with this key created it.
    Replayed(Task),
}

impl<'a> Tasks<'a> {
    pub(super) fn of(db: &'a Db, owner: &'a User) -> Self {
        Self { db: db.of(owner.id()), owner }
    }

    /// The first tasks of the list, or the first behind the position.
    pub(super) async fn stretch(
        &self,
        selection: Selection,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Task>, DbError> {
        let (last_id, last_key) = match after {
            Some(Position::Created(id) | Position::Undated(id) | Position::Unprioritized(id)) => (Some(*id), UNUSED),
            Some(Position::Title(key, id)) => (Some(*id), key.as_str().into()),
            Some(Position::Dated(due_date, id)) => (Some(*id), DateTime::<Utc>::from(*due_date).into()),
            Some(Position::Prioritized(priority, id)) => (Some(*id), i32::from(*priority).into()),
            None => (None, UNUSED),
        };
        let arguments =
            Listed { owner: self.owner.id().into(), limit: (limit as u64).into(), last_id: last_id.into(), last_key };
        let (tasks, more) = parts(selection, after);
        let stretch = Stretch { of: selection, tasks, behind: after.is_some() };
        let Some(more) = more else {
            return self.db.all(&STRETCHES, stretch, arguments).await;
        };
        let mut tasks = self.db.all(&STRETCHES_AND_MORE, (stretch, more), arguments).await?;
        // The databases return them in this order, but do not guarantee it.
        let key = |task: &Task| match selection.sort {
            Sort::Priority => (task.priority, None, task.id),
            _ => (0, task.due_date, task.id),
        };
        let undated = |task: &Task| selection.sort == Sort::DueDate && task.due_date.is_none();
        tasks.sort_by(|one, other| {
            undated(one).cmp(&undated(other)).then_with(|| match selection.order {
                Order::Asc => key(one).cmp(&key(other)),
                Order::Desc => key(other).cmp(&key(one)),
            })
        });
        Ok(tasks)
    }

    /// Creates a task, and the user's row with the first task. If the request has a key, the first request creates the
    /// task, and later ones get the answer of the first.
    pub(super) async fn create(&self, task: Model, request: Option<&Request>) -> Result<Creation, StoreError> {
        let Some(request) = request else {
            self.insert(&task, None).await?;
            return Ok(Creation::New(task.into()));
        };
        let reservation = idempotency::Model::of(request, &task)?;
        let (owner, key) = (Value::from(self.owner.id()), Value::from(request.key.0.as_str()));
        for _ in 0..ATTEMPTS {
            match self.insert(&task, Some(&reservation)).await {
                Err(DbError::Unique(_)) => {}
                inserted => return Ok(inserted.map(|()| Creation::New(task.into()))?),
            }
            let of = KeyOf { owner: owner.clone(), key: key.clone() };
            match self.db.one(&idempotency::FIRST, (), of).await? {
                Some(first) if first.expired() => {
                    let (owner, key, created_at) = (owner.clone(), key.clone(), first.created_at.into());
                    self.db.delete(&idempotency::OUTDATED, (), Outdated { owner, key, created_at }).await?;
                }
                Some(first) => {
                    let replayed = first.replay(request, &task)?;
                    return replayed.map(Creation::Replayed).ok_or(StoreError::KeyReused);
                }
                // It has expired and was removed in the meantime.
                None => {}
            }
        }
        Err(DbError::Unavailable("an idempotency key keeps changing".to_owned()).into())
    }

    /// Inserts the task, its key, and its owner if there is none yet: all of them, or none.
    async fn insert(&self, task: &Model, key: Option<&idempotency::Model>) -> Result<(), DbError> {
        let rows = NewRows { owner: None, key, task };
        let inserted = self.db.insert(&INSERTS, rows.kinds(), rows.values()).await;
        let Err(DbError::ForeignKey(_)) = inserted else { return inserted };
        let owner = owner::Model { id: self.owner.id().to_owned(), created_at: task.created_at };
        let rows = NewRows { owner: Some(&owner), ..rows };
        self.db.insert(&INSERTS, rows.kinds(), rows.values()).await
    }

    pub(super) async fn get(&self, id: Uuid) -> Result<Task, StoreError> {
        match self.db.one(&TASK, (), self.own(id)).await? {
            Some(task) => Ok(task),
            None => Err(self.missing(id, None).await),
        }
    }

    /// Changes only the columns that are set. If none is, the task keeps its version.
    pub(super) async fn update(
        &self,
        id: Uuid,
        mut change: ActiveModel,
        expected: Expected<'_>,
    ) -> Result<Task, StoreError> {
        if !change.is_changed() {
            let task = self.get(id).await?;
            return expected.check(task.version).map(|()| task);
        }
        let mut changed = Columns::default();
        Column::iter().filter(|column| !change.is_not_set(*column)).for_each(|column| changed.insert(column));
        let values: Vec<_> = Column::iter().map(|column| change.take(column).into_value().unwrap_or(UNUSED)).collect();
        loop {
            let version = self.version(id, expected).await?;
            let (owner, values) = (self.owner.id().into(), values.clone());
            let arguments = Update { owner, id: id.into(), version: version.into(), now: now(), values };
            match self.change(&UPDATES, changed, id, version, arguments).await? {
                Some(task) => return Ok(task),
                // Another request has changed the task since the look at it: look again.
                None if expected.takes_a_look() => {}
                None => return Err(self.missing(id, version).await),
            }
        }
    }

    /// Sets or toggles `completed`. A task that is in the requested state already keeps its version.
    pub(super) async fn complete(
        &self,
        id: Uuid,
        completed: Option<bool>,
        expected: Expected<'_>,
    ) -> Result<Task, StoreError> {
        loop {
            let version = self.version(id, expected).await?;
            let arguments = Completion {
                owner: self.owner.id().into(),
                id: id.into(),
                version: version.into(),
                now: now(),
                completed: completed.into(),
            };
            if let Some(task) = self.change(&COMPLETIONS, completed.is_some(), id, version, arguments).await? {
                return Ok(task);
            }
            let Some(completed) = completed else {
                if expected.takes_a_look() {
                    continue;
                }
                return Err(self.missing(id, version).await);
            };
            match self.db.one(&TASK, (), self.own(id)).await? {
                Some(task) if version.is_some_and(|version| version != task.version) => {
                    expected.check(task.version)?;
                }
                Some(task) if task.completed == completed => return Ok(task),
                // Another request has changed the state in the meantime: retry.
                Some(_) => {}
                None => return Err(self.missing(id, version).await),
            }
        }
    }

    /// Changes the task. Returns `None` if the statement matches none.
    async fn change<K: Ord + Copy, A: Arguments>(
        &self,
        updates: &Statements<(K, Versioned), A, db::Update<Task>>,
        key: K,
        id: Uuid,
        version: Option<i64>,
        arguments: A,
    ) -> Result<Option<Task>, DbError> {
        Ok(self.db.on(id).update(updates, (key, version.is_some()), arguments).await?.pop())
    }

    pub(super) async fn delete(&self, id: Uuid, expected: Expected<'_>) -> Result<(), StoreError> {
        loop {
            let version = self.version(id, expected).await?;
            let arguments = Deletion { owner: self.owner.id().into(), id: id.into(), version: version.into() };
            match self.db.on(id).delete(&DELETIONS, version.is_some(), arguments).await? {
                0 if expected.takes_a_look() => {}
                0 => return Err(self.missing(id, version).await),
                _ => return Ok(()),
            }
        }
    }

    /// The owner's task with this id.
    fn own(&self, id: Uuid) -> Own {
        Own { owner: self.owner.id().into(), id: id.into() }
    }

    /// The version that a change asks for, if it does: if several may be changed, the one that the task has now.
    async fn version(&self, id: Uuid, expected: Expected<'_>) -> Result<Option<i64>, StoreError> {
        if !expected.takes_a_look() {
            return Ok(expected.one_of.and_then(<[i64]>::first).copied());
        }
        // Rare, so boxed: the futures of all changes carry this one.
        let Task { version, .. } = Box::pin(self.get(id)).await?;
        expected.check(version).map(|()| Some(version))
    }

    /// Finds out why a statement for the owner's task found none. Only then, so a hit costs one statement.
    ///
    /// Looks for the owner's task first: if tasks are distributed by user, the query for any owner's task goes to all
    /// shards.
    async fn missing(&self, id: Uuid, version: Option<i64>) -> StoreError {
        if version.is_some() {
            match self.db.one(&TASK, (), self.own(id)).await {
                Ok(Some(_)) => return StoreError::Stale,
                Ok(None) => {}
                Err(error) => return error.into(),
            }
        }
        match self.db.one(&OWNER_OF, (), AnyOwners { id: id.into() }).await {
            Ok(Some(owner)) if owner.user_id != self.owner.id() => StoreError::Forbidden,
            // No such task, or it was created in the meantime.
            Ok(_) => StoreError::NotFound,
            Err(error) => error.into(),
        }
    }
}

/// The tasks that a list has at the position, and those that follow them.
const fn parts(Selection { sort, order, status: _ }: Selection, at: Option<&Position>) -> (Sorted, Option<Sorted>) {
    match (sort, order, at) {
        (Sort::Created, ..) => (Sorted::Created, None),
        (Sort::Title, ..) => (Sorted::Title, None),
        (Sort::DueDate, _, Some(Position::Undated(_))) => (Sorted::Undated, None),
        (Sort::DueDate, ..) => (Sorted::Dated, Some(Sorted::Undated)),
        (Sort::Priority, Order::Desc, Some(Position::Unprioritized(_))) => (Sorted::Unprioritized, None),
        (Sort::Priority, Order::Desc, _) => (Sorted::Prioritized, Some(Sorted::Unprioritized)),
        (Sort::Priority, Order::Asc, Some(Position::Prioritized(..))) => (Sorted::Prioritized, None),
        (Sort::Priority, Order::Asc, _) => (Sorted::Unprioritized, Some(Sorted::Prioritized)),
    }
}

/// The value of an argument that the statement does not use.
const UNUSED: Value = Value::Bool(None);

fn now() -> Value {
    DateTime::<Utc>::from(Timestamp::now()).into()
}
