//! Connections and hosts that accept everything and answer nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use api_tests::{Answer, Client, Cluster, Frozen, Proxy, Server};
use serde_json::{Value, json};

use super::load::{AT_MOST, Outcome, SOON, connections, path, wait_until, wait_until_ready};

const CONNECTIONS: i64 = 2 + 16;

/// What a connection is for can be read off its last statement.
const READS: &str = "SELECT";
const WRITES: &str = "UPDATE";

fn read(client: &Client, task: &Value) -> Answer {
    client.get(&path(task))
}

fn write(client: &Client, task: &Value) -> Answer {
    client.put(&path(task), &json!({ "title": "x" }))
}

/// Uses the connections, many at once.
fn warm_up(server: &Server) {
    thread::scope(|scope| {
        for n in 0..16 {
            scope.spawn(move || {
                let client = server.user(&format!("warm {n}"));
                let mut task = Value::Null;
                wait_until("a task is there", || {
                    let answer = client.create_with_key("k", &json!({ "title": "x" }));
                    task = answer.json();
                    answer.status == 201
                });
                for _ in 0..5 {
                    wait_until("it is read", || read(&client, &task).status == 200);
                    wait_until("it is written", || write(&client, &task).status == 200);
                }
            });
        }
    });
}

/// Sends 27 requests, one after the other; how many fail, and for how long none succeeds.
fn in_a_row(request: impl Fn() -> Answer) -> (usize, Duration) {
    let (mut failed, mut longest, mut success) = (0, Duration::ZERO, Instant::now());
    for _ in 0..27 {
        let started = Instant::now();
        let outcome = Outcome::of(&request());
        assert!(started.elapsed() <= AT_MOST, "{outcome:?} took {:?}", started.elapsed());
        if outcome == Outcome::Done {
            longest = longest.max(success.elapsed());
            success = Instant::now();
        } else {
            failed += 1;
        }
    }
    (failed, longest.max(success.elapsed()))
}

#[test]
fn a_backend_that_stands_still_costs_at_most_one_request() {
    let cluster = Cluster::start(&[]);
    let server = Server::on(cluster.database(), &[]);
    let alice = server.user("alice");
    let task = alice.create("before");
    for round in 0..3 {
        for (kind, request) in [(READS, read as fn(&_, &_) -> _), (WRITES, write)] {
            warm_up(&server);
            // The one that was used last is the next to be used, or at least no less likely than another.
            let last = format!(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'todo-api' AND state = 'idle' \
                 AND query ~ '^(WITH .*)?{kind}.*tasks' ORDER BY state_change DESC LIMIT 1"
            );
            let backend = server.postgres().query_one(&last, &[]).unwrap().get(0);
            let _frozen = Frozen::process(backend);
            let (failed, took) = in_a_row(|| request(&alice, &task));
            assert!(failed <= 1 && took < SOON, "{kind}, round {round}: {failed} failed, for {took:?}");
            let took = wait_until_ready(&server);
            assert!(took < SOON, "ready after {took:?}");
        }
    }
}

#[test]
fn connections_that_are_lost_without_a_word_are_replaced() {
    let cluster = Cluster::start(&[]);
    let proxy = Proxy::to(cluster.port());
    let database = cluster.database();
    let server = Server::at(&database.url_by(&[proxy.port()]), &[]);
    for round in 0..3 {
        for (kind, request) in [(READS, read as fn(&_, &_) -> _), (WRITES, write)] {
            // What was sent on a lost connection counts as in the database, and of a user that is only so much.
            let client = server.user(&format!("{kind} {round}"));
            let task = client.create("before");
            warm_up(&server);
            proxy.lose();
            // Each costs at most one, and those that read are two.
            let (failed, _) = in_a_row(|| request(&client, &task));
            assert!(failed <= 2, "{kind}, round {round}: {failed} failed");
            let took = wait_until_ready(&server);
            assert!(took < SOON, "ready after {took:?}");
        }
    }
}

#[test]
fn a_host_that_says_nothing_is_passed_over() {
    let cluster = Cluster::start(&[]);
    let silent = Proxy::silent(cluster.port());
    let database = cluster.database();
    let started = Instant::now();
    let server = Server::at(&database.url_by(&[silent.port(), cluster.port()]), &[]);
    wait_until_ready(&server);
    assert!(started.elapsed() < Duration::from_secs(10), "ready after {:?}", started.elapsed());
    server.user("alice").create("after");
    wait_until("all connections are there", || connections(&cluster) >= CONNECTIONS);
}

#[test]
fn a_host_that_says_nothing_for_a_while_is_connected_to_when_it_speaks() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let proxy = Proxy::silent(cluster.port());
    let server = Server::at(&database.url_by(&[proxy.port()]), &[]);
    // The first attempt has been given up.
    wait_until("it tries again", || proxy.accepted() > 1);
    assert_eq!(server.stranger().get("/ready").problem(), "503 unavailable");
    proxy.speak();
    let took = wait_until_ready(&server);
    assert!(took < SOON, "ready after {took:?}");
    server.user("alice").create("after");
}
