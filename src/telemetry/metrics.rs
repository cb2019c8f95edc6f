//! The metrics: their names, labels and buckets. They are off until [`start`].
//!
//! Names and labels are those of OpenTelemetry's semantic conventions, as Prometheus writes them, where these have one.
//! The others begin with `todo_api_`. Every label has few values, which no client can choose, and none names a user.
//!
//! Whoever sees an event counts it, at the cost of some atomic additions. A figure that can be read at any time (a
//! size, a number of connections) costs nothing until Prometheus asks for it: see [`Metrics::at_scrape`].

use std::{
    fmt,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use prometheus::{
    HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, Result, TextEncoder,
    process_collector::ProcessCollector, register_histogram_vec_with_registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_vec_with_registry, register_int_gauge_with_registry,
};

/// Seconds. A read takes some 50 µs, a commit the time of an fsync, and a statement is given up after 1.2 s.
const SECONDS: [f64; 16] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Changes in a group, up to the largest one.
const GROUPS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// The methods of HTTP. A client may invent others, and they share one label.
const METHODS: [&str; 9] = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"];
const OTHER_METHOD: &str = "_OTHER";
/// The route of requests to other paths than ours.
const NO_ROUTE: &str = "-";
/// Without labels, but in a vector: such a metric appears with its first value, and so not on another database.
const NO_LABELS: [&str; 0] = [];
const SUCCESS: &str = "success";
const FAILURE: &str = "failure";

static METRICS: OnceLock<Metrics> = OnceLock::new();

/// Sets figures when Prometheus asks for them.
type Source = Box<dyn Fn(&Metrics) + Send + Sync>;

/// The metrics of this process.
pub struct Metrics {
    registry: Registry,
    sources: Mutex<Vec<Source>>,
    requests: HistogramVec,
    requests_in_flight: IntGauge,
    connections: IntGaugeVec,
    connections_max: IntGauge,
    unsent: IntGauge,
    refusals: IntCounterVec,
    closed: IntCounterVec,
    statements: HistogramVec,
    database_connections: IntGaugeVec,
    database_connections_max: IntGaugeVec,
    commits: HistogramVec,
    groups: HistogramVec,
    waiting_changes: IntGaugeVec,
    waiting_changes_max: IntGaugeVec,
    files: IntGaugeVec,
    fetches: HistogramVec,
    last_fetch: IntGaugeVec,
    lost_lines: IntCounter,
    log_queue: IntGauge,
}

/// Why the server closed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It never sent a byte.
    FirstByteTimeout,
    /// Its header took too long.
    HeaderTimeout,
    /// Its next request did not come.
    KeepAliveTimeout,
    /// It took its answer too slowly.
    WriteTimeout,
    /// There was no room for another connection.
    ConnectionLimit,
    /// All unsent answers together were over their limit.
    WriteLimit,
    /// It sent something that is not HTTP.
    Malformed,
    /// It could not even be accepted.
    NotAccepted,
}

impl Closed {
    const ALL: [Self; 8] = [
        Self::FirstByteTimeout,
        Self::HeaderTimeout,
        Self::KeepAliveTimeout,
        Self::WriteTimeout,
        Self::ConnectionLimit,
        Self::WriteLimit,
        Self::Malformed,
        Self::NotAccepted,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::HeaderTimeout => "header_timeout",
            Self::KeepAliveTimeout => "keep_alive_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::ConnectionLimit => "connection_limit",
            Self::WriteLimit => "write_limit",
            Self::Malformed => "malformed",
            Self::NotAccepted => "not_accepted",
        }
    }
}

/// Starts the metrics.
///
/// # Errors
///
/// If a metric is not well defined, which is a defect of the program.
pub fn start() -> Result<&'static Metrics> {
    let metrics = Metrics::new()?;
    Ok(METRICS.get_or_init(|| metrics))
}

/// The metrics, if they are on.
#[must_use]
pub fn metrics() -> Option<&'static Metrics> {
    METRICS.get()
}

