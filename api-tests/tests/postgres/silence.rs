//! Connections and hosts that accept everything but never answer.

use std::{
    thread,
    time::{Duration, Instant},
};

use api_tests::{Answer, Client, Cluster, Frozen, Proxy, Server};
use serde_json::{Value, json};

use super::load::{AT_MOST, Outcome, SOON, connections, path, wait_until, wait_until_ready};

const CONNECTIONS: i64 = 2 + 16;

/// The last statement of a connection shows its lane.
const READS: &str = "SELECT";
const WRITES: &str = "UPDATE";

fn read(client: &Client, task: &Value) -> Answer {
    client.get(&path(task))
}

fn write(client: &Client, task: &Value) -> Answer {
    client.put(&path(task), &json!({ "title": "x" }))
}

/// Uses many connections at once.
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

/// Sends 27 requests, one after the other. Returns the number of failures, and the longest time without a success.
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
fn a_frozen_backend_fails_at_most_one_request() {
    let cluster = Cluster::start(&[]);
    let server = Server::on(cluster.database(), &[]);
    let alice = server.user("alice");
    let task = alice.create("before");
    for round in 0..3 {
        for (kind, request) in [(READS, read as fn(&_, &_) -> _), (WRITES, write)] {
            warm_up(&server);
            // The connection that was used last is the most likely next one.
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
fn silently_lost_connections_are_replaced() {
    let cluster = Cluster::start(&[]);
    let proxy = Proxy::to(cluster.port());
    let database = cluster.database();
    let server = Server::at(&database.url_by(&[proxy.port()]), &[]);
    for round in 0..3 {
        for (kind, request) in [(READS, read as fn(&_, &_) -> _), (WRITES, write)] {
            // A change on a lost connection keeps its turn, and a user has only a few.
            let client = server.user(&format!("{kind} {round}"));
            let task = client.create("before");
            warm_up(&server);
            proxy.lose();
            // Each fails at most one request, and there are two for reads.
            let (failed, _) = in_a_row(|| request(&client, &task));
            assert!(failed <= 2, "{kind}, round {round}: {failed} failed");
            let took = wait_until_ready(&server);
            assert!(took < SOON, "ready after {took:?}");
        }
    }
}

#[test]
fn a_silent_host_is_skipped() {
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
fn a_host_that_is_silent_for_a_while_is_used_when_it_answers() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let proxy = Proxy::silent(cluster.port());
    let server = Server::at(&database.url_by(&[proxy.port()]), &[]);
    // The first attempt has timed out.
    wait_until("it tries again", || proxy.accepted() > 1);
    assert_eq!(server.stranger().get("/ready").problem(), "503 unavailable");
    proxy.speak();
    let took = wait_until_ready(&server);
    assert!(took < SOON, "ready after {took:?}");
    server.user("alice").create("after");
}
