//! Logs an outage of the database: the first failure at once, then one line every 30 seconds.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Time between two lines about the same outage.
const INTERVAL: Duration = Duration::from_secs(30);

/// The current outage, if there is one.
#[derive(Debug, Default)]
pub struct Outage(Mutex<Option<Lasting>>);

#[derive(Debug)]
struct Lasting {
    since: Instant,
    reported: Instant,
}

impl Outage {
    /// Logs a failure, unless this outage was logged in the last 30 seconds.
    pub fn report(&self, error: &dyn std::fmt::Display) {
        let now = Instant::now();
        let mut outage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lasting = match &mut *outage {
            Some(lasting) if now < lasting.reported + INTERVAL => return,
            Some(lasting) => {
                lasting.reported = now;
                now - lasting.since
            }
            None => {
                *outage = Some(Lasting { since: now, reported: now });
                Duration::ZERO
            }
        };
        drop(outage);
        tracing::warn!(%error, seconds = lasting.as_secs(), "a connection to the database failed; retrying");
    }

    /// Logs the end of the outage, if there was one.
    pub fn over(&self) {
        let outage = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(outage) = outage {
            tracing::info!(seconds = outage.since.elapsed().as_secs(), "all connections to the database work again");
        }
    }
}
