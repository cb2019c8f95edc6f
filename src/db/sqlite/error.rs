//! The meaning of SQLite's result codes for a change, by the time of the error.

use rusqlite::{
    Error, ErrorCode,
    ffi::{SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE},
};

use crate::db::DbError;

/// The error of a statement. It changed nothing: changes count only after a COMMIT.
pub(super) fn failed(error: Error) -> DbError {
    let text = error.to_string();
    let Error::SqliteFailure(cause, _) = error else { return DbError::Internal(text) };
    match (cause.code, cause.extended_code) {
        (_, SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY) => DbError::Unique(text),
        (_, SQLITE_CONSTRAINT_FOREIGNKEY) => DbError::ForeignKey(text),
        (ErrorCode::NotADatabase, _) => DbError::Unsuitable(text),
        (
            ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure,
            _,
        ) => DbError::Unavailable(text),
        _ => DbError::Internal(text),
    }
}

/// The error of a COMMIT. SQLite has rolled the transaction back, but the log may contain all of its frames. Then a
/// restart applies them.
pub(super) fn commit_failed(error: Error) -> DbError {
    match error.sqlite_error_code() {
        // SQLite checks the lock and the constraints before it writes, and a full disk cuts off the last frame. If the
        // log's index cannot grow, which comes later, the error is another one (SQLITE_IOERR_SHMSIZE).
        Some(
            ErrorCode::ConstraintViolation | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull,
        ) => failed(error),
        _ => DbError::Unknown(error.to_string()),
    }
}

/// Whether another process holds a lock.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn the_meaning_of_a_code_depends_on_its_time() {
        type Kind = fn(String) -> DbError;
        let (unique, foreign_key): (Kind, Kind) = (DbError::Unique, DbError::ForeignKey);
        let (unavailable, internal, unknown): (Kind, Kind, Kind) =
            (DbError::Unavailable, DbError::Internal, DbError::Unknown);
        for (codes, statement, commit) in [
            (&[ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY][..], unique, unique),
            (&[ffi::SQLITE_CONSTRAINT_FOREIGNKEY], foreign_key, foreign_key),
            (&[ffi::SQLITE_CONSTRAINT_CHECK, ffi::SQLITE_CONSTRAINT_NOTNULL], internal, internal),
            (&[ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_SNAPSHOT, ffi::SQLITE_LOCKED], unavailable, unavailable),
            (&[ffi::SQLITE_FULL], unavailable, unavailable),
            (&[ffi::SQLITE_CANTOPEN, ffi::SQLITE_PROTOCOL, ffi::SQLITE_READONLY], unavailable, unknown),
            (&[ffi::SQLITE_IOERR, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC], unavailable, unknown),
            (&[ffi::SQLITE_IOERR_SHMSIZE], unavailable, unknown),
            (&[ffi::SQLITE_NOMEM], unavailable, unknown),
            (&[ffi::SQLITE_NOTADB], DbError::Unsuitable, unknown),
            (&[ffi::SQLITE_CORRUPT, ffi::SQLITE_MISUSE, ffi::SQLITE_ERROR], internal, unknown),
        ] {
            for &code in codes {
                let error = || Error::SqliteFailure(ffi::Error::new(code), None);
                let text = error().to_string();
                assert_eq!(failed(error()), statement(text.clone()), "{code} of a statement");
                assert_eq!(commit_failed(error()), commit(text), "{code} of COMMIT");
            }
        }
    }
}
