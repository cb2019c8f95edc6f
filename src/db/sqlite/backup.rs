//! Backups of the file. A copy gets its name when it is complete, checked and on disk, and never replaces a file.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use uuid::Uuid;

use super::{Sqlite, connect, file, migrate::migrate, session};
use crate::db::{
    DbError,
    backup::{Copied, FileError},
    migrate::Step,
    url::SqliteFile,
};

impl Sqlite {
    pub(in crate::db) fn must_exist(&self) -> Result<(), DbError> {
        let path = &self.file.path;
        fs::metadata(path).map(drop).map_err(|error| DbError::Unsuitable(format!("{}: {error}", path.display())))
    }

    /// Copies the database to a new file. The copy has one state of the database, and needs no log beside it.
    pub(in crate::db) async fn backup(&self, to: &Path) -> Result<Copied, FileError> {
        self.must_exist()?;
        let from = self.file.path.as_path();
        let of_database = |problem: &dyn fmt::Display| FileError::of(from, problem);
        let migrations = migrate(&self.file, Step::Status).await.map_err(|error| of_database(&error.text()))?;
        if !migrations.0.iter().any(|migration| migration.applied) {
            return Err(of_database(&FOREIGN));
        }
        let database = file::open(&self.file)?;
        database.busy_timeout(session::BUSY).map_err(super::failed)?;
        let copy = Copy::new(to)?;
        let path = copy.path.to_str().ok_or_else(|| FileError::of(to, "its name is not UTF-8"))?;
        database.execute("VACUUM INTO ?1", [path]).map_err(|error| {
            if is_damage(&error) { of_database(&damaged(&error)) } else { FileError::of(to, error) }
        })?;
        let written = connect(&copy.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        check(&written).map_err(|problem| FileError::of(to, problem))?;
        drop(written);
        copy.keep(to)?;
        Copied::new(from, to)
    }

    /// Copies a backup to the place of the database.
    pub(in crate::db) async fn restore(&self, from: &Path) -> Result<Copied, FileError> {
        let to = self.file.path.as_path();
        // A journal or log that stays there would become a part of the restored database.
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let taken = beside(to, suffix);
            if fs::symlink_metadata(&taken).is_ok() {
                let remedy = "stop the server, and move the file away together with its -wal, -shm and -journal";
                return Err(FileError::of(&taken, format_args!("exists already; {remedy}")));
            }
        }
        // SQLite puts these beside the target of a symbolic link.
        let real = fs::canonicalize(from).map_err(|error| FileError::of(from, error))?;
        for suffix in ["-wal", "-shm", "-journal"] {
            let log = beside(&real, suffix);
            if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
                let problem = "belongs to a database in use; make a backup of it with todo-api backup";
                return Err(FileError::of(&log, problem));
            }
        }
        let mut source = File::open(&real).map_err(|error| FileError::of(from, error))?;
        if !source.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(FileError::of(from, "is not a file"));
        }
        let mut copy = Copy::new(to)?;
        io::copy(&mut source, &mut copy.file)
            .map_err(|error| FileError::of(from, format_args!("cannot be copied to {}: {error}", to.display())))?;
        // Checks the copy, because SQLite would write files beside the backup.
        let path = SqliteFile { path: copy.path.clone(), create: false };
        let connection = connect(&path.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check(&connection).map_err(|problem| FileError::of(from, problem))?;
        let migrations = migrate(&path, Step::Status).await.map_err(|error| FileError::of(from, error.text()))?;
        if !migrations.0.iter().any(|migration| migration.applied) {
            return Err(FileError::of(from, FOREIGN));
        }
        let journal = "PRAGMA journal_mode = DELETE";
        connection.query_row(journal, (), |_| Ok(())).map_err(|error| FileError::of(to, error))?;
        drop(connection);
        copy.keep(to)?;
        Copied::new(from, to)
    }
}

const FOREIGN: &str = "is not a database of todo-api";

fn damaged(problem: &dyn fmt::Display) -> String {
    format!("is not an intact SQLite database: {problem}")
}

/// Whether the error shows that the file is damaged, and not that it cannot be read at the moment.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Checks that the file is an intact database, whose rows refer to rows that exist.
fn check(connection: &Connection) -> Result<(), String> {
    let failed = |error: rusqlite::Error| if is_damage(&error) { damaged(&error) } else { error.to_string() };
    let found: String = connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0)).map_err(failed)?;
    if found != "ok" {
        // A heading, and the first problem.
        return Err(damaged(&found.lines().last().unwrap_or_default()));
    }
    let mut orphans = connection.prepare("PRAGMA foreign_key_check").map_err(failed)?;
    if orphans.exists(()).map_err(failed)? { Err(damaged(&"some rows belong to no user")) } else { Ok(()) }
}

/// The path with a suffix.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// A file that becomes another one, or is removed when dropped.
#[derive(Debug)]
struct Copy {
    path: PathBuf,
    file: File,
}

impl Copy {
    /// An empty file beside the path, for its owner alone.
    fn new(to: &Path) -> Result<Self, FileError> {
        if fs::symlink_metadata(to).is_ok() {
            return Err(FileError::of(to, "exists already, and is kept; name another file"));
        }
        // A name that no other command has used, not even an interrupted one. It is absolute, because SQLite reads a name
        // that begins with `file:` as a URI.
        let to = std::path::absolute(to).map_err(|error| FileError::of(to, error))?;
        let path = beside(&to, &format!(".{}.partial", Uuid::new_v4().simple()));
        let file = file::create_new(&path).map_err(|error| FileError::of(&path, error))?;
        Ok(Self { path, file })
    }

    /// Gives it its name, when its bytes are on disk.
    fn keep(self, to: &Path) -> Result<(), FileError> {
        let kept = || {
            self.file.sync_all()?;
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = File::open(folder.unwrap_or(Path::new(".")))?;
            match fs::hard_link(&self.path, to) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
                // Not every file system has hard links. A file that gets the name at this very moment would be lost.
                Err(_) if fs::symlink_metadata(to).is_ok() => return Err(ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(&self.path, to)?,
                Ok(()) => {}
            }
            folder.sync_all()
        };
        kept().map_err(|error| FileError::of(to, error))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // SQLite may have left its own files.
        for suffix in ["", "-journal", "-wal", "-shm"] {
            drop(fs::remove_file(beside(&self.path, suffix)));
        }
    }
}
