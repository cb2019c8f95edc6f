//! A PostgreSQL cluster for the tests, with a database for each test.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use postgres::{Client, NoTls};

/// A running cluster. It ends with this process, and removes its folder.
#[derive(Debug)]
pub struct Cluster {
    /// Scheme, user, host and port of its URLs.
    base: String,
    parameters: String,
    shared: bool,
    own: Option<Own>,
}

/// A cluster that the tests have started.
#[derive(Debug)]
struct Own {
    process: Child,
    port: u16,
    folder: String,
    /// Its standard input and output. `None` after the end.
    console: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

/// A database. In a shared cluster, it is dropped with this value.
#[derive(Debug)]
pub struct PostgresDatabase {
    url: String,
    name: String,
    /// The cluster to drop it in; `None` if it ends with its own cluster, which a test may have stopped.
    admin: Option<String>,
}

impl Cluster {
    /// A new cluster with these settings, such as `ssl=on`.
    pub fn start(settings: &[&str]) -> Self {
        Self::run(Command::new(SCRIPT).args(settings))
    }

    /// As [`Cluster::start`], with these files in its data directory.
    pub fn with_files(files: &Path, settings: &[&str]) -> Self {
        Self::run(Command::new(SCRIPT).args(settings).env("FILES", files))
    }

    /// A cluster with a small disk, mounted at `small` in its folder.
    pub fn with_a_small_disk(size: &str) -> Self {
        let mut command = Command::new("unshare");
        // Users other than root become root for the mount, and themselves again for PostgreSQL.
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        command.args(if root { &["--mount"][..] } else { &["--map-root-user", "--mount"] });
        Self::run(command.arg(SCRIPT).env("SMALL_DISK", size))
    }

    /// A standby of this cluster, with the name `standby`, until it is promoted.
    pub fn standby(&self) -> Self {
        let port = self.port().to_string();
        Self::run(Command::new(SCRIPT).arg("cluster_name=standby").env("STANDBY_OF", port))
    }

    fn run(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let (port, folder) = line.trim().split_once(' ').expect("the cluster did not start");
        let (port, folder) = (port.parse().unwrap(), folder.to_owned());
        let console = Mutex::new(Some((process.stdin.take().unwrap(), output)));
        let base = format!("postgresql://postgres@127.0.0.1:{port}");
        let own = Some(Own { process, port, folder, console });
        Self { base, parameters: "sslmode=disable".to_owned(), shared: false, own }
    }

    /// The shared cluster: `TEST_POSTGRES_URL`, or a new one.
    pub fn shared() -> &'static Self {
        static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| match std::env::var("TEST_POSTGRES_URL") {
            Ok(url) => {
                let (address, parameters) = url.split_once('?').unwrap_or((&url, ""));
                let host = address.find("://").expect("TEST_POSTGRES_URL is a URL") + 3;
                let end = address[host..].find('/').map_or(address.len(), |slash| host + slash);
                Cluster { base: address[..end].to_owned(), parameters: parameters.to_owned(), shared: true, own: None }
            }
            Err(_) => Cluster { shared: true, ..Cluster::start(&[]) },
        });
        &CLUSTER
    }

    fn own(&self) -> &Own {
        self.own.as_ref().expect("the cluster is our own")
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.own().port
    }

    /// Its folder.
    pub fn folder(&self) -> &str {
        &self.own().folder
    }

    /// Sends the command `stop`, `crash`, `start`, `freeze` or `thaw`, and waits until it is done.
    pub fn tell(&self, command: &str) {
        let mut console = self.own().console.lock().unwrap();
        let (input, output) = console.as_mut().unwrap();
        writeln!(input, "{command}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n", "{command}");
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}?{}", self.base, self.parameters)
    }

    /// A fresh database.
    pub fn database(&self) -> PostgresDatabase {
        self.database_with("")
    }

    /// A fresh database with these options of `CREATE DATABASE`.
    pub fn database_with(&self, options: &str) -> PostgresDatabase {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE DATABASE {name} {options}"));
        PostgresDatabase { url: self.url(&name), name, admin: self.shared.then(|| self.url("postgres")) }
    }

    /// Runs SQL as its administrator.
    pub fn sql(&self, sql: &str) {
        self.connect().batch_execute(sql).unwrap();
    }

    /// As [`Cluster::sql`], but the cluster may be starting.
    ///
    /// # Errors
    ///
    /// If there is no connection, or it is lost.
    pub fn try_sql(&self, sql: &str) -> Result<(), postgres::Error> {
        Client::connect(&self.url("postgres"), NoTls)?.batch_execute(sql)
    }

    /// A connection of its administrator.
    pub fn connect(&self) -> Client {
        connect(&self.url("postgres"))
    }

    /// Changes a setting for all sessions, open ones included. An empty value resets it.
    pub fn set(&self, name: &str, value: &str) {
        let mut admin = self.connect();
        let set = if value.is_empty() {
            format!("ALTER SYSTEM RESET {name}")
        } else {
            format!("ALTER SYSTEM SET {name} = '{value}'")
        };
        admin.batch_execute(&set).unwrap();
        admin.batch_execute("SELECT pg_reload_conf()").unwrap();
    }
}

/// A process that is stopped until this is dropped.
#[derive(Debug)]
pub struct Frozen(i32);

impl Frozen {
    /// Stops the process, such as the one that serves a connection.
    pub fn process(id: i32) -> Self {
        signal(id, "STOP");
        Self(id)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

/// Sends a signal, such as `KILL`, to a process, which may have ended.
pub fn signal(process: i32, signal: &str) {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{signal}"), &process.to_string()]).stderr(Stdio::null()).status().unwrap();
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/postgres-cluster");

impl Drop for Own {
    fn drop(&mut self) {
        // Its script ends when its standard input is closed.
        drop(self.console.lock().map(|mut console| console.take()));
        drop(self.process.wait());
    }
}

impl PostgresDatabase {
    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL over other ports of this machine, such as those of proxies, which are tried in turn.
    pub fn url_by(&self, ports: &[u16]) -> String {
        let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let (user, rest) = self.url.split_once('@').unwrap();
        let (_, path) = rest.split_once('/').unwrap();
        format!("{user}@{}/{path}", hosts.join(","))
    }

    /// A connection to it.
    pub fn connect(&self) -> Client {
        connect(&self.url)
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        if let Some(Ok(mut admin)) = self.admin.as_ref().map(|admin| Client::connect(admin, NoTls)) {
            drop(admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)));
        }
    }
}

fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap()
}
