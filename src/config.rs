//! From the environment to typed configuration, checked once, at the start. Every complaint names its variable.

use std::{fmt, fs, io, net::IpAddr, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use clap::Args;
use poem::http::{HeaderValue, Uri};
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::{
    auth::{Freshness, InvalidSecret, Jwks, Secret},
    cors::Cors,
    db::{DatabaseUrl, InvalidUrl, Lanes},
    payload::BodyLimits,
    server::Limits,
    telemetry::Format,
    tls,
};

const DEV_SECRET: &str = "data/dev-secret";
const DEV_ORIGIN: &str = "http://localhost:3000";

/// A variable that cannot be used: one line that names it, says what is wrong, and shows what would be right. It never
/// repeats a value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    variable: &'static str,
    problem: String,
    example: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}; for example {}={}", self.variable, self.problem, self.variable, self.example)
    }
}

impl std::error::Error for ConfigError {}

fn invalid(variable: &'static str, problem: impl Into<String>, example: &'static str) -> ConfigError {
    ConfigError { variable, problem: problem.into(), example }
}

/// Which database.
#[derive(Debug, Args)]
pub struct DatabaseOptions {
    /// The database
    ///
    /// By default `sqlite://data/todo.db?mode=rwc`. `sqlite://folder/file.db?mode=rwc` (three slashes for an absolute path; `mode=rwc` makes a missing file), or `postgresql://user:password@host/database` (TLS is on and verified unless `sslmode=disable`).
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    /// The database, as Neon names it; wins where both are set
    #[arg(long, env = "NEON_DB_URL", hide_env_values = true, value_name = "URL")]
    neon_db_url: Option<String>,
    /// Connections to a PostgreSQL server that reads share
    #[arg(long, env = "DB_READ_CONNECTIONS", default_value = "2", value_name = "NUMBER")]
    db_read_connections: String,
    /// Connections to a PostgreSQL server that writes share
    #[arg(long, env = "DB_WRITE_CONNECTIONS", default_value = "16", value_name = "NUMBER")]
    db_write_connections: String,
}

/// The checked [`DatabaseOptions`].
#[derive(Debug)]
pub struct Database {
    /// Where it is.
    pub url: DatabaseUrl,
    /// The connections to share.
    pub lanes: Lanes,
}

impl DatabaseOptions {
    /// # Errors
    ///
    /// [`ConfigError`] for a URL that names no database.
    pub fn check(&self) -> Result<Database, ConfigError> {
        let neon = given(self.neon_db_url.as_deref()).map(|url| ("NEON_DB_URL", url));
        let other = given(self.database_url.as_deref()).map(|url| ("DATABASE_URL", url));
        let (variable, url) = neon.or(other).unwrap_or(("DATABASE_URL", DatabaseUrl::EMBEDDED));
        Ok(Database {
            url: url.parse().map_err(|InvalidUrl(problem)| invalid(variable, problem, DatabaseUrl::EMBEDDED))?,
            lanes: Lanes {
                reads: number("DB_READ_CONNECTIONS", &self.db_read_connections, 1000, "2")?,
                writes: number("DB_WRITE_CONNECTIONS", &self.db_write_connections, 1000, "16")?,
            },
        })
    }
}

impl Database {
    /// The embedded one, whatever the environment says.
    #[must_use]
    pub fn embedded() -> Self {
        Self { url: DatabaseUrl::embedded(), lanes: Lanes { reads: 1, writes: 1 } }
    }
}

/// Who may sign tokens.
#[derive(Debug, Args)]
pub struct AuthOptions {
    /// The secret that the auth server signs HS256 tokens with, at least 32 bytes
    #[arg(long, env = "BETTER_AUTH_SECRET", hide_env_values = true, value_name = "SECRET")]
    better_auth_secret: Option<String>,
    /// Where Better Auth is: its keys, at /api/auth/jwks, verify `EdDSA`, ES256, RS256 and PS256 tokens
    #[arg(long, env = "BETTER_AUTH_URL", hide_env_values = true, value_name = "URL")]
    better_auth_url: Option<String>,
    /// Where the keys are, if elsewhere
    #[arg(long, env = "AUTH_JWKS_URL", hide_env_values = true, value_name = "URL")]
    auth_jwks_url: Option<String>,
    /// What `iss` of a token must be [default: the origin of the URL above; without one not checked]
    #[arg(long, env = "AUTH_ISSUER", value_name = "ISSUER")]
    auth_issuer: Option<String>,
    /// What `aud` of a token must be or contain [default: as for `iss`]
    #[arg(long, env = "AUTH_AUDIENCE", value_name = "AUDIENCE")]
    auth_audience: Option<String>,
    /// Time between two fetches of the keys; an unknown key is fetched at once
    #[arg(long, env = "AUTH_JWKS_REFRESH", default_value = "10m", value_name = "DURATION")]
    auth_jwks_refresh: String,
    /// Time that keys live on while the auth server does not answer
    #[arg(long, env = "AUTH_JWKS_STALE", default_value = "1h", value_name = "DURATION")]
    auth_jwks_stale: String,
    /// A PEM file of the authorities to trust with the keys, instead of Mozilla's list
    #[arg(long, env = "SSL_CERT_FILE", value_name = "FILE")]
    ssl_cert_file: Option<String>,
}

