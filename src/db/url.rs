//! `DATABASE_URL`, parsed.

use std::path::PathBuf;

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// An embedded SQLite file.
    Sqlite(SqliteFile),
}

/// The file of an SQLite database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteFile {
    /// Relative paths are relative to the working directory.
    pub path: PathBuf,
    /// Whether a missing file (and its folder) is made.
    pub create: bool,
}

/// Why a URL does not name a database. The text never repeats the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUrl(pub &'static str);

impl DatabaseUrl {
    /// The database where none is named, as a URL.
    pub const EMBEDDED: &str = "sqlite://data/todo.db?mode=rwc";

    /// The database where none is named.
    #[must_use]
    pub fn embedded() -> Self {
        Self::Sqlite(SqliteFile { path: "data/todo.db".into(), create: true })
    }
}

impl std::str::FromStr for DatabaseUrl {
    type Err = InvalidUrl;

    fn from_str(url: &str) -> Result<Self, InvalidUrl> {
        let rest = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .ok_or(InvalidUrl("must start with sqlite://"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err(InvalidUrl("names no file"));
        }
        if path == ":memory:" {
            return Err(InvalidUrl("names a database in memory, which would lose every task at the end"));
        }
        let create = match query {
            "mode=rwc" => true,
            "" | "mode=rw" => false,
            _ => return Err(InvalidUrl("has a parameter other than mode=rwc and mode=rw")),
        };
        Ok(Self::Sqlite(SqliteFile { path: PathBuf::from(path), create }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_slashes_are_a_relative_path_and_three_an_absolute_one() {
        for (url, path, create) in [
            ("sqlite://data/todo.db?mode=rwc", "data/todo.db", true),
            ("sqlite:///var/lib/todo.db", "/var/lib/todo.db", false),
            ("sqlite:todo.db?mode=rw", "todo.db", false),
        ] {
            let file = SqliteFile { path: path.into(), create };
            assert_eq!(url.parse(), Ok(DatabaseUrl::Sqlite(file)), "{url}");
        }
    }

    #[test]
    fn the_embedded_database_is_what_its_url_says() {
        assert_eq!(DatabaseUrl::EMBEDDED.parse(), Ok(DatabaseUrl::embedded()));
    }

    #[test]
    fn a_url_that_names_no_lasting_database_is_refused() {
        for url in [
            "",
            "todo.db",
            "mysql://u:p@h/d",
            "sqlite://",
            "sqlite::memory:",
            "sqlite://a.db?mode=ro",
            "sqlite://a.db?x",
        ] {
            assert!(url.parse::<DatabaseUrl>().is_err(), "{url}");
        }
    }
}
