//! The connections, in two lanes, so that reads do not wait behind changes.
//!
//! Reads share a few connections, on which they are pipelined. A change has a connection for itself: so it never waits
//! behind a change of somebody else that is stuck, and until it is sent it certainly has not happened. A change that was
//! sent is never cancelled, since PostgreSQL may end a cancelled commit with success. Where it gets no answer in time, its
//! connection is set aside with it and another takes its place. Of those set aside there are at most as many as the lane
//! has connections; after that the lane shrinks, until no change is sent any more.

mod lease;

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
use tokio_postgres::Error;

use self::lease::Lease;
use super::{
    Held, STATEMENT_TIMEOUT,
    connect::Connector,
    connection::{Connection, Outcome, READ_ONLY, SILENT},
    sqlstate::Failure,
};
use crate::db::{DbError, Lanes, outage::Outage, statement::Bound};

/// Pauses between attempts to connect: the first, and the longest while the server is away.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Pause where the server will not have us.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// Time for a connection under suspicion to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The connections that there are.
#[derive(Debug)]
pub(super) struct Pool {
    lanes: Lanes,
    reads: RwLock<Vec<Arc<Connection>>>,
    joined: Notify,
    writes: Mutex<Writes>,
    /// One permit for each idle connection of the writes.
    idle: Semaphore,
    /// One permit for each connection that may still be set aside.
    aside: Arc<Semaphore>,
    /// Changes when a connection was found to be of no use: the others may be, too.
    suspicion: watch::Sender<()>,
    /// Notified when a connection without a change does not answer: then it is not a change that takes long.
    pub(super) lost: Notify,
    /// Whether a connection whose server is read-only is of use.
    read_only: bool,
    /// Whether the last change had no answer in time.
    pub(super) doubtful: AtomicBool,
    outage: Outage,
    /// Before the next attempt to connect after one that failed; held by the one who makes it.
    pause: tokio::sync::Mutex<Duration>,
}

#[derive(Debug, Default)]
struct Writes {
    /// Those that no change has; the last is the one used last.
    idle: Vec<Arc<Connection>>,
    /// How many there are, those in use included.
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

    /// Whether the last change had no answer in time, and none has had one since.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Relaxed)
    }

    /// Runs a read on the connection that has the fewest in flight, or the newest of those.
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
            // It may be usable again.
            self.joined.notify_waiters();
        }
        outcome
    }

    fn pick(&self) -> Option<Arc<Connection>> {
        let reads = self.reads.read().unwrap_or_else(PoisonError::into_inner);
        let usable = reads.iter().rev().filter(|connection| connection.is_usable());
        usable.min_by_key(|connection| connection.in_flight()).cloned()
    }

    /// Waits for a connection to read on. Where the reads have none, they take one of the writes, unless changes are stuck
    /// there.
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

    /// Waits for an idle connection of the writes.
    pub(super) async fn lease(self: &Arc<Self>, turns: Option<Held>, deadline: Instant) -> Lease {
        loop {
            match self.idle.acquire().await {
                Ok(permit) => permit.forget(),
                // The semaphore is never closed.
                Err(_) => std::future::pending().await,
            }
            let idle = self.writes().idle.pop();
            if let Some(connection) = idle.filter(|connection| connection.is_usable()) {
                return Lease::new(self.clone(), connection, turns, deadline);
            }
        }
    }

    pub(super) fn give_back(&self, connection: Arc<Connection>) {
        if connection.is_usable() {
            self.writes().idle.push(connection);
            self.idle.add_permits(1);
        }
    }

    /// Takes this connection out of those that are idle, if it is one.
    fn take(&self, connection: &Arc<Connection>) -> bool {
        let mut writes = self.writes();
        let Some(at) = writes.idle.iter().position(|idle| Arc::ptr_eq(idle, connection)) else { return false };
        writes.idle.remove(at);
        drop(writes);
        // Where somebody has the permit already, it finds nothing and goes on waiting.
        if let Ok(permit) = self.idle.try_acquire() {
            permit.forget();
        }
        true
    }

    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection to the lane that needs it most: each has one before the other has all.
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

    /// Gives the writes a connection of the reads where they have none and there is no other to be had.
    fn make_do(&self) {
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

    /// Has every connection show that it is of use.
    pub(super) fn suspect(&self) {
        self.suspicion.send_replace(());
    }

    /// Retires a connection that does not answer in time, or takes no changes. One that a change has is left alone: the
    /// change will tell.
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

    /// Waits until the connection is to be replaced, and says why.
    async fn attend(&self, connection: &Arc<Connection>) -> &'static str {
        let mut suspicion = self.suspicion.subscribe();
        loop {
            tokio::select! {
                reason = connection.retired() => return reason,
                _ = suspicion.changed() => self.examine(connection).await,
            }
        }
    }

    /// Keeps one connection up: connects, drives it, and starts over when it is lost or of no use.
    pub(super) async fn keep_connected(self: Arc<Self>, connector: Connector) {
        let mut failed = false;
        loop {
            // After a failure one at a time: those who wait in vain must not use up what a pooler has.
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
                Ok((connection, driver)) => {
                    let (connection, mut driver) = (Arc::new(connection), Box::pin(driver));
                    self.join(&connection);
                    let retired = tokio::select! {
                        end = &mut driver => {
                            let cause = end.err().map_or_else(|| "it was closed".to_owned(), |error| error.to_string());
                            self.outage.report(&cause);
                            false
                        }
                        reason = self.attend(&connection) => {
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
                        // Reads that are still on it are given up with it.
                        tokio::spawn(timeout(STATEMENT_TIMEOUT, driver));
                    } else {
                        sleep(PAUSE).await;
                    }
                }
                Err(error) => {
                    self.outage.report(&error);
                    self.make_do();
                }
            }
        }
    }

    /// Lets a connection come to its end with the change that it has, however long that takes; first waits for a place.
    async fn set_aside(&self, mut driver: impl Future<Output = Result<(), Error>> + Send + Unpin + 'static) {
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
