//! The metrics. They are off until [`start`].
//!
//! Whoever sees an event counts it, at the cost of some atomic additions. A figure that can be read at any time (a
//! size, a number of connections) costs nothing until Prometheus asks for it: see [`Metrics::at_scrape`].

mod definitions;

use std::{
    fmt,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use prometheus::{
    Histogram, HistogramVec, IntCounterVec, IntGaugeVec, Registry, Result, TextEncoder,
    process_collector::ProcessCollector,
};

/// The methods of HTTP. A client may invent others, and they share one label.
const METHODS: [&str; 9] = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"];
const OTHER_METHOD: &str = "_OTHER";
/// The route of requests to other paths than ours.
const NO_ROUTE: &str = "-";
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
    requests_in_flight: IntGaugeVec,
    connections: IntGaugeVec,
    connections_max: IntGaugeVec,
    unsent: IntGaugeVec,
    refusals: IntCounterVec,
    closed: IntCounterVec,
    statements: HistogramVec,
    /// Those of `statements` that succeed, because finding one among all costs as much as counting.
    successes: [OnceLock<Histogram>; 4],
    database_connections: IntGaugeVec,
    database_connections_max: IntGaugeVec,
    commits: HistogramVec,
    groups: HistogramVec,
    waiting_changes: IntGaugeVec,
    waiting_changes_max: IntGaugeVec,
    files: IntGaugeVec,
    fetches: HistogramVec,
    last_fetch: IntGaugeVec,
    lost_lines: IntCounterVec,
    log_queue: IntGaugeVec,
    lost_spans: IntCounterVec,
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

/// The kind of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A read.
    Select,
    /// New rows.
    Insert,
    /// A change of rows.
    Update,
    /// The end of rows.
    Delete,
}

impl Operation {
    /// Its name in SQL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
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

/// The method, or one name for all that HTTP does not define.
pub(super) fn known_method(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER_METHOD)
}

impl Metrics {
    fn new() -> Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = definitions::BUILD.gauge(&registry)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            sources: Mutex::default(),
            requests: definitions::REQUESTS.histogram(&registry)?,
            requests_in_flight: definitions::REQUESTS_IN_FLIGHT.gauge(&registry)?,
            connections: definitions::CONNECTIONS.gauge(&registry)?,
            connections_max: definitions::CONNECTIONS_MAX.gauge(&registry)?,
            unsent: definitions::UNSENT.gauge(&registry)?,
            refusals: definitions::REFUSALS.counter(&registry)?,
            closed: definitions::CLOSED.counter(&registry)?,
            statements: definitions::STATEMENTS.histogram(&registry)?,
            successes: Default::default(),
            database_connections: definitions::DATABASE_CONNECTIONS.gauge(&registry)?,
            database_connections_max: definitions::DATABASE_CONNECTIONS_MAX.gauge(&registry)?,
            commits: definitions::COMMITS.histogram(&registry)?,
            groups: definitions::GROUPS.histogram(&registry)?,
            waiting_changes: definitions::WAITING_CHANGES.gauge(&registry)?,
            waiting_changes_max: definitions::WAITING_CHANGES_MAX.gauge(&registry)?,
            files: definitions::FILES.gauge(&registry)?,
            fetches: definitions::FETCHES.histogram(&registry)?,
            last_fetch: definitions::LAST_FETCH.gauge(&registry)?,
            lost_lines: definitions::LOST_LINES.counter(&registry)?,
            log_queue: definitions::LOG_QUEUE.gauge(&registry)?,
            lost_spans: definitions::LOST_SPANS.counter(&registry)?,
            registry,
        };
        // A counter that begins with its first event would hide that event from `rate`.
        for closed in Closed::ALL {
            metrics.closed(closed, 0);
        }
        metrics.lost_lines(0);
        metrics.lost_spans(0);
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

    /// Counts an answered request. `route` is the template of its path.
    pub fn request(&self, method: &str, route: Option<&str>, status: &str, duration: Duration) {
        let labels = [known_method(method), route.unwrap_or(NO_ROUTE), status];
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
        self.requests_in_flight.with_label_values(&NO_LABELS).set(number(active));
        self.connections.with_label_values(&["active"]).set(number(active));
        self.connections.with_label_values(&["idle"]).set(number(idle));
        self.connections_max.with_label_values(&NO_LABELS).set(number(max));
        self.unsent.with_label_values(&NO_LABELS).set(number(unsent));
    }

    /// Counts a statement of this process's database, which is always the same `system`. `error` is the kind of its
    /// error.
    pub fn statement(&self, system: &str, operation: Operation, error: Option<&str>, duration: Duration) {
        let series = || self.statements.with_label_values(&[system, operation.name(), error.unwrap_or_default()]);
        match self.successes.get(operation as usize) {
            Some(success) if error.is_none() => success.get_or_init(series).observe(duration.as_secs_f64()),
            _ => series().observe(duration.as_secs_f64()),
        }
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
        self.lost_lines.with_label_values(&NO_LABELS).inc_by(whole(count));
    }

    /// Counts spans that were lost.
    pub(super) fn lost_spans(&self, count: usize) {
        self.lost_spans.with_label_values(&NO_LABELS).inc_by(whole(count));
    }

    /// Sets the bytes of log lines that wait.
    pub(super) fn log_queue(&self, bytes: usize) {
        self.log_queue.with_label_values(&NO_LABELS).set(number(bytes));
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
