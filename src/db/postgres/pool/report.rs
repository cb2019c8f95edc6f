//! The figures of the pool for the metrics.

use std::sync::PoisonError;

use super::Pool;
use crate::telemetry::metrics::Metrics;

const READS: &str = "read";
const WRITES: &str = "write";

impl Pool {
    /// Sets the numbers of connections by lane and state.
    pub(in crate::db::postgres) fn report(&self, metrics: &Metrics) {
        let reads = self.reads.read().unwrap_or_else(PoisonError::into_inner);
        let all = reads.len();
        let used = reads.iter().filter(|connection| connection.in_flight() > 0).count();
        drop(reads);
        metrics.database_connections(READS, "used", used);
        metrics.database_connections(READS, "idle", all - used);
        metrics.database_connections_max(READS, self.lanes.reads);

        let writes = self.writes();
        let (all, idle) = (writes.live, writes.idle.len());
        drop(writes);
        metrics.database_connections(WRITES, "used", all.saturating_sub(idle));
        metrics.database_connections(WRITES, "idle", idle);
        metrics.database_connections(WRITES, "aside", self.lanes.writes - self.aside.available_permits());
        metrics.database_connections_max(WRITES, self.lanes.writes);
    }
}
