//! Turns: so that whoever makes many changes does not take the connections that the others need.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bound to the changes in the database that have something in common, such as their tenant or their row. Further ones
/// wait, first come first served.
pub(super) struct Turns<K> {
    bound: usize,
    /// What the changes that are in the database or waiting have in common.
    queues: Mutex<HashMap<K, Queue>>,
}

struct Queue {
    turns: Arc<Semaphore>,
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

    /// Waits until one more change of this key may be made.
    pub(super) async fn turn(self: &Arc<Self>, key: K) -> Turn<K> {
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

/// A change that waits for its turn or has it, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn<K: Eq + Hash> {
    all: Arc<Turns<K>>,
    key: K,
    permit: Option<OwnedSemaphorePermit>,
}

impl<K: Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut queues = self.all.lock();
        if let Some(queue) = queues.get_mut(&self.key) {
            queue.changes -= 1;
            if queue.changes == 0 {
                queues.remove(&self.key);
            }
        }
    }
}
