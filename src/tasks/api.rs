//! The operations.

use poem_openapi::{
    ApiResponse, OpenApi, Tags,
    param::{Path, Query},
};

use super::{
    cursor::Position,
    dto::{TaskComplete, TaskCreate, TaskResponse, TaskUpdate},
    entity::Model,
    id::TaskId,
    idempotency::{IdempotencyKey, InFlight, Request},
    list::{List, Order, Selection, Sort, Status},
    store::{Creation, StoreError, Tasks},
};
use crate::{
    db::Db,
    http::{Bearer, Body, Code, DeclaredQuery, ETag, IfMatch, IfNoneMatch, Json, OptionalHeader, Problem},
    openapi::Violation,
    timestamp::Timestamp,
};

/// The task endpoints.
#[derive(Debug)]
pub struct TasksApi {
    db: Db,
    in_flight: InFlight,
}

impl TasksApi {
    /// The endpoints of the tasks in this database.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db, in_flight: InFlight::default() }
    }
}

#[derive(Tags)]
enum Tag {
    /// The tasks of the user who asks.
    Tasks,
}

#[derive(ApiResponse)]
enum Listed {
    /// A page of the tasks.
    #[oai(status = 200)]
    Ok(
        Json<Vec<TaskResponse>>,
        /// The path and query of the next page, as `<…>; rel="next"` (RFC 8288); absent on the last page.
        #[oai(header = "Link")]
        Option<String>,
    ),
}

#[derive(ApiResponse)]
enum Created {
    /// The task as created, now or by the first request with this `Idempotency-Key`.
    #[oai(status = 201)]
    Created(
        Json<TaskResponse>,
        /// The path of the task.
        #[oai(header = "Location")]
        String,
        /// The version of the task.
        #[oai(header = "ETag")]
        ETag,
        /// `true` where this is the answer to an earlier request with the same key.
        #[oai(header = "Idempotency-Replayed")]
        Option<bool>,
    ),
}

