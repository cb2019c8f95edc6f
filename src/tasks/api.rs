//! The six operations.

use poem_openapi::{
    ApiResponse, OpenApi, Tags,
    param::{Path, Query},
};

use super::{
    dto::{Order, Sort, Status, TaskComplete, TaskCreate, TaskResponse, TaskUpdate},
    id::TaskId,
    store::{StoreError, Tasks},
};
use crate::{
    auth::Bearer,
    contract::DeclaredQuery,
    db::Db,
    payload::{Body, Json},
    problem::{BODY, Code, Fail, ITEM, Problem},
};

/// The task endpoints.
#[derive(Debug)]
pub struct TasksApi {
    /// Where the tasks are.
    pub db: Db,
}

#[derive(Tags)]
enum Tag {
    /// The tasks of the user who asks.
    Tasks,
}

#[derive(ApiResponse)]
enum Listed {
    /// The tasks.
    #[oai(status = 200)]
    Ok(Json<Vec<TaskResponse>>),
}

#[derive(ApiResponse)]
enum Created {
    /// The task as created.
    #[oai(status = 201)]
    Created(
        Json<TaskResponse>,
        /// The path of the task.
        #[oai(header = "Location")]
        String,
    ),
}

#[derive(ApiResponse)]
enum Found {
    /// The task.
    #[oai(status = 200)]
    Ok(Json<TaskResponse>),
}

#[derive(ApiResponse)]
enum Deleted {
    /// The task is gone.
    #[oai(status = 204)]
    NoContent,
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Tasks")]
impl TasksApi {
    /// List the user's tasks
    ///
    /// Newest first, unless `sort` and `order` say otherwise. Ties break by `id`.
    #[oai(path = "/tasks", method = "get", operation_id = "listTasks")]
    async fn list(
        &self,
        user: Bearer,
        _query: DeclaredQuery,
        /// Which tasks.
        #[oai(default)]
        status: Query<Status>,
        /// What to sort by. Titles are compared without regard to case; tasks without a due date come last in either order.
        #[oai(default)]
        sort: Query<Sort>,
        /// The direction; `desc` where `sort` is `created`, `asc` otherwise, unless given.
        order: Query<Option<Order>>,
    ) -> Result<Listed, Fail<0>> {
        let order = order.0.unwrap_or(match sort.0 {
            Sort::Created => Order::Desc,
            Sort::Title | Sort::DueDate => Order::Asc,
        });
        let tasks = Tasks::of(&self.db, user.id()).list(status.0, sort.0, order).await?;
        Ok(Listed::Ok(Json(tasks.into_iter().map(TaskResponse::from).collect())))
    }

    /// Create a task
    ///
    /// Only the title is required. The task belongs to the user of the token.
    #[oai(path = "/tasks", method = "post", operation_id = "createTask")]
    async fn create(&self, user: Bearer, _query: DeclaredQuery, body: Body<TaskCreate>) -> Result<Created, Fail<BODY>> {
        let task = Tasks::of(&self.db, user.id()).create(body.0).await?;
        let location = format!("/api/tasks/{}", task.id);
        Ok(Created::Created(Json(task.into()), location))
    }

    /// Read a task
    ///
    /// Answers the task whose id this is, if it is the user's own.
    #[oai(path = "/tasks/:id", method = "get", operation_id = "getTask")]
    async fn get(
        &self,
        user: Bearer,
        _query: DeclaredQuery,
        /// The task's id.
        id: Path<TaskId>,
    ) -> Result<Found, Fail<ITEM>> {
        let task = Tasks::of(&self.db, user.id()).get(id.0.0).await?;
        Ok(Found::Ok(Json(task.into())))
    }

    /// Change a task
    ///
    /// Changes the fields in the body and no other: a field left out keeps its value, `null` clears `description` or
    /// `due_date`, and `{}` changes nothing.
    #[oai(path = "/tasks/:id", method = "put", operation_id = "updateTask")]
    async fn update(
        &self,
        user: Bearer,
        _query: DeclaredQuery,
        body: Body<TaskUpdate>,
        /// The task's id.
        id: Path<TaskId>,
    ) -> Result<Found, Fail<{ ITEM | BODY }>> {
        let task = Tasks::of(&self.db, user.id()).update(id.0.0, body.0.into()).await?;
        Ok(Found::Ok(Json(task.into())))
    }

    /// Delete a task
    ///
    /// It is gone for good; deleting it again answers 404.
    #[oai(path = "/tasks/:id", method = "delete", operation_id = "deleteTask")]
    async fn delete(
        &self,
        user: Bearer,
        _query: DeclaredQuery,
        /// The task's id.
        id: Path<TaskId>,
    ) -> Result<Deleted, Fail<ITEM>> {
        Tasks::of(&self.db, user.id()).delete(id.0.0).await?;
        Ok(Deleted::NoContent)
    }

    /// Complete a task, or take that back
    ///
    /// With a body sets the state, which is safe to repeat. Without one flips it, atomically: of many flips at once
    /// none is lost.
    #[oai(path = "/tasks/:id/complete", method = "patch", operation_id = "completeTask")]
    async fn complete(
        &self,
        user: Bearer,
        _query: DeclaredQuery,
        body: Body<Option<TaskComplete>>,
        /// The task's id.
        id: Path<TaskId>,
    ) -> Result<Found, Fail<{ ITEM | BODY }>> {
        let completed = body.0.map(|body| body.completed);
        let task = Tasks::of(&self.db, user.id()).complete(id.0.0, completed).await?;
        Ok(Found::Ok(Json(task.into())))
    }
}

impl<const TRAITS: u8> From<StoreError> for Fail<TRAITS> {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Problem::new(Code::TaskNotFound, "no task has this id").into(),
            StoreError::Forbidden => Problem::new(Code::TaskForbidden, "only its owner may see or change it").into(),
            StoreError::Db(error) => error.into(),
        }
    }
}
