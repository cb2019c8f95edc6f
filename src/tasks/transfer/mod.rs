//! Moves users, their tasks and their idempotency keys between databases, as lines of JSON (NDJSON).
//!
//! The first line has the format and the numbers of the lines of each kind, and the last one has the numbers again. So a
//! reader knows what it reads, and that it has read all of it. Between them are first the users, then the tasks, then the
//! keys, each in the order of their primary key. So two databases with the same rows have the same lines.

mod check;
mod export;
mod import;
mod line;
mod read;
mod statements;

use std::{fmt, io};

use serde::{Deserialize, Serialize};

use self::statements::{KEYS_OF, Owner, TASKS_OF, USER};
pub use self::{
    export::export,
    import::{Imported, import},
};
use crate::db::{Db, DbError, Transaction};

/// The format of the lines. A newer one may have other kinds of lines, or other fields.
const FORMAT: u32 = 1;

/// Numbers of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Users.
    pub users: u64,
    /// Tasks.
    pub tasks: u64,
    /// Idempotency keys.
    pub keys: u64,
}

impl Counts {
    /// All rows.
    #[must_use]
    pub const fn sum(self) -> u64 {
        self.users.saturating_add(self.tasks).saturating_add(self.keys)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let Self { users, tasks, keys } = *self;
        write!(f, "{}, {}, {}", number(users, "user"), number(tasks, "task"), number(keys, "idempotency key"))
    }
}

/// Why a move ended early.
#[derive(Debug)]
pub enum TransferError {
    /// The database failed.
    Database(DbError),
    /// The input is not an export, or not a whole one: a line that says where.
    Input(String),
    /// The input cannot be read.
    Read(io::Error),
    /// The output cannot be written.
    Write(io::Error),
}

impl From<DbError> for TransferError {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

/// Deletes everything of a user. Returns what it was, and whether its bytes are gone from the file as well. The user's
/// next create starts a new list.
///
/// # Errors
///
/// Any [`DbError`]. Then nothing was deleted, except that [`DbError::Unknown`] leaves this open.
pub async fn delete_user(db: &Db, user: &str) -> Result<(Counts, Result<(), DbError>), DbError> {
    let session = db.session().await?;
    session.begin(Transaction::Change).await?;
    let of = || Owner { owner: user.into() };
    let tasks = session.execute(&TASKS_OF, (), of()).await?;
    let keys = session.execute(&KEYS_OF, (), of()).await?;
    let users = session.execute(&USER, (), of()).await?;
    session.commit().await?;
    // Even if there was no such user: an earlier run may have been interrupted.
    Ok((Counts { users, tasks, keys }, session.wipe()))
}
