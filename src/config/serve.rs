//! The configuration of the server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use poem::http::HeaderValue;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{ConfigError, Settings, Variable, traces};
use crate::{
    http::{
        BodyLimits, RateLimit, RateLimits, TrustedProxies,
        cors::{self, Cors},
        server::Limits,
    },
    telemetry::{Format, traces::Config as Traces},
};

const DEV_ORIGIN: &str = "http://localhost:3000";
const HIGHEST_RATE: usize = 1_000_000;

const HOST: Variable = Variable::new("HOST", "ADDRESS", "Address to listen on").default("127.0.0.1");
const PORT: Variable = Variable::new("PORT", "PORT", "Port to listen on; 0 means any free port").default("8000");
const CORS_ORIGINS: Variable =
    Variable::new("CORS_ORIGINS", "ORIGINS", "Origins whose pages may use the API, separated by commas")
        .absent("none")
        .example("https://app.example.com,http://localhost:3000");
const LOG_FORMAT: Variable = Variable::new("LOG_FORMAT", "FORMAT", "Format of log lines: pretty or json")
    .absent("json; pretty for dev")
    .example("json");
const RUST_LOG: Variable = Variable::new(
    "RUST_LOG",
    "FILTER",
    "Filter of log lines, in the syntax of tracing-subscriber's EnvFilter; info,todo_api=debug adds SQL",
)
.default("info")
.example("info,todo_api=debug");
const METRICS_ADDRESS: Variable = Variable::new(
    "METRICS_ADDRESS",
    "ADDRESS",
    "IP address and port of a listener of its own, which serves metrics to Prometheus at /metrics",
)
.absent("none")
.example("127.0.0.1:9464");
const MAX_CONNECTIONS: Variable = Variable::new(
    "MAX_CONNECTIONS",
    "NUMBER",
    "Maximum number of connections; at the limit, the server closes those that have been idle the longest",
)
.default("10000");
const FIRST_BYTE_TIMEOUT: Variable =
    Variable::new("FIRST_BYTE_TIMEOUT", "DURATION", "Time from a connection to the first byte of its first request")
        .default("10s");
const HEADER_TIMEOUT: Variable =
    Variable::new("HEADER_TIMEOUT", "DURATION", "Time from the first byte of a request to the end of its headers")
        .default("10s");
const BODY_TIMEOUT: Variable =
    Variable::new("BODY_TIMEOUT", "DURATION", "Time for the body of a request to arrive").default("15s");
const BODY_LIMIT: Variable = Variable::new("BODY_LIMIT", "BYTES", "Maximum size of a request body").default("65536");
/// The default of `BODY_LIMIT`, in bytes.
pub const DEFAULT_BODY_LIMIT: usize = BODY_LIMIT.default_number();
const KEEP_ALIVE_TIMEOUT: Variable = Variable::new(
    "KEEP_ALIVE_TIMEOUT",
    "DURATION",
    "Time between requests on one connection; set it longer than that of the load balancer in front",
)
.default("75s");
const WRITE_TIMEOUT: Variable = Variable::new(
    "WRITE_TIMEOUT",
    "DURATION",
    "Time for a client to take an answer, in addition to the time that WRITE_RATE allows",
)
.default("30s");
const WRITE_RATE: Variable = Variable::new(
    "WRITE_RATE",
    "BYTES",
    "Bytes per second at which a client must take an answer that it does not take at once",
)
.default("1024");
const WRITE_LIMIT: Variable = Variable::new(
    "WRITE_LIMIT",
    "BYTES",
    "Bytes of all answers that wait to be sent; over the limit, the server gives up those that have waited the longest",
)
.default("67108864");
const RATE_LIMIT: Variable = Variable::new(
    "RATE_LIMIT",
    "NUMBER",
    "Requests per second of each user; twice as many may come at once, and further ones get a 429",
)
.absent("none")
.example("20");
const RATE_LIMIT_ANONYMOUS: Variable = Variable::new(
    "RATE_LIMIT_ANONYMOUS",
    "NUMBER",
    "Requests per second without a valid token from each address; twice as many may come at once",
)
.absent("none")
.example("20");
const TRUSTED_PROXIES: Variable = Variable::new(
    "TRUSTED_PROXIES",
    "ADDRESSES",
    "Addresses and networks of the proxies whose X-Forwarded-For has the address of the client, separated by commas",
)
.absent("none")
.example("127.0.0.1,10.0.0.0/8");
const SHUTDOWN_DELAY: Variable = Variable::new(
    "SHUTDOWN_DELAY",
    "DURATION",
    "Time to accept requests after the stop signal, while /ready fails; behind a load balancer, set it a little longer \
     than the interval of its checks",
)
.default("0s");
const SHUTDOWN_GRACE: Variable =
    Variable::new("SHUTDOWN_GRACE", "DURATION", "Time for requests in flight to finish at the shutdown").default("10s");

