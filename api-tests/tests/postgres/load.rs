//! Clients that write while the database is disturbed, and the record of their answers.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use api_tests::{Answer, Client, Cluster, End, PostgresDatabase, Server};
use serde_json::{Value, json};

/// Time limit of the contract for an answer while the database is unavailable.
pub const AT_MOST: Duration = Duration::from_secs(2);

/// A second, plus a margin for a busy machine.
pub const SOON: Duration = Duration::from_secs(3);

/// The meaning of an answer for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Done,
    Unchanged,
    Unknown,
}

impl Outcome {
    /// Fails if the answer is neither a success nor a 503 with a known meaning.
    pub fn of(answer: &Answer) -> Self {
        if (200..300).contains(&answer.status) {
            return Self::Done;
        }
        assert_eq!(answer.problem(), "503 unavailable", "{answer:?}");
        let problem = answer.json();
        let says = |word| problem["detail"].as_str().unwrap().contains(word);
        match (says("nothing was changed"), says("unknown")) {
            (true, false) => Self::Unchanged,
            (false, true) => Self::Unknown,
            _ => panic!("{problem} does not say whether something was changed"),
        }
    }
}

/// The answers to creates, by their titles.
#[derive(Debug, Default)]
pub struct Books(Mutex<HashMap<String, Vec<Outcome>>>);

impl Books {
    pub fn note(&self, title: &str, answer: &Answer) -> Outcome {
        let outcome = Outcome::of(answer);
        self.0.lock().unwrap().entry(title.to_owned()).or_default().push(outcome);
        outcome
    }

    pub fn count(&self, outcome: Outcome) -> usize {
        self.0.lock().unwrap().values().flatten().filter(|other| **other == outcome).count()
    }

    pub fn answers(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }

    /// Fails unless each acknowledged task exists once, and no rejected one exists.
    pub fn agree_with(&self, tasks: &[Value]) {
        let books = self.0.lock().unwrap();
        let mut there = HashMap::<&str, usize>::new();
        for task in tasks {
            *there.entry(task["title"].as_str().unwrap()).or_default() += 1;
        }
        for (title, outcomes) in &*books {
            let there = there.get(title.as_str()).copied().unwrap_or_default();
            assert!(there <= 1, "{title} is there {there} times");
            if outcomes.contains(&Outcome::Done) {
                assert_eq!(there, 1, "{title} was acknowledged and is lost: {outcomes:?}");
            } else if !outcomes.contains(&Outcome::Unknown) {
                assert_eq!(there, 0, "{title} was refused and is there: {outcomes:?}");
            }
        }
    }
}

pub fn create(client: &Client, key: &str) -> Answer {
    client.create_with_key(key, &json!({ "title": key }))
}

pub fn path(task: &Value) -> String {
    format!("/api/tasks/{}", task["id"].as_str().unwrap())
}

/// Waits for a condition that must become true.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_mins(1), "never: {what}");
        // Leaves the processors to the server.
        thread::sleep(Duration::from_millis(1));
    }
    started.elapsed()
}

pub fn wait_until_ready(server: &Server) -> Duration {
    wait_until("the server is ready", || server.stranger().get("/ready").status == 200)
}

/// Workers that repeat something until something else is done.
pub fn while_working<T>(workers: usize, work: impl Fn(usize, usize) + Sync, disturb: impl FnOnce() -> T) -> T {
    let (done, work) = (&AtomicBool::new(false), &work);
    thread::scope(|scope| {
        for worker in 0..workers {
            scope.spawn(move || {
                for n in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    work(worker, n);
                }
            });
        }
        let _end = End(done);
        disturb()
    })
}

/// Writers that create tasks of alice while `disturb` runs. It gets a function that waits for a number of further
/// answers of one kind.
pub fn while_creating(server: &Server, books: &Books, disturb: impl FnOnce(&dyn Fn(Outcome, usize))) {
    static COUNT: Mutex<usize> = Mutex::new(0);
    let title = || {
        let mut count = COUNT.lock().unwrap();
        *count += 1;
        format!("task {count}")
    };
    let clients: Vec<Client> = (0..8).map(|_| server.user("alice")).collect();
    let work = |worker: usize, _| {
        let title = title();
        books.note(&title, &clients[worker].post("/api/tasks", &json!({ "title": title })));
    };
    while_working(clients.len(), work, || {
        disturb(&|outcome, more| {
            let before = books.count(outcome);
            wait_until(&format!("{more} answers say {outcome:?}"), || books.count(outcome) >= before + more);
        });
    });
}

/// Number of connections from servers to the cluster.
pub fn connections(cluster: &Cluster) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'todo-api'";
    cluster.connect().query_one(count, &[]).unwrap().get(0)
}

/// A primary, with a standby that confirms every commit.
#[derive(Debug)]
pub struct Pair {
    pub primary: Cluster,
    pub standby: Cluster,
    pub database: PostgresDatabase,
}

impl Pair {
    pub fn start() -> Self {
        let primary = Cluster::start(&[]);
        let database = primary.database();
        let standby = primary.standby();
        primary.set("synchronous_standby_names", "standby");
        let pair = Self { primary, standby, database };
        pair.wait_until_synchronous();
        pair
    }

    fn wait_until_synchronous(&self) {
        let mut admin = self.primary.connect();
        wait_until("the standby is synchronous", || {
            let count = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
            admin.query_one(count, &[]).unwrap().get::<_, i64>(0) == 1
        });
    }

    pub fn promote(&self) {
        assert!(self.standby.connect().query_one("SELECT pg_promote()", &[]).unwrap().get::<_, bool>(0));
    }

    /// Its URL with both hosts.
    pub fn url(&self) -> String {
        self.database.url_by(&[self.primary.port(), self.standby.port()])
    }
}
