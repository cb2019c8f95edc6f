//! A server process with a fresh database.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{Client, Database, Method, PostgresDatabase, SECRET, Version, binary, place::Place, token};

/// Time limit, on a loaded machine, for anything that a server should do at once.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server; stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Arc<Log>,
    address: String,
    pub(crate) place: Arc<Place>,
    version: Version,
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
        Self::spawn(Place::new(database, environment))
    }

    /// A server of this version on a fresh database.
    pub fn of(version: Version, database: Database) -> Self {
        Self::run_version(version, Place::new(database, &[]))
    }

    /// A server on a database of the test.
    pub fn on(database: PostgresDatabase, environment: &[(&str, &str)]) -> Self {
        let url = database.url().to_owned();
        Self::spawn(Place::on(Some(database), &url, environment))
    }

    /// A server at a URL, such as that of a pooler or a proxy.
    pub fn at(url: &str, environment: &[(&str, &str)]) -> Self {
        Self::spawn(Place::on(None, url, environment))
    }

    /// The last line of a server that its database rejects.
    pub fn refusal(url: &str) -> String {
        let (status, line) = Self::failure(url);
        assert_eq!(status, Some(1), "{line}");
        line
    }

    /// The last line of a server with the URL of an unsuitable database.
    pub fn misuse(url: &str) -> String {
        let (status, line) = Self::failure(url);
        assert_eq!(status, Some(2), "{line}");
        assert!(line.starts_with("todo-api: DATABASE_URL: "), "{line}");
        line
    }

    fn failure(url: &str) -> (Option<i32>, String) {
        Self::refused(&[("DATABASE_URL", url)])
    }

    /// The exit status and last line of a server that cannot start with these variables. One that starts all the same is
    /// killed after two minutes.
    pub fn refused(environment: &[(&str, &str)]) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().unwrap();
        let environment = [&[("BETTER_AUTH_SECRET", SECRET), ("PORT", "0")], environment].concat();
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", "120"]).arg(binary()).arg("serve").current_dir(&folder);
        let output = command.env_clear().envs(environment).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        let line = errors.lines().last().unwrap().to_owned();
        (output.status.code(), line)
    }

    /// Several servers that start at the same time on one fresh database.
    pub fn start_together(database: Database, count: usize) -> Vec<Self> {
        Self::start_together_with(database, count, &[])
    }

    /// As [`Server::start_together`], with further environment variables.
    pub fn start_together_with(database: Database, count: usize, environment: &[(&str, &str)]) -> Vec<Self> {
        let place = Place::new(database, environment);
        let spawn = |_| {
            let place = place.clone();
            thread::spawn(move || Self::spawn(place))
        };
        let starting: Vec<_> = (0..count).map(spawn).collect();
        starting.into_iter().map(|server| server.join().unwrap()).collect()
    }

    /// A server with its SQLite file on a separate disk of this size.
    pub fn on_a_small_disk(kib: usize) -> Self {
        Self::on_a_disk(kib, "")
    }

    /// As [`Server::on_a_small_disk`], but before the start a file `data/filler` fills the disk.
    pub fn on_a_full_disk(kib: usize) -> Self {
        Self::on_a_disk(kib, "cat /dev/zero > data/filler || true;")
    }

    /// A server that logs to a file `log/lines` on a separate disk of this size. Its database is elsewhere.
    pub fn logging_to_a_small_disk(kib: usize) -> Self {
        let script = format!("{} exec {} serve 2>> log/lines", disk("log", kib), binary().display());
        let mut server = Self::launch(in_a_shell(&script), Place::new(Database::Sqlite, &[]));
        let log = server.inner_folder().join("log/lines");
        let listening = || {
            let lines = std::fs::read_to_string(&log).unwrap_or_default();
            let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines
                .filter(|line| line["message"] == "listening")
                .find_map(|line| line["address"].as_str().map(str::to_owned))
        };
        server.address = std::iter::repeat_with(listening).find_map(|address| address).unwrap();
        server
    }

    /// A server that a shell starts after these commands.
    pub fn scripted(before: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-ec", &format!("{before}; exec {} serve", binary().display())]);
        Self::run(command, Place::new(Database::Sqlite, &[]))
    }

    fn on_a_disk(kib: usize, before: &str) -> Self {
        let script = format!("{} {before} exec {} serve", disk("data", kib), binary().display());
        Self::run(in_a_shell(&script), Place::new(Database::Sqlite, &[]))
    }

    /// One more server on the same database.
    pub fn sibling(&self) -> Self {
        Self::spawn(self.place.clone())
    }

    /// As [`Server::sibling`], of another version.
    pub fn sibling_of(&self, version: Version) -> Self {
        Self::run_version(version, self.place.clone())
    }

    /// Starts the server again after its process has ended.
    pub fn restart(self) -> Self {
        self.sibling_of(self.version)
    }

    /// As [`Server::sibling`], with further environment variables.
    pub fn sibling_with(&self, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary());
        command.arg("serve").envs(environment.iter().copied());
        Self::run(command, self.place.clone())
    }

    fn spawn(place: Arc<Place>) -> Self {
        Self::run_version(Version::Current, place)
    }

    fn run_version(version: Version, place: Arc<Place>) -> Self {
        // `nohup make test` and `make test &` ignore some signals, and programs inherit that.
        let mut command = Command::new("env");
        command.arg("--default-signal").arg(version.program()).arg("serve");
        Self::run_as(version, command, place)
    }

    fn run(command: Command, place: Arc<Place>) -> Self {
        Self::run_as(Version::Current, command, place)
    }

    /// It listens before its database is ready: waits for that, unless the test expects a failure.
    fn run_as(version: Version, command: Command, place: Arc<Place>) -> Self {
        let mut server = Self::launch(command, place);
        server.version = version;
        let listening = server.wait_for_log(|line| {
            let message = line.get("message")?.as_str()?;
            matches!(message, "listening" | "the process has ended").then(|| line.clone())
        });
        let address = listening.get("address").and_then(Value::as_str);
        address
            .unwrap_or_else(|| panic!("the server did not start: {:#?}", server.lines()))
            .clone_into(&mut server.address);
        if version == Version::Current {
            server.wait_for_log(|line| {
                let is_ready = ["ready", "the process has ended"].iter().any(|message| line["message"] == *message);
                (is_ready || line["target"] == "todo_api::db::outage").then_some(())
            });
        } else {
            // It does not log it. A request waits for the database.
            let ready = std::iter::repeat_with(|| server.stranger().get("/ready").status == 200);
            assert!(ready.take(100).any(|is_ready| is_ready), "{:#?}", server.lines());
        }
        server
    }

    fn launch(mut command: Command, place: Arc<Place>) -> Self {
        let path = [("PATH".to_owned(), std::env::var("PATH").unwrap())];
        let own: Vec<_> = command.get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
        command.current_dir(place.folder.path()).env_clear();
        command.envs(path.into_iter().chain(place.environment.clone())).envs(own);
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
        Self { child, log, address: String::new(), place, version: Version::Current }
    }

    /// A client signed in as the user.
    pub fn user(&self, user: &str) -> Client {
        self.client(Some(token(user)))
    }

    /// A client without a token.
    pub fn stranger(&self) -> Client {
        self.client(None)
    }

    fn client(&self, token: Option<String>) -> Client {
        Client::of(self.version, &self.address, token)
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The working directory of the process.
    pub fn folder(&self) -> &Path {
        self.place.folder.path()
    }

    /// The file of its SQLite database.
    pub fn sqlite(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.folder().join("data/todo.db")).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        connection
    }

    /// Its PostgreSQL database.
    pub fn postgres(&self) -> postgres::Client {
        self.place.database.as_ref().expect("the server is on PostgreSQL").connect()
    }

    /// Runs SQL for both databases. Returns the number in the first row, or the number of changed rows.
    pub fn sql(&self, sql: &str) -> i64 {
        let query = sql.trim_start().starts_with("SELECT");
        match &self.place.database {
            None if query => self.sqlite().query_row(sql, (), |row| row.get(0)).unwrap(),
            None => self.sqlite().execute(sql, ()).unwrap().try_into().unwrap(),
            Some(database) if query => database.connect().query_one(sql, &[]).unwrap().get(0),
            Some(database) => database.connect().execute(sql, &[]).unwrap().try_into().unwrap(),
        }
    }

    /// The same folder, as the process sees it with its mounts.
    pub fn inner_folder(&self) -> PathBuf {
        format!("/proc/{}/cwd", self.pid()).into()
    }

    /// Id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All lines that the server has logged so far. Lines are written in order, so once the line of a new request is
    /// there, all lines before it are.
    pub fn log(&self) -> Vec<String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = format!("so-far-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let client = self.stranger();
        if client.try_send(client.request(Method::GET, "/health").header("X-Request-Id", &id)).is_ok() {
            self.wait_for_log(|line| (line["request_id"] == id.as_str()).then_some(()));
        }
        self.lines()
    }

    fn lines(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    /// Waits for a log line for which `found` returns a value, and returns that.
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
        // A panic with the locked log would end all tests, because the log is printed at the end.
        drop(lines);
        hit.unwrap_or_else(|| panic!("no such log line among {:#?}", self.lines()))
    }

    /// Locks the database for writes until the guard is dropped.
    pub fn hold_writes(&self) -> Box<dyn std::any::Any> {
        match &self.place.database {
            None => {
                let connection = self.sqlite();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Box::new(connection)
            }
            Some(database) => {
                let mut connection = database.connect();
                connection.batch_execute("BEGIN; LOCK TABLE users, tasks, idempotency_keys IN EXCLUSIVE MODE").unwrap();
                Box::new(connection)
            }
        }
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

    /// Kills the process.
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
            let log = self.lines();
            eprintln!("the server's log ends with\n{}", log[log.len().saturating_sub(20)..].join("\n"));
        }
    }
}

/// Runs a script that may mount file systems.
fn in_a_shell(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-ec", script]);
    command
}

/// The commands to mount a disk of this size at a folder.
fn disk(folder: &str, kib: usize) -> String {
    format!("mkdir {folder}; mount -t tmpfs -o size={kib}k tmpfs {folder};")
}
