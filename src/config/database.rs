//! Which database.

use clap::Args;

use super::{ConfigError, given, invalid, number};
use crate::db::{DatabaseUrl, InvalidUrl, Lanes};

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

const DATABASE_URL: &str = "DATABASE_URL";

/// The checked [`DatabaseOptions`].
#[derive(Debug)]
pub struct Database {
    /// The variable that says where it is.
    pub variable: &'static str,
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
        let other = given(self.database_url.as_deref()).map(|url| (DATABASE_URL, url));
        let (variable, url) = neon.or(other).unwrap_or((DATABASE_URL, DatabaseUrl::EMBEDDED));
        Ok(Database {
            variable,
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
        Self { variable: DATABASE_URL, url: DatabaseUrl::embedded(), lanes: Lanes { reads: 1, writes: 1 } }
    }
}
