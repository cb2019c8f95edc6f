//! The URL of an SQLite file.

use std::path::PathBuf;

use super::{SqliteFile, is_encoded};

pub(super) fn parse(rest: &str) -> Result<SqliteFile, &'static str> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err("names no file");
    }
    if path == ":memory:" {
        return Err("names a database in memory, which would lose all tasks at the end");
    }
    if path.starts_with("file:") {
        return Err("has file: before its path; leave it out");
    }
    if path.split('/').next().is_some_and(|first| first.contains(':') && first.contains('@')) {
        return Err("has a user and a password, which a file does not have");
    }
    if path.starts_with("/./") || path.starts_with("/../") {
        return Err("has three slashes before a relative path; write two: sqlite://data/todo.db");
    }
    if path.ends_with('/') {
        return Err("names a folder; name a file in it");
    }
    // Other programs would decode it, and so use another file.
    if path.bytes().enumerate().any(|(at, _)| is_encoded(path, at)) {
        return Err("has a percent-encoded character in its path; write the path as it is on the disk");
    }
    let mut create = false;
    for parameter in query.split('&') {
        match parameter {
            "mode=rwc" => create = true,
            "" | "mode=rw" => {}
            _ => return Err("has a parameter other than mode=rwc and mode=rw"),
        }
    }
    Ok(SqliteFile { path: PathBuf::from(path), create })
}
