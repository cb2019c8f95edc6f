//! The keys in flight: their first request has no answer yet.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::IdempotencyKey;

/// The keys in flight in this process.
#[derive(Debug, Default)]
pub(in crate::tasks) struct InFlight(Mutex<HashSet<(String, String)>>);

/// A key in flight. Dropping it ends the flight.
#[derive(Debug)]
pub(in crate::tasks) struct Flight<'a> {
    all: &'a InFlight,
    key: (String, String),
}

impl InFlight {
    /// Puts the user's key in flight; `None` if it is already.
    pub(in crate::tasks) fn begin(&self, user: &str, key: &IdempotencyKey) -> Option<Flight<'_>> {
        let key = (user.to_owned(), key.0.clone());
        let free = self.lock().insert(key.clone());
        free.then(|| Flight { all: self, key })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_flight_once_until_its_flight_ends() {
        let flights = InFlight::default();
        let key = IdempotencyKey("1".to_owned());
        let first = flights.begin("alice", &key);
        assert!(first.is_some());
        assert!(flights.begin("alice", &key).is_none());
        assert!(flights.begin("bob", &key).is_some());
        drop(first);
        assert!(flights.begin("alice", &key).is_some());
    }
}
