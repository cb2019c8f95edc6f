//! The wire types. Their annotations are the contract: the document is derived from them, and requests are checked
//! against the document.

use poem_openapi::{
    Enum, Object,
    types::{Example, MaybeUndefined},
};
use sea_orm::{
    ActiveValue::{self, NotSet, Set},
    Value,
};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::{entity, id};
use crate::timestamp::Timestamp;

/// A task to create.
#[derive(Debug, Object, Deserialize, Serialize)]
#[oai(example)]
pub(super) struct TaskCreate {
    /// What is to be done; must have 1 to 255 characters, not counting white space around them (which is removed), and no
    /// U+0000
    #[oai(validator(pattern = r"^\s*[^\s\u0000](?:[^\u0000]{0,253}[^\s\u0000])?\s*$"))]
    #[serde(deserialize_with = "trimmed")]
    pub title: String,
    /// More about it; must have at most 1000 characters, and no U+0000
    #[oai(nullable, validator(max_length = 1000, pattern = r"^[^\u0000]*$"))]
    pub description: Option<String>,
    /// Whether it is done already.
    #[oai(default)]
    #[serde(default)]
    pub completed: bool,
    /// When it is due: a date and time with an offset (RFC 3339), kept to the microsecond.
    #[oai(nullable)]
    pub due_date: Option<Timestamp>,
}

/// A change to a task. A field left out keeps its value; `null` clears `description` or `due_date`.
#[derive(Debug, Object, Deserialize)]
#[oai(example, skip_serializing_if_is_none)]
pub(super) struct TaskUpdate {
    /// What is to be done; must have 1 to 255 characters, not counting white space around them (which is removed), and no
    /// U+0000
    #[oai(validator(pattern = r"^\s*[^\s\u0000](?:[^\u0000]{0,253}[^\s\u0000])?\s*$"))]
    #[serde(default, deserialize_with = "some_trimmed")]
    pub title: Option<String>,
    /// More about it; must have at most 1000 characters, and no U+0000
    #[oai(nullable, validator(max_length = 1000, pattern = r"^[^\u0000]*$"))]
    #[serde(default)]
    pub description: MaybeUndefined<String>,
    /// Whether it is done.
    pub completed: Option<bool>,
    /// When it is due: a date and time with an offset (RFC 3339), kept to the microsecond.
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
#[derive(Debug, Object, Deserialize, Serialize)]
#[oai(example)]
pub(super) struct TaskResponse {
    /// UUIDv7, lower-case; ids sort by creation.
    pub id: Uuid,
    /// What is to be done.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub title: String,
    /// More about it.
    #[oai(nullable, validator(max_length = 1000))]
    pub description: Option<String>,
    /// Whether it is done.
    pub completed: bool,
    /// When it is due, in UTC.
    #[oai(nullable)]
    pub due_date: Option<Timestamp>,
    /// The owner: whatever `sub` of the token said.
    pub user_id: String,
    /// When it was created, in UTC.
    pub created_at: Timestamp,
    /// When it last changed, in UTC.
    pub updated_at: Timestamp,
}

/// Which tasks to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Enum)]
#[oai(rename = "TaskStatus", rename_all = "snake_case")]
pub(super) enum Status {
    /// All of them.
    #[default]
    All,
    /// Those still to be done.
    Pending,
    /// Those that are done.
    Completed,
}

/// What to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Enum)]
#[oai(rename = "TaskSort", rename_all = "snake_case")]
pub(super) enum Sort {
    /// When the task was created.
    #[default]
    Created,
    /// The title, case-insensitively.
    Title,
    /// When the task is due; tasks without a due date come last in either order.
    DueDate,
}

/// The direction of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
#[oai(rename = "SortOrder", rename_all = "snake_case")]
pub(super) enum Order {
    /// Ascending.
    Asc,
    /// Descending.
    Desc,
}

impl From<entity::Model> for TaskResponse {
    fn from(row: entity::Model) -> Self {
        let entity::Model {
            user_id,
            id,
            title,
            title_key: _,
            description,
            completed,
            due_date,
            version: _,
            created_at,
            updated_at,
        } = row;
        Self {
            id,
            title,
            description,
            completed,
            due_date: due_date.map(Into::into),
            user_id,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

impl TaskCreate {
    /// The row that the task becomes.
    pub(super) fn into_row(self, owner: &str, now: Timestamp) -> entity::Model {
        let Self { title, description, completed, due_date } = self;
        entity::Model {
            user_id: owner.to_owned(),
            id: id::new_id(now.into()),
            title_key: entity::title_key(&title),
            title,
            description,
            completed,
            due_date: due_date.map(Into::into),
            version: 1,
            created_at: now.into(),
            updated_at: now.into(),
        }
    }
}

impl From<TaskUpdate> for entity::ActiveModel {
    fn from(body: TaskUpdate) -> Self {
        let TaskUpdate { title, description, completed, due_date } = body;
        Self {
            title_key: title.as_deref().map_or(NotSet, |title| Set(entity::title_key(title))),
            title: title.map_or(NotSet, Set),
            description: nullable(description),
            completed: completed.map_or(NotSet, Set),
            due_date: nullable(due_date.map_value(Into::into)),
            ..Default::default()
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

fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|title| title.trim_matches(is_white_space).to_owned())
}

fn some_trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    trimmed(deserializer).map(Some)
}

/// What `\s` of a pattern means (ECMA-262, section 22.2.2.9).
fn is_white_space(character: char) -> bool {
    (character.is_whitespace() && character != '\u{85}') || character == '\u{feff}'
}

impl Example for TaskCreate {
    fn example() -> Self {
        Self {
            title: "Buy milk".to_owned(),
            description: Some("Two litres, the blue one".to_owned()),
            completed: false,
            due_date: Timestamp::from_micros(EXAMPLE_DUE_DATE),
        }
    }
}

impl Example for TaskUpdate {
    fn example() -> Self {
        Self {
            title: Some("Buy oat milk".to_owned()),
            description: MaybeUndefined::Null,
            completed: None,
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
            due_date: Timestamp::from_micros(EXAMPLE_DUE_DATE),
            user_id: "alice".to_owned(),
            created_at,
            updated_at: created_at,
        }
    }
}