/// The checked [`AuthOptions`].
#[derive(Debug)]
pub struct Auth {
    /// Signs and verifies HS256.
    pub secret: Option<Secret>,
    /// The keys that the auth server publishes.
    pub published: Option<Jwks>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be or contain.
    pub audience: Option<String>,
}

impl AuthOptions {
    /// # Errors
    ///
    /// [`ConfigError`] where neither a secret nor a URL is set, or one cannot be used.
    pub fn check(&self) -> Result<Auth, ConfigError> {
        let auth = self.with(given(self.better_auth_secret.as_deref()))?;
        if auth.secret.is_none() && auth.published.is_none() {
            return Err(invalid("BETTER_AUTH_SECRET", "is not set, and neither is BETTER_AUTH_URL", SECRET_EXAMPLE));
        }
        Ok(auth)
    }

    /// As [`AuthOptions::check`], where a secret that is not set is made once and kept in `data/dev-secret`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] also where that file cannot be read or written.
    pub fn check_for_development(&self) -> Result<Auth, ConfigError> {
        if let Some(secret) = given(self.better_auth_secret.as_deref()) {
            return self.with(Some(secret));
        }
        let unusable = |error| format!("is not set, and {DEV_SECRET} cannot be used: {error}");
        let secret = dev_secret().map_err(|error| invalid("BETTER_AUTH_SECRET", unusable(error), SECRET_EXAMPLE))?;
        self.with(Some(&secret))
    }

    /// As [`AuthOptions::check`], where a secret that is not set is read from `data/dev-secret`, if that is there.
    ///
    /// # Errors
    ///
    /// As [`AuthOptions::check`].
    pub fn check_as_made(&self) -> Result<Auth, ConfigError> {
        if Path::new(DEV_SECRET).exists() { self.check_for_development() } else { self.check() }
    }

    fn with(&self, secret: Option<&str>) -> Result<Auth, ConfigError> {
        let refused = |InvalidSecret(problem)| invalid("BETTER_AUTH_SECRET", problem, SECRET_EXAMPLE);
        let secret = secret.map(|secret| Secret::new(secret.to_owned())).transpose().map_err(refused)?;
        let base = url("BETTER_AUTH_URL", self.better_auth_url.as_deref(), BASE_EXAMPLE)?;
        let jwks = url("AUTH_JWKS_URL", self.auth_jwks_url.as_deref(), JWKS_EXAMPLE)?;
        // Better Auth takes the origin for `iss` and `aud`, in the form that the URL standard gives it.
        let origin = base.as_ref().or(jwks.as_ref()).map(|url| url.origin().ascii_serialization());
        let jwks = jwks.or_else(|| base.map(jwks_of));
        let claim = |claim: &Option<String>| given(claim.as_deref()).map(str::to_owned).or_else(|| origin.clone());
        Ok(Auth {
            secret,
            published: jwks.map(|jwks| self.published(jwks)).transpose()?,
            issuer: claim(&self.auth_issuer),
            audience: claim(&self.auth_audience),
        })
    }

    fn published(&self, jwks: Url) -> Result<Jwks, ConfigError> {
        let refresh = duration("AUTH_JWKS_REFRESH", &self.auth_jwks_refresh, "10m")?;
        if refresh < Duration::from_secs(1) {
            return Err(invalid("AUTH_JWKS_REFRESH", "is less than a second", "10m"));
        }
        let stale = duration("AUTH_JWKS_STALE", &self.auth_jwks_stale, "1h")?;
        if stale <= refresh {
            return Err(invalid("AUTH_JWKS_STALE", "is not longer than AUTH_JWKS_REFRESH", "1h"));
        }
        let freshness = Freshness { refresh, stale };
        let file = given(self.ssl_cert_file.as_deref()).map(Path::new);
        let refused = |problem: String| invalid("SSL_CERT_FILE", problem, "/etc/ssl/certs/ca-certificates.crt");
        let authorities = tls::authorities(file).map_err(|error| refused(format!("cannot be used: {error}")))?;
        let wrong = |problem: String| invalid("AUTH_JWKS_URL", problem, JWKS_EXAMPLE);
        let uri = Uri::try_from(jwks.as_str()).map_err(|error| wrong(format!("cannot be used: {error}")))?;
        Jwks::new(uri, authorities, freshness).map_err(|error| wrong(format!("cannot be used: {error}")))
    }
}

