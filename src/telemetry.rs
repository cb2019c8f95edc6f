//! Logs, on standard error. What they must never hold: tokens, secrets, the text of tasks.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Pretty,
    /// One JSON object a line, for machines.
    Json,
}

/// Starts logging what `filter` lets through (the syntax of `RUST_LOG`), panics included.
pub fn start(format: Format, filter: EnvFilter) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        Format::Pretty => log.with_target(false).init(),
        Format::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    // A panic's message may quote what it choked on: the place tells enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}
