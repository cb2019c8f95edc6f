//! The database file. The server creates it for its owner alone, and notices if it is moved, removed or replaced.

use std::{
    ffi::OsString,
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    connect,
    error::{failed, is_busy},
};
use crate::db::{DbError, url::SqliteFile};

/// Longest wait for another process that prepares the file at the same time.
const PREPARATION: Duration = Duration::from_secs(10);
/// Pause between two attempts to get a lock that SQLite does not wait for.
const PAUSE: Duration = Duration::from_millis(5);
/// Bytes that must be free on a disk that was full: enough for some large changes.
const ROOM: usize = 256 * 1024;
/// Permissions of group and others.
const OTHERS: u32 = 0o077;

/// Opens the file for writing. Creates it if the URL asks for it.
pub(super) fn open(file: &SqliteFile) -> Result<Connection, DbError> {
    let path = file.path.as_path();
    let found = if file.create { create(path) } else { fs::metadata(path).map(drop) };
    found.map_err(|error| unusable(file, &error))?;
    if path.is_dir() {
        return Err(DbError::Unsuitable(format!("{}: is a folder; name a file in it", path.display())));
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    use_write_ahead_log(&connection, path)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    Ok(connection)
}

/// The error of a path. A retry may help if the disk is full, but somebody must correct a wrong path.
fn unusable(file: &SqliteFile, error: &std::io::Error) -> DbError {
    let text = format!("{}: {error}", file.path.display());
    match error.kind() {
        ErrorKind::NotFound if !file.create => DbError::Unsuitable(format!("{text}; ?mode=rwc creates a missing file")),
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::NotADirectory
        | ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem => DbError::Unsuitable(text),
        _ => DbError::Unavailable(text),
    }
}

/// Creates the file, if there is none.
fn create(path: &Path) -> std::io::Result<()> {
    create_folder(path)?;
    match create_file(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Creates a new file, and its folder if there is none. Fails if there is a file.
pub(super) fn create_new(path: &Path) -> std::io::Result<fs::File> {
    create_folder(path)?;
    create_file(path)
}

/// Creates the folder of the file for its owner alone, if there is none.
fn create_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| fs::DirBuilder::new().recursive(true).mode(0o700).create(folder))
}

/// Creates the file for its owner alone, independent of the umask. SQLite gives its other files the same mode.
fn create_file(path: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Switches the file to a write-ahead log. This needs an exclusive lock, and SQLite does not wait for it.
fn use_write_ahead_log(connection: &Connection, path: &Path) -> Result<(), DbError> {
    let started = Instant::now();
    loop {
        let journal = connection
            .query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))
            .and_then(|()| connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0)))
            .and_then(|journal| match journal.as_str() {
                "wal" => Ok(journal),
                _ => connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)),
            });
        match journal {
            Ok(journal) if journal == "wal" => return Ok(()),
            Ok(_) => {
                let problem = "its file system cannot share memory between processes, which the write-ahead log needs";
                return Err(DbError::Unsuitable(format!("{}: {problem}", path.display())));
            }
            Err(error) if is_busy(&error) && started.elapsed() < PREPARATION => thread::sleep(PAUSE),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Warns if users other than the owner may read or change the file.
pub(super) fn warn_if_shared(path: &Path) {
    if let Ok(metadata) = fs::metadata(path)
        && metadata.mode() & OTHERS != 0
    {
        let (file, mode) = (path.display(), format!("{:04o}", metadata.mode() & 0o7777));
        tracing::warn!(%file, mode, "other users of this machine may read the tasks or change them: chmod 600 the file");
    }
}

/// The open files: the database, its log, and the memory that processes share.
#[derive(Debug)]
pub(super) struct Files(Vec<(PathBuf, Identity)>);

type Identity = Option<(u64, u64)>;

impl Files {
    /// The files of a database. A connection must have read from it before: the first read creates the other two.
    pub(super) fn of(path: &Path) -> Self {
        // For a symbolic link, SQLite puts the other two beside its target.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let beside = |suffix: &str| {
            let mut name = OsString::from(&real);
            name.push(suffix);
            PathBuf::from(name)
        };
        let paths = [path.to_owned(), beside("-wal"), beside("-shm")];
        Self(paths.into_iter().map(|path| (path.clone(), identity(&path))).collect())
    }

    /// The bytes of the database and of its log, 0 for a missing one.
    pub(super) fn sizes(&self) -> [u64; 2] {
        let mut sizes = self.0.iter().map(|(path, _)| fs::metadata(path).map_or(0, |metadata| metadata.len()));
        [(); 2].map(|()| sizes.next().unwrap_or_default())
    }

    /// Whether other processes see the locks of this one, which are on the last file.
    pub(super) fn share_locks(&self) -> bool {
        self.0.last().is_some_and(|(path, open)| identity(path) == *open)
    }

    /// Checks that the disk has room for larger changes, even if a small one still fits into the log.
    pub(super) fn check_room(&self) -> Result<(), DbError> {
        let Some((last, _)) = self.0.last() else { return Ok(()) };
        let mut scratch = OsString::from(last);
        scratch.push(format!("-room-{}", std::process::id()));
        let scratch = PathBuf::from(scratch);
        let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&scratch);
        let written = written.and_then(|mut file| file.write_all(&vec![0; ROOM]));
        let removed = fs::remove_file(&scratch);
        written.and(removed).map_err(|error| DbError::Unavailable(format!("{}: {error}", scratch.display())))
    }

    /// Checks that each path still names the open file. Otherwise further changes would be lost.
    pub(super) fn check(&self) -> Result<(), DbError> {
        match self.0.iter().find(|(path, open)| identity(path) != *open) {
            None => Ok(()),
            Some((path, _)) => Err(DbError::Unavailable(format!(
                "{} was moved, removed or replaced: put it back, or restart the server to use the file that is there now",
                path.display()
            ))),
        }
    }
}

fn identity(path: &Path) -> Identity {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
