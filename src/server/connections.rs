//! All open connections: which of them is closed where there is no room for one more, or for one more answer.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::{Instant, timeout},
};

/// Where all connections are busy, one may be idle again after this time.
const BUSY: Duration = Duration::from_millis(50);
/// At the limit one connection in so many is closed at a time, since to look for them takes a walk through all.
const SHARE: usize = 128;
/// Between two warnings of the same kind.
const WARNING_PAUSE: Duration = Duration::from_secs(30);

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// For the first byte of its first request.
    New,
    /// For the rest of the header of a request.
    Header,
    /// For the server.
    Serving,
    /// For its answer to be written.
    Answering,
    /// For the next request.
    Idle,
    /// For nothing: it is closed.
    Closed,
}

/// What is known of a connection. The phase and the number of times it has changed are one number, so that a deadline can
/// tell whether it still belongs to the phase.
#[derive(Debug)]
pub(super) struct Connection {
    phase: AtomicU32,
    /// Since when its client is waited for, in microseconds since the server started.
    since: AtomicU64,
    /// Bytes of an answer that its client has not taken.
    unsent: AtomicUsize,
    /// What the server has not read of a request's body.
    pub(super) rest: Mutex<Option<Incoming>>,
}

impl Connection {
    const PHASE: u32 = 7;

    fn new(now: u64) -> Self {
        Self {
            phase: AtomicU32::new(Phase::New as u32),
            since: AtomicU64::new(now),
            unsent: AtomicUsize::new(0),
            rest: Mutex::new(None),
        }
    }

    /// The phase, and a number that no other phase of this connection has.
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

    /// Enters a phase, unless the connection has been closed meanwhile.
    pub(super) fn enter(&self, phase: Phase) -> bool {
        let next = |number: u32| {
            let closed = number & Self::PHASE == Phase::Closed as u32;
            (!closed).then_some((number & !Self::PHASE).wrapping_add(Self::PHASE + 1) | phase as u32)
        };
        self.phase.fetch_update(Relaxed, Relaxed, next).is_ok()
    }

    /// Closes the connection where its client is waited for and no answer is on its way.
    fn close_idle(&self) -> bool {
        let (phase, number) = self.phase();
        let closed = (number & !Self::PHASE) | Phase::Closed as u32;
        matches!(phase, Phase::New | Phase::Header | Phase::Idle)
            && self.unsent.load(Relaxed) == 0
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
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    all: HashMap<u64, (Arc<Connection>, AbortHandle)>,
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    connection: Arc<Connection>,
    connections: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(limit: usize, unsent_limit: usize) -> Self {
        Self {
            started: Instant::now(),
            limit,
            places: Arc::new(Semaphore::new(limit)),
            open: Mutex::default(),
            unsent: AtomicUsize::new(0),
            unsent_limit,
            warned: Default::default(),
        }
    }

    /// A place for one more connection. Where there is none, those that are idle the longest are closed.
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

    /// What is known of a new connection.
    pub(super) fn connection(&self) -> Arc<Connection> {
        Arc::new(Connection::new(self.now(Instant::now())))
    }

    /// Has `work` done on a task of its own, with a place that ends with it.
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        permit: OwnedSemaphorePermit,
        work: F,
    ) {
        // The task gives its place back under the same lock, so not before it has it.
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

    /// Notes that the client of a connection is waited for from now on.
    pub(super) fn wait_for_client(&self, connection: &Connection, now: Instant) {
        connection.since.store(self.now(now), Relaxed);
    }

    /// Notes that the client of a connection does not take an answer of this size at once. Where all such answers are too
    /// many, those that wait the longest are given up.
    pub(super) fn hold(&self, connection: &Connection, size: usize, now: Instant) {
        self.wait_for_client(connection, now);
        // The total first: it must never be less than its parts.
        let unsent = self.unsent.fetch_add(size, Relaxed) + size;
        connection.unsent.store(size, Relaxed);
        if unsent > self.unsent_limit {
            self.give_up_answers(connection);
        }
    }

    /// Notes that the answer of a connection is sent or given up; returns whether any of it was waiting.
    pub(super) fn release(&self, connection: &Connection) -> bool {
        let unsent = connection.unsent.swap(0, Relaxed);
        self.unsent.fetch_sub(unsent, Relaxed);
        unsent > 0
    }

    /// Closes the connections that have been idle the longest.
    pub(super) fn close_longest_idle(&self) {
        let open = self.open();
        let mut idle: Vec<_> = open.all.values().collect();
        // Each key is read once: it may change meanwhile, and a sort panics over an order that contradicts itself.
        idle.sort_by_cached_key(|(connection, _)| connection.since.load(Relaxed));
        let idle = idle.into_iter().filter(|(connection, _)| connection.close_idle());
        let closed = idle.take(self.limit.div_ceil(SHARE)).map(|(_, task)| task.abort()).count();
        drop(open);
        if closed > 0 {
            self.warn(0, "there is no room for more connections: closing those that have been idle the longest");
        }
    }

    /// Gives up the answers that have waited the longest, except the newest, until the rest are within the limit.
    fn give_up_answers(&self, newest: &Connection) {
        let open = self.open();
        let waits = |(connection, _): &&(Arc<Connection>, AbortHandle)| {
            connection.unsent.load(Relaxed) > 0 && !std::ptr::eq(&raw const **connection, newest)
        };
        let mut waiting: Vec<_> = open.all.values().filter(waits).collect();
        waiting.sort_by_cached_key(|(connection, _)| connection.since.load(Relaxed));
        let mut given_up = false;
        for (connection, task) in waiting {
            if self.unsent.load(Relaxed) <= self.unsent_limit {
                break;
            }
            // One that has been sent meanwhile is left alone.
            if self.release(connection) {
                connection.enter(Phase::Closed);
                task.abort();
                given_up = true;
            }
        }
        drop(open);
        if given_up {
            self.warn(1, "clients read too slowly: giving up the answers that have waited the longest");
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self, now: Instant) -> u64 {
        now.duration_since(self.started).as_micros().try_into().unwrap_or(u64::MAX)
    }

    /// Notes that a connection could not be accepted. Where there are too many open files, idle ones make room.
    pub(super) fn not_accepted(&self, error: &io::Error) {
        self.warn(2, &format!("a connection cannot be accepted: {error}"));
        self.close_longest_idle();
    }

    /// Warns, but not again and again.
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
    use std::{future::pending, thread};

    use super::*;

    #[tokio::test]
    async fn connections_are_put_in_order_while_their_clients_come_and_go() {
        let connections = Arc::new(Connections::new(5000, 0));
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
}
