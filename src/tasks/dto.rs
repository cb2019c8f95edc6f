//! The wire types. Their annotations are the contract: the document is derived from them, and validates requests.

use std::sync::Arc;

use poem_openapi::{
    Object,
    types::{Example, MaybeUndefined},
};
use sea_orm::{
    ActiveValue::{self, NotSet, Set},
    Value,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    entity,
    fields::{Description, Priority, Tags, Title},
    id,
};
use crate::{auth::User, timestamp::Timestamp};

/// A task to create.
#[derive(Debug, Object, Deserialize)]
#[oai(example)]
pub(super) struct TaskCreate {
    pub title: Title,
    #[oai(nullable)]
    pub description: Option<Description>,
    /// Whether it is done already.
    #[oai(default)]
    #[serde(default)]
    pub completed: bool,
    /// How much it matters.
    #[oai(default)]
    #[serde(default)]
    pub priority: Priority,
    #[oai(default)]
    #[serde(default)]
    pub tags: Tags,
    /// When it is due: a date and time with an offset (RFC 3339), in the years 1 to 9999 in UTC, kept to the microsecond.
    #[oai(nullable)]
    pub due_date: Option<Timestamp>,
}

/// A change to a task. A field left out keeps its value; `null` clears `description` or `due_date`.
#[derive(Debug, Object, Deserialize)]
#[oai(example)]
pub(super) struct TaskUpdate {
    pub title: Option<Title>,
    #[oai(nullable)]
    #[serde(default)]
    pub description: MaybeUndefined<Description>,
    /// Whether it is done.
    pub completed: Option<bool>,
    /// How much it matters.
    pub priority: Option<Priority>,
    pub tags: Option<Tags>,
    /// When it is due: a date and time with an offset (RFC 3339), in the years 1 to 9999 in UTC, kept to the microsecond.
    #[oai(nullable)]
    #[serde(default)]
    pub due_date: MaybeUndefined<Timestamp>,
}

/// The state to set.
#[derive(Debug, Object, Deserialize)]
#[oai(example)]
pub(super) struct TaskComplete {
    /// Whether the task is done.
    pub completed: bool,
}

/// A task. Every field is always there.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(super) struct TaskResponse {
    /// UUIDv7, lower-case; ids sort by creation.
    pub id: Uuid,
    /// What is to be done.
    pub title: String,
    /// More about it.
    #[oai(nullable)]
    pub description: Option<String>,
    /// Whether it is done.
    pub completed: bool,
    /// How much it matters.
    pub priority: Priority,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// When it is due, in UTC.
    #[oai(nullable)]
    pub due_date: Option<Timestamp>,
    /// The owner: whatever `sub` of the token said.
    pub user_id: Arc<String>,
    /// When it was created, in UTC.
    pub created_at: Timestamp,
    /// When it last changed, in UTC.
    pub updated_at: Timestamp,
}

impl TaskResponse {
    /// A task of this user.
    pub(super) fn of(owner: &User, task: entity::Task) -> Self {
        let entity::Task {
            id,
            title,
            title_key: _,
            description,
            completed,
            priority,
            tags,
            due_date,
            version: _,
            created_at,
            updated_at,
        } = task;
        Self {
            id,
            title,
            description,
            completed,
            priority: priority.into(),
            tags: Tags::from_json(&tags),
            due_date: due_date.map(Into::into),
            user_id: owner.shared_id(),
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

impl TaskCreate {
    /// The row of the new task.
    pub(super) fn into_row(self, owner: &str, now: Timestamp) -> entity::Model {
        let Self { title, description, completed, priority, tags, due_date } = self;
        let title = title.into_string();
        entity::Model {
            user_id: owner.to_owned(),
            id: id::new_id(now.into()),
            title_key: entity::title_key(&title),
            title,
            description: description.map(Description::into_string),
            completed,
            priority: priority.into(),
            tags: tags.into_json(),
            due_date: due_date.map(Into::into),
            version: 1,
            created_at: now.into(),
            updated_at: now.into(),
        }
    }
}

impl From<TaskUpdate> for entity::ActiveModel {
    fn from(body: TaskUpdate) -> Self {
        let TaskUpdate { title, description, completed, priority, tags, due_date } = body;
        let title = title.map(Title::into_string);
        Self {
            title_key: title.as_deref().map_or(NotSet, |title| Set(entity::title_key(title))),
            title: title.map_or(NotSet, Set),
            description: nullable(description.map_value(Description::into_string)),
            completed: completed.map_or(NotSet, Set),
            priority: priority.map_or(NotSet, |priority| Set(priority.into())),
            tags: tags.map_or(NotSet, |tags| Set(tags.into_json())),
            due_date: nullable(due_date.map_value(Into::into)),
            user_id: NotSet,
            id: NotSet,
            version: NotSet,
            created_at: NotSet,
            updated_at: NotSet,
        }
    }
}

fn nullable<T>(field: MaybeUndefined<T>) -> ActiveValue<Option<T>>
where
    Option<T>: Into<Value>,
{
    match field {
        MaybeUndefined::Undefined => NotSet,
        MaybeUndefined::Null => Set(None),
        MaybeUndefined::Value(value) => Set(Some(value)),
    }
}

const EXAMPLE_CREATED_AT: i64 = 1_795_254_030_123_456;
const EXAMPLE_DUE_DATE: i64 = 1_795_798_800_000_000;

impl Example for TaskCreate {
    fn example() -> Self {
        Self {
            title: Title::new("Buy milk"),
            description: Some(Description::new("Two litres, the blue one")),
            completed: false,
            priority: Priority::High,
            tags: Tags::new(&["shop", "home"]),
            due_date: Timestamp::from_micros(EXAMPLE_DUE_DATE),
        }
    }
}

impl Example for TaskUpdate {
    fn example() -> Self {
        Self {
            title: Some(Title::new("Buy oat milk")),
            description: MaybeUndefined::Null,
            completed: Some(false),
            priority: Some(Priority::Low),
            tags: Some(Tags::new(&["home"])),
            due_date: MaybeUndefined::from_opt_null(Timestamp::from_micros(EXAMPLE_DUE_DATE)),
        }
    }
}

impl Example for TaskComplete {
    fn example() -> Self {
        Self { completed: true }
    }
}

impl Example for TaskResponse {
    fn example() -> Self {
        let created_at = Timestamp::from_micros(EXAMPLE_CREATED_AT).unwrap_or_else(Timestamp::now);
        Self {
            id: Uuid::from_u128(0x019a_a5d0_5c3f_7d42_8e8b_2f6f_0d9a_71c4),
            title: "Buy milk".to_owned(),
            description: Some("Two litres, the blue one".to_owned()),
            completed: false,
            priority: Priority::High,
            tags: ["shop", "home"].map(str::to_owned).to_vec(),
            due_date: Timestamp::from_micros(EXAMPLE_DUE_DATE),
            user_id: Arc::new("alice".to_owned()),
            created_at,
            updated_at: created_at,
        }
    }
}
