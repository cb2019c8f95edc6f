use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use api_tests::{Answer, Cluster, End, Server};
use serde_json::{Value, json};

use super::load::{AT_MOST, Outcome, create, path, wait_until, wait_until_ready};

/// Fails unless every kind of request soon gets a 503 that does not contain the cause.
fn is_unavailable(server: &Server, task: &Value) {
    let alice = server.user("alice");
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    let requests: [(&str, &dyn Fn() -> Answer); 6] = [
        ("list", &|| alice.get("/api/tasks")),
        ("read", &|| alice.get(&path)),
        ("create", &|| create(&alice, "while-it-is-away")),
        ("update", &|| alice.put(&path, &json!({ "title": "y" }))),
        ("delete", &|| alice.delete(&format!("{}0", &path[..path.len() - 1]))),
        ("ready", &|| alice.get("/ready")),
    ];
    for (what, request) in requests {
        let started = Instant::now();
        let answer = request();
        let took = started.elapsed();
        assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("503 unavailable", "1"), "{what}");
        assert!(took <= AT_MOST, "{what} took {took:?}");
        let body = String::from_utf8(answer.body).unwrap().to_lowercase();
        assert!(!["postgres", "connection", "sqlstate", "tasks ("].iter().any(|word| body.contains(word)), "{body}");
    }
    assert_eq!(server.stranger().get("/health").status, 200, "the process lives");
}

#[test]
fn while_the_database_is_stopped_requests_get_a_503_and_then_succeed_again() {
    let cluster = Cluster::start(&[]);
    let server = Server::on(cluster.database(), &[]);
    let alice = server.user("alice");
    let task = alice.create("before");
    for _ in 0..2 {
        cluster.tell("stop");
        is_unavailable(&server, &task);
        cluster.tell("start");
        let took = wait_until_ready(&server);
        assert!(took <= Duration::from_secs(1), "ready {took:?} after the database");
        assert_eq!(alice.list(""), std::slice::from_ref(&task), "nothing was changed in between");
    }
}

#[test]
fn a_server_that_starts_before_its_database_becomes_ready_with_it() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    cluster.tell("stop");
    let server = Server::on(database, &[]);
    assert_eq!(server.stranger().get("/health").status, 200);
    assert_eq!(server.stranger().get("/ready").problem(), "503 unavailable");
    assert_eq!(server.user("alice").get("/api/tasks").problem(), "503 unavailable");
    cluster.tell("start");
    wait_until_ready(&server);
    server.user("alice").create("after");
}

#[test]
fn requests_do_not_wait_for_a_frozen_database() {
    let cluster = Cluster::start(&[]);
    let server = Server::on(cluster.database(), &[]);
    let alice = server.user("alice");
    let task = alice.create("before");
    cluster.tell("freeze");
    is_unavailable(&server, &task);
    cluster.tell("thaw");
    wait_until_ready(&server);
    assert_eq!(create(&alice, "after").status, 201);
}

