//! The meaning of PostgreSQL's errors for a statement, by SQLSTATE (appendix A of PostgreSQL's manual) and by the time
//! of the error.

use std::{error::Error as _, io};

use tokio_postgres::{
    Error,
    error::{DbError as Report, Severity},
};

use crate::db::DbError;

/// Why a statement has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The error for the caller.
    Final(DbError),
    /// Nothing was done, and the same statement may succeed the next time: a conflict with another transaction, or a
    /// connection that was lost before the statement was sent.
    Again(String),
    /// Nothing was done: the server accepts no changes on this connection.
    ReadOnly(String),
    /// Nothing was done: the server has forgotten the prepared statement, or the schema has changed under it.
    Stale(String),
    /// Nothing was done: the statement was cancelled.
    Cancelled(String),
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Final(error)
    }
}

impl Failure {
    /// The error for the caller if there is no time for a retry.
    pub(super) fn end(self) -> DbError {
        match self {
            Self::Final(error) => error,
            Self::Again(text) | Self::ReadOnly(text) | Self::Stale(text) | Self::Cancelled(text) => {
                DbError::Unavailable(text)
            }
        }
    }
}

/// The meaning of a SQLSTATE for a statement that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Unique,
    ForeignKey,
    /// Rolled back, for a reason that may be temporary.
    Undone,
    Again,
    ReadOnly,
    Stale,
    Cancelled,
    /// Perhaps committed.
    Unknown,
    /// A defect of this program or of the schema.
    Defect,
}

/// Codes and classes of errors with the severity ERROR. Such an error ends the statement's transaction and leaves the
/// connection usable. The longest match counts. All other codes are a [`Meaning::Defect`].
const ON_STATEMENT: &[(&str, Meaning)] = &[
    // The connection, or a pooler's connection to the server, broke: perhaps in the middle of the commit.
    ("08", Meaning::Unknown),
    ("23503", Meaning::ForeignKey),
    ("23505", Meaning::Unique),
    ("25006", Meaning::ReadOnly),
    ("26000", Meaning::Stale),
    ("40", Meaning::Undone),
    ("40001", Meaning::Again),
    ("40003", Meaning::Unknown),
    ("40P01", Meaning::Again),
    // Out of disk, memory or connections.
    ("53", Meaning::Undone),
    ("55", Meaning::Undone),
    // The server is about to end, or has crashed.
    ("57", Meaning::Unknown),
    ("57014", Meaning::Cancelled),
    // A pooler reports this if it cannot connect to the server: it has not sent the statement.
    ("57P03", Meaning::Undone),
    // An error of the operating system, such as a disk error.
    ("58", Meaning::Undone),
];

/// The errors of a connection attempt that no retry can fix. All others may be temporary.
const ON_CONNECT: &[&str] = &[
    "0A000", // The server lacks a feature that this program needs.
    "22023", // The server rejects the value of a parameter of `options`.
    "28",    // Wrong user, password or certificate.
    "3D000", // No such database.
    "42",    // The role may not connect, or a parameter of `options` is unknown.
];

/// PgBouncer reports nearly all errors as 08P01. Only this one is permanent.
const UNSUPPORTED_PARAMETER: &str = "unsupported startup parameter";

/// The error of a failed connection attempt: the server is unavailable, or rejects it.
pub(super) fn on_connect(error: &Error) -> DbError {
    let text = text(error);
    let lasting = match error.as_db_error() {
        Some(report) => {
            let code = report.code().code();
            ON_CONNECT.iter().any(|prefix| code.starts_with(prefix))
                || report.message().starts_with(UNSUPPORTED_PARAMETER)
        }
        None => is_tls(error) || !is_lost(error),
    };
    if lasting { DbError::Refused(text) } else { DbError::Unavailable(text) }
}

/// The failure of a statement that was sent.
pub(super) fn on_statement(error: &Error) -> Failure {
    let text = text(error);
    let Some(report) = error.as_db_error() else {
        return if is_lost(error) { DbError::Unknown(text) } else { DbError::Internal(text) }.into();
    };
    match meaning(report) {
        Meaning::Unique => DbError::Unique(text).into(),
        Meaning::ForeignKey => DbError::ForeignKey(text).into(),
        Meaning::Undone => DbError::Unavailable(text).into(),
        Meaning::Unknown => DbError::Unknown(text).into(),
        Meaning::Defect => DbError::Internal(text).into(),
        Meaning::Again => Failure::Again(text),
        Meaning::ReadOnly => Failure::ReadOnly(text),
        Meaning::Stale => Failure::Stale(text),
        Meaning::Cancelled => Failure::Cancelled(text),
    }
}

/// The failure of preparing a statement: it was not run, even if the connection is lost.
pub(super) fn on_prepare(error: &Error) -> Failure {
    match on_statement(error) {
        Failure::Final(DbError::Unknown(text)) => Failure::Again(text),
        failure => failure,
    }
}

fn meaning(report: &Report) -> Meaning {
    let code = report.code().code();
    if code == "0A000" && report.message().contains("cached plan") {
        return Meaning::Stale;
    }
    let row = ON_STATEMENT.iter().filter(|(prefix, _)| code.starts_with(prefix)).max_by_key(|(prefix, _)| prefix.len());
    let meaning = row.map_or(Meaning::Defect, |(_, meaning)| *meaning);
    // FATAL and PANIC end the session, perhaps after the commit.
    let ends = matches!(report.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    if ends && code != "57P03" { Meaning::Unknown } else { meaning }
}

fn is_lost(error: &Error) -> bool {
    error.is_closed() || error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>)
}

/// Whether the TLS handshake failed, for example because of an unknown certificate.
fn is_tls(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.and_then(io::Error::get_ref).and_then(|source| source.downcast_ref::<rustls::Error>()).is_some()
}

/// The error with its causes, but without the `DETAIL` of PostgreSQL's errors, which quotes rows.
fn text(error: &Error) -> String {
    if let Some(report) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", report.message(), report.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
