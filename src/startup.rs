//! The start and the end of the server, common to `dev` and `serve`.

use std::{
    env,
    fmt::Display,
    fs,
    io::{self, Write},
    net::SocketAddr,
    num::NonZero,
    pin::pin,
    sync::Arc,
    task::Poll,
    thread,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use crate::{
    api,
    auth::{self, Verifier},
    config::{Auth, Database, Serve, Signer},
    db::{Db, DbError, Outage},
    http::{
        Stopping,
        app::{self, State},
        metrics, server,
    },
    tasks::{self, TasksApi},
    telemetry,
};

/// Open files that are not connections: the database, the listener, standard streams.
const OTHER_FILES: u64 = 256;
/// Pause between attempts to prepare an unavailable database, and the longest pause for a database that cannot be used.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_DATABASE_PAUSE: Duration = Duration::from_secs(5);
/// The server logs its address after this time, even if the first attempt still runs.
const GREETING_DELAY: Duration = Duration::from_millis(500);
const DEV_USER: &str = "demo";
const DEV_TOKEN_LIFETIME: Duration = Duration::from_hours(24);

/// The error that ends the program: the line to print, and the exit status.
#[derive(Debug)]
pub struct Failure(pub String, pub u8);

/// A mistake in the configuration.
pub fn misuse(error: impl Display) -> Failure {
    Failure(error.to_string(), 2)
}

/// A failure of something else.
pub fn failure(error: impl Display) -> Failure {
    Failure(error.to_string(), 1)
}

/// Prints the whole text to standard output.
///
/// # Errors
///
/// If it cannot be written.
pub fn print(text: impl Display) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    write!(output, "{text}").and_then(|()| output.flush()).map_err(unprinted)
}

/// The error of output that cannot be printed.
#[must_use]
pub fn unprinted(error: io::Error) -> Failure {
    failure(format!("standard output: {error}"))
}

/// Runs work on a new runtime.
///
/// # Errors
///
/// The errors of the work, and of starting the runtime.
pub fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(worker_threads()?).enable_all().build().map_err(failure)?;
    let outcome = runtime.block_on(work);
    // Does not wait for running name lookups and file locks.
    runtime.shutdown_background();
    outcome
}

/// The number of worker threads, as in tokio. But tokio would panic if its variable is blank or not a number.
fn worker_threads() -> Result<usize, Failure> {
    const VARIABLE: &str = "TOKIO_WORKER_THREADS";
    let value = env::var_os(VARIABLE).unwrap_or_default();
    let value = value.to_string_lossy();
    if value.trim().is_empty() {
        return Ok(thread::available_parallelism().map_or(1, NonZero::get));
    }
    let count = value.trim().parse().map(NonZero::<u16>::get).map(usize::from);
    count.map_err(|_| misuse(format!("{VARIABLE} is not a whole number from 1 to 65535; for example {VARIABLE}=2")))
}

/// A token for this user.
///
/// # Errors
///
/// If there is no secret to sign with.
pub fn token(signer: &Signer, user: &str, lifetime: Duration) -> Result<String, Failure> {
    let Signer { issuer, audience, .. } = signer;
    let secret = signer.secret().map_err(misuse)?;
    auth::sign(secret, user, lifetime, issuer.as_deref(), audience.as_deref()).map_err(failure)
}

/// The database, not connected yet.
///
/// # Errors
///
/// If it cannot be used.
pub fn open(database: &Database) -> Result<Db, Failure> {
    Db::open(&database.url, database.lanes).map_err(|error| unusable(database, error))
}

/// The error of a database that cannot be used: a mistake in its URL, or a failure of the database.
#[must_use]
pub fn unusable(database: &Database, error: DbError) -> Failure {
    match error {
        DbError::Unsuitable(text) => misuse(format!("{}: {text}", database.variable)),
        DbError::Refused(text) => failure(format!("refused: {}: {text}", database.variable)),
        error => failure(error),
    }
}

/// Serves until a signal arrives. `dev`: prints a token to try the API.
///
/// # Errors
///
/// If the server cannot start, or not end cleanly.
pub fn run(database: Database, auth: Auth, mut serve: Serve, warnings: &[String], dev: bool) -> Result<(), Failure> {
    if serve.metrics.is_some() {
        telemetry::metrics::start().map_err(failure)?;
    }
    let filter = std::mem::take(&mut serve.log_filter);
    // Dropped last, so that all lines are written.
    let _log = telemetry::start(serve.log_format, filter).map_err(failure)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    block_on(listen_and_serve(database, auth, serve, dev))
}

