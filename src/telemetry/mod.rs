//! Logs, on standard error. What they must never hold: tokens, secrets, the text of tasks.

mod json;
mod writer;

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::fd::AsFd,
};

use tracing_subscriber::EnvFilter;

pub use self::writer::Log;
use self::{json::Json, writer::Lines};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Pretty,
    /// One JSON object a line, for machines.
    Json,
}

/// Starts logging what `filter` lets through (the syntax of `RUST_LOG`), panics included. Logging ends with the [`Log`].
///
/// # Errors
///
/// Those of duplicating standard error and of starting a thread.
pub fn start(format: Format, filter: EnvFilter) -> io::Result<Log> {
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let ansi = stderr.is_terminal();
    let log = Log::start(stderr)?;
    // A line that cannot be written must not be reported where it could not be written.
    let lines = tracing_subscriber::fmt().log_internal_errors(false).with_writer(Lines::of(&log));
    let lines = lines.with_env_filter(filter).with_ansi(ansi);
    match format {
        Format::Pretty => lines.with_target(false).init(),
        Format::Json => lines.event_format(Json).init(),
    }
    // A panic's message may quote what it choked on: the place tells enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    Ok(log)
}
