//! `DATABASE_URL`, parsed.

use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr, time::Duration};

use tokio_postgres::config::SslMode;

/// Where the database is.
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
    /// Whether a missing file (and its folder) is made.
    pub create: bool,
}

/// A PostgreSQL server, and how to reach it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresServer {
    /// Everything but TLS.
    pub config: tokio_postgres::Config,
    /// Whether to encrypt, and whom to believe.
    pub tls: Tls,
}

/// How a connection is protected. Plain text is never fallen back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// `sslmode=disable`: plain text.
    Off,
    /// The server must have a certificate of an authority that is trusted.
    On {
        /// Whether the certificate must also be for the host: all but `sslmode=verify-ca`.
        verify_host: bool,
        /// `sslrootcert`: a PEM file of the authorities to trust instead of those of Mozilla's list.
        authorities: Option<PathBuf>,
    },
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.config.get_hosts();
        f.debug_struct("PostgresServer").field("hosts", &hosts).field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// Why a URL does not name a database. The text never repeats the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUrl(pub Cow<'static, str>);

impl DatabaseUrl {
    /// The database where none is named, as a URL.
    pub const EMBEDDED: &str = "sqlite://data/todo.db?mode=rwc";

    /// The database where none is named.
    #[must_use]
    pub fn embedded() -> Self {
        Self::Sqlite(SqliteFile { path: "data/todo.db".into(), create: true })
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidUrl;

    fn from_str(url: &str) -> Result<Self, InvalidUrl> {
        if url.starts_with("postgresql://") || url.starts_with("postgres://") {
            return postgres(url).map(Box::new).map(Self::Postgres);
        }
        let rest = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
        sqlite(rest.ok_or_else(|| invalid("must start with sqlite:// or postgresql://"))?).map(Self::Sqlite)
    }
}

fn invalid(problem: impl Into<Cow<'static, str>>) -> InvalidUrl {
    InvalidUrl(problem.into())
}

fn sqlite(rest: &str) -> Result<SqliteFile, InvalidUrl> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err(invalid("names no file"));
    }
    if path == ":memory:" {
        return Err(invalid("names a database in memory, which would lose every task at the end"));
    }
    let create = match query {
        "mode=rwc" => true,
        "" | "mode=rw" => false,
        _ => return Err(invalid("has a parameter other than mode=rwc and mode=rw")),
    };
    Ok(SqliteFile { path: PathBuf::from(path), create })
}

fn postgres(url: &str) -> Result<PostgresServer, InvalidUrl> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut authorities) = (None, None);
    // tokio-postgres does not know these two; it gets all others.
    let others = query.split('&').filter(|parameter| match parameter.split_once('=') {
        Some(("sslmode", value)) => mode.replace(value).is_some(),
        Some(("sslrootcert", value)) => authorities.replace(value).is_some(),
        _ => true,
    });
    let others = others.collect::<Vec<_>>().join("&");
    let mut config = tokio_postgres::Config::from_str(&format!("{address}?{others}"))
        .map_err(|error| invalid(format!("is no connection URL: {}", reason(&error))))?;
    if config.get_hosts().is_empty() {
        return Err(invalid("names no host"));
    }
    let decode = |path: &str| PathBuf::from(&*percent_encoding::percent_decode_str(path).decode_utf8_lossy());
    let authorities = authorities.map(decode);
    let tls = match mode.unwrap_or("require") {
        "disable" if authorities.is_none() => Tls::Off,
        "disable" => return Err(invalid("has sslrootcert, but sslmode=disable")),
        "require" | "verify-full" => Tls::On { verify_host: true, authorities },
        "verify-ca" => Tls::On { verify_host: false, authorities },
        _ => return Err(invalid("has an sslmode other than disable, require, verify-ca and verify-full")),
    };
    config.ssl_mode(if tls == Tls::Off { SslMode::Disable } else { SslMode::Require });
    if config.get_application_name().is_none() {
        config.application_name(env!("CARGO_PKG_NAME"));
    }
    // A host that is gone without a word is noticed by the kernel, soon.
    config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(2)));
    config.keepalives_idle(Duration::from_secs(10)).keepalives_interval(Duration::from_secs(5)).keepalives_retries(3);
    config.tcp_user_timeout(Duration::from_secs(15));
    Ok(PostgresServer { config, tls })
}

/// What is wrong with a URL, by tokio-postgres; its causes name parameters, not values.
fn reason(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
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
    fn tls_is_on_and_verifies_unless_the_url_turns_it_off() {
        let on = |verify_host, authorities: Option<&str>| Tls::On {
            verify_host,
            authorities: authorities.map(PathBuf::from),
        };
        for (query, tls) in [
            ("", on(true, None)),
            ("?sslmode=require&channel_binding=require", on(true, None)),
            ("?sslmode=verify-full", on(true, None)),
            ("?sslmode=verify-ca&sslrootcert=/etc/ca%20s/a+b.pem", on(false, Some("/etc/ca s/a+b.pem"))),
            ("?sslmode=disable", Tls::Off),
        ] {
            let url = format!("postgresql://alice:PASSWORD@db.example:5433/todo{query}");
            let Ok(DatabaseUrl::Postgres(server)) = url.parse() else { panic!("{url}") };
            assert_eq!(server.tls, tls, "{url}");
            assert_eq!((server.config.get_ports(), server.config.get_dbname()), (&[5433][..], Some("todo")));
            assert!(!format!("{server:?}").contains("PASSWORD"));
        }
    }

    #[test]
    fn a_url_that_names_no_lasting_database_is_refused_without_its_password() {
        for url in [
            "",
            "todo.db",
            "mysql://u:PASSWORD@h/d",
            "sqlite://",
            "sqlite::memory:",
            "sqlite://a.db?mode=ro",
            "sqlite://a.db?x",
            "postgresql://",
            "postgresql:///d?sslmode=require",
            "postgresql://u:PASSWORD@h:port/d",
            "postgresql://u:PASSWORD@h/d?sslmode=prefer",
            "postgresql://u:PASSWORD@h/d?sslmode=allow",
            "postgresql://u:PASSWORD@h/d?sslmode=disable&sslrootcert=x",
            "postgresql://u:PASSWORD@h/d?channel_binding=maybe",
            "postgresql://u:PASSWORD@h/d?sslcert=PASSWORD",
        ] {
            let error = url.parse::<DatabaseUrl>().unwrap_err();
            assert!(!error.0.contains("PASSWORD"), "{error:?}");
        }
    }
}
