//! A server process with a fresh database.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, OnceLock},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Client, SECRET, token};

/// How long anything that a server should do at once may take on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Which database the server runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file in the server's folder.
    Sqlite,
}

/// A running server; stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Arc<Log>,
    address: String,
    environment: Vec<(String, String)>,
    folder: Arc<TempDir>,
}

#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Server {
    /// A server on a fresh database.
    pub fn start(database: Database) -> Self {
        Self::with(database, &[])
    }

    /// As [`Server::start`], with further environment variables.
    pub fn with(database: Database, environment: &[(&str, &str)]) -> Self {
        let (folder, environment) = prepare(database, environment);
        Self::spawn(folder, environment)
    }

    /// Several servers that start at the same time on one fresh database.
    pub fn start_together(database: Database, count: usize) -> Vec<Self> {
        let (folder, environment) = prepare(database, &[]);
        let spawn = |_| {
            thread::spawn({
                let (folder, environment) = (folder.clone(), environment.clone());
                move || Self::spawn(folder, environment)
            })
        };
        let starting: Vec<_> = (0..count).map(spawn).collect();
        starting.into_iter().map(|server| server.join().unwrap()).collect()
    }

    /// A server whose SQLite file is on a disk of its own, of this size.
    pub fn on_a_small_disk(kib: usize) -> Self {
        let (folder, environment) = prepare(Database::Sqlite, &[]);
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let mut command = Command::new("unshare");
        let script = format!("mount -t tmpfs -o size={kib}k tmpfs data && exec {} serve", binary().display());
        command.args(["--map-root-user", "--mount", "sh", "-c", &script]);
        Self::run(command, folder, environment)
    }

    /// One more server on the same database.
    pub fn sibling(&self) -> Self {
        Self::spawn(self.folder.clone(), self.environment.clone())
    }

    /// The server again, after its process has ended.
    pub fn restart(self) -> Self {
        self.sibling()
    }

    fn spawn(folder: Arc<TempDir>, environment: Vec<(String, String)>) -> Self {
        let mut command = Command::new(binary());
        command.arg("serve");
        Self::run(command, folder, environment)
    }

    fn run(mut command: Command, folder: Arc<TempDir>, environment: Vec<(String, String)>) -> Self {
        let path = [("PATH".to_owned(), std::env::var("PATH").unwrap())];
        command.current_dir(folder.path()).env_clear().envs(path.into_iter().chain(environment.clone()));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::<Log>::default();
        let (lines, writer) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                writer.lines.lock().unwrap().push(line);
                writer.changed.notify_all();
            }
            writer.lines.lock().unwrap().push("{\"message\":\"the process has ended\"}".to_owned());
            writer.changed.notify_all();
        });
        let mut server = Self { child, log, address: String::new(), environment, folder };
        let listening = server.wait_for_log(|line| {
            let message = line.get("message")?.as_str()?;
            matches!(message, "listening" | "the process has ended").then(|| line.clone())
        });
        let address = listening.get("address").and_then(Value::as_str);
        address
            .unwrap_or_else(|| panic!("the server did not start: {:#?}", server.log()))
            .clone_into(&mut server.address);
        server
    }

    /// A client signed in as the user.
    pub fn user(&self, user: &str) -> Client {
        Client::new(&self.address, Some(token(user)))
    }

    /// A client without a token.
    pub fn stranger(&self) -> Client {
        Client::new(&self.address, None)
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where the process runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The same folder with the file systems that the process sees.
    pub fn inner_folder(&self) -> PathBuf {
        format!("/proc/{}/cwd", self.pid()).into()
    }

    /// Id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log lines so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    /// Waits until `found` likes a log line, and gives what it made of it.
    pub fn wait_for_log<T>(&self, found: impl Fn(&Value) -> Option<T>) -> T {
        let lines = self.log.lines.lock().unwrap();
        let mut hit = None;
        let (lines, _) = self
            .log
            .changed
            .wait_timeout_while(lines, PATIENCE, |lines| {
                hit = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).find_map(|line| found(&line));
                hit.is_none()
            })
            .unwrap();
        hit.unwrap_or_else(|| panic!("no such log line among {lines:#?}"))
    }

    /// Sends the process a signal, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success(), "kill -{signal}");
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends the process as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            let log = self.log();
            eprintln!("the server's log ends with\n{}", log[log.len().saturating_sub(20)..].join("\n"));
        }
    }
}

/// A folder for the server, and its environment, on a fresh database.
fn prepare(database: Database, environment: &[(&str, &str)]) -> (Arc<TempDir>, Vec<(String, String)>) {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let url = match database {
        Database::Sqlite => "sqlite://data/todo.db?mode=rwc",
    };
    let base = [("DATABASE_URL", url), ("BETTER_AUTH_SECRET", SECRET), ("PORT", "0"), ("LOG_FORMAT", "json")];
    (folder, base.iter().chain(environment).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

/// The program, built as these tests are.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let target = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let release = target.file_name().is_some_and(|name| name == "release");
        let cargo = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--workspace", "--bins"])
            .args(release.then_some("--release"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(cargo.unwrap().success(), "cargo build");
        target.join("todo-api")
    })
}
