//! The configuration of the database.

use super::{ConfigError, Settings, Variable, invalid};
use crate::db::{DatabaseUrl, InvalidUrl, Lanes};

const DATABASE_URL: Variable = Variable::new(
    "DATABASE_URL",
    "URL",
    "The database: sqlite://folder/file.db?mode=rwc (three slashes for an absolute path; mode=rwc creates a missing file) \
     or postgresql://user:password@host/database (TLS is on and verified unless sslmode=disable)",
)
.default(DatabaseUrl::EMBEDDED);
const NEON_DB_URL: Variable =
    Variable::new("NEON_DB_URL", "URL", "The database, in Neon's own variable; wins if both are set")
        .example(DatabaseUrl::SERVER);
const DB_READ_CONNECTIONS: Variable =
    Variable::new("DB_READ_CONNECTIONS", "NUMBER", "Connections to a PostgreSQL server that reads share").default("2");
const DB_WRITE_CONNECTIONS: Variable = Variable::new(
    "DB_WRITE_CONNECTIONS",
    "NUMBER",
    "Connections to a PostgreSQL server that changes share, one change on each at a time",
)
.default("16");

/// The variables that name the database.
pub const DATABASE: &[&Variable] = &[&DATABASE_URL, &NEON_DB_URL];
/// The variables of the number of connections.
pub const LANES: &[&Variable] = &[&DB_READ_CONNECTIONS, &DB_WRITE_CONNECTIONS];

/// The configuration of the database.
#[derive(Debug)]
pub struct Database {
    /// The name of the variable with its URL.
    pub variable: &'static str,
    /// Its URL.
    pub url: DatabaseUrl,
    /// The number of connections.
    pub lanes: Lanes,
}

impl Database {
    /// The database of a server.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for an invalid URL or number.
    pub fn read(settings: &mut Settings) -> Result<Self, ConfigError> {
        let database = Self::read_alone(settings)?;
        let reads = settings.number(&DB_READ_CONNECTIONS, 1000)?;
        Ok(Self { lanes: Lanes { reads, writes: settings.number(&DB_WRITE_CONNECTIONS, 1000)? }, ..database })
    }

    /// The database of a command that needs one connection.
    ///
    /// # Errors
    ///
    /// As [`Database::read`].
    pub fn read_alone(settings: &mut Settings) -> Result<Self, ConfigError> {
        let (variable, own, url) = match settings.get(&NEON_DB_URL)? {
            Some(url) => (NEON_DB_URL.name, NEON_DB_URL.example, url),
            None => (DATABASE_URL.name, None, settings.get(&DATABASE_URL)?.unwrap_or_default()),
        };
        let refused = |InvalidUrl { problem, example }| invalid(variable, problem, own.unwrap_or(example));
        let url = url.parse().map_err(refused)?;
        Ok(Self { variable, url, lanes: Lanes { reads: 1, writes: 1 } })
    }

    /// The embedded database of `dev`, independent of the environment.
    #[must_use]
    pub fn embedded() -> Self {
        let lanes = Lanes { reads: 1, writes: 1 };
        Self { variable: DATABASE_URL.name, url: DatabaseUrl::embedded(), lanes }
    }
}
