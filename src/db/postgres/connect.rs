//! From a URL to a connection: host by host, each within a bound.

use tokio::{net::lookup_host, time::timeout};
use tokio_postgres::{Client, Config, Error, config::Host};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{connection::Connection, sqlstate::on_connect, tls};
use crate::db::{DbError, url::PostgresServer};

/// The port of a host that names none.
const DEFAULT_PORT: u16 = 5432;

/// What it takes to connect.
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

    /// A connection to the first host that takes it, and the work of driving it, which ends when the connection does.
    ///
    /// # Errors
    ///
    /// The reason of each host: [`DbError::Refused`] where no further attempt will cure any of them.
    pub(super) async fn connect(&self) -> Result<(Client, impl Future<Output = Result<(), Error>> + use<>), DbError> {
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
        // A name may have no address for the moment.
        let lasting = lasting && !reasons.is_empty();
        let reasons = if reasons.is_empty() { "the host has no address".to_owned() } else { reasons.join("; ") };
        Err(if lasting { DbError::Refused(reasons) } else { DbError::Unavailable(reasons) })
    }

    /// The host by each of its addresses, so that one that is silent does not hide the next.
    async fn addresses(&self, host: &Config) -> Vec<Config> {
        let ([Host::Tcp(name)], []) = (host.get_hosts(), host.get_hostaddrs()) else { return vec![host.clone()] };
        let port = host.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
        let found = timeout(self.server.connect_timeout, lookup_host((name.as_str(), port))).await;
        let Ok(Ok(addresses)) = found else { return vec![host.clone()] };
        addresses.map(|address| host.clone().hostaddr(address.ip()).clone()).collect()
    }

    /// Connects to one address. The bound is for the whole of it, TLS and authentication included: a host may accept and
    /// then say nothing.
    async fn connect_to(
        &self,
        config: Config,
    ) -> Result<(Client, impl Future<Output = Result<(), Error>> + use<>), DbError> {
        match timeout(self.server.connect_timeout, config.connect(self.tls.clone())).await {
            Ok(connected) => connected.map_err(|error| on_connect(&error)),
            Err(_) => Err(DbError::Unavailable("the server does not answer".to_owned())),
        }
    }

    /// As [`Connector::connect`], for statements to be pipelined.
    pub(super) async fn open(&self) -> Result<(Connection, impl Future<Output = Result<(), Error>> + use<>), DbError> {
        let (client, driver) = self.connect().await?;
        Ok((Connection::new(client, self.tls.clone()), driver))
    }
}
