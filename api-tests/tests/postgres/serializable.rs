//! Statements that the database rolls back, and the server retries.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use api_tests::{Client, Cluster, Method, Server};
use serde_json::json;

use super::load::{path, wait_until, wait_until_ready};

const WRITERS: usize = 16;

/// A server on a database where every transaction is serializable.
fn serializable() -> Server {
    let database = Cluster::shared().database();
    let isolation = "SET default_transaction_isolation = 'serializable'";
    Cluster::shared().sql(&format!("ALTER DATABASE {} {isolation}", database.name()));
    let server = Server::on(database, &[]);
    wait_until_ready(&server);
    server
}

/// The key of the lock that a migration takes.
const MIGRATION_LOCK: i64 = 0x746f_646f_5f61_7069;

#[test]
fn servers_that_wait_for_the_migrations_of_another_one_see_its_tables_at_any_isolation() {
    let database = Cluster::shared().database();
    let (mut holder, mut observer) = (database.connect(), database.connect());
    let isolation = "SET default_transaction_isolation = 'repeatable read'";
    holder.batch_execute(&format!("ALTER DATABASE {} {isolation}", database.name())).unwrap();
    let mut migration = holder.transaction().unwrap();
    migration.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).unwrap();
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database
                   WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted";
    thread::scope(|scope| {
        let servers = [(); 2].map(|()| scope.spawn(|| Server::at(database.url(), &[])));
        wait_until("both wait", || observer.query_one(waiting, &[]).unwrap().get::<_, i64>(0) == 2);
        migration.rollback().unwrap();
        for server in servers {
            wait_until_ready(&server.join().unwrap());
        }
    });
}

/// Runs this many writers at the same time. Returns their results.
fn at_once<T: Send>(write: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let write = &write;
        let writers: Vec<_> = (0..WRITERS).map(|n| scope.spawn(move || write(n))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

fn toggle(client: &Client, path: &str, times: usize) {
    for _ in 0..times {
        let answer = client.patch(&format!("{path}/complete"), None);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn no_toggle_in_serializable_transactions_fails_or_is_lost() {
    const EACH: usize = 20;
    let server = serializable();
    let alice = server.user("alice");
    let task = alice.create("toggled by all");
    at_once(|n| {
        // Tasks of other users are in the same pages of the table and its indexes.
        let other = server.user(&format!("user {n}"));
        let own = other.create("toggled by one");
        for _ in 0..EACH {
            toggle(&alice, &path(&task), 1);
            toggle(&other, &path(&own), 1);
        }
        assert_eq!(other.get(&path(&own)).header("etag"), format!("\"{}\"", 1 + EACH));
    });
    let toggled = alice.get(&path(&task));
    assert_eq!(toggled.header("etag"), format!("\"{}\"", 1 + WRITERS * EACH));
    assert_eq!(toggled.json()["completed"], false);
}

#[test]
fn exactly_one_writer_with_the_same_version_wins_in_serializable_transactions() {
    let server = serializable();
    let alice = server.user("alice");
    for round in 0..20 {
        let task = alice.create(&round.to_string());
        let mut statuses = at_once(|n| {
            let body = json!({ "title": n.to_string() });
            alice.with_header(Method::PUT, &path(&task), ("If-Match", Some("\"1\"")), Some(&body)).status
        });
        statuses.sort_unstable();
        assert_eq!((statuses[0], &statuses[1..]), (200, &[412; WRITERS - 1][..]), "round {round}");
    }
}

#[test]
fn a_deadlock_fails_no_request() {
    let server = Server::on(Cluster::shared().database(), &[]);
    wait_until_ready(&server);
    let mut database = server.postgres();
    // The title names two rows. Each writer locks the first, and then waits a moment for another writer.
    database
        .batch_execute(
            "CREATE TABLE locks (id text PRIMARY KEY);
             INSERT INTO locks VALUES ('a'), ('b');
             CREATE FUNCTION lock_in_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM FROM locks WHERE id = split_part(NEW.title, ' ', 1) FOR UPDATE;
                 PERFORM pg_sleep(0.02);
                 PERFORM FROM locks WHERE id = split_part(NEW.title, ' ', 2) FOR UPDATE;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER lock_in_order BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION lock_in_order()",
        )
        .unwrap();
    let name: String = database.query_one("SELECT current_database()::text", &[]).unwrap().get(0);
    database.batch_execute(&format!("ALTER DATABASE {name} SET deadlock_timeout = '10ms'")).unwrap();
    // The open connections do not have the setting yet.
    database
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'todo-api' AND datname = $1", &[&name])
        .unwrap();
    wait_until_ready(&server);
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for title in ["a b", "b a"] {
            let (server, failed) = (&server, &failed);
            scope.spawn(move || {
                let client = server.user(title);
                let task = client.create("x");
                for _ in 0..20 {
                    let answer = client.put(&path(&task), &json!({ "title": title }));
                    failed.fetch_add(usize::from(answer.status != 200), Ordering::Relaxed);
                }
            });
        }
    });
    wait_until("a deadlock is counted", || {
        server.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") > 0
    });
    assert_eq!(failed.into_inner(), 0);
}