/// Writers that create with keys while `disturb` runs. Returns the acknowledged tasks. `disturb` gets a function
/// that waits for a number of further writes.
fn write_while(server: &Server, disturb: impl FnOnce(&dyn Fn(usize))) -> Vec<Value> {
    let (acknowledged, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let written = || acknowledged.lock().unwrap().len();
    let wait_for = |writes| {
        let (before, started) = (written(), Instant::now());
        while written() < before + writes {
            assert!(started.elapsed() < Duration::from_mins(1), "the writers are stuck");
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        for writer in 0..8 {
            let (server, acknowledged, done) = (&server, &acknowledged, &done);
            scope.spawn(move || {
                let alice = server.user("alice");
                for n in 0.. {
                    let key = format!("{writer}-{n}");
                    let task = loop {
                        if done.load(Ordering::Relaxed) {
                            return;
                        }
                        let answer = create(&alice, &key);
                        if answer.status == 201 {
                            break answer.json();
                        }
                        assert!(
                            ["503 unavailable", "409 idempotency_key_in_flight"].contains(&answer.problem().as_str()),
                            "{answer:?}"
                        );
                    };
                    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
                    let read = alice.get(&path);
                    assert!([200, 503].contains(&read.status), "{read:?}");
                    acknowledged.lock().unwrap().push(task);
                }
            });
        }
        let _end = End(&done);
        disturb(&wait_for);
    });
    acknowledged.into_inner().unwrap()
}

/// Fails unless the user has exactly these tasks, each once, and perhaps some with a lost answer.
fn holds_all(server: &Server, acknowledged: &[Value]) {
    wait_until_ready(server);
    let tasks = server.user("alice").all();
    for task in acknowledged {
        assert!(tasks.contains(task), "{task} is lost");
    }
    let mut titles: Vec<&str> = tasks.iter().map(|task| task["title"].as_str().unwrap()).collect();
    titles.sort_unstable();
    titles.dedup();
    assert_eq!(titles.len(), tasks.len(), "a key has made two tasks");
}

#[test]
fn restarts_under_load_lose_and_duplicate_no_acknowledged_write() {
    let cluster = Cluster::start(&[]);
    let server = Server::on(cluster.database(), &[]);
    let acknowledged = write_while(&server, |wait_for| {
        for _ in 0..3 {
            wait_for(100);
            cluster.tell("stop");
            cluster.tell("start");
            wait_until_ready(&server);
        }
    });
    holds_all(&server, &acknowledged);
}

#[test]
fn killed_connections_are_replaced_and_lose_nothing() {
    let cluster = Cluster::start(&[]);
    let server = Server::on(cluster.database(), &[]);
    let acknowledged = write_while(&server, |wait_for| {
        let mut admin = server.postgres();
        for _ in 0..10 {
            wait_for(50);
            let kill =
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'todo-api'";
            assert!(admin.query_one(kill, &[]).unwrap().get::<_, i64>(0) > 0);
        }
    });
    holds_all(&server, &acknowledged);
}

#[test]
fn a_server_works_with_few_connections_and_opens_more_when_it_can() {
    let cluster = Cluster::start(&["max_connections=12", "superuser_reserved_connections=3"]);
    cluster.sql("CREATE ROLE app LOGIN");
    let database = cluster.database_with("OWNER app");
    let url = database.url().replace("postgres@", "app@");
    let connect = || postgres::Client::connect(&url, postgres::NoTls);
    // All but three of those that are not reserved are taken: one to migrate with, then one or two for each lane.
    let mut others: Vec<_> = (0..6).map(|_| connect().unwrap()).collect();
    let server = Server::at(&url, &[]);
    wait_until_ready(&server);
    server.wait_for_log(|line| line["error"].as_str()?.contains("53300").then_some(()));
    let alice = server.user("alice");
    // Now all are in use, and the server's connections are closed.
    let mut admin = database.connect();
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'todo-api'";
    let started = Instant::now();
    while alice.get("/ready").status == 200 || create(&alice, "k").status == 201 {
        admin.execute(kill, &[]).unwrap();
        others.extend(connect());
        assert!(started.elapsed() < Duration::from_mins(1));
    }
    assert_eq!(create(&alice, "k").problem(), "503 unavailable");
    drop(others);
    wait_until_ready(&server);
    let started = Instant::now();
    while create(&alice, "k").status != 201 {
        assert!(started.elapsed() < Duration::from_mins(1), "writes do not come back");
    }
}

#[test]
fn a_write_that_waits_for_a_lock_is_never_cancelled_and_delays_no_other() {
    let server = Server::on(Cluster::shared().database(), &[]);
    let alice = server.user("alice");
    let (locked, free) = (alice.create("locked"), alice.create("free"));
    let mut other = server.postgres();
    let mut lock = other.transaction().unwrap();
    lock.execute("UPDATE tasks SET title = 'by another' WHERE title = 'locked'", &[]).unwrap();
    let unknown = thread::scope(|scope| {
        let waiting: Vec<_> =
            (0..3).map(|_| scope.spawn(|| alice.put(&path(&locked), &json!({ "title": "x" })))).collect();
        for n in 0..50 {
            assert_eq!(alice.put(&path(&free), &json!({ "title": n.to_string() })).status, 200);
        }
        let outcomes: Vec<_> = waiting.into_iter().map(|waiting| Outcome::of(&waiting.join().unwrap())).collect();
        // Only a few changes of one row are in the database at a time. The others were not sent.
        assert!(!outcomes.contains(&Outcome::Done) && outcomes.contains(&Outcome::Unknown), "{outcomes:?}");
        outcomes.iter().filter(|outcome| **outcome == Outcome::Unknown).count()
    });
    let version = |version| format!("\"{version}\"");
    assert_eq!(alice.get(&path(&locked)).json(), locked, "nothing has happened so far");
    lock.rollback().unwrap();
    wait_until("what was sent has happened", || alice.get(&path(&locked)).header("etag") == version(1 + unknown));
    assert_eq!(alice.put(&path(&locked), &json!({ "title": "y" })).header("etag"), version(2 + unknown));
    assert!(server.log().iter().all(|line| !line.contains("57014")), "a write was cancelled");
}

#[test]
fn a_server_reports_and_survives_a_full_disk() {
    let cluster = Cluster::with_a_small_disk("24m");
    cluster.sql(&format!("CREATE TABLESPACE small LOCATION '{}/small'", cluster.folder()));
    let server = Server::on(cluster.database_with("TABLESPACE small"), &[]);
    let alice = server.user("alice");
    let task = alice.create("before");
    let mut database = server.postgres();
    let fill = "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
    assert_eq!(database.batch_execute(fill).unwrap_err().code().unwrap().code(), "53100");
    database.batch_execute("CREATE TABLE filler (text text)").unwrap();
    while database.batch_execute("INSERT INTO filler VALUES (repeat(gen_random_uuid()::text, 50))").is_ok() {}
    let mut n = 0;
    let refused = loop {
        let answer = alice.post("/api/tasks", &json!({ "title": "x", "description": "y".repeat(1000) }));
        if answer.status != 201 {
            break answer;
        }
        n += 1;
    };
    assert_eq!(refused.problem(), "503 unavailable");
    server.wait_for_log(|line| line["cause"].as_str()?.contains("53100").then_some(()));
    assert_eq!(alice.get(&format!("/api/tasks/{}", task["id"].as_str().unwrap())).json(), task, "reads go on");
    database.batch_execute("DROP TABLE filler").unwrap();
    let started = Instant::now();
    while create(&alice, "after").status != 201 {
        assert!(started.elapsed() < Duration::from_mins(1), "writes do not come back");
    }
    assert_eq!(alice.all().len(), n + 2);
}
