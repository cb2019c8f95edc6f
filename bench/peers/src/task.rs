//! Tasks, and the bodies of requests.

use caseless::Caseless;
use chrono::{DateTime, SecondsFormat, SubsecRound, Timelike, Utc};
use serde::{Deserialize, Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;
use uuid::Uuid;

/// A task as it is answered.
#[derive(Serialize)]
pub(crate) struct Task {
    pub(crate) id: Uuid,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) completed: bool,
    pub(crate) priority: Priority,
    /// A JSON array of strings.
    #[serde(serialize_with = "as_it_is")]
    pub(crate) tags: String,
    #[serde(serialize_with = "optional_time")]
    pub(crate) due_date: Option<DateTime<Utc>>,
    pub(crate) user_id: String,
    #[serde(serialize_with = "time")]
    pub(crate) created_at: DateTime<Utc>,
    #[serde(serialize_with = "time")]
    pub(crate) updated_at: DateTime<Utc>,
    /// The ETag.
    #[serde(skip)]
    pub(crate) version: i64,
}

/// How much a task matters. The databases have the number.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Priority {
    #[default]
    None,
    Low,
    Medium,
    High,
}

impl From<i32> for Priority {
    fn from(stored: i32) -> Self {
        match stored {
            ..=0 => Self::None,
            1 => Self::Low,
            2 => Self::Medium,
            3.. => Self::High,
        }
    }
}

/// A task to create.
#[derive(Deserialize)]
pub(crate) struct NewTask {
    title: String,
    description: Option<String>,
    #[serde(default)]
    completed: bool,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    tags: Vec<String>,
    due_date: Option<DateTime<Utc>>,
}

impl NewTask {
    pub(crate) fn of(self, owner: String) -> Task {
        let now = now();
        Task {
            id: Uuid::now_v7(),
            title: self.title,
            description: self.description,
            completed: self.completed,
            priority: self.priority,
            tags: serde_json::to_string(&self.tags).unwrap(),
            due_date: self.due_date,
            user_id: owner,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }
}

/// The fields that the benchmark updates. The others keep their values.
#[derive(Deserialize)]
pub(crate) struct Update {
    pub(crate) title: String,
    pub(crate) description: Option<String>,
}

/// The state to set.
#[derive(Deserialize)]
pub(crate) struct Completion {
    pub(crate) completed: bool,
}

/// The time, in whole microseconds, as the databases store it.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// The case-folded title, by which todo-api sorts.
pub(crate) fn title_key(title: &str) -> String {
    title.chars().default_case_fold().collect()
}

fn as_it_is<S: Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<&RawValue>(json).map_err(S::Error::custom)?.serialize(serializer)
}

/// With six digits after the point, or none. chrono writes three if they are enough.
fn time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    let format = if time.nanosecond() == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    serializer.serialize_str(&time.to_rfc3339_opts(format, true))
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn optional_time<S: Serializer>(due_date: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match due_date {
        Some(due_date) => time(due_date, serializer),
        None => serializer.serialize_none(),
    }
}
