//! The stored form of a key's request and of the answer to replay. Rows outlive the program that wrote them by up to a
//! day. So a newer release must read the rows of this one, and this one reads the rows of 0.1.0.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{IdempotencyKey, Model};
use crate::{
    db::DbError,
    tasks::{
        entity::{self, title_key},
        fields::Priority,
    },
    timestamp::Timestamp,
};

/// The format of new rows.
const FORMAT: u8 = 1;

/// A request that can be repeated.
#[derive(Debug)]
pub(in crate::tasks) struct Request {
    pub(in crate::tasks) key: IdempotencyKey,
    /// The fingerprint of the sent body. A field that a later release adds does not change it.
    fingerprint: String,
}

impl Request {
    /// A request with this body, as canonical JSON.
    pub(in crate::tasks) fn new(key: IdempotencyKey, body: &[u8]) -> Self {
        Self { key, fingerprint: fingerprint(body) }
    }
}

/// The answer: a new task. Fields keep their names and meanings, because an instance of 0.1.0 may read them during an
/// upgrade; it ignores unknown fields. New fields must be optional. A change of meaning needs a new format with its own
/// reader.
#[derive(Serialize, Deserialize)]
struct Answer {
    /// The format; 0 in rows of 0.1.0.
    #[serde(default)]
    format: u8,
    /// The fingerprint of the request; none in rows of 0.1.0.
    #[serde(default)]
    request: Option<String>,
    id: Uuid,
    title: String,
    description: Option<String>,
    completed: bool,
    /// 0.1.0 had no priority and no tags.
    #[serde(default)]
    priority: i32,
    #[serde(default = "no_tags")]
    tags: String,
    due_date: Option<Timestamp>,
    user_id: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

const NO_TAGS: &str = "[]";

fn no_tags() -> String {
    NO_TAGS.to_owned()
}

impl Model {
    /// The row for a request that creates this task.
    pub(in crate::tasks) fn of(request: &Request, task: &entity::Model) -> Result<Self, DbError> {
        let entity::Model {
            user_id,
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
        } = task.clone();
        let answer = Answer {
            format: FORMAT,
            request: Some(request.fingerprint.clone()),
            id,
            title,
            description,
            completed,
            priority,
            tags,
            due_date: due_date.map(Into::into),
            user_id: user_id.clone(),
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        };
        let answer = serde_json::to_string(&answer).map_err(|error| DbError::Internal(error.to_string()))?;
        let key = request.key.0.clone();
        Ok(Self { user_id, key, fingerprint: fingerprint_for_0_1_0(request, task), answer, created_at })
    }

    /// The task as the first request created it; `None` if `request`, which would create `task`, is a different
    /// request.
    pub(in crate::tasks) fn replay(
        &self,
        request: &Request,
        task: &entity::Model,
    ) -> Result<Option<entity::Task>, DbError> {
        let answer: Answer =
            serde_json::from_str(&self.answer).map_err(|error| DbError::Internal(error.to_string()))?;
        if answer.format > FORMAT {
            // The client tries again, and meets an instance of the newer release.
            return Err(DbError::Unavailable("the answer under an idempotency key has a newer format".to_owned()));
        }
        let same = match &answer.request {
            Some(first) => *first == request.fingerprint,
            None => self.fingerprint == fingerprint_for_0_1_0(request, task),
        };
        Ok(same.then(|| answer.into()))
    }
}

/// Whether a text is an answer that this program can replay to the user.
pub(in crate::tasks) fn is_answer(text: &str, user: &str) -> bool {
    let answer = serde_json::from_str::<Answer>(text);
    answer.is_ok_and(|answer| answer.format <= FORMAT && answer.user_id == user) && !text.contains('\0')
}

impl From<Answer> for entity::Task {
    fn from(answer: Answer) -> Self {
        let Answer {
            format: _,
            request: _,
            id,
            title,
            description,
            completed,
            priority,
            tags,
            due_date,
            user_id: _,
            created_at,
            updated_at,
        } = answer;
        Self {
            id,
            title_key: title_key(&title),
            title,
            description,
            completed,
            priority,
            tags,
            due_date: due_date.map(Into::into),
            version: 1,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// The fingerprint that 0.1.0 compares: of the fields that it had. If the task uses a field that it did not have, another
/// one, because no request to 0.1.0 can be the same.
fn fingerprint_for_0_1_0(request: &Request, task: &entity::Model) -> String {
    #[derive(Serialize)]
    struct TaskCreate<'a> {
        title: &'a str,
        description: Option<&'a str>,
        completed: bool,
        due_date: Option<Timestamp>,
    }
    if task.priority != i32::from(Priority::None) || task.tags != NO_TAGS {
        return request.fingerprint.clone();
    }
    let request = TaskCreate {
        title: &task.title,
        description: task.description.as_deref(),
        completed: task.completed,
        due_date: task.due_date.map(Into::into),
    };
    fingerprint(&serde_json::to_vec(&request).unwrap_or_default())
}

fn fingerprint(json: &[u8]) -> String {
    BASE64_STANDARD_NO_PAD.encode(digest(&SHA256, json))
}
