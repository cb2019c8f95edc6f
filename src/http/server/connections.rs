//! All open connections. At the limit of connections or of unsent answers, the server closes those that have waited
//! longest.
//!
//! # Phases
//!
//! A connection's own task sets every phase except [`Phase::Closed`]. Other tasks set only that one:
//!
//! | from | to | when | in |
//! |---|---|---|---|
//! | `New`, `Idle` | `Header` | the first bytes of a request arrive | `Timed::poll_read` |
//! | `Header` (1) | `Serving` | hyper has parsed the headers | `server::serve` |
//! | `Serving` | `Answering` | the handler has made its answer | `server::answer` |
//! | `Answering` | `Idle` | hyper has written the whole answer | `Timed::poll_flush` |
//! | `New`, `Header`, `Idle` | `Closed` | connections or open files are at their limit | `Connection::close_idle` |
//! | any | `Closed` | unsent answers are over their limit | `Connections::give_up_answers` |
//!
//! (1) hyper may have read a pipelined request together with the one before. Then `Serving` follows `Idle` or
//! `Answering`.
//!
//! `Closed` is final. After it, waiting reads fail and no request begins; `AbortHandle::abort` ends the task.
//!
//! # The packed number
//!
//! ```text
//! bit 31                          3 2   0
//!     | number of changes (wraps)  | phase |
//! ```
//!
//! One number, so that one compare-and-swap decides between the two sides:
//!
//! - The closing task swaps in `Closed` only if the number is still the one that it judged. The phase alone is not
//!   enough: the connection may have served a request and be `Idle` again, and then it has not been idle for long.
//! - The connection's task enters a phase only if the number is not `Closed`. So a request that begins at the same
//!   moment is either served or never begins.
//!
//! The count also shows [`Timed`](super::stream::Timed) whether its deadline belongs to the current phase or to an
//! earlier one of the same name.
//!
//! # Orderings
//!
//! `Relaxed` is enough for the phase: a compare-and-swap sees the newest value of its own number with any ordering, and
//! no task reads other data because of a phase. Another task may read an old `since` or `unsent`. Then it chooses a
//! connection that has not waited the longest, which does no harm. `unsent` is released and acquired, because its part
//! of the total is subtracted from the total.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU32, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::{Instant, timeout},
};

use crate::telemetry::metrics::{Closed, Metrics};

/// Pause between two searches for an idle connection if all are busy.
const BUSY: Duration = Duration::from_millis(50);
/// The server closes one connection in this many at a time, because each search visits all of them.
const SHARE: usize = 128;
/// Minimum time between two warnings of the same kind.
const WARNING_PAUSE: Duration = Duration::from_secs(30);

/// The phase of a connection; see the module for the transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for the first byte of its first request.
    New,
    /// Waits for the rest of a request's header.
    Header,
    /// The server works on a request.
    Serving,
    /// The answer is being written.
    Answering,
    /// Waits for the next request.
    Idle,
    /// Closed.
    Closed,
}

/// The state of a connection that its own task and the closing task share.
#[derive(Debug)]
pub(super) struct Connection {
    /// The phase and the number of its changes, packed.
    phase: AtomicU32,
    /// When the server began to wait for the client, in microseconds since the server started.
    since: AtomicU64,
    /// Bytes of the answer that the client has not taken yet.
    unsent: AtomicUsize,
    /// The part of a request's body that its handler left unread.
    pub(super) rest: Mutex<Option<Incoming>>,
}

impl Connection {
    /// The bits of the phase. The count is in the bits above, so one change more is `PHASE + 1`.
    const PHASE: u32 = 7;

    fn new(now: u64) -> Self {
        Self {
            phase: AtomicU32::new(Phase::New as u32),
            since: AtomicU64::new(now),
            unsent: AtomicUsize::new(0),
            rest: Mutex::new(None),
        }
    }

    /// The phase, and the packed number, which is different after each change.
    pub(super) fn phase(&self) -> (Phase, u32) {
        let number = self.phase.load(Relaxed);
        let phase = match number & Self::PHASE {
            0 => Phase::New,
            1 => Phase::Header,
            2 => Phase::Serving,
            3 => Phase::Answering,
            4 => Phase::Idle,
            _ => Phase::Closed,
        };
        (phase, number)
    }

