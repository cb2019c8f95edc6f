//! A PostgreSQL cluster of the tests' own, and a database in it for each test.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use postgres::{Client, NoTls};

/// A running cluster. It ends, and takes its folder with it, when this process does.
#[derive(Debug)]
pub struct Cluster {
    /// Host, port and user, as the beginning of a URL.
    base: String,
    /// Parameters of the URL.
    parameters: String,
    /// Its port, where it is our own.
    pub port: u16,
    /// The server process, where it is our own.
    pub pid: u32,
    /// Its folder, where it is our own; the data are in `data`.
    pub folder: String,
    _process: Option<Child>,
}

/// A database, dropped with this.
#[derive(Debug)]
pub struct PostgresDatabase {
    name: String,
    url: String,
    admin: String,
}

impl Cluster {
    /// A new cluster with these settings, such as `ssl=on`.
    pub fn start(settings: &[&str]) -> Self {
        let mut process = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/postgres-cluster"))
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut words = line.split_whitespace();
        let mut word = || words.next().expect("the cluster did not start").to_owned();
        let (port, pid, folder) = (word().parse().unwrap(), word().parse().unwrap(), word());
        let base = format!("postgresql://postgres@127.0.0.1:{port}");
        Self { base, parameters: "sslmode=disable".to_owned(), port, pid, folder, _process: Some(process) }
    }

    /// The cluster that the tests share: `TEST_POSTGRES_URL`, or one of our own.
    pub fn shared() -> &'static Self {
        static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| match std::env::var("TEST_POSTGRES_URL") {
            Ok(url) => {
                let (address, parameters) = url.split_once('?').unwrap_or((&url, ""));
                let scheme = address.find("://").expect("TEST_POSTGRES_URL is a URL") + 3;
                let host = address[scheme..].find('/').map_or(address.len(), |slash| scheme + slash);
                let (base, parameters) = (address[..host].to_owned(), parameters.to_owned());
                Cluster { base, parameters, port: 0, pid: 0, folder: String::new(), _process: None }
            }
            Err(_) => Cluster::start(&[]),
        });
        &CLUSTER
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}?{}", self.base, self.parameters)
    }

    /// A fresh database.
    pub fn database(&self) -> PostgresDatabase {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let admin = self.url("postgres");
        connect(&admin).batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        PostgresDatabase { url: self.url(&name), name, admin }
    }
}

impl PostgresDatabase {
    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection to it.
    pub fn connect(&self) -> Client {
        connect(&self.url)
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        // The cluster may be what a test has stopped.
        if let Ok(mut admin) = Client::connect(&self.admin, NoTls) {
            drop(admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)));
        }
    }
}

fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap()
}
