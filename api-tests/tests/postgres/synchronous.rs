//! Commits that wait for a standby.

use std::{
    thread,
    time::{Duration, Instant},
};

use api_tests::{Cluster, Server};
use serde_json::json;

use super::load::{
    Books, Outcome, Pair, SOON, connections, create, path, wait_until, wait_until_ready, while_creating,
};

const NAMES: &str = "synchronous_standby_names";
const WRITE_CONNECTIONS: usize = 8;
const READ_CONNECTIONS: usize = 2;

/// A server with a database that waits for a missing standby.
fn waiting() -> (Cluster, Server) {
    let cluster = Cluster::start(&[]);
    let server = Server::on(cluster.database(), &[("DB_WRITE_CONNECTIONS", &WRITE_CONNECTIONS.to_string())]);
    wait_until_ready(&server);
    let first = server.user("first");
    first.create("before");
    cluster.set(NAMES, "nobody");
    // The setting takes effect after some time.
    wait_until("a change waits for the standby", || {
        thread::scope(|scope| {
            let creating = scope.spawn(|| first.post("/api/tasks", &json!({ "title": "x" })));
            let mut waits = false;
            while !creating.is_finished() {
                waits |= server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") > 0;
            }
            let outcome = Outcome::of(&creating.join().unwrap());
            assert!(!waits || outcome == Outcome::Unknown, "it waits for the standby, and is {outcome:?}");
            waits
        })
    });
    (cluster, server)
}

/// Each user creates a task with a key, and retries.
fn try_to_create(server: &Server, users: usize, retries: usize, books: &Books) {
    thread::scope(|scope| {
        for user in 0..users {
            scope.spawn(move || {
                let (client, key) = (server.user(&format!("user {user}")), format!("key-{user}"));
                let outcome = books.note(&key, &create(&client, &key));
                assert_ne!(outcome, Outcome::Done, "a change without a replica was acknowledged");
                for _ in 0..retries {
                    let answer = create(&client, &key);
                    if answer.problem() != "409 idempotency_key_in_flight" {
                        let outcome = books.note(&key, &answer);
                        assert_ne!(outcome, Outcome::Done, "a change without a replica was replayed");
                    }
                }
            });
        }
    });
}

#[test]
fn changes_without_a_confirming_standby_are_never_acknowledged_and_delay_no_read() {
    let (cluster, server) = waiting();
    let (reader, books) = (server.user("first"), Books::default());
    let task = reader.list("").pop().unwrap();
    let users = 3 * WRITE_CONNECTIONS;
    thread::scope(|scope| {
        let creating = scope.spawn(|| try_to_create(&server, users, 2, &books));
        let mut longest = Duration::ZERO;
        let mut reads = 0;
        while !creating.is_finished() {
            let started = Instant::now();
            assert_eq!(reader.get(&path(&task)).status, 200);
            longest = longest.max(started.elapsed());
            reads += 1;
        }
        assert!(reads > 10 && longest < Duration::from_secs(1), "{reads} reads took up to {longest:?}");
        creating.join().unwrap();
    });
    // At most two connections for each place wait. Without a connection, changes are rejected.
    let refused = books.count(Outcome::Unchanged);
    assert!(refused >= users - 2 * WRITE_CONNECTIONS, "only {refused} were refused");
    let open = connections(&cluster);
    assert!(open <= i64::try_from(2 * WRITE_CONNECTIONS + 2 * READ_CONNECTIONS + 2).unwrap(), "{open} connections");
    assert_eq!(server.stranger().get("/ready").problem(), "503 unavailable");

    // The primary is lost, and restarts without the standby.
    cluster.connect().batch_execute(&format!("ALTER SYSTEM RESET {NAMES}")).unwrap();
    cluster.tell("crash");
    cluster.tell("start");
    let took = wait_until_ready(&server);
    assert!(took < SOON, "ready {took:?} after the database");
    let all = |user| server.user(&format!("user {user}")).all();
    books.agree_with(&(0..users).flat_map(all).collect::<Vec<_>>());
    for user in 0..users {
        let key = format!("key-{user}");
        assert_eq!(create(&server.user(&format!("user {user}")), &key).status, 201);
        assert_eq!(all(user).len(), 1, "{key} has made one task");
    }
}

#[test]
fn changes_that_wait_for_a_standby_complete_when_it_returns() {
    let (cluster, server) = waiting();
    let books = Books::default();
    try_to_create(&server, WRITE_CONNECTIONS, 0, &books);
    wait_until("the server says that it cannot write", || server.stranger().get("/ready").status == 503);
    assert_eq!(
        server.user("user 0").list(""),
        [] as [serde_json::Value; 0],
        "a row that is not replicated is invisible"
    );
    cluster.set(NAMES, "");
    let took = wait_until_ready(&server);
    assert!(took < SOON, "ready {took:?} after the standby");
    assert_eq!(books.count(Outcome::Unknown), WRITE_CONNECTIONS, "all were sent");
    for user in 0..WRITE_CONNECTIONS {
        let client = server.user(&format!("user {user}"));
        let replayed = create(&client, &format!("key-{user}"));
        assert_eq!((replayed.status, replayed.header("idempotency-replayed")), (201, "true"));
        assert_eq!(client.list(""), [replayed.json()]);
        client.create("after");
    }
}

#[test]
fn no_acknowledged_change_is_lost_with_the_primary_while_its_standby_is_away() {
    let pair = Pair::start();
    let server = Server::at(&pair.url(), &[]);
    wait_until_ready(&server);
    let books = Books::default();
    while_creating(&server, &books, |wait_for| {
        wait_for(Outcome::Done, 50);
        pair.standby.tell("stop");
        let before = books.answers();
        wait_until("each writer has an answer", || books.answers() >= before + 16);
        pair.primary.tell("crash");
        pair.standby.tell("start");
        pair.promote();
        let took = wait_until_ready(&server);
        assert!(took < SOON, "ready {took:?} after the promotion");
        wait_for(Outcome::Done, 50);
    });
    books.agree_with(&server.user("alice").all());
}
