//! The connections, in two lanes, so that reads do not wait behind changes.
//!
//! - **Reads** share a few connections and are pipelined on them. An overdue read is cancelled.
//! - **A change** has a connection for itself, as a [`Lease`]. So it never waits behind another user's blocked change,
//!   and before it is sent it has certainly not happened.
//!
//! # Why a change is never cancelled
//!
//! If a cancellation meets a COMMIT that waits for a synchronous standby, PostgreSQL reports success, and the row
//! exists only on the primary. So a sent change keeps its connection until the database answers, and the pool works
//! without that one.
//!
//! # The life of a connection
//!
//! One task for each place in the lanes keeps a connection up ([`Pool::keep_connected`]):
//!
//! ```text
//!              ┌─────────────────── pause ◄──────────────────┐
//!              ▼                                             │ closed by the server
//!          connecting ──► joined: shared by reads, or idle ⇄ leased
//!              ▲                                │ retired (no answer in time, or the server is read-only)
//!              │                                ▼
//!              ├── no change was sent on it: ends with its reads, or after STATEMENT_TIMEOUT
//!              └── a change was sent on it: set aside until the database answers
//! ```
//!
//! The place connects again at once: another task waits for the connection that is set aside. At most as many
//! connections are set aside as the lane of changes has places. After that, a place waits for its old connection to
//! end. So the lane shrinks, until the pool sends no more changes.
//!
//! # Suspicion
//!
//! One useless connection means that the others may be useless, too, for example after a failover. So [`Pool::suspect`]
//! makes every idle or shared connection show within `PROBE_TIMEOUT` that it answers and accepts changes
//! ([`Pool::examine`]). Otherwise it is retired and replaced. A leased connection is not asked: its change shows the
//! same by its own answer.
//!
//! A connection without a change that does not answer proves that the database is away, not that a change takes long.
//! This notifies [`Pool::lost`]. Then changes that are set aside give up their turns, so that the same row and user can
//! go on.

mod lease;
mod report;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

use self::lease::Lease;
use super::{
    Held, STATEMENT_TIMEOUT,
    connect::{Connector, Driver},
    connection::{Connection, Outcome, READ_ONLY, SILENT},
    sqlstate::Failure,
};
use crate::db::{DbError, Lanes, outage::Outage, statement::Bound};

/// Pauses between attempts to connect while the server is unavailable: the first, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Pause if the server rejects the connection, for example because of a wrong password.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// Time for a suspected connection to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The connections of both lanes.
#[derive(Debug)]
pub(super) struct Pool {
    lanes: Lanes,
    reads: RwLock<Vec<Arc<Connection>>>,
    /// Notified when a connection can be used for reads.
    joined: Notify,
    writes: Mutex<Writes>,
    /// One permit for each connection in `Writes::idle`.
    idle: Semaphore,
    /// One permit for each connection that may still be set aside.
    aside: Arc<Semaphore>,
    /// Changes if a connection is found useless: the others may be useless, too.
    suspicion: watch::Sender<()>,
    /// Notified if a connection without a change does not answer.
    pub(super) lost: Notify,
    /// Whether connections to a read-only server are useful (`target_session_attrs=any`).
    read_only: bool,
    /// Whether the last change got no answer in time.
    pub(super) doubtful: AtomicBool,
    outage: Outage,
    /// Pause before the next attempt after a failed one. The task that makes the attempt holds the lock.
    pause: tokio::sync::Mutex<Duration>,
}

#[derive(Debug, Default)]
struct Writes {
    /// Connections without a change; the one that was used last is at the end.
    idle: Vec<Arc<Connection>>,
    /// Number of connections, including leased ones.
    live: usize,
}

impl Pool {
    pub(super) fn new(lanes: Lanes, read_only: bool) -> Arc<Self> {
        Arc::new(Self {
            lanes,
            reads: RwLock::default(),
            joined: Notify::new(),
            writes: Mutex::default(),
            idle: Semaphore::new(0),
            aside: Arc::new(Semaphore::new(lanes.writes)),
            suspicion: watch::Sender::new(()),
            lost: Notify::new(),
            read_only,
            doubtful: AtomicBool::new(false),
            outage: Outage::default(),
            pause: tokio::sync::Mutex::new(PAUSE),
        })
    }