const SECRET_EXAMPLE: &str = "\"$(openssl rand -base64 32)\"";
const BASE_EXAMPLE: &str = "https://app.example.com";
const JWKS_EXAMPLE: &str = "https://app.example.com/api/auth/jwks";

/// The secret of `dev`: random, made once, readable by its owner only.
fn dev_secret() -> io::Result<String> {
    if let Ok(secret) = fs::read_to_string(DEV_SECRET) {
        return Ok(secret.trim().to_owned());
    }
    if let Some(folder) = Path::new(DEV_SECRET).parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    // Two that start at once agree on the one that is there first: the file appears whole, or not at all.
    let own = format!("{DEV_SECRET}.{}", std::process::id());
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&own)?;
    io::Write::write_all(&mut file, fresh.as_bytes())?;
    let linked = fs::hard_link(&own, DEV_SECRET);
    fs::remove_file(&own)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(fs::read_to_string(DEV_SECRET)?.trim().to_owned()),
    }
}

/// How to serve.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Address to listen on
    #[arg(long, env = "HOST", default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, env = "PORT", default_value = "8000", value_name = "PORT")]
    port: String,
    /// Origins whose pages may use the API, separated by commas [default: none]
    #[arg(long, env = "CORS_ORIGINS", value_name = "ORIGINS")]
    cors_origins: Option<String>,
    /// How log lines look: pretty or json [default: pretty for dev, json for serve]
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,
    /// What to log, as tracing-subscriber's `EnvFilter` reads it; `info,todo_api=debug` adds SQL
    #[arg(long, env = "RUST_LOG", default_value = "info,tokio_postgres=warn", value_name = "FILTER")]
    rust_log: String,
    /// Connections at a time; further ones wait
    #[arg(long, env = "MAX_CONNECTIONS", default_value = "10000", value_name = "NUMBER")]
    max_connections: String,
    /// Time from a connection to the first byte of its first request
    #[arg(long, env = "FIRST_BYTE_TIMEOUT", default_value = "10s", value_name = "DURATION")]
    first_byte_timeout: String,
    /// Time from the first byte of a request to the end of its headers
    #[arg(long, env = "HEADER_TIMEOUT", default_value = "10s", value_name = "DURATION")]
    header_timeout: String,
    /// Time for the body of a request to arrive
    #[arg(long, env = "BODY_TIMEOUT", default_value = "15s", value_name = "DURATION")]
    body_timeout: String,
    /// Bytes of a request's body
    #[arg(long, env = "BODY_LIMIT", default_value = "65536", value_name = "BYTES")]
    body_limit: String,
    /// Time between requests on one connection; longer than that of the load balancer in front
    #[arg(long, env = "KEEP_ALIVE_TIMEOUT", default_value = "75s", value_name = "DURATION")]
    keep_alive_timeout: String,
    /// Time for the client to take some of an answer
    #[arg(long, env = "WRITE_TIMEOUT", default_value = "30s", value_name = "DURATION")]
    write_timeout: String,
    /// Time to go on accepting after the signal to stop, while /ready already says no; behind a load balancer a little
    /// more than its interval of checks
    #[arg(long, env = "SHUTDOWN_DELAY", default_value = "0s", value_name = "DURATION")]
    shutdown_delay: String,
    /// Time for requests in flight to be answered at the end
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "10s", value_name = "DURATION")]
    shutdown_grace: String,
}

/// The checked [`ServeOptions`].
#[derive(Debug)]
pub struct Serve {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 for a free one.
    pub port: u16,
    /// The origins whose pages may use the API.
    pub cors: Cors,
    /// How log lines look.
    pub log_format: Format,
    /// What is logged.
    pub log_filter: EnvFilter,
    /// Bounds of connections.
    pub limits: Limits,
    /// Bounds of bodies.
    pub body_limits: BodyLimits,
}

impl ServeOptions {
    /// # Errors
    ///
    /// [`ConfigError`] for the first option that cannot be used.
    pub fn check(&self) -> Result<Serve, ConfigError> {
        self.with(given(self.cors_origins.as_deref()), Format::Json)
    }

