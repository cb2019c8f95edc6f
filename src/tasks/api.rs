//! The operations.

use poem_openapi::{ApiResponse, OpenApi, Tags, param::Query};

use super::{
    cursor::Position,
    dto::{TaskComplete, TaskCreate, TaskResponse, TaskUpdate},
    entity::Task,
    fields::Priority,
    filters::Filters,
    id::TaskId,
    idempotency::{IdempotencyKey, InFlight, Request},
    list::{List, Order, Selection, Sort, Status},
    store::{Creation, Excluded, Expected, StoreError, Tasks},
};
use crate::{
    auth::User,
    db::Db,
    http::{
        Bearer, Body, Code, DeclaredQuery, ETag, IfMatch, IfNoneMatch, Json, OptionalHeader, PathParameter, Problem,
    },
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
        /// The number of tasks of all pages, if `count` asked for it; absent if the user has too many tasks to count.
        #[oai(header = "X-Total-Count")]
        Option<u64>,
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
        /// Lets only the caller cache the answer, and only for revalidation.
        #[oai(header = "Cache-Control")]
        String,
    ),
    /// The caller has this version already.
    #[oai(status = 304)]
    NotModified(
        /// The version of the task.
        #[oai(header = "ETag")]
        ETag,
        /// Lets only the caller cache the answer, and only for revalidation.
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
const LIMIT: i32 = 100;

#[OpenApi(prefix_path = "/api", tag = "Tag::Tasks")]
impl TasksApi {
    /// List the user's tasks
    ///
    /// Lists the tasks of the user, newest first unless `sort` and `order` say otherwise; ties break by `id`. Returns a
    /// page of at most `limit` tasks. If more follow, the header `Link` has the address of the next page, which stays
    /// exact while other tasks come and go.
    #[oai(path = "/tasks", method = "get", operation_id = "listTasks")]
    #[allow(clippy::too_many_arguments, reason = "one for each parameter of the operation")]
    async fn list(
        &self,
        bearer: Bearer,
        _query: DeclaredQuery,
        /// Selects tasks by their state.
        #[oai(default)]
        status: Query<Status>,
        /// Chooses what to sort by. Titles are compared without regard to case; tasks without a due date come last in either
        /// order.
        #[oai(default)]
        sort: Query<Sort>,
        /// Sets the direction. By default it is `desc` if `sort` is `created` or `priority`, and `asc` otherwise.
        order: Query<Option<Order>>,
        /// Limits the number of tasks on a page.
        #[oai(default = "default_limit", validator(minimum(value = "1"), maximum(value = "500")))]
        limit: Query<i32>,
        /// Begins the page after this position. Take it from the `Link` of the previous page, with the same `status`, `sort`,
        /// `order` and filters.
        #[oai(validator(min_length = 1, max_length = 2304, pattern = "^[A-Za-z0-9_-]*$"))]
        cursor: Query<Option<String>>,
        /// Selects tasks with this text in the title or the description, regardless of case.
        #[oai(validator(min_length = 1, max_length = 100, pattern = r"^[^\x00]*$"))]
        q: Query<Option<String>>,
        /// Selects tasks with this priority.
        priority: Query<Option<Priority>>,
        /// Selects tasks with this tag, exactly.
        #[oai(validator(min_length = 1, max_length = 50, pattern = r"^[^\x00]*$"))]
        tag: Query<Option<String>>,
        /// Selects tasks that are due at this time or later.
        due_after: Query<Option<Timestamp>>,
        /// Selects tasks that are due before this time.
        due_before: Query<Option<Timestamp>>,
        /// Counts the tasks of all pages, for the header `X-Total-Count`.
        #[oai(default)]
        count: Query<bool>,
    ) -> Result<Listed, Problem> {
        let list = List {
            selection: Selection { status: status.0, sort: sort.0, order: order.0.unwrap_or(sort.0.order()) },
            filters: Filters {
                q: q.0,
                priority: priority.0,
                tag: tag.0,
                due_after: due_after.0,
                due_before: due_before.0,
            },
            count: count.0,
            limit: usize::try_from(limit.0).unwrap_or_default(),
        };
        let after = |cursor: String| Position::decode(&cursor, &list).ok_or_else(foreign_cursor);
        let after = cursor.0.map(after).transpose()?;
        let user = bearer.user();
        let page = Tasks::of(&self.db, user).list(&list, after).await?;
        let next = page.next.map(|last| format!("<{}>; rel=\"next\"", list.page(&last.encode(&list))));
        let tasks = page.tasks.into_iter().map(|task| TaskResponse::of(user, task)).collect();
        Ok(Listed::Ok(Json(tasks), next, page.total))
    }

    /// Create a task
    ///
    /// Creates a task that belongs to the user of the token. Only the title is required. With an `Idempotency-Key` the
    /// request can be repeated for 24 hours: the first one creates the task, later ones get the same answer, even if the
    /// task has changed or is gone since.
    #[oai(path = "/tasks", method = "post", operation_id = "createTask")]
    async fn create(
        &self,
        bearer: Bearer,
        /// Identifies the request, so that repeating it creates nothing more: 1 to 255 visible ASCII characters, such as a new
        /// UUID.
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
        Ok(Created::Created(Json(TaskResponse::of(user, task)), location, etag, replayed))
    }

    /// Read a task
    ///
    /// Reads a task of the user by its id. Answers 304 without a body if `If-None-Match` names the version that the task has.
    #[oai(path = "/tasks/:id", method = "get", operation_id = "getTask")]
    async fn get(
        &self,
        bearer: Bearer,
        /// Names the versions that the caller has (RFC 9110, section 13.1.2).
        #[oai(name = "If-None-Match")]
        known: OptionalHeader<IfNoneMatch>,
        _query: DeclaredQuery,
        /// Identifies the task by its UUID.
        id: PathParameter<TaskId>,
    ) -> Result<Found, Problem> {
        let user = bearer.user();
        let task = Tasks::of(&self.db, user).get(id.0.0).await?;
        let etag = ETag(task.version);
        Ok(match known.0 {
            Some(known) if known.knows(task.version) => Found::NotModified(etag, REVALIDATE.to_owned()),
            _ => Found::Ok(Json(TaskResponse::of(user, task)), etag, REVALIDATE.to_owned()),
        })
    }

    /// Change a task
    ///
    /// Changes the fields of a task that are in the body and no others: a field left out keeps its value, `null` clears
    /// `description` or `due_date`, and `{}` changes nothing. With `If-Match` only a version that it names is changed: of
    /// many writers with one `ETag` exactly one wins.
    #[oai(path = "/tasks/:id", method = "put", operation_id = "updateTask")]
    async fn update(
        &self,
        bearer: Bearer,
        /// Names the versions that may be changed (RFC 9110, section 13.1.1).
        #[oai(name = "If-Match")]
        expected: OptionalHeader<IfMatch>,
        /// Names the versions that must not be changed (RFC 9110, section 13.1.2).
        #[oai(name = "If-None-Match")]
        excluded: OptionalHeader<IfNoneMatch>,
        body: Body<TaskUpdate>,
        /// Identifies the task by its UUID.
        id: PathParameter<TaskId>,
    ) -> Result<Changed, Problem> {
        let conditions = Conditions { expected, excluded };
        let user = bearer.user();
        let updated = Tasks::of(&self.db, user).update(id.0.0, body.value.into(), conditions.expected()).await;
        Ok(Changed::of(user, updated.map_err(|error| conditions.refused(error))?))
    }

    /// Delete a task
    ///
    /// Deletes a task for good; deleting it again answers 404. With `If-Match` only a version that it names is deleted.
    #[oai(path = "/tasks/:id", method = "delete", operation_id = "deleteTask")]
    async fn delete(
        &self,
        bearer: Bearer,
        /// Names the versions that may be deleted (RFC 9110, section 13.1.1).
        #[oai(name = "If-Match")]
        expected: OptionalHeader<IfMatch>,
        /// Names the versions that must not be deleted (RFC 9110, section 13.1.2).
        #[oai(name = "If-None-Match")]
        excluded: OptionalHeader<IfNoneMatch>,
        _query: DeclaredQuery,
        /// Identifies the task by its UUID.
        id: PathParameter<TaskId>,
    ) -> Result<Deleted, Problem> {
        let conditions = Conditions { expected, excluded };
        let deleted = Tasks::of(&self.db, bearer.user()).delete(id.0.0, conditions.expected()).await;
        deleted.map_err(|error| conditions.refused(error)).map(|()| Deleted::NoContent)
    }

    /// Complete a task, or take that back
    ///
    /// Completes a task, or makes it pending again. A body sets the state, which is safe to repeat. Without a body, or with
    /// the body `null`, the state is toggled, atomically: of many toggles at once none is lost. With `If-Match` only a
    /// version that it names is changed.
    #[oai(path = "/tasks/:id/complete", method = "patch", operation_id = "completeTask")]
    async fn complete(
        &self,
        bearer: Bearer,
        /// Names the versions that may be changed (RFC 9110, section 13.1.1).
        #[oai(name = "If-Match")]
        expected: OptionalHeader<IfMatch>,
        /// Names the versions that must not be changed (RFC 9110, section 13.1.2).
        #[oai(name = "If-None-Match")]
        excluded: OptionalHeader<IfNoneMatch>,
        /// The state to set; `null` counts as no body.
        body: Body<Option<TaskComplete>>,
        /// Identifies the task by its UUID.
        id: PathParameter<TaskId>,
    ) -> Result<Changed, Problem> {
        let completed = body.value.map(|body| body.completed);
        let conditions = Conditions { expected, excluded };
        let user = bearer.user();
        let completed = Tasks::of(&self.db, user).complete(id.0.0, completed, conditions.expected()).await;
        Ok(Changed::of(user, completed.map_err(|error| conditions.refused(error))?))
    }
}

impl Changed {
    fn of(owner: &User, task: Task) -> Self {
        let etag = ETag(task.version);
        Self::Ok(Json(TaskResponse::of(owner, task)), etag)
    }
}

const fn default_limit() -> i32 {
    LIMIT
}

/// The conditions on a change.
struct Conditions {
    expected: OptionalHeader<IfMatch>,
    excluded: OptionalHeader<IfNoneMatch>,
}

impl Conditions {
    fn expected(&self) -> Expected<'_> {
        Expected {
            one_of: match &self.expected.0 {
                None | Some(IfMatch::Any) => None,
                Some(IfMatch::OneOf { versions, .. }) => Some(versions),
            },
            none_of: match &self.excluded.0 {
                None => Excluded::Nothing,
                Some(IfNoneMatch::Any) => Excluded::Everything,
                Some(IfNoneMatch::NoneOf(versions)) => Excluded::Versions(versions),
            },
        }
    }

    fn refused(&self, error: StoreError) -> Problem {
        match (error, &self.expected.0) {
            (StoreError::Stale, Some(IfMatch::OneOf { weak: true, .. })) => Problem::because(
                Code::PreconditionFailed,
                "`If-Match` has a weak tag (W/…), which never matches: a proxy has changed the ETag, so send it without W/",
            ),
            (error, _) => error.into(),
        }
    }
}

fn foreign_cursor() -> Problem {
    let detail = "is not a cursor of this list: take it from `Link`, with the same status, sort, order and filters";
    Problem::validation(vec![Violation::of_parameter("cursor", detail)])
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Code::TaskNotFound.into(),
            StoreError::Forbidden => Code::TaskForbidden.into(),
            StoreError::Stale => Code::PreconditionFailed.into(),
            StoreError::Excluded => {
                Self::because(Code::PreconditionFailed, "the task has a version that `If-None-Match` excludes")
            }
            StoreError::KeyReused => Code::IdempotencyKeyReused.into(),
            StoreError::Db(error) => error.into(),
        }
    }
}
