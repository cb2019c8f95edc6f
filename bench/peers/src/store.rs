//! What both databases can do.

use std::error::Error;

use uuid::Uuid;

use crate::task::{Task, Update};

/// A result of the database.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The tasks of all users. Each query is for one owner.
pub(crate) trait Store: Send + Sync + 'static {
    /// One task of the owner, if there is one.
    fn task(&self, owner: &str, id: Uuid) -> impl Future<Output = Result<Option<Task>>> + Send;

    /// The 20 newest tasks of the owner: all, or the pending ones.
    fn newest(&self, owner: &str, pending: bool) -> impl Future<Output = Result<Vec<Task>>> + Send;

    /// Inserts the task, and the owner's row before the first task.
    fn create(&self, task: Task) -> impl Future<Output = Result<Task>> + Send;

    /// Changes the title and the description. Returns the task, if there is one.
    fn update(&self, owner: &str, id: Uuid, to: Update) -> impl Future<Output = Result<Option<Task>>> + Send;

    /// Toggles `completed`. Returns the task, if there is one.
    fn toggle(&self, owner: &str, id: Uuid) -> impl Future<Output = Result<Option<Task>>> + Send;

    /// Sets `completed`. Returns the task, if that changes one.
    fn set(&self, owner: &str, id: Uuid, completed: bool) -> impl Future<Output = Result<Option<Task>>> + Send;

    /// Returns whether there was such a task.
    fn delete(&self, owner: &str, id: Uuid) -> impl Future<Output = Result<bool>> + Send;
}
