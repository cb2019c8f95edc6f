//! Turns: limits on the changes of one row or one user, so that a busy row or user cannot take all connections.
//!
//! A change first waits for a turn of its row and then for a turn of its user, and only then for a connection. It keeps
//! both turns until the database has answered, also when its connection is set aside (except if the database is away,
//! see `Pool::lost`). Turns are given in order of arrival.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit on the changes with the same key (a row or a tenant) that may be in the database at a time. Further ones
/// wait, in order of arrival.
pub(super) struct Turns<K> {
    bound: usize,
    /// The keys of the changes that have a turn or wait for one. A queue is removed with its last change.
    queues: Mutex<HashMap<K, Queue>>,
}

struct Queue {
    turns: Arc<Semaphore>,
    /// Changes that have a turn or wait for one.
    changes: usize,
}

impl<K> fmt::Debug for Turns<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone> Turns<K> {
    pub(super) fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self { bound, queues: Mutex::default() })
    }

    /// Waits for a turn of this key.
    pub(super) async fn turn(self: &Arc<Self>, key: K) -> Turn<K> {
        // Counted before the wait, so that the queue stays, and uncounted by `Turn`'s drop, even if the caller goes
        // away.
        let (mut turn, turns) = self.enter(key);
        // The semaphore is never closed.
        turn.permit = turns.acquire_owned().await.ok();
        turn
    }

    fn enter(self: &Arc<Self>, key: K) -> (Turn<K>, Arc<Semaphore>) {
        let mut queues = self.lock();
        let new = || Queue { turns: Arc::new(Semaphore::new(self.bound)), changes: 0 };
        let queue = queues.entry(key.clone()).or_insert_with(new);
        queue.changes += 1;
        (Turn { all: self.clone(), key, permit: None }, queue.turns.clone())
    }
}

impl<K> Turns<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change that waits for its turn or has it. Dropping it gives the turn to the next one.
#[derive(Debug)]
pub(super) struct Turn<K: Eq + Hash + Clone> {
    all: Arc<Turns<K>>,
    key: K,
    permit: Option<OwnedSemaphorePermit>,
}

impl<K: Eq + Hash + Clone> Drop for Turn<K> {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut queues = self.all.lock();
        if let Entry::Occupied(mut queue) = queues.entry(self.key.clone()) {
            queue.get_mut().changes -= 1;
            if queue.get().changes == 0 {
                queue.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_key_has_a_limited_number_of_turns_in_order_of_arrival() {
        let turns = Turns::new(2);
        let (first, second) = (turns.turn(1).await, turns.turn(1).await);
        let (mut third, mut fourth) = (pin!(turns.turn(1)), pin!(turns.turn(1)));
        assert!(third.as_mut().now_or_never().is_none() && fourth.as_mut().now_or_never().is_none());
        drop(turns.turn(2).await);
        drop(first);
        assert!(fourth.as_mut().now_or_never().is_none());
        let third = third.await;
        drop(second);
        drop((third, fourth.await));
        assert!(turns.lock().is_empty(), "no queue outlives its changes");
    }

    #[tokio::test]
    async fn a_change_that_gives_up_loses_no_turn() {
        let turns = Turns::new(1);
        for has_got_it in [false, true] {
            let first = turns.turn(1).await;
            let mut gone = Box::pin(turns.turn(1));
            assert!(gone.as_mut().now_or_never().is_none());
            if has_got_it {
                drop(first);
                drop(gone);
            } else {
                drop(gone);
                drop(first);
            }
            drop(turns.turn(1).await);
            assert!(turns.lock().is_empty());
        }
    }

    #[tokio::test]
    async fn changes_that_gave_up_do_not_collect() {
        let turns = Turns::new(1);
        let _first = turns.turn(1).await;
        for _ in 0..100 {
            assert!(turns.turn(1).now_or_never().is_none());
        }
        assert_eq!(turns.lock()[&1].changes, 1);
    }
}
