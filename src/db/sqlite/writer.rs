//! The writer: one thread that commits changes in groups, so that many changes share one fsync.
//!
//! ```text
//! caller: wait for a place in the queue ─► send the change                                       receive the result
//!                                                │                                                       ▲
//! thread:        wait for the first change ◄─────┘                                                       │
//!                └► BEGIN IMMEDIATE ─► run up to GROUP changes of the queue ─► COMMIT (one fsync) ─► answer all
//! ```
//!
//! The thread never waits for a group to fill: it takes the changes that are already in the queue. During the fsync of
//! one group the next changes queue up, so groups grow with the load, and a single change waits for no other.
//!
//! A change in the queue runs to its end, even if its caller goes away. Its result depends on its own statements and on
//! the group:
//!
//! | event | result |
//! |---|---|
//! | no place in the queue within `WAIT` | `Unavailable` |
//! | BEGIN fails | its error for all changes in the queue |
//! | a statement fails | its error, if the group commits; the other changes continue |
//! | SQLite rolls back (full disk, I/O error) | its error; `Unavailable` for the rest of the group |
//! | the files were moved or replaced | `Unavailable` for the group, without a COMMIT |
//! | COMMIT fails | its error for the group: not made, or `Unknown` (see [`commit_failed`]) |
//! | a change panics, which is a defect | `Unknown` for the group, which is rolled back |
//!
//! If the group fails, a change that broke a constraint gets the group's error instead of its own: the conflicting row
//! may have been a row of the same group, which no longer exists.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
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
use crate::{db::DbError, telemetry};

/// Maximum number of changes in one commit.
const GROUP: usize = 256;
/// Places in the queue; callers wait for a free one.
const QUEUE: usize = 1024;
/// Longest wait for a place in the queue. After that the change was certainly not made.
const WAIT: Duration = Duration::from_millis(800);

/// Hands changes to the thread. The thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Change>,
    doubtful: Arc<AtomicBool>,
}

/// The first half of a change: runs in the group's transaction, or gets the error of BEGIN.
type Change = Box<dyn FnOnce(Result<&Connection, &DbError>) -> Answer + Send>;
/// The second half: gets the outcome of the group, and sends the result to the caller.
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

    /// Number of changes in the queue, and of its places.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let places = self.queue.max_capacity();
        (places - self.queue.capacity(), places)
    }

    /// Runs `work` on the thread, and returns its result when its group is committed, and so on disk.
    ///
    /// # Errors
    ///
    /// See the table of the module.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let (answer, answered) = oneshot::channel();
        let change: Change = Box::new(move |connection| {
            let result = connection.map_err(DbError::clone).and_then(work);
            Box::new(move |committed| {
                // `Unavailable` is undone in any case, and it has the cause.
                let failed = matches!(result, Err(DbError::Unavailable(_)));
                drop(answer.send(if failed { result } else { committed.clone().and(result) }));
            })
        });
        let unavailable = |what: &str| DbError::Unavailable(format!("the writer {what}"));
        let place = timeout(WAIT, self.queue.reserve()).await.map_err(|_| unavailable("is busy"))?;
        place.map_err(|_| unavailable("has ended"))?.send(change);
        // The thread panicked, perhaps after the commit.
        answered.await.map_err(|_| DbError::Unknown("the writer failed".to_owned()))?
    }
}

struct Groups {
    connection: Connection,
    files: Arc<Files>,
    doubtful: Arc<AtomicBool>,
}

impl Groups {
    /// Commits groups until the queue is closed.
    fn run(&self, mut changes: mpsc::Receiver<Change>) {
        while let Some(first) = changes.blocking_recv() {
            let group = AssertUnwindSafe(|| self.commit(first, &mut changes));
            // The panic dropped the group's channels, so each caller gets `Unknown`. The next group needs a new
            // transaction.
            if std::panic::catch_unwind(group).is_err() && !self.connection.is_autocommit() {
                drop(self.connection.execute_batch("ROLLBACK"));
            }
        }
    }

    fn commit(&self, first: Change, changes: &mut mpsc::Receiver<Change>) {
        let connection = &self.connection;
        let metrics = telemetry::metrics().map(|metrics| (metrics, Instant::now()));
        if let Err(error) = execute(connection, "BEGIN IMMEDIATE").map_err(failed) {
            self.doubtful.store(true, Relaxed);
            // Reject all that wait: otherwise the last one would wait for many attempts, each of them up to the busy
            // timeout.
            let mut refused = Some(first);
            while let Some(change) = refused {
                change(Err(&error))(&Ok(()));
                refused = changes.try_recv().ok();
            }
            return;
        }
        let mut answers = vec![first(Ok(connection))];
        // Autocommit means that SQLite has rolled back (full disk, I/O error): a further change would commit on its
        // own.
        while answers.len() < GROUP && !connection.is_autocommit() {
            let Ok(next) = changes.try_recv() else { break };
            answers.push(next(Ok(connection)));
        }
        let committed = if connection.is_autocommit() {
            Err(DbError::Unavailable("SQLite rolled the transaction back".into()))
        } else {
            // Changes to a removed or replaced file would be lost, so check before each COMMIT.
            self.files.check().and_then(|()| execute(connection, "COMMIT").map_err(commit_failed))
        };
        if committed.is_err() && !connection.is_autocommit() {
            drop(connection.execute_batch("ROLLBACK"));
            // Nobody will find the log of a file that has lost its name, and it may have acknowledged changes: copy
            // them into the main file. But not if other processes cannot see this connection's locks.
            if self.files.check().is_err() && self.files.share_locks() {
                drop(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())));
            }
        }
        self.doubtful.store(committed.is_err(), Relaxed);
        if let Some((metrics, began)) = metrics {
            metrics.commit(answers.len(), began.elapsed());
        }
        for answer in answers {
            answer(&committed);
        }
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(())).map(drop)
}
