//! The lines of an export.

use std::borrow::Cow;

use sea_orm::prelude::Uuid;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    Counts, FORMAT,
    check::{self, Flaw, required},
};
use crate::{
    auth,
    tasks::{
        entity::{self as task, title_key},
        fields::{Description, Priority, Tags, Title},
        idempotency as key, owner as user,
    },
    timestamp::Timestamp,
};

/// A line to write. Its kind is the name of its only member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    /// The first line.
    Export(Header),
    User(UserLine<'a>),
    Task(TaskLine<'a>),
    Key(KeyLine<'a>),
    /// The last line.
    End(Counts),
}

/// What follows: the format, and the numbers of rows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    format: u32,
    users: u64,
    tasks: u64,
    keys: u64,
}

impl Header {
    pub(super) const fn of(Counts { users, tasks, keys }: Counts) -> Self {
        Self { format: FORMAT, users, tasks, keys }
    }

    pub(super) const fn counts(&self) -> Counts {
        Counts { users: self.users, tasks: self.tasks, keys: self.keys }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct UserLine<'a> {
    id: &'a str,
    created_at: Timestamp,
}

/// A task as in the API, with its version.
#[derive(Debug, Serialize)]
pub(super) struct TaskLine<'a> {
    user_id: &'a str,
    id: Uuid,
    title: &'a str,
    description: Option<&'a str>,
    completed: bool,
    priority: Priority,
    tags: Vec<String>,
    due_date: Option<Timestamp>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Debug, Serialize)]
pub(super) struct KeyLine<'a> {
    user_id: &'a str,
    key: &'a str,
    fingerprint: &'a str,
    answer: &'a str,
    created_at: Timestamp,
}

impl<'a> From<&'a user::Model> for Line<'a> {
    fn from(user::Model { id, created_at }: &'a user::Model) -> Self {
        Self::User(UserLine { id, created_at: (*created_at).into() })
    }
}

impl<'a> From<&'a task::Model> for Line<'a> {
    fn from(row: &'a task::Model) -> Self {
        let task::Model {
            user_id,
            id,
            title,
            title_key: _,
            description,
            completed,
            priority,
            tags,
            due_date,
            version,
            created_at,
            updated_at,
        } = row;
        Self::Task(TaskLine {
            user_id,
            id: *id,
            title,
            description: description.as_deref(),
            completed: *completed,
            priority: (*priority).into(),
            tags: Tags::from_json(tags),
            due_date: due_date.map(Into::into),
            version: *version,
            created_at: (*created_at).into(),
            updated_at: (*updated_at).into(),
        })
    }
}

impl<'a> From<&'a key::Model> for Line<'a> {
    fn from(key::Model { user_id, key, fingerprint, answer, created_at }: &'a key::Model) -> Self {
        Self::Key(KeyLine { user_id, key, fingerprint, answer, created_at: (*created_at).into() })
    }
}

/// A line that was read, and checked as far as one line can be.
#[derive(Debug)]
pub(super) enum Read {
    Export(Header),
    User(user::Model),
    Task(task::Model),
    Key(key::Model),
    End(Counts),
}

/// A line before the check. Its fields stay texts, so that an error can name the field.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Raw<'a> {
    Export(Header),
    #[serde(borrow)]
    User(RawUser<'a>),
    #[serde(borrow)]
    Task(RawTask<'a>),
    #[serde(borrow)]
    Key(RawKey<'a>),
    End(Counts),
}

/// The text of a field; `None` if it is missing or null.
type Field<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUser<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    created_at: Field<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTask<'a> {
    #[serde(borrow)]
    user_id: Field<'a>,
    id: Field<'a>,
    title: Field<'a>,
    description: Field<'a>,
    completed: Field<'a>,
    priority: Field<'a>,
    tags: Field<'a>,
    due_date: Field<'a>,
    version: Field<'a>,
    created_at: Field<'a>,
    updated_at: Field<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey<'a> {
    #[serde(borrow)]
    user_id: Field<'a>,
    key: Field<'a>,
    fingerprint: Field<'a>,
    answer: Field<'a>,
    created_at: Field<'a>,
}

impl Read {
    /// Reads a line.
    pub(super) fn parse(line: &str) -> Result<Self, Flaw> {
        match serde_json::from_str(line).map_err(|error| shape(line, &error))? {
            Raw::Export(header) if header.format == FORMAT => Ok(Self::Export(header)),
            Raw::Export(_) => Err(Flaw::of("export.format", "must be 1; a newer program may read it")),
            Raw::End(counts) => Ok(Self::End(counts)),
            Raw::User(raw) => Ok(Self::User(raw.check()?)),
            Raw::Task(raw) => Ok(Self::Task(raw.check()?)),
            Raw::Key(raw) => Ok(Self::Key(raw.check()?)),
        }
    }
}

/// What is wrong with the line as a whole. Texts of the input are left out, except the name of a field.
fn shape(line: &str, error: &serde_json::Error) -> Flaw {
    if error.is_syntax() || error.is_eof() {
        return Flaw::whole("is not valid JSON");
    }
    let text = error.to_string();
    let named = |kind: &str| text.strip_prefix(kind)?.split('`').next().filter(|name| check::is_name(name));
    if let Some(name) = named("unknown field `") {
        return Flaw::whole(format!("has the unknown field {name}; a newer program may know it"));
    }
    // serde also takes a text for the name of a kind.
    let is_object = line.trim_ascii_start().starts_with('{');
    if let Some(name) = named("unknown variant `").filter(|_| is_object) {
        return Flaw::whole(format!("is of the unknown kind {name}; a newer program may know it"));
    }
    if let Some(name) = named("duplicate field `") {
        return Flaw::whole(format!("has the field {name} twice"));
    }
    Flaw::whole("is not an object with one member export, user, task, key or end, which is an object")
}

/// The greatest version of an imported task: it has room for changes, and every JSON parser reads it exactly.
const VERSIONS: i64 = (1 << 53) - 1;

/// Microseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

const SUBJECT: &str = "must be a user id: a text of 1 to 255 characters, without control characters";
const TIME: &str = "must be a date and time with an offset (RFC 3339), such as 2026-12-31T17:00:00Z";

fn user_id(name: &'static str, field: Field<'_>) -> Result<String, Flaw> {
    let id: Cow<'_, str> = required(name, field, SUBJECT)?;
    auth::check_subject(&id).map_err(|_| Flaw::of(name, SUBJECT))?;
    Ok(id.into_owned())
}

impl RawUser<'_> {
    fn check(self) -> Result<user::Model, Flaw> {
        let Self { id, created_at } = self;
        let created_at: Timestamp = required("user.created_at", created_at, TIME)?;
        Ok(user::Model { id: user_id("user.id", id)?, created_at: created_at.into() })
    }
}

