//! `DATABASE_URL`, parsed.

use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr, time::Duration};

use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

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
    /// How to reach each host, in the order in which they are tried; all but TLS.
    pub hosts: Vec<Config>,
    /// For the whole of connecting to one address, TLS and authentication included.
    pub connect_timeout: Duration,
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
        let hosts: Vec<_> = self.hosts.iter().flat_map(Config::get_hosts).collect();
        f.debug_struct("PostgresServer").field("hosts", &hosts).field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl PostgresServer {
    /// What a server must offer to be connected to.
    #[must_use]
    pub fn target_session_attrs(&self) -> TargetSessionAttrs {
        self.hosts.first().map_or(TargetSessionAttrs::ReadWrite, Config::get_target_session_attrs)
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
    let (mut mode, mut authorities, mut target) = (None, None, None);
    // tokio-postgres does not know these as we take them; it gets all others.
    let others = query.split('&').filter(|parameter| match parameter.split_once('=') {
        Some(("sslmode", value)) => mode.replace(value).is_some(),
        Some(("sslrootcert", value)) => authorities.replace(value).is_some(),
        Some(("target_session_attrs", value)) => target.replace(value).is_some(),
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
    config.target_session_attrs(match target.unwrap_or("read-write") {
        "read-write" | "primary" => TargetSessionAttrs::ReadWrite,
        "any" => TargetSessionAttrs::Any,
        _ => return Err(invalid("has a target_session_attrs other than read-write, primary and any")),
    });
    // A host that is gone without a word is noticed by the kernel, soon.
    config.keepalives_idle(Duration::from_secs(10)).keepalives_interval(Duration::from_secs(5)).keepalives_retries(3);
    config.tcp_user_timeout(Duration::from_secs(15));
    let connect_timeout = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
    Ok(PostgresServer { hosts: each_host(&config)?, connect_timeout, tls })
}

/// Time to connect where the URL sets none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The same for each host alone. tokio-postgres would try them all by itself, but bounds only the TCP handshake.
fn each_host(all: &Config) -> Result<Vec<Config>, InvalidUrl> {
    let (hosts, addresses, ports) = (all.get_hosts(), all.get_hostaddrs(), all.get_ports());
    let count = hosts.len().max(addresses.len());
    if !(hosts.is_empty() || addresses.is_empty() || hosts.len() == addresses.len()) {
        return Err(invalid("names as many hostaddr as hosts, or none"));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(invalid("names a port for some of its hosts only; name one for each, or one for all"));
    }
    let host = |n: usize| {
        let mut one = Config::new();
        one.ssl_mode(all.get_ssl_mode())
            .ssl_negotiation(all.get_ssl_negotiation())
            .channel_binding(all.get_channel_binding())
            .target_session_attrs(all.get_target_session_attrs())
            .load_balance_hosts(all.get_load_balance_hosts())
            .keepalives(all.get_keepalives())
            .keepalives_idle(all.get_keepalives_idle());
        match hosts.get(n) {
            Some(Host::Tcp(name)) => drop(one.host(name)),
            Some(Host::Unix(folder)) => drop(one.host_path(folder)),
            None => {}
        }
        addresses.get(n).map(|address| one.hostaddr(*address));
        ports.get(n).or(ports.first()).map(|port| one.port(*port));
        all.get_user().map(|user| one.user(user));
        all.get_password().map(|password| one.password(password));
        all.get_dbname().map(|name| one.dbname(name));
        all.get_options().map(|options| one.options(options));
        all.get_application_name().map(|name| one.application_name(name));
        all.get_tcp_user_timeout().map(|limit| one.tcp_user_timeout(*limit));
        all.get_keepalives_interval().map(|interval| one.keepalives_interval(interval));
        all.get_keepalives_retries().map(|retries| one.keepalives_retries(retries));
        one
    };
    Ok((0..count).map(host).collect())
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
            let host = &server.hosts[0];
            assert_eq!((host.get_ports(), host.get_dbname()), (&[5433][..], Some("todo")));
            assert!(!format!("{server:?}").contains("PASSWORD"));
        }
    }

    #[test]
    fn each_host_of_a_url_keeps_everything_else() {
        let url =
            "postgresql://alice:PASSWORD@a:5433,b/todo?options=-csearch_path%3Dx&connect_timeout=7&sslmode=disable";
        let Ok(DatabaseUrl::Postgres(server)) = url.parse() else { panic!("{url}") };
        assert_eq!(server.connect_timeout, Duration::from_secs(7));
        let Ok(DatabaseUrl::Postgres(lone)) = url.replace(",b", "").parse() else { panic!("{url}") };
        assert_eq!(server.hosts[0], lone.hosts[0]);
        let [first, second] = &server.hosts[..] else { panic!("{server:?}") };
        let mut expected = first.clone();
        assert_eq!((first.get_password(), first.get_options()), (Some(&b"PASSWORD"[..]), Some("-csearch_path=x")));
        assert_eq!((second.get_hosts(), second.get_ports()), (&[Host::Tcp("b".to_owned())][..], &[5432][..]));
        expected.hostaddr([127, 0, 0, 1].into());
        assert_ne!(&expected, first);
    }

    #[test]
    fn connections_are_read_write_unless_the_url_says_any() {
        for (query, target) in [
            ("", TargetSessionAttrs::ReadWrite),
            ("?target_session_attrs=read-write", TargetSessionAttrs::ReadWrite),
            ("?target_session_attrs=primary", TargetSessionAttrs::ReadWrite),
            ("?target_session_attrs=any", TargetSessionAttrs::Any),
        ] {
            let Ok(DatabaseUrl::Postgres(server)) = format!("postgresql://a,b/todo{query}").parse() else {
                panic!("{query}")
            };
            assert!(server.hosts.iter().all(|host| host.get_target_session_attrs() == target), "{query}");
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
            "postgresql://u:PASSWORD@h/d?target_session_attrs=read-only",
            "postgresql://u:PASSWORD@a:1,b:2,c/d?port=1,2",
        ] {
            let error = url.parse::<DatabaseUrl>().unwrap_err();
            assert!(!error.0.contains("PASSWORD"), "{error:?}");
        }
    }
}
