//! `DATABASE_URL`, parsed.

mod parameters;
mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr, time::Duration};

use tokio_postgres::{Config, config::TargetSessionAttrs};

/// The address of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// An embedded SQLite file.
    Sqlite(SqliteFile),
    /// A PostgreSQL server, or one that speaks its protocol.
    Postgres(Box<PostgresServer>),
}

/// The file of an SQLite database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteFile {
    /// Relative paths are relative to the working directory.
    pub path: PathBuf,
    /// Whether to create a missing file and its folder.
    pub create: bool,
}

/// A PostgreSQL server, and how to reach it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresServer {
    /// The configuration for each host, without TLS, in the order of the attempts.
    pub hosts: Vec<Config>,
    /// Time limit for connecting to one address, TLS and authentication included.
    pub connect_timeout: Duration,
    /// Encryption, and the trusted authorities.
    pub tls: Tls,
}

/// The protection of a connection. There is no fallback to plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// `sslmode=disable`: plain text.
    Off,
    /// The server must have a certificate of a trusted authority.
    On {
        /// Whether the certificate must also name the host: always, except with `sslmode=verify-ca`.
        verify_host: bool,
        /// `sslrootcert`: a PEM file of the authorities to trust instead of Mozilla's list.
        authorities: Option<PathBuf>,
    },
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().flat_map(Config::get_hosts).collect();
        f.debug_struct("PostgresServer").field("hosts", &hosts).field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl PostgresServer {
    /// Whether the server must accept changes.
    #[must_use]
    pub fn target_session_attrs(&self) -> TargetSessionAttrs {
        self.hosts.first().map_or(TargetSessionAttrs::ReadWrite, Config::get_target_session_attrs)
    }
}

/// An invalid database URL. The error never repeats the URL, which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUrl {
    /// The reason.
    pub problem: Cow<'static, str>,
    /// A valid URL of the same kind.
    pub example: &'static str,
}

impl DatabaseUrl {
    /// The URL of the default database.
    pub const EMBEDDED: &str = "sqlite://data/todo.db?mode=rwc";
    /// An example of a server's URL.
    pub const SERVER: &str = "postgresql://user:password@host/database";

    /// The default database.
    #[must_use]
    pub fn embedded() -> Self {
        Self::Sqlite(SqliteFile { path: "data/todo.db".into(), create: true })
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidUrl;

    fn from_str(url: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = url.split_once(':').unwrap_or_default();
        let scheme = scheme.to_ascii_lowercase();
        let address = rest.strip_prefix("//");
        let server = |problem| InvalidUrl { problem, example: Self::SERVER };
        let file = |problem: &'static str| InvalidUrl { problem: problem.into(), example: Self::EMBEDDED };
        match (scheme.as_str(), address) {
            ("postgres" | "postgresql", Some(address)) => {
                postgres::parse(address).map(Box::new).map(Self::Postgres).map_err(server)
            }
            ("sqlite", address) => sqlite::parse(address.unwrap_or(rest)).map(Self::Sqlite).map_err(file),
            ("postgres" | "postgresql", None) => Err(server("has no // after its scheme".into())),
            ("jdbc", _) if rest.to_ascii_lowercase().starts_with("postgresql") => {
                Err(server("is for JDBC; leave out jdbc: and write user and password before the host".into()))
            }
            ("prisma" | "prisma+postgres", _) => {
                Err(server("is the URL of a Prisma proxy; write the URL of the database itself".into()))
            }
            (scheme, _) if scheme.starts_with("postgres") && scheme.contains('+') => {
                Err(server("names a driver of another program; write postgresql:// without it".into()))
            }
            (scheme, _) if scheme.starts_with("sqlite+") => {
                Err(file("names a driver of another program; write sqlite:// without it"))
            }
            ("file", _) => Err(file("must start with sqlite:// instead of file:")),
            // A command such as psql, an assignment, or a typing error.
            (scheme, _) if scheme.contains("postgres") => {
                Err(server("must start with postgresql://, without a command, a name or a quote before it".into()))
            }
            _ => Err(file("must start with sqlite:// or postgresql://")),
        }
    }
}

/// Whether an escape such as `%20` begins at this byte.
fn is_encoded(text: &str, at: usize) -> bool {
    let digits = text.as_bytes().get(at..).and_then(|text| text.strip_prefix(b"%")).and_then(|text| text.get(..2));
    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}