impl RawTask<'_> {
    /// Fields that `createTask` does not need may be missing here as well, with the same values.
    fn check(self) -> Result<task::Model, Flaw> {
        let Self {
            user_id: owner,
            id,
            title,
            description,
            completed,
            priority,
            tags,
            due_date,
            version,
            created_at,
            updated_at,
        } = self;
        let user_id = user_id("task.user_id", owner)?;
        let id = required("task.id", id, "must be a UUID, such as 019aa5d0-5c3f-7d42-8e8b-2f6f0d9a71c4")?;
        let title: Title = check::text("task.title", title)?.ok_or(Flaw::of("task.title", "is missing"))?;
        let description: Option<Description> = check::text("task.description", description)?;
        let completed = check::optional("task.completed", completed, "must be true or false")?.unwrap_or_default();
        let priority: Option<Priority> =
            check::optional("task.priority", priority, "must be none, low, medium or high")?;
        let tags = check::tags("task.tags", tags)?;
        let due_date: Option<Timestamp> = check::optional("task.due_date", due_date, TIME)?;
        let rule = "must be a whole number from 1 to 9007199254740991";
        let version = check::optional("task.version", version, rule)?.unwrap_or(1);
        let created_at: Timestamp = required("task.created_at", created_at, TIME)?;
        let updated_at: Timestamp = required("task.updated_at", updated_at, TIME)?;
        if !(1..=VERSIONS).contains(&version) {
            return Err(Flaw::of("task.version", rule));
        }
        if updated_at < created_at {
            return Err(Flaw::of("task.updated_at", "must not be before created_at"));
        }
        let title = title.into_string();
        Ok(task::Model {
            user_id,
            id,
            title_key: title_key(&title),
            title,
            description: description.map(Description::into_string),
            completed,
            priority: priority.unwrap_or_default().into(),
            tags: tags.into_json(),
            due_date: due_date.map(Into::into),
            version,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        })
    }
}

impl RawKey<'_> {
    fn check(self) -> Result<key::Model, Flaw> {
        let Self { user_id: owner, key, fingerprint, answer, created_at } = self;
        let rule = "must be a text of 1 to 255 visible ASCII characters";
        let key: String = required("key.key", key, rule)?;
        if !key::is_key(&key) {
            return Err(Flaw::of("key.key", rule));
        }
        let rule = "must be the text of an answer that this program has stored";
        let answer: String = required("key.answer", answer, rule)?;
        let user_id = user_id("key.user_id", owner)?;
        if !key::is_answer(&answer, &user_id) {
            return Err(Flaw::of("key.answer", rule));
        }
        let rule = "must be a fingerprint: a text of 43 characters";
        let fingerprint: String = required("key.fingerprint", fingerprint, rule)?;
        if fingerprint.len() != 43 || !fingerprint.is_ascii() || fingerprint.contains('\0') {
            return Err(Flaw::of("key.fingerprint", rule));
        }
        let created_at: Timestamp = required("key.created_at", created_at, TIME)?;
        // A key counts for a day from then. Clocks differ.
        if created_at.micros() > Timestamp::now().micros() + DAY {
            return Err(Flaw::of("key.created_at", "must not be more than a day in the future"));
        }
        Ok(key::Model { user_id, key, fingerprint, answer, created_at: created_at.into() })
    }
}

/// Whether the line is JSON at all. The last line of an input that ends early usually is not.
pub(super) fn is_json(line: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(line).is_ok()
}