    /// As [`ServeOptions::check`], with the defaults of development.
    ///
    /// # Errors
    ///
    /// As [`ServeOptions::check`].
    pub fn check_for_development(&self) -> Result<Serve, ConfigError> {
        self.with(given(self.cors_origins.as_deref()).or(Some(DEV_ORIGIN)), Format::Pretty)
    }

    fn with(&self, origins: Option<&str>, format: Format) -> Result<Serve, ConfigError> {
        let host = match given(Some(&self.host)) {
            None | Some("localhost") => "127.0.0.1",
            Some(host) => host,
        };
        let port = given(Some(&self.port)).unwrap_or("8000");
        let log_format = match given(self.log_format.as_deref()) {
            None => format,
            Some("pretty") => Format::Pretty,
            Some("json") => Format::Json,
            Some(_) => return Err(invalid("LOG_FORMAT", "is neither pretty nor json", "json")),
        };
        Ok(Serve {
            host: host.parse().map_err(|_| invalid("HOST", "is not an IP address", "0.0.0.0"))?,
            port: port.parse().map_err(|_| invalid("PORT", "is not a port from 0 to 65535", "8000"))?,
            cors: Cors::of(origins.map_or(Ok(Vec::new()), self::origins)?),
            log_format,
            log_filter: EnvFilter::try_new(&self.rust_log)
                .map_err(|_| invalid("RUST_LOG", "is not a filter", "info,todo_api=debug"))?,
            limits: Limits {
                connections: number("MAX_CONNECTIONS", &self.max_connections, 1_000_000, "10000")?,
                first_byte: duration("FIRST_BYTE_TIMEOUT", &self.first_byte_timeout, "10s")?,
                header: duration("HEADER_TIMEOUT", &self.header_timeout, "10s")?,
                keep_alive: duration("KEEP_ALIVE_TIMEOUT", &self.keep_alive_timeout, "75s")?,
                write: duration("WRITE_TIMEOUT", &self.write_timeout, "30s")?,
                shutdown_delay: duration("SHUTDOWN_DELAY", &self.shutdown_delay, "5s")?,
                shutdown_grace: duration("SHUTDOWN_GRACE", &self.shutdown_grace, "10s")?,
            },
            body_limits: BodyLimits {
                size: number("BODY_LIMIT", &self.body_limit, 1 << 30, "65536")?,
                time: duration("BODY_TIMEOUT", &self.body_timeout, "15s")?,
            },
        })
    }
}

/// An empty variable is one that is not set: that is how compose files pass on what they do not have.
fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

fn origins(list: &str) -> Result<Vec<HeaderValue>, ConfigError> {
    let origin = |origin: &str| {
        let problem = "is not a list of origins: each is a scheme, a host and, if need be, a port";
        let wrong = || invalid("CORS_ORIGINS", problem, "https://app.example.com,http://localhost:3000");
        let uri: Uri = origin.parse().map_err(|_| wrong())?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong());
        };
        // A browser sends exactly this, so anything more would never match.
        if origin != format!("{scheme}://{}", authority.as_str().to_lowercase()) || authority.as_str().contains('@') {
            return Err(wrong());
        }
        HeaderValue::from_str(origin).map_err(|_| wrong())
    };
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(origin).collect()
}

fn duration(variable: &'static str, value: &str, example: &'static str) -> Result<Duration, ConfigError> {
    humantime::parse_duration(value.trim())
        .map_err(|_| invalid(variable, "is not a duration such as 500ms, 10s or 1m", example))
}

fn number(variable: &'static str, value: &str, max: usize, example: &'static str) -> Result<usize, ConfigError> {
    let number = value.trim().parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| invalid(variable, format!("is not a whole number from 1 to {max}"), example))
}

/// An address on the web that holds no password.
fn url(variable: &'static str, value: Option<&str>, example: &'static str) -> Result<Option<Url>, ConfigError> {
    let Some(value) = given(value) else { return Ok(None) };
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    };
    let url = value.parse().ok().filter(plain);
    let problem = "is not an http or https URL without a user and a fragment";
    url.ok_or_else(|| invalid(variable, problem, example)).map(Some)
}

/// Where Better Auth publishes its keys. Its base URL may be set with the path of its API or without.
fn jwks_of(mut base: Url) -> Url {
    let path = base.path().trim_end_matches('/');
    let path = format!("{}/api/auth/jwks", path.strip_suffix("/api/auth").unwrap_or(path));
    base.set_path(&path);
    base.set_query(None);
    base
}
