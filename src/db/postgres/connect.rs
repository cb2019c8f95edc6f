//! Connects to the hosts of a URL one after the other, with a time limit for each.

use tokio::{net::lookup_host, time::timeout};
use tokio_postgres::{Client, Config, Error, config::Host};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

use super::{connection::Connection, sqlstate::on_connect, tls};
use crate::db::{DbError, url::PostgresServer};

/// The port of a host without one.
const DEFAULT_PORT: u16 = 5432;

/// The task that sends the statements of a connection and receives their answers. It ends with the connection, or when
/// this is dropped.
pub(super) type Driver = AbortOnDropHandle<Result<(), Error>>;

/// Connects to a server.
#[derive(Clone)]
pub(super) struct Connector {
    server: PostgresServer,
    tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.server.fmt(f)
    }
}

impl Connector {
    pub(super) fn new(server: PostgresServer) -> Result<Self, DbError> {
        let tls = tls::connector(&server.tls)?;
        Ok(Self { server, tls })
    }

    /// Connects to the first host that accepts it.
    ///
    /// # Errors
    ///
    /// The errors of all hosts: [`DbError::Refused`] if no retry can fix any of them, else [`DbError::Unavailable`].
    pub(super) async fn connect(&self) -> Result<(Client, Driver), DbError> {
        let (mut reasons, mut lasting) = (Vec::new(), true);
        for host in &self.server.hosts {
            for config in self.addresses(host).await {
                let error = match self.connect_to(config).await {
                    Ok(connected) => return Ok(connected),
                    Err(error) => error,
                };
                lasting &= matches!(error, DbError::Refused(_));
                reasons.push(error.text().to_owned());
            }
        }
        // A name without an address may get one later.
        let lasting = lasting && !reasons.is_empty();
        let reasons = if reasons.is_empty() { "the host has no address".to_owned() } else { reasons.join("; ") };
        Err(if lasting { DbError::Refused(reasons) } else { DbError::Unavailable(reasons) })
    }

    /// One configuration for each address of the host, so that a silent address does not hide the next one.
    async fn addresses(&self, host: &Config) -> Vec<Config> {
        let ([Host::Tcp(name)], []) = (host.get_hosts(), host.get_hostaddrs()) else { return vec![host.clone()] };
        let port = host.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
        let found = timeout(self.server.connect_timeout, lookup_host((name.as_str(), port))).await;
        let Ok(Ok(addresses)) = found else { return vec![host.clone()] };
        addresses.map(|address| host.clone().hostaddr(address.ip()).clone()).collect()
    }

    /// Connects to one address. The time limit includes TLS and authentication: a host may accept the connection and
    /// then send nothing.
    async fn connect_to(&self, config: Config) -> Result<(Client, Driver), DbError> {
        match timeout(self.server.connect_timeout, config.connect(self.tls.clone())).await {
            Ok(Ok((client, connection))) => Ok((client, Driver::new(tokio::spawn(connection)))),
            Ok(Err(error)) => Err(on_connect(&error)),
            Err(_) => Err(DbError::Unavailable("the server did not answer in time".to_owned())),
        }
    }

    /// As [`Connector::connect`], but returns a [`Connection`] of the pool.
    pub(super) async fn open(&self) -> Result<(Connection, Driver), DbError> {
        let (client, driver) = self.connect().await?;
        Ok((Connection::new(client, self.tls.clone()), driver))
    }
}