impl Metrics {
    fn new() -> Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = register_int_gauge_vec_with_registry!(
            "todo_api_build_info",
            "Always 1, with the version of the server.",
            &["version"],
            registry
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            sources: Mutex::default(),
            requests: register_histogram_vec_with_registry!(
                "http_server_request_duration_seconds",
                "Time from the headers of a request to its answer, before that is sent.",
                &["http_request_method", "http_route", "http_response_status_code"],
                SECONDS.to_vec(),
                registry
            )?,
            requests_in_flight: register_int_gauge_with_registry!(
                "http_server_active_requests",
                "Requests in flight, including answers that are being sent.",
                registry
            )?,
            connections: register_int_gauge_vec_with_registry!(
                "http_server_open_connections",
                "Open connections of clients: active with a request in flight, or idle.",
                &["http_connection_state"],
                registry
            )?,
            connections_max: register_int_gauge_with_registry!(
                "todo_api_connections_max",
                "Maximum number of open connections of clients.",
                registry
            )?,
            unsent: register_int_gauge_with_registry!(
                "todo_api_unsent_bytes",
                "Bytes of answers that clients do not take at once.",
                registry
            )?,
            refusals: register_int_counter_vec_with_registry!(
                "todo_api_refusals_total",
                "Requests that got an error, by its code.",
                &["reason"],
                registry
            )?,
            closed: register_int_counter_vec_with_registry!(
                "todo_api_closed_connections_total",
                "Connections that the server closed or did not accept, by reason.",
                &["reason"],
                registry
            )?,
            statements: register_histogram_vec_with_registry!(
                "db_client_operation_duration_seconds",
                "Time of a statement, with its waits for a turn, a connection or the writer, and its retries.",
                &["db_system_name", "db_operation_name", "error_type"],
                SECONDS.to_vec(),
                registry
            )?,
            // OpenTelemetry's `db.client.connection.count` would end like a part of a histogram, and promtool rejects that.
            database_connections: register_int_gauge_vec_with_registry!(
                "db_client_connections",
                "Connections to PostgreSQL by lane, and by state: idle, used, or aside with a change without a response.",
                &["db_client_connection_pool_name", "db_client_connection_state"],
                registry
            )?,
            database_connections_max: register_int_gauge_vec_with_registry!(
                "db_client_connection_max",
                "Connections to PostgreSQL that a lane should have.",
                &["db_client_connection_pool_name"],
                registry
            )?,
            commits: register_histogram_vec_with_registry!(
                "todo_api_sqlite_commit_duration_seconds",
                "Time of a group of changes, from its begin to the end of its commit.",
                &NO_LABELS,
                SECONDS.to_vec(),
                registry
            )?,
            groups: register_histogram_vec_with_registry!(
                "todo_api_sqlite_commit_changes",
                "Changes that share a commit.",
                &NO_LABELS,
                GROUPS.to_vec(),
                registry
            )?,
            waiting_changes: register_int_gauge_vec_with_registry!(
                "todo_api_sqlite_waiting_changes",
                "Changes in the queue of SQLite's writer.",
                &NO_LABELS,
                registry
            )?,
            waiting_changes_max: register_int_gauge_vec_with_registry!(
                "todo_api_sqlite_waiting_changes_max",
                "Places in the queue of SQLite's writer.",
                &NO_LABELS,
                registry
            )?,
            files: register_int_gauge_vec_with_registry!(
                "todo_api_sqlite_file_bytes",
                "Sizes of SQLite's files: the database, and its write-ahead log.",
                &["file"],
                registry
            )?,
            fetches: register_histogram_vec_with_registry!(
                "todo_api_jwks_fetch_duration_seconds",
                "Time to fetch the keys of the auth server, by outcome.",
                &["outcome"],
                SECONDS.to_vec(),
                registry
            )?,
            last_fetch: register_int_gauge_vec_with_registry!(
                "todo_api_jwks_last_success_timestamp_seconds",
                "Time of the last successful fetch of the keys; before it, of the start.",
                &NO_LABELS,
                registry
            )?,
            lost_lines: register_int_counter_with_registry!(
                "todo_api_log_lost_lines_total",
                "Log lines that had no room or could not be written.",
                registry
            )?,
            log_queue: register_int_gauge_with_registry!(
                "todo_api_log_queue_bytes",
                "Bytes of log lines that wait to be written.",
                registry
            )?,
            registry,
        };
        // A counter that begins with its first event would hide that event from `rate`.
        for closed in Closed::ALL {
            metrics.closed(closed, 0);
        }
        Ok(metrics)
    }

    /// All metrics, as Prometheus reads them.
    ///
    /// # Errors
    ///
    /// None for metrics that are well defined.
    pub fn text(&self) -> Result<String> {
        for source in &*self.sources() {
            source(self);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Calls `source` whenever Prometheus asks, to set the figures that can be read at any time.
    pub fn at_scrape(&self, source: impl Fn(&Self) + Send + Sync + 'static) {
        self.sources().push(Box::new(source));
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answered request. `route` is a pattern of the router.
    pub fn request(&self, method: &str, route: Option<&str>, status: &str, duration: Duration) {
        let method = if METHODS.contains(&method) { method } else { OTHER_METHOD };
        let labels = [method, route.unwrap_or(NO_ROUTE), status];
        self.requests.with_label_values(&labels).observe(duration.as_secs_f64());
    }

    /// Counts `count` requests that got the error with this code. With 0, the counter begins.
    pub fn refusals(&self, code: &str, count: usize) {
        self.refusals.with_label_values(&[code]).inc_by(whole(count));
    }

    /// Counts `count` connections that the server closed.
    pub fn closed(&self, reason: Closed, count: usize) {
        self.closed.with_label_values(&[reason.name()]).inc_by(whole(count));
    }

    /// Sets the numbers of open connections of clients, of their maximum, and of the bytes they have not taken yet.
    pub fn connections(&self, active: usize, idle: usize, max: usize, unsent: usize) {
        self.requests_in_flight.set(number(active));
        self.connections.with_label_values(&["active"]).set(number(active));
        self.connections.with_label_values(&["idle"]).set(number(idle));
        self.connections_max.set(number(max));
        self.unsent.set(number(unsent));
    }

    /// Counts a statement. `error` is the kind of its error, or empty.
    pub fn statement(&self, system: &str, operation: &str, error: &str, duration: Duration) {
        self.statements.with_label_values(&[system, operation, error]).observe(duration.as_secs_f64());
    }

    /// Sets the number of connections of a lane in a state.
    pub fn database_connections(&self, lane: &str, state: &str, count: usize) {
        self.database_connections.with_label_values(&[lane, state]).set(number(count));
    }

    /// Sets the number of connections that a lane should have.
    pub fn database_connections_max(&self, lane: &str, max: usize) {
        self.database_connections_max.with_label_values(&[lane]).set(number(max));
    }

    /// Counts a group of changes that SQLite has committed, or tried to.
    pub fn commit(&self, changes: usize, duration: Duration) {
        self.groups.with_label_values(&NO_LABELS).observe(f64::from(u32::try_from(changes).unwrap_or(u32::MAX)));
        self.commits.with_label_values(&NO_LABELS).observe(duration.as_secs_f64());
    }

    /// Sets the number of changes that wait for SQLite, of the places for them, and the bytes of its files.
    pub fn sqlite(&self, waiting: usize, places: usize, database: u64, log: u64) {
        self.waiting_changes.with_label_values(&NO_LABELS).set(number(waiting));
        self.waiting_changes_max.with_label_values(&NO_LABELS).set(number(places));
        self.files.with_label_values(&["database"]).set(number(database));
        self.files.with_label_values(&["wal"]).set(number(log));
    }

    /// Counts a fetch of the auth server's keys.
    pub fn fetch(&self, succeeded: bool, duration: Duration) {
        let outcome = if succeeded { SUCCESS } else { FAILURE };
        self.fetches.with_label_values(&[outcome]).observe(duration.as_secs_f64());
        if succeeded {
            self.last_fetch.with_label_values(&NO_LABELS).set(now());
        }
    }

    /// The server fetches keys from now on.
    pub fn begin_fetches(&self) {
        for outcome in [SUCCESS, FAILURE] {
            self.fetches.with_label_values(&[outcome]);
        }
        self.last_fetch.with_label_values(&NO_LABELS).set(now());
    }

    /// Counts log lines that were lost.
    pub(super) fn lost_lines(&self, count: usize) {
        self.lost_lines.inc_by(whole(count));
    }

    /// Sets the bytes of log lines that wait.
    pub(super) fn log_queue(&self, bytes: usize) {
        self.log_queue.set(number(bytes));
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn whole(count: usize) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}

fn number(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| number(time.as_secs()))
}