/// The variables of [`reach`].
pub const LISTEN: &[&Variable] = &[&HOST, &PORT];

/// The variables of [`Serve`].
pub const SERVE: &[&Variable] = &[
    &HOST,
    &PORT,
    &CORS_ORIGINS,
    &LOG_FORMAT,
    &RUST_LOG,
    &METRICS_ADDRESS,
    &MAX_CONNECTIONS,
    &FIRST_BYTE_TIMEOUT,
    &HEADER_TIMEOUT,
    &BODY_TIMEOUT,
    &BODY_LIMIT,
    &KEEP_ALIVE_TIMEOUT,
    &WRITE_TIMEOUT,
    &WRITE_RATE,
    &WRITE_LIMIT,
    &RATE_LIMIT,
    &RATE_LIMIT_ANONYMOUS,
    &TRUSTED_PROXIES,
    &SHUTDOWN_DELAY,
    &SHUTDOWN_GRACE,
];

/// The address to listen on; port 0 means any free port.
fn listen(settings: &mut Settings) -> Result<SocketAddr, ConfigError> {
    let host = settings.get(&HOST)?.unwrap_or_default();
    let host = if host == "localhost" { "127.0.0.1" } else { &host };
    let host: IpAddr = host.parse().map_err(|_| HOST.invalid("is not an IP address"))?;
    let port: u16 =
        settings.get(&PORT)?.unwrap_or_default().parse().map_err(|_| PORT.invalid("is not a port from 0 to 65535"))?;
    Ok((host, port).into())
}

/// The addresses at which a server with this configuration can be reached on the same machine, in the order to try.
///
/// # Errors
///
/// [`ConfigError`] for the first variable that cannot be used.
pub fn reach(settings: &mut Settings) -> Result<Vec<SocketAddr>, ConfigError> {
    let address = listen(settings)?;
    if address.port() == 0 {
        return Err(PORT.invalid("is 0, so the server has chosen a free port: name that port"));
    }
    let hosts = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => vec![Ipv4Addr::LOCALHOST.into()],
        // It also listens on IPv4, and a container often has no IPv6.
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
        host => vec![host],
    };
    Ok(hosts.into_iter().map(|host| (host, address.port()).into()).collect())
}

/// The configuration of the server.
#[derive(Debug)]
pub struct Serve {
    /// Address to listen on; port 0 means any free port.
    pub address: SocketAddr,
    /// The origins whose pages may use the API.
    pub cors: Cors,
    /// Format of log lines.
    pub log_format: Format,
    /// Filter of log lines.
    pub log_filter: EnvFilter,
    /// Address to serve metrics at; none turns them off.
    pub metrics: Option<SocketAddr>,
    /// Where to export traces to; none turns the export off.
    pub traces: Option<Traces>,
    /// Limits of connections.
    pub limits: Limits,
    /// Limits of request bodies.
    pub body_limits: BodyLimits,
    /// Limits of the rate of requests.
    pub rate_limits: RateLimits,
}

impl Serve {
    /// # Errors
    ///
    /// [`ConfigError`] for the first variable that cannot be used.
    pub fn read(settings: &mut Settings) -> Result<Self, ConfigError> {
        Self::with(settings, None, Format::Json)
    }

    /// As [`Serve::read`], with the defaults of development.
    ///
    /// # Errors
    ///
    /// As [`Serve::read`].
    pub fn read_for_development(settings: &mut Settings) -> Result<Self, ConfigError> {
        Self::with(settings, Some(DEV_ORIGIN), Format::Pretty)
    }

