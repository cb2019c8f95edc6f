//! The log, on standard error, the metrics, and the traces. None of them must ever contain tokens, secrets or the text of tasks.

mod json;
pub mod metrics;
pub mod traces;
mod writer;

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::fd::AsFd,
};

use tracing_subscriber::EnvFilter;

use self::{json::Json, writer::Lines};
pub use self::{metrics::metrics, writer::Log};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Pretty,
    /// One JSON object per line, for programs.
    Json,
}

/// Starts the log with this filter (the syntax of `RUST_LOG`), and logs panics. Logging ends when the [`Log`] is
/// dropped.
///
/// # Errors
///
/// If standard error cannot be duplicated, or no thread started.
pub fn start(format: Format, filter: EnvFilter) -> io::Result<Log> {
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let ansi = stderr.is_terminal();
    let log = Log::start(stderr)?;
    // tracing would report a line that cannot be written on standard error, which is the log.
    let lines = tracing_subscriber::fmt().log_internal_errors(false).with_writer(Lines::of(&log));
    let lines = lines.with_env_filter(filter).with_ansi(ansi);
    match format {
        Format::Pretty => lines.with_target(false).init(),
        Format::Json => lines.event_format(Json).init(),
    }
    // Only the place of the panic: its message may quote data.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    Ok(log)
}