#[derive(ApiResponse)]
enum Found {
    /// The task.
    #[oai(status = 200)]
    Ok(
        Json<TaskResponse>,
        /// The version of the task.
        #[oai(header = "ETag")]
        ETag,
        /// Kept by the caller alone, and only to be asked for again.
        #[oai(header = "Cache-Control")]
        String,
    ),
    /// The caller has this version already.
    #[oai(status = 304)]
    NotModified(
        /// The version of the task.
        #[oai(header = "ETag")]
        ETag,
        /// Kept by the caller alone, and only to be asked for again.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

#[derive(ApiResponse)]
enum Changed {
    /// The task as it is now.
    #[oai(status = 200)]
    Ok(
        Json<TaskResponse>,
        /// The version of the task.
        #[oai(header = "ETag")]
        ETag,
    ),
}

#[derive(ApiResponse)]
enum Deleted {
    /// The task is gone.
    #[oai(status = 204)]
    NoContent,
}

/// For answers with an `ETag`, which is useless if the client may not cache the answer.
const REVALIDATE: &str = "private, no-cache";
const LIMIT: usize = 100;

#[OpenApi(prefix_path = "/api", tag = "Tag::Tasks")]
impl TasksApi {
    /// List the user's tasks
    ///
    /// Newest first, unless `sort` and `order` say otherwise; ties break by `id`. A page holds `limit` tasks; where more
    /// follow, `Link` has the address of the next page, which stays exact while tasks before it come and go.
    #[oai(path = "/tasks", method = "get", operation_id = "listTasks")]
    #[allow(clippy::too_many_arguments, reason = "one for each parameter of the operation")]
    async fn list(
        &self,
        bearer: Bearer,
        _query: DeclaredQuery,
        /// Which tasks.
        #[oai(default)]
        status: Query<Status>,
        /// What to sort by. Titles are compared without regard to case; tasks without a due date come last in either order.
        #[oai(default)]
        sort: Query<Sort>,
        /// The direction; `desc` where `sort` is `created`, `asc` otherwise, unless given.
        order: Query<Option<Order>>,
        /// How many tasks a page holds.
        #[oai(default = "default_limit", validator(minimum(value = "1"), maximum(value = "500")))]
        limit: Query<u64>,
        /// Where the page begins: take it from the `Link` of the page before, with the same `status`, `sort` and `order`.
        #[oai(validator(min_length = 1, max_length = 2304, pattern = "^[A-Za-z0-9_-]*$"))]
        cursor: Query<Option<String>>,
    ) -> Result<Listed, Problem> {
        let selection = Selection { status: status.0, sort: sort.0, order: order.0.unwrap_or(sort.0.order()) };
        let list = List { selection, limit: usize::try_from(limit.0).unwrap_or(LIMIT) };
        let after = |cursor: String| Position::decode(&cursor, selection).ok_or_else(foreign_cursor);
        let after = cursor.0.map(after).transpose()?;
        let page = Tasks::of(&self.db, bearer.user()).list(&list, after.as_ref()).await?;
        let next = page.next.map(|last| format!("<{}>; rel=\"next\"", list.page(&last.encode(selection))));
        Ok(Listed::Ok(Json(page.tasks.into_iter().map(TaskResponse::from).collect()), next))
    }

    /// Create a task
    ///
    /// Only the title is required. The task belongs to the user of the token. With an `Idempotency-Key` the request can
    /// be repeated for 24 hours: the first one creates the task, later ones get the same answer, even when the task has
    /// changed or gone since.
    #[oai(path = "/tasks", method = "post", operation_id = "createTask")]
    async fn create(
        &self,
        bearer: Bearer,
        /// Stands for this request: 1 to 255 visible ASCII characters, such as a new UUID.
        #[oai(name = "Idempotency-Key")]
        key: OptionalHeader<IdempotencyKey>,
        body: Body<TaskCreate>,
    ) -> Result<Created, Problem> {
        let user = bearer.user();
        let in_flight = |key| self.in_flight.begin(user.id(), key).ok_or(Code::IdempotencyKeyInFlight);
        let flight = key.0.as_ref().map(in_flight).transpose()?;
        let request = key.0.map(|key| Ok::<_, Problem>(Request::new(key, &body.canonical_json()?))).transpose()?;
        let task = body.value.into_row(user.id(), Timestamp::now());
        let (task, replayed) = match Tasks::of(&self.db, user).create(task, request.as_ref()).await? {
            Creation::New(task) => (task, None),
            Creation::Replayed(task) => (task, Some(true)),
        };
        drop(flight);
        let location = format!("/api/tasks/{}", task.id);
        let etag = ETag(task.version);
        Ok(Created::Created(Json(task.into()), location, etag, replayed))
    }

    /// Read a task
    ///
    /// Answers the task whose id this is, if it is the user's own; 304 without a body where `If-None-Match` names the
    /// version it has.
    #[oai(path = "/tasks/:id", method = "get", operation_id = "getTask")]
    async fn get(
        &self,
        bearer: Bearer,
        /// The versions that the caller has (RFC 9110, section 13.1.2).
        #[oai(name = "If-None-Match")]
        known: OptionalHeader<IfNoneMatch>,
        _query: DeclaredQuery,
        /// The task's id.
        id: Path<TaskId>,
    ) -> Result<Found, Problem> {
        let task = Tasks::of(&self.db, bearer.user()).get(id.0.0).await?;
        let etag = ETag(task.version);
        Ok(match known.0 {
            Some(known) if known.knows(task.version) => Found::NotModified(etag, REVALIDATE.to_owned()),
            _ => Found::Ok(Json(task.into()), etag, REVALIDATE.to_owned()),
        })
    }

    /// Change a task
    ///
    /// Changes the fields in the body and no other: a field left out keeps its value, `null` clears `description` or
    /// `due_date`, and `{}` changes nothing. With `If-Match` only a version that it names is changed: of many writers
    /// with one `ETag` exactly one wins.
    #[oai(path = "/tasks/:id", method = "put", operation_id = "updateTask")]
    async fn update(
        &self,
        bearer: Bearer,
        /// The versions that may be changed (RFC 9110, section 13.1.1).
        #[oai(name = "If-Match")]
        expected: OptionalHeader<IfMatch>,
        body: Body<TaskUpdate>,
        /// The task's id.
        id: Path<TaskId>,
    ) -> Result<Changed, Problem> {
        let tasks = Tasks::of(&self.db, bearer.user());
        Ok(tasks.update(id.0.0, body.value.into(), versions(&expected)).await?.into())
    }

    /// Delete a task
    ///
    /// It is gone for good; deleting it again answers 404. With `If-Match` only a version that it names is deleted.
    #[oai(path = "/tasks/:id", method = "delete", operation_id = "deleteTask")]
    async fn delete(
        &self,
        bearer: Bearer,
        /// The versions that may be deleted (RFC 9110, section 13.1.1).
        #[oai(name = "If-Match")]
        expected: OptionalHeader<IfMatch>,
        _query: DeclaredQuery,
        /// The task's id.
        id: Path<TaskId>,
    ) -> Result<Deleted, Problem> {
        Tasks::of(&self.db, bearer.user()).delete(id.0.0, versions(&expected)).await?;
        Ok(Deleted::NoContent)
    }

    /// Complete a task, or take that back
    ///
    /// With a body sets the state, which is safe to repeat. Without one toggles it, atomically: of many toggles at once
    /// none is lost. With `If-Match` only a version that it names is changed.
    #[oai(path = "/tasks/:id/complete", method = "patch", operation_id = "completeTask")]
    async fn complete(
        &self,
        bearer: Bearer,
        /// The versions that may be changed (RFC 9110, section 13.1.1).
        #[oai(name = "If-Match")]
        expected: OptionalHeader<IfMatch>,
        body: Body<Option<TaskComplete>>,
        /// The task's id.
        id: Path<TaskId>,
    ) -> Result<Changed, Problem> {
        let completed = body.value.map(|body| body.completed);
        let tasks = Tasks::of(&self.db, bearer.user());
        Ok(tasks.complete(id.0.0, completed, versions(&expected)).await?.into())
    }
}

impl From<Model> for Changed {
    fn from(task: Model) -> Self {
        let etag = ETag(task.version);
        Self::Ok(Json(task.into()), etag)
    }
}

const fn default_limit() -> u64 {
    LIMIT as u64
}

/// The versions that a change accepts; `None` if it accepts any.
fn versions(expected: &OptionalHeader<IfMatch>) -> Option<&[i64]> {
    match &expected.0 {
        None | Some(IfMatch::Any) => None,
        Some(IfMatch::OneOf(versions)) => Some(versions),
    }
}

fn foreign_cursor() -> Problem {
    let detail = "is not a cursor of this list: take it from `Link`, with the same status, sort and order";
    Problem::validation(vec![Violation::of_parameter("cursor", detail)])
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Code::TaskNotFound.into(),
            StoreError::Forbidden => Code::TaskForbidden.into(),
            StoreError::Stale => Code::PreconditionFailed.into(),
            StoreError::KeyReused => Code::IdempotencyKeyReused.into(),
            StoreError::Db(error) => error.into(),
        }
    }
}
