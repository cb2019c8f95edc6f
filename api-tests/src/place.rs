//! The place of a server: its folder, its database and its environment.

use std::sync::Arc;

use tempfile::TempDir;

use crate::{Cluster, PostgresDatabase, SECRET};

/// Limits that no test reaches, so that every answer has the headers that the document declares.
const LIMITS: [(&str, &str); 2] = [("RATE_LIMIT", "1000000"), ("RATE_LIMIT_ANONYMOUS", "1000000")];

/// The database of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file in the server's folder.
    Sqlite,
    /// A new database in the shared cluster.
    Postgres,
}

/// The state that servers on one database share.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) database: Option<PostgresDatabase>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Place {
    pub(crate) fn new(database: Database, environment: &[(&str, &str)]) -> Arc<Self> {
        match database {
            Database::Sqlite => Self::on(None, "sqlite://data/todo.db?mode=rwc", environment),
            Database::Postgres => {
                let database = Cluster::shared().database();
                let url = database.url().to_owned();
                Self::on(Some(database), &url, environment)
            }
        }
    }

    pub(crate) fn on(database: Option<PostgresDatabase>, url: &str, environment: &[(&str, &str)]) -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let base = [("DATABASE_URL", url), ("BETTER_AUTH_SECRET", SECRET), ("PORT", "0"), ("LOG_FORMAT", "json")];
        let environment =
            base.iter().chain(&LIMITS).chain(environment).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Arc::new(Self { folder, database, environment })
    }
}