    /// Enters a phase; returns false if the connection has been closed in the meantime.
    pub(super) fn enter(&self, phase: Phase) -> bool {
        let next = |number: u32| {
            let closed = number & Self::PHASE == Phase::Closed as u32;
            (!closed).then_some((number & !Self::PHASE).wrapping_add(Self::PHASE + 1) | phase as u32)
        };
        self.phase.fetch_update(Relaxed, Relaxed, next).is_ok()
    }

    /// Closes the connection if it waits for its client and no answer is being sent.
    fn close_idle(&self) -> bool {
        let (phase, number) = self.phase();
        let closed = (number & !Self::PHASE) | Phase::Closed as u32;
        // `unsent` is not 0 in these phases if hyper itself answers a malformed header, or if requests are pipelined.
        matches!(phase, Phase::New | Phase::Header | Phase::Idle)
            && self.unsent.load(Relaxed) == 0
            // Fails if a request has begun since the load above, even if it has ended again.
            && self.phase.compare_exchange(number, closed, Relaxed, Relaxed).is_ok()
    }
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Connections {
    started: Instant,
    limit: usize,
    places: Arc<Semaphore>,
    open: Mutex<Open>,
    unsent: AtomicUsize,
    unsent_limit: usize,
    warned: [Mutex<Option<Instant>>; 3],
    metrics: Option<&'static Metrics>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    all: HashMap<u64, (Arc<Connection>, AbortHandle)>,
}

/// One connection's entry; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    connection: Arc<Connection>,
    connections: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(limit: usize, unsent_limit: usize, metrics: Option<&'static Metrics>) -> Self {
        Self {
            started: Instant::now(),
            limit,
            places: Arc::new(Semaphore::new(limit)),
            open: Mutex::default(),
            unsent: AtomicUsize::new(0),
            unsent_limit,
            warned: Default::default(),
            metrics,
        }
    }

    /// Sets the figures of all connections.
    pub(super) fn report(&self, metrics: &Metrics) {
        let open = self.open();
        let phases = open.all.values().map(|(connection, _)| connection.phase().0);
        let active = phases.filter(|phase| matches!(phase, Phase::Serving | Phase::Answering)).count();
        let all = open.all.len();
        drop(open);
        metrics.connections(active, all - active, self.limit, self.unsent.load(Relaxed));
    }

    /// Counts connections that the server closed.
    pub(super) fn closed(&self, reason: Closed, count: usize) {
        if let Some(metrics) = self.metrics {
            metrics.closed(reason, count);
        }
    }

