//! How to serve.

use std::net::IpAddr;

use clap::Args;
use poem::http::HeaderValue;
use tracing_subscriber::EnvFilter;

use super::{ConfigError, duration, given, invalid, number};
use crate::{
    cors::{self, Cors},
    payload::BodyLimits,
    server::Limits,
    telemetry::Format,
};

const DEV_ORIGIN: &str = "http://localhost:3000";

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
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    rust_log: String,
    /// Connections at a time; where there are as many, those that are idle the longest make room
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
    /// Time for the client to take an answer, beside the time that `WRITE_RATE` gives it
    #[arg(long, env = "WRITE_TIMEOUT", default_value = "30s", value_name = "DURATION")]
    write_timeout: String,
    /// Bytes of an answer that the client must take in a second, where it does not take all at once
    #[arg(long, env = "WRITE_RATE", default_value = "1024", value_name = "BYTES")]
    write_rate: String,
    /// Bytes of all answers that wait to be sent; beyond, those that wait the longest are given up
    #[arg(long, env = "WRITE_LIMIT", default_value = "67108864", value_name = "BYTES")]
    write_limit: String,
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
                write_rate: number("WRITE_RATE", &self.write_rate, 1 << 30, "1024")?,
                unsent: number("WRITE_LIMIT", &self.write_limit, 1 << 40, "67108864")?,
                body: duration("BODY_TIMEOUT", &self.body_timeout, "15s")?,
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

fn origins(list: &str) -> Result<Vec<HeaderValue>, ConfigError> {
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let origin = |(entry, number): (&str, usize)| {
        cors::origin(entry).map_err(|problem| {
            let problem = format!("cannot be used: entry {number} {problem}");
            invalid("CORS_ORIGINS", problem, "https://app.example.com,http://localhost:3000")
        })
    };
    entries.zip(1..).map(origin).collect()
}