async fn listen_and_serve(database: Database, auth: Auth, serve: Serve, dev: bool) -> Result<(), Failure> {
    let limits = server::Limits { connections: possible_connections(serve.limits.connections), ..serve.limits };
    let db = open(&database)?;
    let stopping = Stopping::default();
    let dev = dev.then(|| token(&auth.signer, DEV_USER, DEV_TOKEN_LIFETIME)).transpose()?;
    let Auth { signer: Signer { secret, issuer, audience, .. }, published } = auth;
    let published = published.map(Arc::new);
    let state = State {
        db: db.clone(),
        verifier: Verifier::new(secret.as_ref(), published.clone(), issuer, audience),
        cors: serve.cors,
        stopping: stopping.clone(),
        limits: serve.body_limits,
        rates: serve.rate_limits,
    };
    let outline = api::outline(serve.body_limits.size);
    let app = app::build(state, TasksApi::new(db.clone()), outline).map_err(failure)?;
    let address = serve.address;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| misuse(format!("HOST and PORT: cannot listen on {address}: {error}")))?;
    let address = listener.local_addr().map_err(failure)?;
    if let Some(metrics) = serve.metrics {
        serve_metrics(metrics, &db).await?;
    }
    if let Some(traces) = serve.traces {
        let started = telemetry::traces::start(traces, Handle::current());
        started.map_err(|error| misuse(format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}")))?;
    }
    let stopped = stop_signal().map_err(failure)?;
    let stop = async move {
        stopped.await;
        tracing::info!("stopping");
        stopping.begin();
    };
    let keys = tokio::spawn(async move {
        if let Some(published) = published {
            published.keep_fresh().await;
        }
    });
    // The server answers from now on. Its greeting waits for the database, but at most `GREETING_DELAY`.
    let greeting = || {
        tracing::info!(%address, "listening");
        if let Some(token) = dev.clone() {
            // On another thread, because the reader of standard output may be slow.
            tokio::task::spawn_blocking(move || greet(address, &token));
        }
    };
    tokio::select! {
        failed = prepare(&database, &db, greeting) => return Err(failed),
        () = server::serve(listener, app, limits, telemetry::metrics(), stop) => {}
    }
    keys.abort();
    let closed = db.close();
    telemetry::traces::end();
    closed.map_err(failure)?;
    tracing::info!("stopped");
    Ok(())
}

/// Serves the metrics on their own listener, until the process ends.
async fn serve_metrics(address: SocketAddr, db: &Db) -> Result<(), Failure> {
    let Some(metrics) = telemetry::metrics() else { return Ok(()) };
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| misuse(format!("METRICS_ADDRESS: cannot listen on {address}: {error}")))?;
    let address = listener.local_addr().map_err(failure)?;
    let db = db.clone();
    metrics.at_scrape(move |metrics| db.report(metrics));
    tracing::info!(%address, "serving metrics");
    tokio::spawn(metrics::serve(listener, metrics));
    Ok(())
}

/// The wanted number of connections, or fewer if the limit of open files has no room for them.
fn possible_connections(wanted: usize) -> usize {
    let files = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let limit = rlimit::increase_nofile_limit(files).unwrap_or(files);
    if limit >= files {
        return wanted;
    }
    let connections = usize::try_from(limit.saturating_sub(OTHER_FILES).max(limit / 2).max(1)).unwrap_or(wanted);
    tracing::warn!(connections, "the limit of open files is too low for MAX_CONNECTIONS; raise it with ulimit -n");
    connections
}

/// Returns a future that waits for the first stop signal.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    // `nohup` starts a program with SIGHUP ignored.
    let hangup = (!is_ignored(SignalKind::hangup())).then(SignalKind::hangup);
    let others = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
        SignalKind::alarm(),
    ];
    let mut signals = others.into_iter().chain(hangup).map(signal).collect::<io::Result<Vec<_>>>()?;
    Ok(async move {
        std::future::poll_fn(|cx| {
            let stops = signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
            if stops { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    })
}

/// Whether the process was started with this signal ignored (proc(5), `SigIgn`).
fn is_ignored(signal: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (signal.as_raw_value() - 1) & 1 == 1
}

/// Applies migrations, connects, and then removes expired keys. Returns only if the first attempt shows that no retry
/// can help. After it, the server runs already, so it retries any error.
async fn prepare(database: &Database, db: &Db, greet: impl Fn()) -> Failure {
    let outage = Outage::default();
    let mut first = pin!(db.migrate_up());
    let early = timeout(GREETING_DELAY, &mut first).await.ok();
    if early.is_none() {
        greet();
    }
    let in_time = early.is_some();
    let mut attempt = match early {
        Some(attempt) => attempt,
        None => first.await,
    };
    if let Err(error @ (DbError::Refused(_) | DbError::Unsuitable(_) | DbError::Internal(_))) = attempt {
        return unusable(database, error);
    }
    if in_time {
        greet();
    }
    let mut pause = DATABASE_PAUSE;
    while let Err(error) = attempt.and_then(|_| db.connect()) {
        outage.report(&error);
        tokio::time::sleep(pause).await;
        // An outage may end at any moment, but somebody must correct a mistake.
        if !matches!(error, DbError::Unavailable(_)) {
            pause = (pause * 2).min(LONGEST_DATABASE_PAUSE);
        }
        attempt = db.migrate_up().await;
    }
    outage.over();
    while db.ping().await.is_err() {
        tokio::time::sleep(DATABASE_PAUSE).await;
    }
    tracing::info!("ready");
    tasks::remove_expired(db.clone()).await
}

/// Prints the next steps.
fn greet(address: SocketAddr, token: &str) {
    let printed = print(format_args!(
        "\n  Swagger UI   http://{address}/docs\n  Authorize with this token of the user {DEV_USER}, valid for 24 hours:\n\n{token}\n\n  \
         Or paste this:\n\ncurl http://{address}/api/tasks --json '{{\"title\": \"Buy milk\"}}' \\\n  -H 'Authorization: Bearer {token}'\n\n"
    ));
    if let Err(Failure(error, _)) = printed {
        tracing::warn!(error, "the greeting cannot be printed");
    }
}
