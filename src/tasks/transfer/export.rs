//! Writes an export. A thread writes the lines of a page while the next page is read.

use std::{
    io::Write,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use sea_orm::{Value, prelude::Uuid};

use super::{
    Counts, TransferError,
    line::{Header, Line},
    statements::{KEY_COUNT, KEYS, OneUser, PAGE, Page, TASK_COUNT, TASKS, USER_COUNT, USERS},
};
use crate::{
    db::{Db, DbError, Find, Row, Session, Statements, Transaction},
    tasks::{entity as task, idempotency as key, owner as user},
};

/// Pages that wait to be written.
const AHEAD: usize = 2;

/// Rows to write.
#[derive(Debug)]
enum Part {
    Header(Counts),
    Users(Vec<user::Model>),
    Tasks(Vec<task::Model>),
    Keys(Vec<key::Model>),
    End(Counts),
}

/// Writes the users, tasks and keys of one moment; `user`: only those of one user. `progress` gets the number of rows so
/// far and of all rows.
///
/// # Errors
///
/// [`TransferError::Database`], and [`TransferError::Write`].
pub async fn export(
    db: &Db,
    user: Option<&str>,
    output: impl Write + Send + 'static,
    progress: impl Fn(u64, u64),
) -> Result<Counts, TransferError> {
    let (parts, received) = sync_channel(AHEAD);
    let writer = thread::Builder::new().name("export".into()).spawn(move || write(output, &received));
    let writer = writer.map_err(TransferError::Write)?;
    let session = db.session().await?;
    session.begin(Transaction::Snapshot).await?;
    let export = Export { session, user, expiry: key::expiry().into(), parts, progress };
    let read = export.read().await;
    drop(export);
    let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    // A part that could not be sent has been refused by the writer, which knows why.
    written.map_err(TransferError::Write)?;
    Ok(read?)
}

struct Export<'a, P> {
    session: Session,
    user: Option<&'a str>,
    expiry: Value,
    parts: SyncSender<Part>,
    progress: P,
}

impl<P: Fn(u64, u64)> Export<'_, P> {
    async fn read(&self) -> Result<Counts, DbError> {
        let none = || self.page("".into(), Value::Bool(None));
        let one = self.user.is_some();
        let all = Counts {
            users: self.session.count(&USER_COUNT, one, none()).await?,
            tasks: self.session.count(&TASK_COUNT, one, none()).await?,
            keys: self.session.count(&KEY_COUNT, one, none()).await?,
        };
        let mut read = Counts::default();
        let mut more = self.send(Part::Header(all));
        if more {
            let position = |user: &user::Model| (user.id.as_str().into(), Value::Bool(None));
            (read.users, more) = self.pages(&USERS, Value::Bool(None), position, Part::Users, 0, all).await?;
        }
        if more {
            let position = |task: &task::Model| (task.user_id.as_str().into(), task.id.into());
            let begin = read.sum();
            (read.tasks, more) = self.pages(&TASKS, Uuid::nil().into(), position, Part::Tasks, begin, all).await?;
        }
        if more {
            let position = |key: &key::Model| (key.user_id.as_str().into(), key.key.as_str().into());
            let begin = read.sum();
            (read.keys, _) = self.pages(&KEYS, "".into(), position, Part::Keys, begin, all).await?;
        }
        self.send(Part::End(read));
        Ok(read)
    }

    /// Sends all rows of a kind. Returns their number, and whether the writer takes more.
    async fn pages<R: Row>(
        &self,
        query: &Statements<OneUser, Page, Find<R>>,
        mut last: Value,
        position: impl Fn(&R) -> (Value, Value),
        part: impl Fn(Vec<R>) -> Part,
        begin: u64,
        all: Counts,
    ) -> Result<(u64, bool), DbError> {
        let (mut count, mut last_user) = (0, Value::from(""));
        loop {
            let rows = self.session.all(query, self.user.is_some(), self.page(last_user, last)).await?;
            let Some(end) = rows.last() else { return Ok((count, true)) };
            (last_user, last) = position(end);
            let found = rows.len() as u64;
            count += found;
            if !self.send(part(rows)) {
                return Ok((count, false));
            }
            (self.progress)(begin + count, all.sum());
            if found < PAGE {
                return Ok((count, true));
            }
        }
    }

    fn page(&self, last_user: Value, last: Value) -> Page {
        Page { user: self.user.into(), last_user, last, expiry: self.expiry.clone() }
    }

    /// Returns false if the writer has failed.
    fn send(&self, part: Part) -> bool {
        self.parts.send(part).is_ok()
    }
}

/// Writes the lines of all parts.
fn write(mut output: impl Write, parts: &Receiver<Part>) -> std::io::Result<()> {
    let mut lines = Vec::new();
    for part in parts {
        lines.clear();
        match part {
            Part::Header(counts) => line(&mut lines, &Line::Export(Header::of(counts)))?,
            Part::Users(rows) => rows.iter().try_for_each(|row| line(&mut lines, &row.into()))?,
            Part::Tasks(rows) => rows.iter().try_for_each(|row| line(&mut lines, &row.into()))?,
            Part::Keys(rows) => rows.iter().try_for_each(|row| line(&mut lines, &row.into()))?,
            Part::End(counts) => line(&mut lines, &Line::End(counts))?,
        }
        output.write_all(&lines)?;
    }
    output.flush()
}

fn line(lines: &mut Vec<u8>, line: &Line<'_>) -> std::io::Result<()> {
    serde_json::to_writer(&mut *lines, line)?;
    lines.push(b'\n');
    Ok(())
}