    /// Waits for a free place. At the limit, it closes the connections that have been idle the longest.
    pub(super) async fn permit(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(permit) = self.places.clone().try_acquire_owned() {
                return permit;
            }
            self.close_longest_idle();
            if let Ok(Ok(permit)) = timeout(BUSY, self.places.clone().acquire_owned()).await {
                return permit;
            }
        }
    }

    /// The state of a new connection.
    pub(super) fn connection(&self) -> Arc<Connection> {
        Arc::new(Connection::new(self.now(Instant::now())))
    }

    /// Runs `work` on its own task, which holds the place until it ends.
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        permit: OwnedSemaphorePermit,
        work: F,
    ) {
        // The task removes its entry under the same lock, so it cannot remove the entry before it is inserted.
        let mut open = self.open();
        let id = open.next;
        open.next += 1;
        let place = Place { id, connection: connection.clone(), connections: self.clone(), _permit: permit };
        let task = tokio::spawn(async move {
            let _place = place;
            work.await;
        });
        open.all.insert(id, (connection, task.abort_handle()));
    }

    /// Records that the server waits for the client from now on.
    pub(super) fn wait_for_client(&self, connection: &Connection, now: Instant) {
        connection.since.store(self.now(now), Relaxed);
    }

    /// Records an answer of this size (in bytes) that the client does not take at once. If all such answers are over
    /// the limit, the server gives up those that have waited the longest.
    pub(super) fn hold(&self, connection: &Connection, size: usize, now: Instant) {
        self.wait_for_client(connection, now);
        // Under the lock, so that it sees all answers that count, and two at the same moment do not give up each other.
        let open = self.open();
        // The total first, because `release` subtracts the part from it, and so must see the total as well.
        let unsent = self.unsent.fetch_add(size, Relaxed) + size;
        connection.unsent.store(size, Release);
        if unsent > self.unsent_limit {
            self.give_up_answers(open, connection);
        }
    }

    /// Records that the answer was sent or given up; returns whether any of it was still waiting.
    pub(super) fn release(&self, connection: &Connection) -> bool {
        let unsent = connection.unsent.swap(0, Acquire);
        self.unsent.fetch_sub(unsent, Relaxed);
        unsent > 0
    }

    /// Closes the connections that have been idle the longest.
    pub(super) fn close_longest_idle(&self) {
        let open = self.open();
        let mut idle: Vec<_> = open.all.values().collect();
        // Cached keys: `since` may change during the sort, and a sort may panic if the order is inconsistent.
        idle.sort_by_cached_key(|(connection, _)| connection.since.load(Relaxed));
        // Lazy: `take` stops the filter, so no connection is `Closed` without its task being aborted.
        let idle = idle.into_iter().filter(|(connection, _)| connection.close_idle());
        let closed = idle.take(self.limit.div_ceil(SHARE)).map(|(_, task)| task.abort()).count();
        drop(open);
        self.closed(Closed::ConnectionLimit, closed);
        if closed > 0 {
            self.warn(0, "there is no room for more connections: closing those that have been idle the longest");
        }
    }

    /// Gives up the answers that have waited the longest, except the newest, until the rest are within the limit.
    fn give_up_answers(&self, open: MutexGuard<'_, Open>, newest: &Connection) {
        let waits = |(connection, _): &&(Arc<Connection>, AbortHandle)| {
            connection.unsent.load(Relaxed) > 0 && !std::ptr::eq(&raw const **connection, newest)
        };
        let mut waiting: Vec<_> = open.all.values().filter(waits).collect();
        waiting.sort_by_cached_key(|(connection, _)| connection.since.load(Relaxed));
        let mut given_up = 0;
        for (connection, task) in waiting {
            if self.unsent.load(Relaxed) <= self.unsent_limit {
                break;
            }
            // False if the answer was sent in the meantime: then the connection stays open.
            if self.release(connection) {
                connection.enter(Phase::Closed);
                task.abort();
                given_up += 1;
            }
        }
        drop(open);
        self.closed(Closed::WriteLimit, given_up);
        if given_up > 0 {
            self.warn(1, "clients read too slowly: giving up the answers that have waited the longest");
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self, now: Instant) -> u64 {
        now.duration_since(self.started).as_micros().try_into().unwrap_or(u64::MAX)
    }

    /// Reports a failed `accept`, and closes idle connections, because too many open files are the likely cause.
    pub(super) fn not_accepted(&self, error: &io::Error) {
        self.closed(Closed::NotAccepted, 1);
        self.warn(2, &format!("a connection cannot be accepted: {error}"));
        self.close_longest_idle();
    }

    /// Logs a warning, at most once per [`WARNING_PAUSE`] for each kind.
    fn warn(&self, kind: usize, message: &str) {
        let Some(warned) = self.warned.get(kind) else { return };
        let mut warned = warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() > WARNING_PAUSE) {
            *warned = Some(Instant::now());
            tracing::warn!(message);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().all.remove(&self.id);
        self.connections.release(&self.connection);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Barrier, thread};

    use super::*;

    #[tokio::test]
    async fn sorting_connections_is_safe_while_their_keys_change() {
        let connections = Arc::new(Connections::new(5000, 0, None));
        let mut all = Vec::new();
        for _ in 0..5000 {
            let connection = connections.connection();
            assert!(connection.enter(Phase::Serving));
            connections.spawn(connection.clone(), connections.permit().await, pending());
            all.push(connection);
        }
        thread::scope(|scope| {
            let closing = scope.spawn(|| (0..200).for_each(|_| connections.close_longest_idle()));
            while !closing.is_finished() {
                for connection in &all {
                    connections.wait_for_client(connection, Instant::now());
                }
            }
        });
        assert_eq!(connections.open().all.len(), 5000, "each is being served");
    }

    #[tokio::test]
    async fn of_two_answers_that_begin_to_wait_together_one_stays() {
        for _ in 0..200 {
            let connections = Arc::new(Connections::new(2, 1, None));
            let both = [connections.connection(), connections.connection()];
            for connection in &both {
                connections.spawn(connection.clone(), connections.permit().await, pending());
            }
            let barrier = Barrier::new(3);
            thread::scope(|scope| {
                // So that both wait for the lock.
                let open = connections.open();
                for connection in &both {
                    scope.spawn(|| (barrier.wait(), connections.hold(connection, 2, Instant::now())));
                }
                barrier.wait();
                (0..10).for_each(|_| thread::yield_now());
                drop(open);
            });
            let closed = both.map(|connection| connection.phase().0 == Phase::Closed);
            assert!(closed[0] != closed[1], "one of them stays");
        }
    }
}
