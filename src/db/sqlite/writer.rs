//! The writer: one thread that commits changes in groups, so that many share one fsync.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    error::{commit_failed, failed},
    file::Files,
};
use crate::db::DbError;

/// How many changes one commit, and so one fsync, may carry.
const GROUP: usize = 256;
/// How many changes may wait; further ones wait for a place.
const QUEUE: usize = 1024;
/// How long a change waits for a place in the queue.
const WAIT: Duration = Duration::from_millis(800);

/// What hands changes to the thread. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Change>,
    doubtful: Arc<AtomicBool>,
}

/// A change: runs inside the group's transaction (or learns why there is none), and then learns how that ended.
type Change = Box<dyn FnOnce(Result<&Connection, &DbError>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(&Result<(), DbError>)>;

impl Writer {
    pub(super) fn start(connection: Connection, files: Arc<Files>) -> std::io::Result<Self> {
        let (queue, changes) = mpsc::channel(QUEUE);
        let doubtful = Arc::new(AtomicBool::new(false));
        let group = Groups { connection, files, doubtful: doubtful.clone() };
        thread::Builder::new().name("sqlite-writer".into()).spawn(move || group.run(changes))?;
        Ok(Self { queue, doubtful })
    }

    /// Whether the last group was not committed.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Relaxed)
    }

    /// Has the thread run `work` and answers once its group is committed, and so on disk.
    ///
    /// A caller that goes away changes nothing: what was handed over runs to its end.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let (answer, answered) = oneshot::channel();
        let change: Change = Box::new(move |connection| {
            let result = connection.map_err(DbError::clone).and_then(work);
            Box::new(move |committed| {
                // A statement that failed for the database's sake is undone however the group ends, and knows why.
                let failed = matches!(result, Err(DbError::Unavailable(_)));
                drop(answer.send(if failed { result } else { committed.clone().and(result) }));
            })
        });
        let unavailable = |what: &str| DbError::Unavailable(format!("the writer {what}"));
        let place = timeout(WAIT, self.queue.reserve()).await.map_err(|_| unavailable("is busy"))?;
        place.map_err(|_| unavailable("has ended"))?.send(change);
        // It may have failed before the commit or after it.
        answered.await.map_err(|_| DbError::Unknown("the writer failed".to_owned()))?
    }
}

struct Groups {
    connection: Connection,
    files: Arc<Files>,
    doubtful: Arc<AtomicBool>,
}

impl Groups {
    /// Takes what waits, runs it inside one transaction, and answers only after the commit.
    fn run(&self, mut changes: mpsc::Receiver<Change>) {
        while let Some(first) = changes.blocking_recv() {
            let group = AssertUnwindSafe(|| self.commit(first, &mut changes));
            // Only a defect panics; its group is answered by the drop of its channels, and the next one starts afresh.
            if std::panic::catch_unwind(group).is_err() && !self.connection.is_autocommit() {
                drop(self.connection.execute_batch("ROLLBACK"));
            }
        }
    }

    fn commit(&self, first: Change, changes: &mut mpsc::Receiver<Change>) {
        let connection = &self.connection;
        if let Err(error) = execute(connection, "BEGIN IMMEDIATE").map_err(failed) {
            self.doubtful.store(true, Relaxed);
            // All have waited as long as the first: none shall wait for one attempt after the other.
            let mut refused = Some(first);
            while let Some(change) = refused {
                change(Err(&error))(&Ok(()));
                refused = changes.try_recv().ok();
            }
            return;
        }
        let mut answers = vec![first(Ok(connection))];
        // After a full disk or an I/O error SQLite has rolled back everything: nothing may run outside the transaction.
        while answers.len() < GROUP && !connection.is_autocommit() {
            let Ok(next) = changes.try_recv() else { break };
            answers.push(next(Ok(connection)));
        }
        let committed = if connection.is_autocommit() {
            Err(DbError::Unavailable("SQLite rolled the transaction back".into()))
        } else {
            self.files.check().and_then(|()| execute(connection, "COMMIT").map_err(commit_failed))
        };
        if committed.is_err() && !connection.is_autocommit() {
            drop(connection.execute_batch("ROLLBACK"));
            // Acknowledged changes may stand in a log that nobody will find: copy them into the main file, unless another
            // process cannot see that we do.
            if self.files.check().is_err() && self.files.share_locks() {
                drop(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())));
            }
        }
        self.doubtful.store(committed.is_err(), Relaxed);
        for answer in answers {
            answer(&committed);
        }
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(())).map(drop)
}
