//! All metrics: names, labels, help texts and buckets.
//!
//! Names and labels are those of OpenTelemetry's semantic conventions, as Prometheus writes them, where these have one.
//! The others begin with `todo_api_`. Every label has few values, which no client can choose, and none names a user.

use prometheus::{
    HistogramVec, IntCounterVec, IntGaugeVec, Registry, Result, register_histogram_vec_with_registry,
    register_int_counter_vec_with_registry, register_int_gauge_vec_with_registry,
};

/// Seconds. A read takes some 50 µs, a commit the time of an fsync, and a statement is given up after 1.2 s.
const SECONDS: [f64; 16] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Changes in a group, up to the largest one.
const CHANGES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

pub(super) const REQUESTS: Metric = Metric::new(
    "http_server_request_duration_seconds",
    &["http_request_method", "http_route", "http_response_status_code"],
    "Time from the headers of a request to its answer, before that is sent.",
)
.buckets(&SECONDS);
pub(super) const REQUESTS_IN_FLIGHT: Metric =
    Metric::new("http_server_active_requests", &[], "Requests in flight, including answers that are being sent.");
pub(super) const CONNECTIONS: Metric = Metric::new(
    "http_server_open_connections",
    &["http_connection_state"],
    "Open connections of clients: active with a request in flight, or idle.",
);
pub(super) const CONNECTIONS_MAX: Metric =
    Metric::new("todo_api_connections_max", &[], "Maximum number of open connections of clients.");
pub(super) const UNSENT: Metric =
    Metric::new("todo_api_unsent_bytes", &[], "Bytes of answers that clients do not take at once.");
pub(super) const REFUSALS: Metric =
    Metric::new("todo_api_refusals_total", &["reason"], "Requests that got an error, by its code.");
pub(super) const CLOSED: Metric = Metric::new(
    "todo_api_closed_connections_total",
    &["reason"],
    "Connections that the server closed or did not accept, by reason.",
);

pub(super) const STATEMENTS: Metric = Metric::new(
    "db_client_operation_duration_seconds",
    &["db_system_name", "db_operation_name", "error_type"],
    "Time of a statement, with its waits for a turn, a connection or the writer, and its retries.",
)
.buckets(&SECONDS);
// OpenTelemetry's `db.client.connection.count` would end like a part of a histogram, and promtool rejects that.
pub(super) const DATABASE_CONNECTIONS: Metric = Metric::new(
    "db_client_connections",
    &["db_client_connection_pool_name", "db_client_connection_state"],
    "Connections to PostgreSQL by lane, and by state: idle, used, or aside with a change without a response.",
);
pub(super) const DATABASE_CONNECTIONS_MAX: Metric = Metric::new(
    "db_client_connection_max",
    &["db_client_connection_pool_name"],
    "Connections to PostgreSQL that a lane should have.",
);

pub(super) const COMMITS: Metric = Metric::new(
    "todo_api_sqlite_commit_duration_seconds",
    &[],
    "Time of a group of changes, from its begin to the end of its commit.",
)
.buckets(&SECONDS);
pub(super) const GROUPS: Metric =
    Metric::new("todo_api_sqlite_commit_changes", &[], "Changes that share a commit.").buckets(&CHANGES);
pub(super) const WAITING_CHANGES: Metric =
    Metric::new("todo_api_sqlite_waiting_changes", &[], "Changes in the queue of SQLite's writer.");
pub(super) const WAITING_CHANGES_MAX: Metric =
    Metric::new("todo_api_sqlite_waiting_changes_max", &[], "Places in the queue of SQLite's writer.");
pub(super) const FILES: Metric = Metric::new(
    "todo_api_sqlite_file_bytes",
    &["file"],
    "Sizes of SQLite's files: the database, and its write-ahead log.",
);

pub(super) const FETCHES: Metric = Metric::new(
    "todo_api_jwks_fetch_duration_seconds",
    &["outcome"],
    "Time to fetch the keys of the auth server, by outcome.",
)
.buckets(&SECONDS);
pub(super) const LAST_FETCH: Metric = Metric::new(
    "todo_api_jwks_last_success_timestamp_seconds",
    &[],
    "Time of the last successful fetch of the keys; before it, of the start.",
);

pub(super) const LOST_LINES: Metric =
    Metric::new("todo_api_log_lost_lines_total", &[], "Log lines that had no room or could not be written.");
pub(super) const LOG_QUEUE: Metric =
    Metric::new("todo_api_log_queue_bytes", &[], "Bytes of log lines that wait to be written.");

pub(super) const LOST_SPANS: Metric = Metric::new(
    "todo_api_lost_spans_total",
    &[],
    "Spans of traces that had no room, or that the collector did not take.",
);

pub(super) const BUILD: Metric =
    Metric::new("todo_api_build_info", &["version"], "Always 1, with the version of the server.");

/// What there is to say about a metric. All are vectors, also those without labels: such a metric appears with its first
/// value, so a server on PostgreSQL has none of SQLite.
pub(super) struct Metric {
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    buckets: &'static [f64],
}

impl Metric {
    const fn new(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, labels, help, buckets: &[] }
    }

    const fn buckets(self, buckets: &'static [f64]) -> Self {
        Self { buckets, ..self }
    }

    pub(super) fn histogram(&self, registry: &Registry) -> Result<HistogramVec> {
        register_histogram_vec_with_registry!(self.name, self.help, self.labels, self.buckets.to_vec(), registry)
    }

    pub(super) fn counter(&self, registry: &Registry) -> Result<IntCounterVec> {
        register_int_counter_vec_with_registry!(self.name, self.help, self.labels, registry)
    }

    pub(super) fn gauge(&self, registry: &Registry) -> Result<IntGaugeVec> {
        register_int_gauge_vec_with_registry!(self.name, self.help, self.labels, registry)
    }
}
