//! A database that becomes read-only, and failover to another one.

use std::{thread, time::Instant};

use api_tests::{Cluster, Proxy, Server};
use serde_json::json;

use super::load::{
    AT_MOST, Books, Outcome, Pair, SOON, connections, path, wait_until, wait_until_ready, while_creating,
};

const READ_ONLY: &str = "default_transaction_read_only";
const CONNECTIONS: i64 = 2 + 16;

#[test]
fn a_read_only_database_rejects_changes_with_certainty_until_it_accepts_them_again() {
    let cluster = Cluster::start(&[]);
    let server = Server::on(cluster.database(), &[]);
    wait_until_ready(&server);
    let (alice, books) = (server.user("alice"), Books::default());
    let task = alice.create("before");
    while_creating(&server, &books, |wait_for| {
        for _ in 0..5 {
            wait_for(Outcome::Done, 20);
            cluster.set(READ_ONLY, "on");
            wait_until("the server says that it cannot write", || server.stranger().get("/ready").status == 503);
            wait_for(Outcome::Unchanged, 8);
            let before = books.count(Outcome::Done);
            wait_for(Outcome::Unchanged, 8);
            assert_eq!(books.count(Outcome::Done), before);
            let read = alice.get(&path(&task));
            assert!([200, 503].contains(&read.status), "{read:?}");
            cluster.set(READ_ONLY, "");
            let took = wait_until_ready(&server)
                + wait_until("a change", || alice.post("/api/tasks", &json!({ "title": "x" })).status == 201);
            assert!(took < SOON, "{took:?} until it takes changes again");
        }
    });
    books.agree_with(&alice.all());
    let says = |line: &String| line.contains("WARN") && line.contains("its server accepts no changes");
    assert!(server.log().iter().any(says), "the log says why");
}

#[test]
fn with_any_session_in_the_url_a_server_reads_from_a_read_only_database() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let server = Server::at(&format!("{}&target_session_attrs=any", database.url()), &[]);
    wait_until_ready(&server);
    let alice = server.user("alice");
    let task = alice.create("before");
    cluster.set(READ_ONLY, "on");
    wait_until("changes are refused", || {
        Outcome::of(&alice.put(&path(&task), &json!({ "title": "before" }))) == Outcome::Unchanged
    });
    let standing = alice.get(&path(&task)).json();
    for n in 0..30 {
        assert_eq!(alice.get(&path(&task)).status, 200);
        if n % 10 == 0 {
            assert_ne!(Outcome::of(&alice.put(&path(&task), &json!({ "title": "x" }))), Outcome::Done);
            assert_eq!(server.stranger().get("/ready").problem(), "503 unavailable");
        }
    }
    assert_eq!(alice.get(&path(&task)).json(), standing);
    cluster.set(READ_ONLY, "");
    wait_until_ready(&server);
    assert_eq!(alice.put(&path(&task), &json!({ "title": "y" })).status, 200);
}

#[test]
fn connections_that_a_proxy_keeps_to_the_old_primary_move_to_the_new_one() {
    let pair = Pair::start();
    let proxy = Proxy::to(pair.primary.port());
    let server = Server::at(&pair.database.url_by(&[proxy.port()]), &[]);
    wait_until_ready(&server);
    let (alice, books) = (server.user("alice"), Books::default());
    wait_until("all connections are there", || connections(&pair.primary) >= CONNECTIONS);
    while_creating(&server, &books, |wait_for| wait_for(Outcome::Done, 50));

    pair.primary.set(READ_ONLY, "on");
    let mut old = pair.primary.connect();
    wait_until("the old primary is read-only", || {
        old.query_one("SHOW transaction_read_only", &[]).unwrap().get::<_, String>(0) == "on"
    });
    pair.promote();
    proxy.redirect(pair.standby.port());

    let mut failed = 0;
    for n in 0..30 {
        let title = format!("after {n}");
        let started = Instant::now();
        let outcome = books.note(&title, &alice.post("/api/tasks", &json!({ "title": title })));
        assert!(started.elapsed() <= AT_MOST, "{title} took {:?}", started.elapsed());
        failed += usize::from(outcome != Outcome::Done);
    }
    assert!(failed <= 1, "{failed} requests failed");
    wait_until_ready(&server);
    wait_until("all connections have moved", || {
        connections(&pair.primary) == 0 && connections(&pair.standby) >= CONNECTIONS
    });
    books.agree_with(&alice.all());
}

#[test]
fn a_server_moves_to_the_promoted_host() {
    let pair = Pair::start();
    let server = Server::at(&pair.url(), &[]);
    wait_until_ready(&server);
    let books = Books::default();
    thread::scope(|scope| {
        while_creating(&server, &books, |wait_for| {
            wait_for(Outcome::Done, 50);
            pair.primary.tell("crash");
            let ready = scope.spawn(|| wait_until("not ready", || server.stranger().get("/ready").status == 503));
            wait_for(Outcome::Unchanged, 8);
            ready.join().unwrap();
            pair.promote();
            let took = wait_until_ready(&server);
            assert!(took < SOON, "ready {took:?} after the promotion");
            wait_for(Outcome::Done, 50);
        });
    });
    books.agree_with(&server.user("alice").all());
}