    fn with(settings: &mut Settings, origin: Option<&str>, format: Format) -> Result<Self, ConfigError> {
        let address = listen(settings)?;
        let cors = settings.get(&CORS_ORIGINS)?;
        let log_format = match settings.get(&LOG_FORMAT)?.as_deref() {
            None => format,
            Some("pretty") => Format::Pretty,
            Some("json") => Format::Json,
            Some(_) => return Err(LOG_FORMAT.invalid("is neither pretty nor json")),
        };
        let metrics =
            settings.get(&METRICS_ADDRESS)?.map(|address| address.replace("localhost:", "127.0.0.1:").parse());
        let metrics = metrics.transpose().map_err(|_| METRICS_ADDRESS.invalid("is not an IP address with a port"))?;
        let body = settings.timeout(&BODY_TIMEOUT)?;
        Ok(Self {
            address,
            cors: Cors::of(cors.as_deref().or(origin).map_or(Ok(Vec::new()), origins)?),
            log_format,
            log_filter: log_filter(&settings.get(&RUST_LOG)?.unwrap_or_default())?,
            metrics,
            traces: traces::read(settings)?,
            limits: Limits {
                connections: settings.number(&MAX_CONNECTIONS, 1_000_000)?,
                first_byte: settings.timeout(&FIRST_BYTE_TIMEOUT)?,
                header: settings.timeout(&HEADER_TIMEOUT)?,
                keep_alive: settings.timeout(&KEEP_ALIVE_TIMEOUT)?,
                body,
                write: settings.timeout(&WRITE_TIMEOUT)?,
                write_rate: settings.number(&WRITE_RATE, 1 << 30)?,
                unsent: settings.number(&WRITE_LIMIT, 1 << 40)?,
                shutdown_delay: settings.duration(&SHUTDOWN_DELAY)?,
                shutdown_grace: settings.duration(&SHUTDOWN_GRACE)?,
            },
            body_limits: BodyLimits { size: settings.number(&BODY_LIMIT, 1 << 30)?, time: body },
            rate_limits: RateLimits {
                user: settings.optional_number(&RATE_LIMIT, HIGHEST_RATE)?.map(|rate| RateLimit::new("user", rate)),
                anonymous: settings
                    .optional_number(&RATE_LIMIT_ANONYMOUS, HIGHEST_RATE)?
                    .map(|rate| RateLimit::new("address", rate)),
                trusted_proxies: TrustedProxies::of(proxies(&settings.get(&TRUSTED_PROXIES)?.unwrap_or_default())?),
            },
        })
    }
}

/// The entries of a list, with their numbers.
fn entries(list: &str) -> impl Iterator<Item = (&str, usize)> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).zip(1..)
}

fn proxies(list: &str) -> Result<Vec<IpNet>, ConfigError> {
    let network = |(entry, number): (&str, usize)| {
        let network = entry.parse().or_else(|_| entry.parse().map(|address: IpAddr| address.into()));
        let problem = "is neither an IP address nor a network such as 10.0.0.0/8";
        network.map_err(|_| TRUSTED_PROXIES.invalid(format!("cannot be used: entry {number} {problem}")))
    };
    entries(list).map(network).collect()
}

fn origins(list: &str) -> Result<Vec<HeaderValue>, ConfigError> {
    let origin = |(entry, number): (&str, usize)| {
        cors::origin(entry).map_err(|problem| CORS_ORIGINS.invalid(format!("cannot be used: entry {number} {problem}")))
    };
    entries(list).map(origin).collect()
}

/// Parses a filter. Rejects a single word that is not a level: it would be a crate's name, and hide all other lines.
fn log_filter(text: &str) -> Result<EnvFilter, ConfigError> {
    let ours = |part: &str| part.starts_with(env!("CARGO_CRATE_NAME"));
    let has_level = |part: &str| part.contains('=') || ours(part) || part.parse::<LevelFilter>().is_ok();
    if !text.split(',').map(str::trim).any(has_level) {
        return Err(RUST_LOG.invalid("has no level: error, warn, info, debug, trace or off"));
    }
    EnvFilter::try_new(text).map_err(|_| RUST_LOG.invalid("is not a filter"))
}
