//! What a result code of SQLite says about the change that met it: the one table, by when the error comes.

use rusqlite::{
    Error, ErrorCode,
    ffi::{SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE},
};

use crate::db::DbError;

/// The error of a statement, which changed nothing: only a COMMIT marks the last frame in the log.
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

/// The error of a COMMIT. Its frames may stand in the log, whole, and count after a restart, even though SQLite has rolled
/// the transaction back.
pub(super) fn commit_failed(error: Error) -> DbError {
    match error.sqlite_error_code() {
        // Nothing is written before the lock is held and the constraints are met; a full disk cuts off the last frame. Where
        // the log's index cannot grow, which comes after that, the error is another (SQLITE_IOERR_SHMSIZE).
        Some(
            ErrorCode::ConstraintViolation | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull,
        ) => failed(error),
        _ => DbError::Unknown(error.to_string()),
    }
}

/// Whether another process is in the way.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn each_code_has_its_meaning_by_when_it_comes() {
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