    /// Whether the last change got no answer in time, and no other change has got one since.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Relaxed)
    }

    /// Runs a read on the connection with the fewest statements in flight, and of several on the newest.
    pub(super) async fn read(self: &Arc<Self>, statement: Bound<'_>, deadline: Instant) -> Result<Outcome, Failure> {
        tracing::debug!(sql = statement.text(), "run");
        if let Some(connection) = self.pick() {
            return self.read_on(&connection, statement, deadline).await;
        }
        match timeout_at(deadline, self.next(deadline)).await {
            Err(_) => Err(no_connection()),
            Ok(Reader::Shared(connection)) => self.read_on(&connection, statement, deadline).await,
            Ok(Reader::Borrowed(mut lease)) => lease.read(statement).await,
        }
    }

    async fn read_on(
        &self,
        connection: &Connection,
        statement: Bound<'_>,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let outcome = connection.read(statement, deadline, || self.suspect()).await;
        if Instant::now() >= deadline {
            // The cancellation may have made it usable again.
            self.joined.notify_waiters();
        }
        outcome
    }

    fn pick(&self) -> Option<Arc<Connection>> {
        let reads = self.reads.read().unwrap_or_else(PoisonError::into_inner);
        let usable = reads.iter().rev().filter(|connection| connection.is_usable());
        usable.min_by_key(|connection| connection.in_flight()).cloned()
    }

    /// Waits for a connection for a read. If the lane of reads has none, the read borrows one from the changes, unless
    /// changes are set aside: then changes need the rest.
    async fn next(self: &Arc<Self>, deadline: Instant) -> Reader {
        loop {
            let joined = self.joined.notified();
            if let Some(connection) = self.pick() {
                return Reader::Shared(connection);
            }
            let none = self.reads.read().unwrap_or_else(PoisonError::into_inner).is_empty();
            let stuck = self.aside.available_permits() < self.lanes.writes;
            if none && !stuck {
                tokio::select! {
                    () = joined => {}
                    lease = self.lease(None, deadline) => return Reader::Borrowed(lease),
                }
            } else {
                joined.await;
            }
        }
    }

    /// Waits for an idle connection of the lane of changes.
    pub(super) async fn lease(self: &Arc<Self>, turns: Option<Held>, deadline: Instant) -> Lease {
        loop {
            match self.idle.acquire().await {
                Ok(permit) => permit.forget(),
                // The semaphore is never closed.
                Err(_) => std::future::pending().await,
            }
            // Empty if `take` was faster than this task, which has got the permit.
            let idle = self.writes().idle.pop();
            if let Some(connection) = idle.filter(|connection| connection.is_usable()) {
                return Lease::new(self.clone(), connection, turns, deadline);
            }
        }
    }

    /// Makes a connection idle again, or forgets it if it is retired or lost.
    pub(super) fn give_back(&self, connection: Arc<Connection>) {
        if connection.is_usable() {
            self.writes().idle.push(connection);
            self.idle.add_permits(1);
        }
    }

    /// Removes this connection from the idle ones. Returns false if it is not idle.
    fn take(&self, connection: &Arc<Connection>) -> bool {
        let mut writes = self.writes();
        let Some(at) = writes.idle.iter().position(|idle| Arc::ptr_eq(idle, connection)) else { return false };
        writes.idle.remove(at);
        drop(writes);
        // If another task has the permit already, that task finds no connection and waits again.
        if let Ok(permit) = self.idle.try_acquire() {
            permit.forget();
        }
        true
    }

    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection to the lane that needs it most. Changes get the first one, then reads get all of theirs.
    fn join(&self, connection: &Arc<Connection>) {
        let mut writes = self.writes();
        let mut reads = self.reads.write().unwrap_or_else(PoisonError::into_inner);
        let to_writes = writes.live == 0 || reads.len() >= self.lanes.reads;
        if to_writes {
            writes.live += 1;
            writes.idle.push(connection.clone());
        } else {
            reads.push(connection.clone());
        }
        let complete = writes.live + reads.len() == self.lanes.reads + self.lanes.writes;
        drop((writes, reads));
        if to_writes {
            self.idle.add_permits(1);
        } else {
            self.joined.notify_waiters();
        }
        if complete {
            self.outage.over();
        }
    }

    /// Removes a connection from its lane.
    fn leave(&self, connection: &Arc<Connection>) {
        let mut reads = self.reads.write().unwrap_or_else(PoisonError::into_inner);
        let before = reads.len();
        reads.retain(|other| !Arc::ptr_eq(other, connection));
        if reads.len() < before {
            return;
        }
        drop(reads);
        self.take(connection);
        self.writes().live -= 1;
    }

    /// Moves a connection from the reads to the changes if these have none and no new one can be made.
    fn move_to_writes(&self) {
        let mut writes = self.writes();
        if writes.live > 0 || self.aside.available_permits() < self.lanes.writes {
            return;
        }
        let Some(connection) = self.reads.write().unwrap_or_else(PoisonError::into_inner).pop() else { return };
        writes.live += 1;
        writes.idle.push(connection);
        drop(writes);
        self.idle.add_permits(1);
    }

    /// Makes every connection without a change show that it is useful.
    pub(super) fn suspect(&self) {
        self.suspicion.send_replace(());
    }

    /// Retires a connection if it does not answer in time or accepts no changes. Skips a leased one: its change shows
    /// it.
    async fn examine(&self, connection: &Arc<Connection>) {
        let shared = {
            let reads = self.reads.read().unwrap_or_else(PoisonError::into_inner);
            reads.iter().any(|other| Arc::ptr_eq(other, connection))
        };
        if !shared && !self.take(connection) {
            return;
        }
        connection.doubt(true);
        match timeout(PROBE_TIMEOUT, connection.is_writable()).await {
            Ok(Ok(writable)) if writable || self.read_only => {
                connection.doubt(false);
                if shared {
                    self.joined.notify_waiters();
                } else {
                    self.give_back(connection.clone());
                }
            }
            Ok(Ok(_)) => connection.retire(READ_ONLY),
            Ok(Err(_)) | Err(_) => {
                connection.retire(SILENT);
                self.lost.notify_waiters();
            }
        }
    }

    /// Examines the connection when there is a suspicion. Returns when it is retired, with the reason.
    async fn until_retired(&self, connection: &Arc<Connection>) -> &'static str {
        let mut suspicion = self.suspicion.subscribe();
        loop {
            tokio::select! {
                reason = connection.retired() => return reason,
                _ = suspicion.changed() => self.examine(connection).await,
            }
        }
    }

    /// Keeps one place connected: connects, watches the connection, and starts again when it is lost or retired.
    pub(super) async fn keep_connected(self: Arc<Self>, connector: Connector) {
        let mut failed = false;
        loop {
            // After a failure, one attempt at a time: failing attempts must not use up the connections of a pooler.
            let mut pause = if failed { Some(self.pause.lock().await) } else { None };
            if let Some(pause) = &pause {
                sleep(**pause).await;
            }
            let attempt = connector.open().await;
            if let Some(pause) = &mut pause {
                **pause = match &attempt {
                    Ok(_) => Duration::ZERO,
                    Err(DbError::Refused(_)) => REFUSED_PAUSE,
                    Err(_) => (**pause * 2).clamp(PAUSE, LONGEST_PAUSE),
                };
            }
            drop(pause);
            failed = attempt.is_err();
            match attempt {
                Ok((connection, mut driver)) => {
                    let connection = Arc::new(connection);
                    self.join(&connection);
                    let retired = tokio::select! {
                        end = &mut driver => {
                            let cause = match end {
                                Ok(Ok(())) => "it was closed".to_owned(),
                                Ok(Err(error)) => error.to_string(),
                                // The panic itself is logged, without its message, which may quote data.
                                Err(_) => "its task panicked".to_owned(),
                            };
                            self.outage.report(&cause);
                            false
                        }
                        reason = self.until_retired(&connection) => {
                            self.outage.report(&reason);
                            true
                        }
                    };
                    self.leave(&connection);
                    let changing = connection.is_changing();
                    drop(connection);
                    if retired && changing {
                        self.set_aside(driver).await;
                    } else if retired {
                        // Time for the reads that are still in flight on it.
                        tokio::spawn(timeout(STATEMENT_TIMEOUT, driver));
                    } else {
                        sleep(PAUSE).await;
                    }
                }
                Err(error) => {
                    self.outage.report(&error);
                    self.move_to_writes();
                }
            }
        }
    }

    /// Keeps a connection until the database has answered its change, however long that takes. Returns when one more
    /// may be set aside, or when it has ended.
    async fn set_aside(&self, mut driver: Driver) {
        tokio::select! {
            biased;
            _ = &mut driver => {}
            place = self.aside.clone().acquire_owned() => drop(tokio::spawn(async move {
                drop(driver.await);
                drop(place);
            })),
        }
    }
}

enum Reader {
    Shared(Arc<Connection>),
    Borrowed(Lease),
}

pub(super) fn no_connection() -> Failure {
    DbError::Unavailable("no connection to the database is free".to_owned()).into()
}
